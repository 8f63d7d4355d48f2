"""Records that cannot be landed: what the vendor sent, and why it is set aside.

They are kept byte by byte in the quarantine of their window, so that a newer reader can try them again.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Reject:
    """One record that cannot be landed.

    Attributes:
        reason: what is wrong with it, without any of its values.
        raw: the bytes as received.
        source_id: the vendor's id, where it can be told; "" where not.
        is_torn: where it ends is not sure: it may hold other records, too. Not stored.
    """

    reason: str
    raw: bytes
    source_id: str = ""
    is_torn: bool = False

    @property
    def is_named(self) -> bool:
        """Whether it is known which record this is, and that it is no other."""
        return bool(self.source_id) and not self.is_torn

    @property
    def digest(self) -> str:
        """What tells this record from others; the same bytes are the same record."""
        return hashlib.sha256(self.raw).hexdigest()


def as_table(rejects: Iterable[Reject], batch_id: str) -> pa.Table:
    """Return the rejects of one batch as they are stored.

    `_text` shows the bytes to people: what is no UTF-8 has a replacement character there. `_raw` is what a
    newer reader tries again.
    """
    rows = list(rejects)
    return pa.table(
        {
            "_reason": pa.array([row.reason for row in rows], pa.string()),
            "_source_id": pa.array([row.source_id for row in rows], pa.string()),
            "_text": pa.array([row.raw.decode("utf-8", "replace") for row in rows], pa.string()),
            "_raw": pa.array([row.raw for row in rows], pa.binary()),
            "_batch_id": pa.array([batch_id] * len(rows), pa.string()),
        }
    )


def from_table(table: pa.Table) -> list[Reject]:
    """Read what `as_table` wrote; older files have the text alone."""
    names = set(table.column_names)
    reasons = table.column("_reason").to_pylist()
    ids = table.column("_source_id").to_pylist() if "_source_id" in names else [""] * len(reasons)
    raws = (
        table.column("_raw").to_pylist()
        if "_raw" in names
        else [text.encode() for text in table.column("_text").to_pylist()]
    )
    return [Reject(*row) for row in zip(reasons, raws, ids, strict=True)]
