"""Records that cannot be landed: what the vendor sent, and why it is set aside.

They are kept byte by byte in the quarantine of their window, so that a newer reader can try them again.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import FileSum
from crm_pipeline.store.landing.corruption import quarantine_cure
from crm_pipeline.store.landing.manifest import Shape


class SetAside(msgspec.Struct, frozen=True):
    """What is recorded of one file of rejects, as far as it is needed to try them again.

    Attributes:
        sha256, bytes: what the file was; without these an earlier version wrote it.
    """

    schema_fingerprint: str
    quarantined_at: str
    extracted_at: str | None = None
    shape: Shape = "csv"
    route: str | None = None
    origin: str = ""
    sha256: str | None = None
    bytes: int = 0


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


def read_rejects(path: Path) -> tuple[SetAside, list[Reject]]:
    """Read a file of rejects that a window has kept, and what is recorded of it.

    Raises:
        CorruptFile: one of the two is not as it was written, or gone.
    """
    cure = quarantine_cure(path)
    record = path.with_suffix(".json")
    try:
        facts = msgspec.convert(files.read_json(record, cure=cure), SetAside)
    except (FileNotFoundError, msgspec.ValidationError) as error:
        raise CorruptFile(f"{record} is damaged or gone.", cure=cure) from error
    try:
        if facts.sha256 and FileSum.of(path) != FileSum(facts.bytes, facts.sha256):
            raise CorruptFile(f"{path} is damaged: it is not as it was set aside.", cure=cure)
        return facts, from_table(pq.read_table(path))
    except (OSError, pa.ArrowException, KeyError, UnicodeDecodeError) as error:
        raise CorruptFile(f"{path} is damaged or gone.", cure=cure) from error
