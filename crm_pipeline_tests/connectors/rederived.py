"""The keys of landed records, derived from the records again."""

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.connectors.registry import connector
from crm_pipeline.store.landing import records
from crm_pipeline_tests.harness import Harness

NAMES = list(records.KEY_COLUMNS)


def differing(harness: Harness, vendor: str, obj: str, *, with_origin: bool) -> list[str]:
    """Return the batches of an object that `keys` gives other keys than those they landed with.

    Args:
        harness: where they landed.
        vendor: whose rules count.
        obj: the object.
        with_origin: whether the manifest says where they came from, which older ones do not.
    """
    found = []
    for batch in harness.landing.batches("demo", obj):
        [part] = pq.read_table(batch.path).combine_chunks().to_batches()
        part = pa.RecordBatch.from_arrays(
            [_plain(column) for column in part.columns], names=part.schema.names
        )
        fresh = connector(vendor).keys.of(
            obj,
            harness.landing.schema("demo", obj, batch.schema_fingerprint),
            part.select(records.raw_names(part)),
            shape=batch.shape,
            route=batch.route,
            origin=batch.origin if with_origin else None,
            deleted=part.column("_deleted"),
        )
        if not part.select(NAMES).equals(fresh.select(NAMES)):
            found.append(f"{batch.batch_id} ({batch.shape})")
    return found


def _plain(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
