"""Extract one object: choose the window, read it, land it, count it, commit it.

A window counts only when it was read to its end and the vendor's count agrees; otherwise nothing of
it is kept and the error says what differed.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.connectors.base import Account, Page, Plan
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import CountMismatch, UnknownField
from crm_pipeline.model.schema import Schema, changes
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw.snapshot import is_unchanged
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.manifest import Shape
from crm_pipeline.store.records import Known, RecordHasher, raw_names
from crm_pipeline.store.window import Counts, WindowWriter

Mode = Literal["range", "refresh"]
Progress = Callable[[int, int | None], None]
KnownIn = Callable[[Shape], Known | None]
_ATTEMPTS = 2  # a field may vanish, or late commits may disturb a count, between two requests
_PARSERS = 2
_SAMPLE_ROWS = 5


@dataclass(frozen=True)
class Extraction:
    """What one extraction did.

    Attributes:
        window_id: the committed window; for an unchanged snapshot the one that still stands.
        records: rows landed; `read` = `records` + `known` + `quarantined`.
        known: rows that an earlier window had landed already (the look-back overlap).
        vendor_count: the vendor's count after reading; `vendor_count_before` before reading.
        reconciled: the counts agree; None where the vendor does not count.
        changed: something landed.
        months: landed rows by month of modification.
        sample: a few raw records, unmasked; whoever shows them masks them.
    """

    connection: str
    object: str
    window: Window
    window_id: str
    route: str
    reason: str
    records: int
    read: int
    known: int
    deleted: int
    quarantined: int
    bytes: int
    calls: int
    planned_calls: int
    vendor_count: int | None
    vendor_count_before: int | None
    reconciled: bool | None
    changed: bool
    schema: Schema
    schema_changes: list[str]
    watermark: datetime | None
    months: Mapping[str, int]
    sample: list[dict[str, Any]]


@dataclass
class _Tally:
    read: int = 0
    landed: int = 0
    deleted: int = 0
    routes: set[str] = field(default_factory=set)
    sample: list[dict[str, Any]] = field(default_factory=list)

    def add(self, page: "_Tally") -> None:
        self.read += page.read
        self.landed += page.landed
        self.deleted += page.deleted
        self.routes |= page.routes
        self.sample += page.sample[: _SAMPLE_ROWS - len(self.sample)]


@dataclass(frozen=True)
class _Task:
    account: Account
    obj: ObjectSettings
    mode: Mode
    landing: Landing
    on_progress: Progress | None

    @property
    def connection(self) -> str:
        return self.account.connection.name


def extract(
    account: Account,
    obj: ObjectSettings,
    window: Window | None,
    *,
    mode: Mode,
    landing: Landing,
    on_progress: Progress | None = None,
) -> Extraction:
    """Read one window of one object into landing.

    Args:
        account: the opened account.
        obj: the object.
        window: what to read in mode `range`; ignored in mode `refresh`, which reads from the
            watermark less the look-back to the vendor's present.
        mode: `range` lands everything again, `refresh` only what has not landed.
        landing: where to.
        on_progress: told `(records so far, records expected)` after each page.

    Raises:
        CountMismatch: the vendor's count and ours differ; nothing was committed.
        VendorError: the vendor's refusal; nothing was committed.
    """
    task = _Task(account, obj, mode, landing, on_progress)
    span = _span(task, window)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _attempt(task, span)
        except (UnknownField, CountMismatch):
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _span(task: _Task, window: Window | None) -> Window:
    now = task.account.vendor_now()
    if task.mode == "range":
        start, end = (window.from_at, min(window.to_at, now)) if window else (None, now)
        return Window(start, max(end, start) if start else end)
    watermark = task.landing.watermark(task.connection, task.obj.name)
    if watermark is None:
        return Window(None, now)
    start = watermark - timedelta(seconds=task.account.connection.lookback_s)
    return Window(start, max(now, start))


def _attempt(task: _Task, span: Window) -> Extraction:
    calls_before = task.account.usage.calls
    plan = task.account.plan(task.obj, span)
    before = task.landing.latest_schema(task.connection, task.obj.name)
    with task.landing.begin(task.connection, task.obj.name, span, plan.schema) as writer:
        tally = _land(task, plan, writer, _known(task, plan, span))
        counted = task.account.count(plan)
        _reconcile(task, plan, tally.read, counted)
        counts = Counts(
            vendor_count=counted,
            vendor_count_before=plan.vendor_count,
            known=tally.read - tally.landed - writer.quarantined,
            complete=plan.complete,
            route="+".join(sorted(tally.routes)) or plan.route,
            reason=plan.reason,
            calls=task.account.usage.calls - calls_before,
        )
        stands = is_unchanged(task.landing, writer) if plan.complete else None
        if stands is None:
            writer.commit(counts)
    return _described(
        task, plan, span, writer=writer, tally=tally, counts=counts, before=before, stands=stands
    )


def _described(
    task: _Task,
    plan: Plan,
    span: Window,
    *,
    writer: WindowWriter,
    tally: _Tally,
    counts: Counts,
    before: Schema | None,
    stands: str | None,
) -> Extraction:
    landed = 0 if stands else tally.landed
    return Extraction(
        connection=task.connection,
        object=task.obj.name,
        window=span,
        window_id=stands or writer.window_id,
        route=counts.route,
        reason=counts.reason,
        records=landed,
        read=tally.read,
        known=tally.read - landed - writer.quarantined,
        deleted=tally.deleted,
        quarantined=writer.quarantined,
        bytes=0 if stands else sum(manifest.bytes for manifest in writer.manifests),
        calls=counts.calls,
        planned_calls=plan.calls,
        vendor_count=counts.vendor_count,
        vendor_count_before=counts.vendor_count_before,
        reconciled=None if counts.vendor_count is None else True,
        changed=landed + writer.quarantined > 0,
        schema=plan.schema,
        schema_changes=changes(before, plan.schema) if before else [],
        watermark=task.landing.watermark(task.connection, task.obj.name),
        months=dict(sorted(writer.months.items())) if landed else {},
        sample=tally.sample,
    )


def _known(task: _Task, plan: Plan, span: Window) -> KnownIn:
    """Return what looks up the versions that have landed, for pages of a shape."""
    since = None if task.mode == "range" or plan.complete else span.from_at

    @cache  # by the shape that pages really have: Bulk may fall back to REST
    def known(shape: Shape) -> Known | None:
        if since is None:
            return None
        found = task.landing.known(task.connection, plan.object, since, shape)
        return None if found.is_empty() else found

    return known


def _land(task: _Task, plan: Plan, writer: WindowWriter, known: KnownIn) -> _Tally:
    """Write page after page; while some are parsed, the next one is downloaded."""
    tally = _Tally()
    running: set[Future[_Tally]] = set()

    def collect(when: str) -> set[Future[_Tally]]:
        done, rest = wait(running, return_when=when)
        for future in done:
            tally.add(future.result())
        if task.on_progress is not None:
            task.on_progress(tally.read, plan.vendor_count)
        return rest

    with ThreadPoolExecutor(_PARSERS, thread_name_prefix="parse") as parsers:
        for page in task.account.pages(plan, writer.spool):
            running.add(parsers.submit(_write, page, writer, known(page.shape)))
            if len(running) >= _PARSERS:
                running = collect(FIRST_COMPLETED)
        collect(ALL_COMPLETED)
    return tally


def _write(page: Page, writer: WindowWriter, known: Known | None) -> _Tally:
    tally = _Tally(routes={page.route})
    hasher = RecordHasher()

    def news() -> Iterator[pa.RecordBatch]:
        for batch in page.batches():
            rest = known.rest_of(batch, hasher) if known else batch
            tally.read += batch.num_rows
            tally.landed += rest.num_rows
            tally.deleted += pc.sum(rest.column("_deleted")).as_py() or 0
            if len(tally.sample) < _SAMPLE_ROWS and rest.num_rows:
                tally.sample.extend(_sample(rest, _SAMPLE_ROWS))
            yield rest

    try:
        writer.write(
            news(),
            shape=page.shape,
            route=page.route,
            extracted_at=page.extracted_at,
            calls=page.calls,
            vendor_count=page.expected,
        )
    finally:
        hasher.close()
    writer.quarantine(page.rejected)
    tally.read += len(page.rejected)
    return tally


def _sample(batch: pa.RecordBatch, rows: int) -> list[dict[str, Any]]:
    raw = batch.slice(0, rows).select(raw_names(batch)).to_pylist()
    return [msgspec.json.decode(row["record"]) if "record" in row else row for row in raw]


def _reconcile(task: _Task, plan: Plan, read: int, counted: int | None) -> None:
    """Compare what was read with the vendor's counts before and after.

    Records that are edited during the read leave the window, so any number between the two counts
    is right; anything else means that rows were missed or invented.
    """
    if counted is None or plan.vendor_count is None:
        return
    low, high = sorted((plan.vendor_count, counted))
    if not low <= read <= high:
        raise CountMismatch(
            f"{task.connection}.{plan.object} {plan.window or 'snapshot'}: read {read:,} records "
            f"by {plan.route}, but the vendor counts {counted:,} ({plan.vendor_count:,} before "
            "reading).",
            cure="Nothing of this window was kept. Run it again; if it persists, try the other "
            "route ('route: rest' or 'route: bulk') and report the difference.",
        )
