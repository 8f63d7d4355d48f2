"""Count what refreshes have missed: records that a read of the same time lands, though the watermark lay behind them.

A refresh reads from the watermark less the look-back. So a record that changed before that and had not landed would never
have been read: its vendor committed it later than the look-back allows, or changed it without a new time stamp.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crm_pipeline.connectors.base import Plan
from crm_pipeline.kernel.clock import Month, Window
from crm_pipeline.stages.raw.task import Task
from crm_pipeline.store.landing.corruption import unreadable_batch
from crm_pipeline.store.landing.manifest import Manifest, Missed
from crm_pipeline.store.landing.records import TIMESTAMP

_KEYS = ["_source_id", "_modified_at", "_deleted"]


def missed_by_refreshes(task: Task, plan: Plan, manifests: Sequence[Manifest]) -> Missed | None:
    """Return how many of the new batches' records refreshes have missed, before the batches are committed.

    None where nobody asked for it, where the object has never been read to the present, or is read whole.

    Raises:
        CorruptFile: a batch cannot be read.
    """
    watermark = task.landing.watermark(task.connection, task.obj.name)
    if task.mode != "recheck" or watermark is None or plan.complete:
        return None
    rows = [row for each in manifests for row in _read(each, before=watermark - task.lookback)]
    gone = {source_id for source_id, _, is_deleted in rows if is_deleted}
    live = {source_id: at for source_id, at, _ in rows if source_id not in gone}
    stamps = _landed(task, list(live))
    counts = [_kind(at, stamps.get(source_id)) for source_id, at in live.items()]
    return Missed(
        new=counts.count("new"),
        changed=counts.count("changed"),
        deleted=len(gone),
        unstamped=counts.count("unstamped"),
        month=_ended_month(plan.window),
    )


def _ended_month(window: Window | None) -> str:
    """Return the last month that a window holds from beginning to end; "" for none."""
    if window is None or window.from_at is None:
        return ""
    before = Month.of(Month.of(window.to_at).start_at - timedelta(seconds=1))
    return str(before) if window.from_at <= before.start_at else ""


def _kind(at: datetime | None, landed: set[datetime | None] | None) -> str:
    if landed is None:
        return "new"
    return "unstamped" if at in landed else "changed"


def missed_text(missed: Missed) -> str:
    """Return a sentence that says how much refreshes have missed."""
    also = ""
    if missed.unstamped:
        also = f"; {missed.unstamped:,} have changed without a new time stamp, which no refresh can see"
    if not missed.late:
        return f"refreshes have missed nothing{also}"
    parts = {"new": missed.new, "changed": missed.changed, "deleted": missed.deleted}
    named = ", ".join(f"{count:,} {kind}" for kind, count in parts.items() if count)
    return (
        f"refreshes have missed {missed.late:,} records ({named}), which are landed now; a larger `lookback_s` reads such "
        f"records sooner{also}"
    )


def _landed(task: Task, ids: list[str]) -> dict[str, set[datetime | None]]:
    """Return the time stamps with which some records have landed before."""
    stamps: dict[str, set[datetime | None]] = {}
    wanted = pa.array(ids, pa.string())
    for batch in task.landing.batches(task.connection, task.obj.name) if ids else ():
        for source_id, at, _ in _read(batch, among=wanted):
            stamps.setdefault(source_id, set()).add(at)
    return stamps


def _read(
    batch: Manifest, before: datetime | None = None, among: pa.Array | None = None
) -> list[tuple[str, datetime | None, bool]]:
    """Read the keys of a batch's records: of those modified before an instant, or of those with some ids."""
    chosen = None if before is None else pc.field("_modified_at") < pa.scalar(before, TIMESTAMP)
    try:
        table = pq.read_table(batch.path, columns=_KEYS, filters=chosen)
    except (OSError, pa.ArrowException) as error:
        raise unreadable_batch(batch) from error
    if among is not None:
        table = table.filter(pc.is_in(table.column("_source_id"), value_set=among))
    columns = (table.column(name).to_pylist() for name in _KEYS)
    return list(zip(*columns, strict=True))
