"""Snapshots: objects that are read whole each time, and whether a new reading says anything new."""

from collections.abc import Sequence

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
    records = sum(manifest.records for manifest in writer.manifests)
    if (last.records, last.quarantined) != (records, writer.quarantined):
        return None
    if not records:
        return last.window_id
    is_same = _contents(last.batches).equals(_contents(writer.manifests))
    return last.window_id if is_same else None


def _contents(manifests: Sequence[Manifest]) -> pa.Table:
    """Return ids and hashes of the records, whatever their order was."""
    columns = ["_source_id", "_record_hash"]
    tables = [pq.read_table(manifest.path, columns=columns) for manifest in manifests]
    return pa.concat_tables(tables).sort_by([(name, "ascending") for name in columns])
