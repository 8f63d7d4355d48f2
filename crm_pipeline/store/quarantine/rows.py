"""The rows of quarantine files in one shape, whatever stage wrote them.

Columns: `_reason`, `_source_id`, `_stage`, `_since`, `_digest` (see `store.landing.dropped`), `_file`, and `record`, what
was received, as bytes. A landed record of CSV is its fields as JSON.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.store.landing.dropped import digest, digest_of_landed
from crm_pipeline.store.landing.records import STATE_COLUMNS, TIMESTAMP
from crm_pipeline.store.landing.rejects import read_rejects
from crm_pipeline.store.quarantine.quarantined import Stage

SCHEMA = pa.schema(
    {
        "_reason": pa.string(),
        "_source_id": pa.string(),
        "_stage": pa.string(),
        "_since": TIMESTAMP,
        "_digest": pa.string(),
        "_file": pa.string(),
        "record": pa.binary(),
    }
)
_REASON = "_reason"
_ROWS = 5_000
_UNREADABLE = (OSError, pa.ArrowException, KeyError)


def of_reads(paths: Iterable[Path]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of files of records that could not be landed; a damaged file is left out."""
    for path in paths:
        with suppress(CorruptFile):
            facts, rejects = read_rejects(path)
            since = parse_instant(facts.extracted_at or facts.quarantined_at)
            yield _batch(
                "landing",
                path,
                reasons=[reject.reason for reject in rejects],
                ids=[reject.source_id for reject in rejects],
                since=[since] * len(rejects),
                digests=[digest(reject.raw) for reject in rejects],
                records=[reject.raw for reject in rejects],
            )


def of_build(stage: Stage, path: Path, *, with_records: bool) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file of landed rows that a build left out; nothing more where it is damaged.

    Args:
        stage: that wrote it.
        path: the file.
        with_records: whether the records are read, too, which takes the most time.
    """
    wanted = (_REASON, "_source_id", "_record_hash", "_extracted_at")
    with suppress(*_UNREADABLE), pq.ParquetFile(path) as file:
        columns = None if with_records else [n for n in file.schema_arrow.names if n in wanted]
        for part in file.iter_batches(_ROWS, columns=columns):
            ids = part.column("_source_id").to_pylist()
            hashes = part.column("_record_hash").to_pylist()
            yield _batch(
                stage,
                path,
                reasons=part.column(_REASON).to_pylist(),
                ids=[source_id or "" for source_id in ids],
                since=part.column("_extracted_at").to_pylist(),
                digests=[digest_of_landed(*pair) for pair in zip(ids, hashes, strict=True)],
                records=_received(part) if with_records else [b""] * part.num_rows,
            )


def _received(part: pa.RecordBatch) -> list[bytes]:
    if "record" in part.schema.names:
        return [(text or "").encode() for text in part.column("record").to_pylist()]
    raw = [name for name in part.schema.names if name not in {*STATE_COLUMNS, _REASON}]
    rows = part.select(raw).to_pylist()
    return [json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") for row in rows]


def _batch(
    stage: Stage,
    path: Path,
    *,
    reasons: list[str],
    ids: list[str],
    since: list[datetime],
    digests: list[str],
    records: list[bytes],
) -> pa.RecordBatch:
    rows = len(reasons)
    columns = (reasons, ids, [stage] * rows, since, digests, [str(path)] * rows, records)
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)
