"""Prepare record batches for landing: keys, hashes and months, never row by row.

A batch has first `_source_id` (string), `_modified_at` (timestamp, UTC) and `_deleted` (boolean), then
the raw columns: one string column per source field (shape csv), or one column `record` with the JSON
text (shape json).
"""

import atexit
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

TIMESTAMP = pa.timestamp("us", "UTC")
KEY_COLUMNS = ("_source_id", "_modified_at", "_deleted")
STATE_COLUMNS = (*KEY_COLUMNS, "_extracted_at", "_batch_id", "_record_hash")
_MARK = "src."
# DuckDB gives the row numbers of a file under this name.
_OURS = frozenset({*STATE_COLUMNS, "file_row_number"})


def landed_name(name: str) -> str:
    """Return the column name of a vendor's field in landed files: its own, with a prefix where ours collides."""
    folded = name.lower()
    return _MARK + name if folded in _OURS or folded.startswith(_MARK) else name


def keyed(
    raw: pa.RecordBatch, *, id_field: str, modified_field: str | None, deleted_field: str | None
) -> pa.RecordBatch:
    """Return raw string columns with the key columns in front, read from the named fields.

    Raises:
        pa.ArrowInvalid: a modification time is not an ISO 8601 instant.
    """
    count = raw.num_rows
    modified = (
        instants(raw.column(modified_field)) if modified_field else pa.nulls(count, type=TIMESTAMP)
    )
    deleted = (
        pc.equal(raw.column(deleted_field), "true")
        if deleted_field
        else pa.array([False]).take(pa.array([0] * count, pa.int8()))
    )
    return pa.RecordBatch.from_arrays(
        [raw.column(id_field), modified, deleted, *raw.columns],
        names=[*KEY_COLUMNS, *map(landed_name, raw.schema.names)],
    )


def instants(texts: pa.Array) -> pa.Array:
    """Return ISO 8601 texts with `Z` or an offset (with or without colon) as instants; "" becomes null."""
    empty = pc.equal(texts, "")
    return pc.if_else(empty, pa.scalar(None, pa.string()), texts).cast(TIMESTAMP)


def version_keys(batch: pa.RecordBatch, hashes: pa.Array | None = None) -> pa.Array:
    """Return the key of each record's version as one text: id, modification time, deletion mark, hash."""
    modified_at = batch.column("_modified_at").cast(pa.int64()).cast(pa.string())
    parts = [
        batch.column("_source_id"),
        pc.coalesce(modified_at, pa.scalar("")),
        batch.column("_deleted").cast(pa.string()),
    ]
    if hashes is not None:
        parts.append(hashes.cast(pa.string()))
    return pc.binary_join_element_wise(*parts, "|")


@dataclass(frozen=True)
class SeenVersions:
    """Versions of records that have landed already.

    Attributes:
        exact: keys with hashes, of versions that landed in the shape that is read now.
        unhashed: keys without hashes, of versions that landed in the other shape. The same record
            has another text there, so only the modification times can be compared.
    """

    exact: pa.Array
    unhashed: pa.Array

    def is_empty(self) -> bool:
        """Say whether no version has been seen."""
        return len(self.exact) + len(self.unhashed) == 0

    def rest_of(self, batch: pa.RecordBatch, hasher: "RecordHasher") -> pa.RecordBatch:
        """Return the records of a batch that have not landed yet."""
        if self.is_empty() or batch.num_rows == 0:
            return batch
        hashes = hasher.hashes(batch.select(raw_names(batch)))
        has_landed = pc.or_(
            pc.is_in(version_keys(batch, hashes), value_set=self.exact, skip_nulls=True),
            pc.is_in(version_keys(batch), value_set=self.unhashed, skip_nulls=True),
        )
        return batch.filter(pc.invert(has_landed))


def raw_names(batch: pa.RecordBatch) -> list[str]:
    """Return the names of a batch's columns that came from the vendor."""
    return [name for name in batch.schema.names if name not in STATE_COLUMNS]


def finished(
    batch: pa.RecordBatch, *, batch_id: str, extracted_at: pa.Scalar, hasher: "RecordHasher"
) -> pa.RecordBatch:
    """Return the batch with the state columns after the key columns."""
    rows = batch.num_rows
    raw = raw_names(batch)
    zeros = pa.array([0], pa.int8()).take(pa.nulls(rows, pa.int8()).fill_null(0))
    state = [
        pa.array([extracted_at.as_py()], TIMESTAMP).take(zeros),
        pa.array([batch_id]).take(zeros),
        hasher.hashes(batch.select(raw)),
    ]
    columns = [batch.column(name) for name in (*KEY_COLUMNS, *raw)]
    return pa.RecordBatch.from_arrays(
        [*columns[: len(KEY_COLUMNS)], *state, *columns[len(KEY_COLUMNS) :]],
        names=[*STATE_COLUMNS, *raw],
    )


@cache
def warm_up() -> None:
    """Let Arrow and DuckDB do the loading of their first use in a process, a quarter of a second in all."""
    raw = pa.record_batch({"id": ["x"], "modified_at": [""], "deleted": ["false"]})
    batch = keyed(raw, id_field="id", modified_field="modified_at", deleted_field="deleted")
    finished(batch, batch_id="x", extracted_at=pa.scalar(None, TIMESTAMP), hasher=RecordHasher())


_OPENING = threading.Lock()


class RecordHasher:
    """Hashes whole records with DuckDB; equal records of one shape have equal hashes.

    Safe with threads: each has a cursor of its own, of one database for the whole process, because opening one takes
    longer than hashing a page.
    """

    def __init__(self) -> None:
        self._local = threading.local()

    def hashes(self, raw: pa.RecordBatch) -> pa.Array:
        """Return one unsigned 64-bit hash per row over all columns, in their order."""
        if raw.num_rows == 0:
            return pa.array([], pa.uint64())
        # Numbered, because DuckDB does not distinguish names that differ only in case.
        names = [f"c{index}" for index in range(raw.num_columns)]
        relation = self._cursor().from_arrow(pa.Table.from_batches([raw]).rename_columns(names))
        result = relation.project(f"hash({', '.join(names)}) AS h").to_arrow_table()
        return result.column("h").combine_chunks()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        cursor: duckdb.DuckDBPyConnection | None = getattr(self._local, "cursor", None)
        if cursor is None:
            with _OPENING:
                cursor = self._local.cursor = _database().cursor()
        return cursor


@cache
def _database() -> duckdb.DuckDBPyConnection:
    database = duckdb.connect(":memory:", config={"threads": 1})
    atexit.register(database.close)
    return database


def months(batch: pa.RecordBatch) -> Mapping[str, int]:
    """Return the number of records by month of modification; "" is for records without one."""
    # Without a time zone, because Arrow would look for the system's zone files; instants are UTC anyway.
    modified_at = batch.column("_modified_at").cast(pa.timestamp("us"))
    counted = pc.value_counts(pc.floor_temporal(modified_at, unit="month"))
    return {
        f"{entry['values']:%Y-%m}" if entry["values"] else "": entry["counts"]
        for entry in counted.to_pylist()
    }


def low_cardinality(batch: pa.RecordBatch) -> list[str]:
    """Return the columns worth a dictionary: those with few distinct values in this batch."""
    sample = batch.slice(0, 10_000)
    return [
        name
        for name, column in zip(sample.schema.names, sample.columns, strict=True)
        if pa.types.is_string(column.type)
        and pc.count_distinct(column).as_py() * 10 <= sample.num_rows
    ]
