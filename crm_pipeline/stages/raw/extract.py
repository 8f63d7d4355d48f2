"""Extract one object: choose the window, read it, land it, count it, commit it.

A window counts only when it was read to its end and the vendor's count agrees; otherwise nothing of
it is kept and the error says what differed. A window is resumed if its process was killed while a job
ran at the vendor.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from crm_pipeline.connectors.base import Account, Plan, Usage
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import (
    CountMismatch,
    JobFailed,
    MalformedResponse,
    ProtocolError,
    ReadLost,
    UnknownField,
)
from crm_pipeline.model.schema import Schema
from crm_pipeline.model.schema_changes import changes
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw.description import check_description
from crm_pipeline.stages.raw.extraction import Extraction, joined
from crm_pipeline.stages.raw.missed import missed_by_refreshes
from crm_pipeline.stages.raw.pages import SeenIn, Tally, land
from crm_pipeline.stages.raw.permissions import initial_sight
from crm_pipeline.stages.raw.rejection import refuse_many_rejects
from crm_pipeline.stages.raw.snapshot import Verdict, evaluate_snapshot, is_sight_due
from crm_pipeline.stages.raw.task import Mode, Progress, Task, due
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.manifest import Shape
from crm_pipeline.store.landing.records import SeenVersions
from crm_pipeline.store.landing.window import Counts, WindowWriter
from crm_pipeline.store.tokens.hash_key import HashKey

# Between two requests a field may vanish, a late commit may disturb a count, a job may be deleted.
_ATTEMPTS = 2
_TRANSIENT = (UnknownField, CountMismatch, ReadLost)


def extract(
    account: Account,
    obj: ObjectSettings,
    window: Window | None,
    *,
    mode: Mode,
    landing: Landing,
    on_progress: Progress | None = None,
    key: HashKey | None = None,
) -> Extraction:
    """Read one window of one object into landing.

    Args:
        account: the opened account.
        obj: the object.
        window: what to read; ignored in mode `refresh`, which reads from the watermark less the
            look-back to the vendor's present.
        mode: `range` lands everything again, `refresh` only what has not landed, and so does `recheck`, which
            counts as well what refreshes should have landed.
        landing: where to.
        on_progress: called with `(records so far, records expected)` after each page.
        key: of hashes, needed where the object keeps fields out.

    Raises:
        CountMismatch: the vendor's count and ours differ; nothing was committed.
        ContractError: the description of the object lost too many fields; nothing was read.
        VendorError: the vendor refused; nothing was committed.
    """
    task, window = due(Task.start(account, obj, mode, landing, on_progress, key=key), window)
    resumed = _resumed(task, window)
    if resumed is None:
        return _attempts(task, window)
    if window.to_at <= resumed.window.to_at:
        return resumed
    overlap = resumed.window.to_at - task.lookback
    start = max(overlap, window.from_at) if window.from_at else overlap
    return joined(resumed, _attempts(replace(task, mode="refresh"), Window(start, window.to_at)))


def planned(
    account: Account,
    obj: ObjectSettings,
    window: Window | None,
    *,
    mode: Mode,
    landing: Landing,
    key: HashKey | None = None,
) -> Plan:
    """Return how `extract` would read now, with the same arguments; reads no records."""
    task, window = due(Task.start(account, obj, mode, landing, key=key), window)
    return task.plan(window)


def _attempts(task: Task, window: Window) -> Extraction:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _attempt(task, window)
        except _TRANSIENT:
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _attempt(task: Task, window: Window) -> Extraction:
    before = task.account.usage
    plan = task.plan(window)
    task = check_description(task, plan.schema)
    purpose = task.purpose(plan.vendor_count)
    writer = task.landing.begin(
        task.connection, task.obj.name, window, plan.schema, purpose=purpose, reader=task.reader
    )
    return _read(task, plan, writer, before)


def _resumed(task: Task, window: Window) -> Extraction | None:
    """Finish an interrupted window of another process, if it is part of the window to read now."""
    for interrupted in task.landing.interrupted(task.connection, task.obj.name):
        if not task.fits(interrupted, window):
            continue
        before = task.account.usage
        plan = task.plan(interrupted.window)
        if plan.complete or plan.schema.fingerprint != interrupted.schema_fingerprint:
            continue
        # The job's records are as of its creation, so they are compared with the count of that moment.
        plan = replace(
            plan,
            vendor_count=interrupted.purpose["vendor_count"],
            reason=f"{plan.reason}; resumed, the job of an earlier run was still there",
        )
        writer = task.landing.resume(
            task.connection, task.obj.name, interrupted, plan.schema, reader=task.reader
        )
        if writer is None:
            continue
        try:
            return _read(task.resumed(interrupted), plan, writer, before)
        except (*_TRANSIENT, JobFailed, ProtocolError, MalformedResponse):
            return None  # nothing of it was kept: it is read again
    return None


def _read(task: Task, plan: Plan, writer: WindowWriter, usage_before: Usage) -> Extraction:
    before = task.landing.latest_schema(task.connection, task.obj.name)
    with writer:
        sight, usage_before = _sight(task, plan, usage_before)
        pages = task.account.pages(plan, writer.checkpoint)
        seen_in, on_records = _seen_in(task, plan, writer.window), _progress(task, plan)
        tally = land(
            pages,
            writer,
            seen_in,
            on_records,
            cutter=task.cutter(plan.schema),
            withheld=task.withheld(plan.schema),
        )
        refuse_many_rejects(task.account.connection, plan.object, writer.quarantined, tally.read)
        counted = task.account.count(plan)
        _reconcile(task, plan, tally.read - tally.uncounted, counted)
        counts = Counts(
            vendor_count=counted,
            vendor_count_before=plan.vendor_count,
            known=tally.read - tally.landed - writer.quarantined - tally.withheld,
            withheld=tally.withheld,
            uncounted=tally.uncounted,
            complete=plan.complete,
            route="+".join(sorted(tally.routes)) or plan.route,
            reason=plan.reason,
            calls=task.account.usage.calls - usage_before.calls,
            cost=task.account.usage.cost - usage_before.cost,
            planned_cost=plan.cost or None,
            notes=tally.notes,
            present=task.present.at,
            missed=missed_by_refreshes(task, plan, writer.manifests),
        )
        verdict = evaluate_snapshot(task, plan, writer, sight) if plan.complete else Verdict()
        if verdict.evidence:
            counts = replace(counts, reason=f"{counts.reason}; {verdict.evidence}")
        if verdict.same_as is None:
            writer.commit(replace(counts, shrink=verdict.shrink, sight=verdict.sight))
        task.account.forget(writer.checkpoint)
    return _extraction(
        task, plan, writer=writer, tally=tally, counts=counts, before=before, verdict=verdict
    )


def _sight(task: Task, plan: Plan, usage_before: Usage) -> tuple[str, Usage]:
    """Return what the login sees when a whole read starts, and the usage after asking: the read is not charged for it."""
    if not plan.complete or not is_sight_due(task):
        return "", usage_before
    before = task.account.usage
    sight = initial_sight(task.account)
    after = task.account.usage
    calls, cost = after.calls - before.calls, after.cost - before.cost
    return sight, replace(
        usage_before, calls=usage_before.calls + calls, cost=usage_before.cost + cost
    )


def _progress(task: Task, plan: Plan) -> Callable[[int], None]:
    def on_records(records: int) -> None:
        if task.on_progress is not None:
            task.on_progress(records, plan.vendor_count)

    return on_records


def _extraction(
    task: Task,
    plan: Plan,
    *,
    writer: WindowWriter,
    tally: Tally,
    counts: Counts,
    before: Schema | None,
    verdict: Verdict,
) -> Extraction:
    same_as = verdict.same_as
    landed = 0 if same_as else tally.landed
    quarantined = 0 if same_as else writer.quarantined
    return Extraction(
        connection=task.connection,
        object=task.obj.name,
        window=writer.window,
        window_id=same_as or writer.window_id,
        route=counts.route,
        reason=counts.reason,
        records=landed,
        read=tally.read,
        known=tally.read - landed - writer.quarantined - tally.withheld,
        deleted=tally.deleted,
        quarantined=writer.quarantined,
        bytes=0 if same_as else sum(manifest.bytes for manifest in writer.manifests),
        calls=counts.calls,
        planned_calls=plan.calls,
        cost=counts.cost,
        planned_cost=plan.cost,
        unit=plan.unit,
        planned_s=plan.seconds,
        vendor_count=counts.vendor_count,
        vendor_count_before=counts.vendor_count_before,
        reconciled=None if counts.vendor_count is None else True,
        uncounted=counts.uncounted,
        changed=landed + quarantined > 0,
        schema=plan.schema,
        schema_changes=changes(before, plan.schema) if before else [],
        watermark=task.landing.watermark(task.connection, task.obj.name),
        months=dict(sorted(writer.months.items())) if landed else {},
        month_bytes=dict(writer.month_bytes) if landed else {},
        sample=tally.sample,
        warnings=task.warnings,
        shrink=verdict.shrink,
        missed=counts.missed,
    )


def _seen_in(task: Task, plan: Plan, window: Window) -> SeenIn:
    """Return a function that returns the versions that have landed, for pages of a shape."""
    since = None if task.mode == "range" or plan.complete else window.from_at

    @cache  # by the shape that pages really have: Bulk may fall back to REST
    def seen_in(shape: Shape) -> SeenVersions | None:
        if since is None:
            return None
        seen = task.landing.seen_versions(task.connection, plan.object, since, shape)
        return None if seen.is_empty() else seen

    return seen_in


def _reconcile(task: Task, plan: Plan, read: int, counted: int | None) -> None:
    """Compare what was read with the vendor's counts before and after.

    Records that are edited during the read leave the window, so any number between the two counts
    is right. Any other number means that records were missed or read twice.
    """
    if counted is None or plan.vendor_count is None:
        return
    low, high = sorted((plan.vendor_count, counted))
    if not low <= read <= high:
        raise CountMismatch(
            f"{task.connection}.{plan.object} {plan.window or 'snapshot'}: read {read:,} records "
            f"by {plan.route}, but the vendor counts {counted:,} ({plan.vendor_count:,} before "
            "reading).",
            cure="Nothing of this window was kept. Run it again; if it persists, try another route "
            f"({_other_routes(plan)}) and report the difference.",
        )


def _other_routes(plan: Plan) -> str:
    """Return the names of the other routes that could be taken."""
    names = [r.name for r in plan.strategies if not r.impediment and r.name != plan.route]
    return " or ".join(f"'route: {name}'" for name in names) or "there is none yet"
