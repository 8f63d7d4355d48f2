"""One set of quarantined rows: those of an object that were set aside in one stage for one reason."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.kernel.identity import fingerprint

Stage = Literal["landing", "normalized", "contract"]
"""Where rows were set aside: when they were read, when their table was built, or by a contract of it."""
NAMED = 20
"""So many ids of a set are listed."""


@dataclass(frozen=True)
class Quarantined:
    """A set of quarantined rows, of which all wait for a decision, or all are dropped.

    Attributes:
        table: the table that is built without them; "" for rows that could not be landed.
        records: their number.
        since: when the first of them came from the vendor.
        last_seen_at: when one of them was last set aside.
        source_ids: the vendor's ids of the first of them, as far as they are known.
        is_dropped: a person has dropped them.
        folder: where their files are.
    """

    connection: str
    object: str
    table: str
    stage: Stage
    reason: str
    records: int
    since: datetime
    last_seen_at: datetime
    folder: Path
    source_ids: tuple[str, ...] = ()
    is_dropped: bool = False

    @property
    def id(self) -> str:
        """Names the set for people, for as long as it is there."""
        parts = [self.connection, self.object, self.table, self.stage, self.reason]
        return fingerprint(parts)[:8]

    def to_dict(self) -> dict[str, Any]:
        """Return the set for JSON; there are ids in it, and no values."""
        return {
            "id": self.id,
            "connection": self.connection,
            "object": self.object,
            "table": self.table or None,
            "stage": self.stage,
            "reason": self.reason,
            "records": self.records,
            "since": format_instant(self.since),
            "last_seen": format_instant(self.last_seen_at),
            "is_dropped": self.is_dropped,
            "source_ids": list(self.source_ids),
            "folder": str(self.folder),
        }
