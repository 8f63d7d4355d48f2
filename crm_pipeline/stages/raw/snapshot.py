"""Snapshots: objects that are read whole each time, and whether a new reading says anything new."""

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.store.landing import Landing
from crm_pipeline.store.manifest import Manifest
from crm_pipeline.store.window import WindowWriter


def is_unchanged(landing: Landing, writer: WindowWriter) -> str | None:
    """Return the id of the last complete window if it holds the same records, else None."""
    commits = landing.windows(writer.connection, writer.object)
    complete = [commit for commit in commits if commit.complete]
    if not complete or complete[-1].schema_fingerprint != writer.schema.fingerprint:
        return None
    last = complete[-1]
    if last.records != sum(manifest.records for manifest in writer.manifests):
        return None
    return last.window_id if _contents(last.batches) == _contents(writer.manifests) else None


def _contents(manifests: tuple[Manifest, ...] | list[Manifest]) -> set[tuple[str, int]]:
    columns = ["_source_id", "_record_hash"]
    tables = [pq.read_table(manifest.path, columns=columns) for manifest in manifests]
    if not tables:
        return set()
    joined = pa.concat_tables(tables)
    return set(zip(*(joined.column(name).to_pylist() for name in columns), strict=True))
