"""Record batches on their way to landing: their keys, hashes and months, never row by row.

A batch carries `_source_id` (string), `_modified_at` (timestamp, UTC) and `_deleted` (boolean)
first, then the raw columns: one string column per source field (shape csv), or one column `record`
with the JSON text (shape json).
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

STAMP = pa.timestamp("us", "UTC")
KEY_COLUMNS = ("_source_id", "_modified_at", "_deleted")
STATE_COLUMNS = (*KEY_COLUMNS, "_extracted_at", "_batch_id", "_record_hash")
_MARK = "src."
# DuckDB numbers the rows of a file under this name.
_OURS = frozenset({*STATE_COLUMNS, "file_row_number"})


def landed_name(name: str) -> str:
    """Return how the column of a vendor's field is called in landed files: its name, unless it is ours."""
    folded = name.lower()
    return _MARK + name if folded in _OURS or folded.startswith(_MARK) else name


def keyed(
    raw: pa.RecordBatch, *, id_field: str, modified_field: str | None, deleted_field: str | None
) -> pa.RecordBatch:
    """Put the key columns in front of raw string columns, read from the named fields.

    Raises:
        pa.ArrowInvalid: a stamp is not an ISO 8601 instant.
    """
    count = raw.num_rows
    modified = stamps(raw.column(modified_field)) if modified_field else pa.nulls(count, type=STAMP)
    deleted = (
        pc.equal(raw.column(deleted_field), "true")
        if deleted_field
        else pa.array([False]).take(pa.array([0] * count, pa.int8()))
    )
    return pa.RecordBatch.from_arrays(
        [raw.column(id_field), modified, deleted, *raw.columns],
        names=[*KEY_COLUMNS, *map(landed_name, raw.schema.names)],
    )


def stamps(texts: pa.Array) -> pa.Array:
    """Read ISO 8601 instants with `Z` or an offset (with or without colon); "" becomes null."""
    empty = pc.equal(texts, "")
    return pc.if_else(empty, pa.scalar(None, pa.string()), texts).cast(STAMP)


def version_keys(batch: pa.RecordBatch, hashes: pa.Array | None = None) -> pa.Array:
    """Return what makes a version of a record as one text each: id, stamp, deletion mark, hash."""
    stamp = batch.column("_modified_at").cast(pa.int64()).cast(pa.string())
    parts = [
        batch.column("_source_id"),
        pc.coalesce(stamp, pa.scalar("")),
        batch.column("_deleted").cast(pa.string()),
    ]
    if hashes is not None:
        parts.append(hashes.cast(pa.string()))
    return pc.binary_join_element_wise(*parts, "|")


@dataclass(frozen=True)
class SeenVersions:
    """Versions of records that have landed already.

    Attributes:
        exact: keys with hashes, of versions that landed in the shape that is being read now.
        stamped: keys without hashes, of versions that landed in the other shape: the same record
            has another text there, so that only its stamp can be compared.
    """

    exact: pa.Array
    stamped: pa.Array

    def is_empty(self) -> bool:
        """Say whether nothing is known."""
        return len(self.exact) + len(self.stamped) == 0

    def rest_of(self, batch: pa.RecordBatch, hasher: "RecordHasher") -> pa.RecordBatch:
        """Leave out of a batch what has landed already."""
        if self.is_empty() or batch.num_rows == 0:
            return batch
        hashes = hasher.hashes(batch.select(raw_names(batch)))
        is_known = pc.or_(
            pc.is_in(version_keys(batch, hashes), value_set=self.exact, skip_nulls=True),
            pc.is_in(version_keys(batch), value_set=self.stamped, skip_nulls=True),
        )
        return batch.filter(pc.invert(is_known))


def raw_names(batch: pa.RecordBatch) -> list[str]:
    """Return the columns of a batch that came from the vendor."""
    return [name for name in batch.schema.names if name not in STATE_COLUMNS]


def finished(
    batch: pa.RecordBatch, *, batch_id: str, extracted_at: pa.Scalar, hasher: "RecordHasher"
) -> pa.RecordBatch:
    """Add the state columns behind the key columns."""
    rows = batch.num_rows
    raw = raw_names(batch)
    zeros = pa.array([0], pa.int8()).take(pa.nulls(rows, pa.int8()).fill_null(0))
    state = [
        pa.array([extracted_at.as_py()], STAMP).take(zeros),
        pa.array([batch_id]).take(zeros),
        hasher.hashes(batch.select(raw)),
    ]
    columns = [batch.column(name) for name in (*KEY_COLUMNS, *raw)]
    return pa.RecordBatch.from_arrays(
        [*columns[: len(KEY_COLUMNS)], *state, *columns[len(KEY_COLUMNS) :]],
        names=[*STATE_COLUMNS, *raw],
    )


def warm_up(hasher: "RecordHasher") -> None:
    """Let Arrow and DuckDB load what they load at their first use, a quarter of a second in all."""
    one = pa.record_batch({"id": ["x"], "stamp": [""], "deleted": ["false"]})
    batch = keyed(one, id_field="id", modified_field="stamp", deleted_field="deleted")
    finished(batch, batch_id="x", extracted_at=pa.scalar(None, STAMP), hasher=hasher)


class RecordHasher:
    """Hashes whole records with DuckDB; equal records of one shape have equal hashes.

    Safe with threads: each has a cursor of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._local = threading.local()
        self._database: duckdb.DuckDBPyConnection | None = None

    def hashes(self, raw: pa.RecordBatch) -> pa.Array:
        """Return one unsigned 64-bit hash per row over all columns, in their order."""
        if raw.num_rows == 0:
            return pa.array([], pa.uint64())
        # Numbered, because DuckDB takes names that differ only in case for one column.
        names = [f"c{index}" for index in range(raw.num_columns)]
        relation = self._cursor().from_arrow(pa.Table.from_batches([raw]).rename_columns(names))
        result = relation.project(f"hash({', '.join(names)}) AS h").to_arrow_table()
        return result.column("h").combine_chunks()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        found: duckdb.DuckDBPyConnection | None = getattr(self._local, "cursor", None)
        if found is None:
            with self._lock:
                if self._database is None:
                    self._database = duckdb.connect(":memory:", config={"threads": 1})
                found = self._local.cursor = self._database.cursor()
        return found

    def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            self._database.close()


def months(batch: pa.RecordBatch) -> Mapping[str, int]:
    """Count the records of each month of modification; "" stands for records without a stamp."""
    # Without a time zone, as instants are UTC anyway: Arrow would look for the system's zone files.
    stamps = batch.column("_modified_at").cast(pa.timestamp("us"))
    counted = pc.value_counts(pc.floor_temporal(stamps, unit="month"))
    return {
        f"{entry['values']:%Y-%m}" if entry["values"] else "": entry["counts"]
        for entry in counted.to_pylist()
    }


def low_cardinality(batch: pa.RecordBatch) -> list[str]:
    """Return the columns for which a dictionary pays: few distinct values in this batch."""
    sample = batch.slice(0, 10_000)
    return [
        name
        for name, column in zip(sample.schema.names, sample.columns, strict=True)
        if pa.types.is_string(column.type)
        and pc.count_distinct(column).as_py() * 10 <= sample.num_rows
    ]
