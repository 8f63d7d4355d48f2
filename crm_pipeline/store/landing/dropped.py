"""Decisions of people to drop quarantined rows: the rows stay where they are, and nobody waits for them any more.

`quarantine/<connection>/<object>/dropped/<id>.json` holds the decision about one set of rows. It names each row by a digest
of what was received, so that a record that comes with other content is asked about again. Without the file, its rows wait
for a decision as before.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import structlog

from crm_pipeline.kernel.clock import format_instant, parse_instant
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.store import files

FOLDER = "dropped"
CURE = "Remove it: its rows wait for a decision again. `crm-pipeline quarantine` lists them."
DIGITS = 16
"""So many digits of a SHA-256 stand for a row."""
_log = structlog.get_logger("crm_pipeline.store")


@dataclass(frozen=True)
class Decision:
    """The decision to drop rows that were quarantined for one reason.

    Attributes:
        id: of the set of rows, see `store.quarantine`.
        table: the table that was built without them; "" for rows that never landed.
        stage: where they were set aside: landing, normalized or contract.
        rows: a digest of each row, see `digest`.
    """

    id: str
    connection: str
    object: str
    table: str
    stage: str
    reason: str
    rows: frozenset[str]
    decided_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Return the form on disk."""
        return {
            **vars(self),
            "rows": sorted(self.rows),
            "decided_at": format_instant(self.decided_at),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Return the decision of a form on disk.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        values = {**stored, "rows": frozenset(map(str, stored["rows"]))}
        return cls(**{**values, "decided_at": parse_instant(stored["decided_at"])})


def digest(received: bytes) -> str:
    """Return what stands for a row in decisions."""
    return hashlib.sha256(received).hexdigest()[:DIGITS]


def digest_of_landed(source_id: str | None, record_hash: int | None) -> str:
    """Return what stands for a landed row in decisions: by its id and the hash of its record."""
    return digest(f"{source_id}|{record_hash}".encode())


def decisions(folder: Path) -> list[Decision]:
    """Return the decisions about the quarantine of an object; one that is damaged does not count.

    Args:
        folder: the object's quarantine.
    """
    found = []
    for path in sorted((folder / FOLDER).glob("[!.]*.json")):
        try:
            found.append(_read(path))
        except CorruptFile as error:
            _log.warning("a decision to drop rows does not count", reason=str(error))
        except FileNotFoundError:  # undone meanwhile
            continue
    return found


def dropped_rows(folder: Path, stage: str, table: str = "") -> frozenset[str]:
    """Return the digests of the dropped rows of one stage and table of an object."""
    chosen = (d.rows for d in decisions(folder) if (d.stage, d.table) == (stage, table))
    return frozenset[str]().union(*chosen)


def drop(folder: Path, decision: Decision) -> None:
    """Write a decision; rows of the same set that were dropped before stay dropped."""
    before = [known.rows for known in decisions(folder) if known.id == decision.id]
    whole = replace(decision, rows=decision.rows.union(*before))
    files.make_folder(folder / FOLDER)
    files.write_json(_path(folder, decision.id), whole.to_dict(), "dropped")


def undo(folder: Path, set_id: str) -> None:
    """Remove a decision: its rows wait for a decision again.

    Raises:
        StoreError: it cannot be removed.
    """
    path = _path(folder, set_id)
    with files.explained(path):
        path.unlink(missing_ok=True)


def read_decision(record: Mapping[str, Any]) -> str:
    """Check the content of a decision; see `store.scrub`."""
    Decision.from_dict(record)
    return ""


def _path(folder: Path, name: str) -> Path:
    return folder / FOLDER / f"{name}.json"


def _read(path: Path) -> Decision:
    record = files.read_json(path, cure=CURE)
    try:
        return Decision.from_dict(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptFile(f"{path} is damaged: {error!r}.", cure=CURE) from error
