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
from crm_pipeline.store.landing.corruption import unreadable_batch
from crm_pipeline.store.landing.manifest import Manifest
from crm_pipeline.store.landing.rejects import Reject

_COLUMNS = ["_source_id", "_deleted"]
_NONE = pa.chunked_array([], pa.string())


@dataclass(frozen=True)
class Loss:
    """Records that there were and that a whole read does not hold.

    Attributes:
        before: how many there were.
        missing: the ids of those that are not in the read. A record that was set aside is in it, where its id
            can be told.
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
        count = min(most, len(ids))
        return [str(self.missing[ids[n * len(ids) // count]]) for n in range(count)]


def live(batches: Sequence[Manifest], rejects: Iterable[Reject] = ()) -> dict[str, pa.ChunkedArray]:
    """Return the ids of the records that batches leave alive, by the list that they stood in last.

    Of several versions of a record the one that landed last counts. Records of which only versions were
    read that had to be set aside are alive as well; of their list nothing is known ("").
    """
    named = pa.chunked_array([_ids(rejects)])
    tables = [_keys(batch, order) for order, batch in enumerate(batches)]
    if not tables:
        return {"": named} if len(named) else {}
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
    ids = {part: rows.column("_source_id") for part, rows in found.items() if rows.num_rows}
    unlanded = _without(named, last.column("_source_id"))
    return {**ids, "": joined([ids.get("", _NONE), unlanded])} if len(unlanded) else ids


def losses(
    before: Mapping[str, pa.ChunkedArray], now: Sequence[Manifest], rejects: Sequence[Reject] = ()
) -> list[Loss]:
    """Return what a whole read has lost, in all and from each list that there is beside others.

    Args:
        before: the records that there were, by list.
        now: the batches of the read.
        rejects: the records of the read that were set aside.
    """
    landed = [_keys(batch, 0).column("_source_id") for batch in now]
    here = joined([*landed, pa.chunked_array([_ids(rejects)])])
    everything = joined(before.values())
    found = [_loss(everything, here, "", is_empty=not (len(here) or rejects))]
    present = {batch.part for batch in now}
    if len(before) > 1:
        # Another list may hold what left one; then nothing of it is missing.
        found += [
            _loss(ids, here, part, is_empty=part not in present)
            for part, ids in before.items()
            if part
        ]
    return found


def too_much(found: Iterable[Loss], bounds: ShrinkBounds) -> list[Loss]:
    """Return the losses that need a better reason than a list, first those of which nothing is left."""
    return sorted(
        (loss for loss in found if loss.is_too_much(bounds)), key=lambda loss: not loss.is_empty
    )


def joined(arrays: Iterable[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Return ids as one array."""
    chunks = [chunk for array in arrays for chunk in array.chunks]
    return pa.chunked_array(chunks, pa.string())


def _loss(before: pa.ChunkedArray, here: pa.ChunkedArray, part: str, *, is_empty: bool) -> Loss:
    return Loss(len(before), _without(before, here), part, is_empty)


def _without(ids: pa.ChunkedArray, others: pa.ChunkedArray) -> pa.ChunkedArray:
    return ids.filter(pc.invert(pc.is_in(ids, others.combine_chunks())))


def _ids(rejects: Iterable[Reject]) -> pa.Array:
    """Return the ids of records that were set aside, as far as they can be told."""
    return pa.array(sorted({one.source_id for one in rejects} - {""}), pa.string())


def _keys(batch: Manifest, order: int) -> pa.Table:
    try:
        table = pq.read_table(batch.path, columns=_COLUMNS)
    except (OSError, pa.ArrowException) as error:
        raise unreadable_batch(batch) from error
    return table.append_column("order", pa.array([order] * table.num_rows, pa.int32()))
