"""What an account said about itself last: `landing/<connection>/account.json`.

Tables depend on it (days, addresses of records), so it stands beside what landed.
"""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from crm_pipeline.kernel.clock import format_instant, parse_instant
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.identity import path_name
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.store import files
from crm_pipeline.store.landing import Landing

FILE = "account.json"
CURE = "Run `crm-pipeline refresh CONNECTION`: the account is asked again."


def account_facts(landing: Landing, connection: str) -> AccountFacts:
    """Return what is noted of an account; nothing is known of one that was never asked.

    Raises:
        CorruptFile: the note is damaged. Without it days would move.
    """
    return _noted(landing, connection)[0]


def facts_noted_at(landing: Landing, connection: str) -> datetime | None:
    """Return when an account was asked last; None where it was not, or the note is damaged."""
    try:
        return _noted(landing, connection)[1]
    except CorruptFile:
        return None


def note_facts(landing: Landing, connection: str, facts: AccountFacts) -> None:
    """Note what an account says about itself.

    Raises:
        StoreError: the disk is full or not writable.
    """
    record = {**asdict(facts), "noted_at": format_instant(landing.clock.now())}
    path = facts_path(landing.root, connection)
    files.make_folder(path.parent)
    files.write_json(path, record)


def facts_path(data: Path, connection: str) -> Path:
    """Return the file of a connection's note."""
    return data / "landing" / path_name(connection) / FILE


def _noted(landing: Landing, connection: str) -> tuple[AccountFacts, datetime | None]:
    path = facts_path(landing.root, connection)
    try:
        record = files.read_json(path, cure=CURE)
    except FileNotFoundError:
        return AccountFacts(), None
    try:
        known = {name: str(record[name]) for name in asdict(AccountFacts()) if name in record}
        return AccountFacts(**known), parse_instant(record["noted_at"])
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptFile(f"{path} is damaged: {error!r}.", cure=CURE) from error
