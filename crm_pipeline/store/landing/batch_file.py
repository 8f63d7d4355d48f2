"""Write the Parquet file of one landed batch: state columns added, row groups joined, in one step."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.store import files
from crm_pipeline.store.landing import records

_ROW_GROUP_ROWS = 60_000
_ROW_GROUP_BYTES = 64 << 20
_RECORDS_BYTES = 8 << 20
"""One thread parses a row group of whole JSON records at once, which takes ten times its size in memory."""


def write_batch_file(
    path: Path,
    batches: Iterable[pa.RecordBatch],
    *,
    batch_id: str,
    extracted_at: datetime,
    hasher: records.RecordHasher,
    dictionaries: dict[tuple[str, ...], list[str]],
) -> tuple[int, Mapping[str, int]]:
    """Write the records of one page; return their number in all and by month.

    No file is written where there are no records. `dictionaries` holds, by the names of all columns, which of
    them get a dictionary; that is decided once for all pages with these columns.
    """
    months: Counter[str] = Counter()
    rows = 0
    extracted = pa.scalar(extracted_at, records.TIMESTAMP)
    groups = _row_groups(batch for batch in batches if batch.num_rows)
    first = next(groups, None)
    if first is None:
        return 0, months
    with files.replacing(path, "batch") as temporary:
        writer: pq.ParquetWriter | None = None
        try:
            for group in _rotation(first, groups):
                months.update(records.months(group))
                rows += group.num_rows
                done = records.finished(
                    group, batch_id=batch_id, extracted_at=extracted, hasher=hasher
                )
                names = tuple(done.schema.names)
                if names not in dictionaries:
                    dictionaries[names] = records.low_cardinality(done)
                writer = writer or pq.ParquetWriter(
                    temporary,
                    done.schema,
                    compression="zstd",
                    compression_level=1,
                    use_dictionary=dictionaries[names],
                    write_statistics=list(records.KEY_COLUMNS),  # nobody filters by a raw column
                )
                writer.write_batch(done, row_group_size=_group_rows(done))
        finally:
            if writer is not None:
                writer.close()
    return rows, months


def write_rows(path: Path, rows: Iterable[pa.RecordBatch], kind: str) -> int:
    """Write rows that have their state columns as one file, in the same form; return their number.

    Args:
        path: the file.
        rows: with the same columns; at least one batch, which may be empty.
        kind: of file, for failpoints.
    """
    count = 0
    first, *_ = head = list(islice(rows := iter(rows), 1))
    groups = _row_groups(chain(head, rows))
    with files.replacing(path, kind) as temporary:
        writer: pq.ParquetWriter | None = None
        try:
            for group in groups:
                count += group.num_rows
                writer = writer or pq.ParquetWriter(
                    temporary,
                    first.schema,
                    compression="zstd",
                    compression_level=1,
                    use_dictionary=records.low_cardinality(group),
                    write_statistics=list(records.KEY_COLUMNS),
                )
                writer.write_batch(group, row_group_size=_group_rows(group))
        finally:
            if writer is not None:
                writer.close()
    return count


def _group_rows(batch: pa.RecordBatch) -> int:
    if "record" not in batch.schema.names:
        return _ROW_GROUP_ROWS
    record_bytes: int = batch.nbytes // max(batch.num_rows, 1) + 1
    return max(1, min(_ROW_GROUP_ROWS, _RECORDS_BYTES // record_bytes))


def _rotation(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Join small batches, so that row groups are large enough to be read efficiently."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= _ROW_GROUP_ROWS or size >= _ROW_GROUP_BYTES:
            yield pa.concat_batches(held)
            held, rows, size = [], 0, 0
    if held:
        yield pa.concat_batches(held)
