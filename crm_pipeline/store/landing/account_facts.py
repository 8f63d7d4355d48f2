"""The account's facts as last read (time zone, currency, web address): `landing/<connection>/account.json`.

Tables depend on them (days, addresses of records), so they stand beside the landed records.
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
    """The facts of an account, and when they were asked for last.

    Attributes:
        facts: used to build tables.
        asked_at: the last request; None where there was none.
        has_answered: whether the last request succeeded.
        next_zone: a different zone, which the account named for the first time at `next_zone_at`.
    """

    facts: AccountFacts = field(default_factory=AccountFacts)
    asked_at: datetime | None = None
    has_answered: bool = True
    next_zone: str = ""
    next_zone_at: datetime | None = None


def cure(connection: str) -> str:
    """Return the cure for a damaged note."""
    return f"Run `crm-pipeline refresh {connection}`: the account is asked again."


def account_facts(landing: Landing, connection: str) -> AccountFacts:
    """Return the facts of an account; empty where it was never asked.

    Raises:
        CorruptFile: the note is damaged; without it, days would change.
    """
    return account_note(landing, connection).facts


def account_note(landing: Landing, connection: str) -> Note:
    """Return the note of an account, without facts that cannot be true.

    Raises:
        CorruptFile: it is damaged.
    """
    path = facts_path(landing.root, connection)
    try:
        record = files.read_json(path, cure=cure(connection))
    except FileNotFoundError:
        return Note()
    try:
        facts = {name: str(record[name]) for name in asdict(AccountFacts()) if name in record}
        since = record.get("next_zone_at")
        return Note(
            AccountFacts(**facts).credible,
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
    """Write the facts of an account.

    Args:
        landing: the landing zone.
        connection: its name.
        facts: of the account.
        note: the other parts of the note; the time is now.

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
