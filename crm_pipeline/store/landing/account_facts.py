"""What an account said about itself last: `landing/<connection>/account.json`.

Tables depend on it (days, addresses of records), so it stands beside what landed.
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from crm_pipeline.kernel.clock import format_instant, parse_instant
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.identity import path_name
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.store import files
from crm_pipeline.store.landing.landing import Landing

FILE = "account.json"


@dataclass(frozen=True)
class Note:
    """What is known of an account, and of the last time it was asked.

    Attributes:
        facts: what tables are made with.
        asked_at: when it was asked last; None where it never was.
        has_answered: whether it answered then.
        next_zone: another zone than that of the facts, which it named for the first time `next_zone_at`.
    """

    facts: AccountFacts = field(default_factory=AccountFacts)
    asked_at: datetime | None = None
    has_answered: bool = True
    next_zone: str = ""
    next_zone_at: datetime | None = None


def cure(connection: str) -> str:
    """Say what to do about a damaged note."""
    return f"Run `crm-pipeline refresh {connection}`: the account is asked again."


def account_facts(landing: Landing, connection: str) -> AccountFacts:
    """Return what is noted of an account; nothing is known of one that was never asked.

    Raises:
        CorruptFile: the note is damaged. Without it days would move.
    """
    return account_note(landing, connection).facts


def account_note(landing: Landing, connection: str) -> Note:
    """Return the note of an account; what earlier versions noted though it cannot be so is not known.

    Raises:
        CorruptFile: it is damaged.
    """
    path = facts_path(landing.root, connection)
    try:
        record = files.read_json(path, cure=cure(connection))
    except FileNotFoundError:
        return Note()
    try:
        known = {name: str(record[name]) for name in asdict(AccountFacts()) if name in record}
        since = record.get("next_zone_at")
        return Note(
            AccountFacts(**known).credible,
            parse_instant(record["noted_at"]),
            bool(record.get("has_answered", True)),
            str(record.get("next_zone", "")),
            parse_instant(since) if since else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptFile(f"{path} is damaged: {error!r}.", cure=cure(connection)) from error


def note_facts(
    landing: Landing, connection: str, facts: AccountFacts, note: Note | None = None
) -> None:
    """Note what an account says about itself.

    Args:
        landing: where.
        connection: whose.
        facts: what is known of it.
        note: what else there is to note, apart from the time, which is now.

    Raises:
        StoreError: the disk is full or not writable.
    """
    note = note or Note()
    record = {**asdict(facts), "noted_at": format_instant(landing.clock.now())}
    if not note.has_answered:
        record["has_answered"] = False
    if note.next_zone and note.next_zone_at:
        record |= {
            "next_zone": note.next_zone,
            "next_zone_at": format_instant(note.next_zone_at),
        }
    path = facts_path(landing.root, connection)
    files.make_folder(path.parent)
    files.write_json(path, record)


def facts_path(data: Path, connection: str) -> Path:
    """Return the file of a connection's note."""
    return data / "landing" / path_name(connection) / FILE
