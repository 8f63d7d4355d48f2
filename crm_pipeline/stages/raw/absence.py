"""What the absence of records from a whole read may mean: pure counting over ids.

A vendor that lists fewer records than before may have deleted them, or may not show them to this login
any more; an empty list looks like both. So a read that has lost too many is judged by more than itself,
see `snapshot.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crm_pipeline.settings.shrinkage import ShrinkBounds
from crm_pipeline.store.damage import unreadable_batch
from crm_pipeline.store.manifest import Manifest

_COLUMNS = ["_source_id", "_deleted"]


@dataclass(frozen=True)
class Loss:
    """Records that there were and that a whole read does not hold.

    Attributes:
        before: how many there were.
        missing: the ids of those that are not in the read.
        part: which of the vendor's lists they stood in; "" for all of them.
        is_empty: nothing came at all.
    """

    before: int
    missing: pa.ChunkedArray
    part: str = ""
    is_empty: bool = False

    @property
    def is_all(self) -> bool:
        """Whether nothing of what there was is left."""
        return len(self.missing) == self.before

    def is_too_much(self, bounds: ShrinkBounds) -> bool:
        """Say whether it needs a better reason than a list."""
        lost = len(self.missing)
        if self.is_empty:
            return lost > 0 if not self.part else lost >= bounds.rows
        return bounds.exceeded(lost, self.before)

    def sample(self, most: int) -> list[str]:
        """Return some of the missing ids, from all over."""
        ids: list[str] = pc.sort_indices(self.missing).to_pylist()
        step = max(1, len(ids) // most)
        return [str(self.missing[index]) for index in ids[::step][:most]]


def live(batches: Sequence[Manifest]) -> dict[str, pa.ChunkedArray]:
    """Return the ids of the records that batches leave alive, by the list that they stood in last.

    Of several versions of a record the one that landed last counts.
    """
    tables = [_keys(batch, order) for order, batch in enumerate(batches)]
    if not tables:
        return {}
    last = (
        pa.concat_tables(tables)
        .group_by("_source_id", use_threads=False)
        .aggregate([("_deleted", "last"), ("order", "last")])
    )
    alive = last.filter(pc.invert(last.column("_deleted_last")))
    parts: dict[str, list[int]] = {}
    for order, batch in enumerate(batches):
        parts.setdefault(batch.part, []).append(order)
    found = {
        part: alive.filter(pc.is_in(alive.column("order_last"), pa.array(orders, pa.int32())))
        for part, orders in parts.items()
    }
    return {part: rows.column("_source_id") for part, rows in found.items() if rows.num_rows}


def losses(before: Mapping[str, pa.ChunkedArray], now: Sequence[Manifest]) -> list[Loss]:
    """Return what a whole read has lost, in all and from each list; a list that only shrank is part of all.

    Args:
        before: the records that there were, by list.
        now: the batches of the read.
    """
    here = joined(_keys(batch, 0).column("_source_id") for batch in now)
    everything = joined(before.values())
    found = [_loss(everything, here, "", is_empty=not len(here))]
    present = {batch.part for batch in now}
    for part, ids in before.items():
        # Another list may hold what left this one; then nothing of it is missing.
        if part not in present and len(before) > 1:
            found.append(_loss(ids, here, part, is_empty=True))
    return found


def joined(arrays: Iterable[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Return ids as one array."""
    chunks = [chunk for array in arrays for chunk in array.chunks]
    return pa.chunked_array(chunks, pa.string())


def _loss(before: pa.ChunkedArray, here: pa.ChunkedArray, part: str, *, is_empty: bool) -> Loss:
    missing = before.filter(pc.invert(pc.is_in(before, here.combine_chunks())))
    return Loss(len(before), missing, part, is_empty)


def _keys(batch: Manifest, order: int) -> pa.Table:
    try:
        table = pq.read_table(batch.path, columns=_COLUMNS)
    except (OSError, pa.ArrowException) as error:
        raise unreadable_batch(batch) from error
    return table.append_column("order", pa.array([order] * table.num_rows, pa.int32()))
