"""Count the records that are absent from a whole read, by their ids.

A vendor that lists fewer records than before may have deleted them, or may not show them to this login
any more; an empty list looks the same in both cases. So a read that lacks too many needs further evidence,
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
from crm_pipeline.store.landing.origins import Place
from crm_pipeline.store.landing.rejects import Reject

_COLUMNS = ["_source_id", "_deleted", "_batch_id"]
_NONE = pa.chunked_array([], pa.string())


@dataclass(frozen=True)
class Loss:
    """Records that were alive before a whole read and are absent from it.

    Attributes:
        before: the number of records alive before.
        missing: the ids of those that are absent. A quarantined record is not absent if its id could be read.
        part: the list of the vendor that held them; "" for all lists.
        is_empty: the read returned no record at all.
    """

    before: int
    missing: pa.ChunkedArray
    part: str = ""
    is_empty: bool = False

    @property
    def is_all(self) -> bool:
        """Whether all earlier records are missing."""
        return len(self.missing) == self.before

    def is_too_much(self, bounds: ShrinkBounds) -> bool:
        """Say whether so many are missing that the vendor's list alone is not believed."""
        lost = len(self.missing)
        if self.is_empty:
            return lost > 0 if not self.part else lost >= bounds.rows
        return bounds.exceeded(lost, self.before)

    def sample(self, limit: int) -> list[str]:
        """Return some of the missing ids, spread over their whole range."""
        ids: list[str] = pc.sort_indices(self.missing).to_pylist()
        count = min(limit, len(ids))
        return [str(self.missing[ids[n * len(ids) // count]]) for n in range(count)]


def live(
    batches: Sequence[Manifest], rejects: Iterable[Reject] = (), places: Sequence[Place] = ()
) -> dict[str, pa.ChunkedArray]:
    """Return the ids of the records that are alive after batches, by the list that held them last.

    Of several versions of a record the one that landed last counts. Records of which all versions were
    quarantined are alive as well; their list is not known ("").

    Args:
        batches: in the order of their commits.
        rejects: the quarantined records.
        places: of the landed batches, in order; needed where some were merged.
    """
    rejected_ids = pa.chunked_array([_ids(rejects)])
    tables = [_keys(batch, order) for order, batch in enumerate(batches)]
    if not tables:
        return {"": rejected_ids} if len(rejected_ids) else {}
    rows = pa.concat_tables(tables)
    if any(batch.merged > 1 for batch in batches):
        names = pa.array([place.batch_id for place in places], pa.string())
        rows = rows.append_column("place", pc.index_in(rows.column("_batch_id"), names))
        rows = rows.sort_by("place")  # stable, so rows of a batch stay in their order
    last = rows.group_by("_source_id", use_threads=False).aggregate(
        [("_deleted", "last"), ("order", "last")]
    )
    alive = last.filter(pc.invert(last.column("_deleted_last")))
    parts: dict[str, list[int]] = {}
    for order, batch in enumerate(batches):
        parts.setdefault(batch.part, []).append(order)
    alive_of = {
        part: alive.filter(pc.is_in(alive.column("order_last"), pa.array(orders, pa.int32())))
        for part, orders in parts.items()
    }
    ids = {part: kept.column("_source_id") for part, kept in alive_of.items() if kept.num_rows}
    unlanded = _without(rejected_ids, last.column("_source_id"))
    return {**ids, "": joined([ids.get("", _NONE), unlanded])} if len(unlanded) else ids


def losses(
    before: Mapping[str, pa.ChunkedArray], now: Sequence[Manifest], rejects: Sequence[Reject] = ()
) -> list[Loss]:
    """Return what a whole read lacks: first of all lists together, then of each list if there are several.

    Args:
        before: the ids of the records alive before, by list.
        now: the batches of the read.
        rejects: the quarantined records of the read.
    """
    landed = [_keys(batch, 0).column("_source_id") for batch in now]
    present_ids = joined([*landed, pa.chunked_array([_ids(rejects)])])
    all_ids = joined(before.values())
    losses_found = [_loss(all_ids, present_ids, "", is_empty=not (len(present_ids) or rejects))]
    present = {batch.part for batch in now}
    if len(before) > 1:
        # A record that left a list is not missing if another list holds it.
        losses_found += [
            _loss(ids, present_ids, part, is_empty=part not in present)
            for part, ids in before.items()
            if part
        ]
    return losses_found


def too_much(losses_found: Iterable[Loss], bounds: ShrinkBounds) -> list[Loss]:
    """Return the losses that need further evidence, those of empty reads first."""
    return sorted(
        (loss for loss in losses_found if loss.is_too_much(bounds)),
        key=lambda loss: not loss.is_empty,
    )


def joined(arrays: Iterable[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Return ids as one array."""
    chunks = [chunk for array in arrays for chunk in array.chunks]
    return pa.chunked_array(chunks, pa.string())


def _loss(
    before: pa.ChunkedArray, present_ids: pa.ChunkedArray, part: str, *, is_empty: bool
) -> Loss:
    return Loss(len(before), _without(before, present_ids), part, is_empty)


def _without(ids: pa.ChunkedArray, others: pa.ChunkedArray) -> pa.ChunkedArray:
    return ids.filter(pc.invert(pc.is_in(ids, others.combine_chunks())))


def _ids(rejects: Iterable[Reject]) -> pa.Array:
    """Return the ids of quarantined records, as far as they could be read."""
    return pa.array(sorted({reject.source_id for reject in rejects} - {""}), pa.string())


def _keys(batch: Manifest, order: int) -> pa.Table:
    try:
        table = pq.read_table(batch.path, columns=_COLUMNS)
    except (OSError, pa.ArrowException) as error:
        raise unreadable_batch(batch) from error
    return table.append_column("order", pa.array([order] * table.num_rows, pa.int32()))
