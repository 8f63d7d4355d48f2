"""Records that cannot be landed: the bytes that the vendor sent, and the reason.

They are kept unchanged in the quarantine of their window, so that a newer reader can try them again.
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
    """The record of one file of rejects, as far as a retry needs it.

    Attributes:
        sha256, bytes: checksum and size of the file; earlier versions did not write them.
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
        reason: the defect, without any of the record's values.
        raw: the bytes as received.
        source_id: the vendor's id; "" where it cannot be read.
        is_torn: the record's end is uncertain, so it may hold other records, too. Not stored.
    """

    reason: str
    raw: bytes
    source_id: str = ""
    is_torn: bool = False

    @property
    def is_named(self) -> bool:
        """Whether it is certain which one record this is."""
        return bool(self.source_id) and not self.is_torn

    @property
    def digest(self) -> str:
        """Identifies this record among others; the same bytes are the same record."""
        return hashlib.sha256(self.raw).hexdigest()


def as_table(rejects: Iterable[Reject], batch_id: str) -> pa.Table:
    """Return the rejects of one batch as they are stored.

    `_text` is for people: bytes that are not UTF-8 are replacement characters there. A newer reader retries
    `_raw`.
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
    """Return the rejects that `as_table` stored; older files have only the text."""
    names = set(table.column_names)
    reasons = table.column("_reason").to_pylist()
    ids = table.column("_source_id").to_pylist() if "_source_id" in names else [""] * len(reasons)
    raws = (
        table.column("_raw").to_pylist()
        if "_raw" in names
        else [text.encode() for text in table.column("_text").to_pylist()]
    )
    return [Reject(*row) for row in zip(reasons, raws, ids, strict=True)]


def quarantined_schemas(folder: Path) -> set[str]:
    """Return the fingerprints of the schemas under which the records of an object's quarantine were read."""
    found: set[str] = set()
    for path in folder.glob("????-??/*.json"):
        record = files.read_json(path, cure=quarantine_cure(path.with_suffix(".parquet")))
        found.add(str(record["schema_fingerprint"]))
    return found


def read_rejects(path: Path) -> tuple[SetAside, list[Reject]]:
    """Read a quarantine file of a window and its record.

    Raises:
        CorruptFile: one of the two is damaged or gone.
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
