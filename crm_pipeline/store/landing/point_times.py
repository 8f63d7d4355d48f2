"""When records were last read by their ids, to compare with the times at which their versions landed otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crm_pipeline.store.landing.corruption import unreadable_batch
from crm_pipeline.store.landing.manifest import Manifest
from crm_pipeline.store.landing.records import TIMESTAMP

_COLUMNS = ("_source_id", "_extracted_at")


@dataclass(frozen=True)
class PointTimes:
    """The last time at which each of some records was requested by its id.

    Attributes:
        ids: of the records, each once.
        times: one for each id.
    """

    ids: pa.Array
    times: pa.Array

    @classmethod
    def of(cls, batches: Sequence[Manifest]) -> "PointTimes":
        """Return the times in batches of the kind `point`.

        Raises:
            CorruptFile: a batch cannot be read.
        """
        if not batches:
            return cls(pa.array([], pa.string()), pa.array([], TIMESTAMP))
        rows = pa.concat_tables([_rows(batch) for batch in batches])
        last = rows.group_by("_source_id").aggregate([("_extracted_at", "max")]).combine_chunks()
        return cls(_array(last, "_source_id"), _array(last, "_extracted_at_max"))

    def without_later(self, table: pa.Table) -> pa.Table:
        """Return a table of landed versions without those whose records were read by their ids since.

        Requests have whole seconds as their times, so one of the same second counts as later.
        """
        if not len(self.ids) or not table.num_rows:
            return table
        at = pc.take(self.times, pc.index_in(table.column("_source_id"), value_set=self.ids))
        is_later = pc.fill_null(
            pc.greater_equal(at, table.column("_extracted_at")), fill_value=False
        )
        return table.filter(pc.invert(is_later))


def _rows(batch: Manifest) -> pa.Table:
    try:
        return pq.read_table(batch.path, columns=list(_COLUMNS))
    except (OSError, pa.ArrowException) as error:
        raise unreadable_batch(batch) from error


def _array(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)
