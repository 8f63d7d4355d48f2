"""Rewrite landed files with very long records into smaller row groups, so that DuckDB can read them in its memory.

Each thread of DuckDB reads up to 2,048 rows of a row group at once, and holds several copies of their texts.
Landing limits the bytes of row groups today. Older and restored files are rewritten into the engine's own
folder before they are read. The order of rows stays.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.store import files
from crm_pipeline.store.landing.manifest import Manifest
from crm_pipeline.store.tables.engine import Engine

_AT_ONCE = 2_048
_MOST_BYTES = 16 << 20
"""Greatest size of the rows read at once; landing writes row groups of 8 MB."""
_LEAST_FILE = _MOST_BYTES // 1_000
"""A smaller file cannot hold so many bytes, however compressed: the many small files of refreshes are not opened."""


def narrowed(engine: Engine, batches: Sequence[Manifest]) -> list[Path]:
    """Return the files of batches to read; those with too large row groups are replaced by rewritten ones."""
    return [_narrowed(engine, batch) for batch in batches]


def _narrowed(engine: Engine, batch: Manifest) -> Path:
    if batch.bytes < _LEAST_FILE:
        return batch.path
    with pq.ParquetFile(batch.path) as file:
        groups = [file.metadata.row_group(n) for n in range(file.metadata.num_row_groups)]
        pieces = [
            g.total_byte_size // max(g.num_rows, 1) * min(g.num_rows, _AT_ONCE) for g in groups
        ]
        if max(pieces, default=0) <= _MOST_BYTES:
            return batch.path
        each = max(g.total_byte_size // max(g.num_rows, 1) for g in groups)
        folder = engine.temp / "narrow"
        path = folder / f"{fingerprint([str(batch.path), batch.sha256])}.parquet"
        if not path.exists():
            files.make_folder(folder)
            _cut(file, path, max(1, _MOST_BYTES // 2 // (each + 1)))
        return path


def _cut(file: pq.ParquetFile, path: Path, rows: int) -> None:
    written = path.with_suffix(".tmp")
    with files.explained(path):
        with pq.ParquetWriter(
            written, file.schema_arrow, compression="zstd", compression_level=1
        ) as writer:
            for piece in file.iter_batches(batch_size=rows, use_threads=False):
                writer.write_batch(piece, row_group_size=rows)
        written.replace(path)
