"""Audit one object: compare the CRM with what landing folds to, by month, and heal what differs.

Where the list of all ids costs no more than the counts, as in small accounts, the ids are compared, which shows more.
A count that differs is not believed at once: what changed meanwhile is read, and it is counted again. Then the span is
read again whole, and what landed of it counts as found. What that cannot explain, records that the CRM has no more,
takes a sweep of ids of the span. Everything is compared up to an edge that lies a look-back before the watermark:
later records still move.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from crm_pipeline.connectors.base import Auditable, LogsDeletions, Plan
from crm_pipeline.kernel.clock import Month, Window
from crm_pipeline.kernel.errors import AllowanceSpent, CountMismatch, Rejected
from crm_pipeline.stages.raw.audit.compare import Difference, difference
from crm_pipeline.stages.raw.audit.confirm import Found, alive_here, confirmed, deleted_by_log
from crm_pipeline.stages.raw.audit.content import changed_content
from crm_pipeline.stages.raw.audit.landed import counts_by_month
from crm_pipeline.stages.raw.audit.setting import AuditSetting
from crm_pipeline.stages.raw.audit.sweep import (
    Swept,
    cost_of_ids,
    may_be_cheaper,
    sweep,
    sweep_plan,
)
from crm_pipeline.stages.raw.audit.texts import EQUAL_COUNT, found_text
from crm_pipeline.stages.raw.extract import extract
from crm_pipeline.stages.raw.extraction import Extraction
from crm_pipeline.store.audits import Audited, By, ObjectAudits, State
from crm_pipeline.store.landing.manifest import Missed

WHOLE = ""
"""The month of a result about the whole object."""
_MOST_POINTS = 1_000
"""More records than these are not read one by one: their span is read again."""
_LEAST_SWEEP = 3
"""A sweep of ids costs a call for the list and two for counts, and its plan some more."""
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_OLDEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Span:
    """A part of an object that is compared by itself: a month, or the whole object."""

    month: str
    window: Window


@dataclass(frozen=True)
class _Count:
    """Both numbers of a span."""

    span: Span
    in_crm: int
    with_us: int

    @property
    def is_equal(self) -> bool:
        return self.in_crm == self.with_us


class ObjectAudit:
    """The audit of one object; results come one by one, so that those before an error stay.

    Args:
        setting: of the object.
        before: the results of earlier audits.
        edge: the end of what is compared.
        is_deep: list all ids, whatever the counts say.
        reads_content: read all records again and compare them.
    """

    def __init__(
        self,
        setting: AuditSetting,
        before: ObjectAudits,
        edge: datetime,
        *,
        is_deep: bool = False,
        reads_content: bool = False,
    ) -> None:
        self._setting = setting
        self._before = before
        self._edge = edge
        self._is_deep = is_deep
        self._reads_content = reads_content
        self._has_refreshed = False
        self._plan: Plan | None = None
        self._asked = setting.spent
        self._usage = setting.account.usage

    def results(self) -> Iterator[Audited]:
        """Yield the results of the object.

        Raises:
            AllowanceSpent: the rest costs more than is allowed now.
            VendorError: the vendor does not answer.
        """
        named: dict[str, Audited] = {}
        for result in self._compared():
            named[result.month] = result
            yield result
        whole = named.get(WHOLE)
        if whole is not None and whole.state in ("equal", "healed"):
            yield from self._closed(whole, named)

    def _closed(self, whole: Audited, named: Mapping[str, Audited]) -> Iterator[Audited]:
        """Yield a result for each month that differed and has no record any more, on either side."""
        months = [each.month for each in self._before.open if each.month not in named]
        for month in sorted(months):
            span = Span(month, Window(None, self._edge))
            verdict = "what differed has gone to another month, or is gone on both sides"
            yield self._result(
                span, whole.by, "equal", is_part=True, in_crm=0, with_us=0, verdict=verdict
            )

    def _compared(self) -> Iterator[Audited]:
        if self._reads_content:
            yield self._by_content()
        yield from self._by_log()
        if self._is_deep:
            self._refresh()
            yield from self._by_ids(Span(WHOLE, Window(None, self._edge)))
            return
        ours, total = self._counts()
        plan = self._cheap_sweep(total)
        if plan is not None:
            self._refresh()
            yield from self._swept(Span(WHOLE, Window(None, self._edge)), plan)
            return
        whole = self._count_live(None)
        if whole is None:
            self._refresh()
            yield from self._without_counts()
            return
        yield from self._by_count(whole, ours, total)

    def _cheap_sweep(self, total: int) -> Plan | None:
        """Return the plan for the ids of the whole object if they cost no more than the counts; None where they do.

        The plan costs calls itself, so none is made for so many live records that counts are cheaper anyway.
        """
        setting, counts = self._setting, len(self._spans()) + 1
        refresh = setting.account.upkeep(setting.obj).refresh
        least = _LEAST_SWEEP + max(0, refresh - self._asked)
        if counts < least or not may_be_cheaper(total, counts):
            return None
        before = setting.spent
        try:
            plan = self._whole_plan()
        except Rejected:
            return None  # it can be counted, or the next step says so
        if plan.vendor_count is None:
            return None
        cost = cost_of_ids(plan, refresh, self._asked + setting.spent - before)
        return plan if cost <= min(counts, setting.left) else None

    def _whole_plan(self) -> Plan:
        """Return the plan for the ids of the whole object; it costs calls, and is made once."""
        if self._plan is None:
            setting = self._setting
            self._plan = sweep_plan(setting.account, setting.obj, Window(None, self._edge))
        return self._plan

    def _by_log(self) -> Iterator[Audited]:
        """Land what the vendor's log of deletions has and no refresh saw, where there is such a log: one call."""
        setting = self._setting
        if not isinstance(setting.account, LogsDeletions):
            return
        try:
            logged = setting.account.logged_deletions(setting.schema)
        except Rejected:
            return  # counts and ids find them too, at a higher cost
        suspects = alive_here(setting, logged)
        if not suspects:
            return
        self._refresh()
        found = deleted_by_log(setting, suspects)
        if not found.ghosts:
            return
        _, total = self._counts()
        yield self._result(
            Span(WHOLE, Window(None, self._edge)),
            "log",
            _Total(found, []).state,
            in_crm=None,
            with_us=total + len(found.healed),
            **_Total(found, []).numbers,
            verdict=found_text(found, "the vendor's log of deletions has them"),
        )

    def _by_count(self, whole: int, ours: Mapping[str, int], total: int) -> Iterator[Audited]:
        has_healed = False
        for span in self._spans():
            count = self._counted(span, ours)
            if count.is_equal or self._is_explained(count):
                yield self._equal(count)
                continue
            self._refresh()
            ours, _ = self._counts()
            count = self._counted(span, ours)
            if count.is_equal:
                yield self._equal(count)
                continue
            yield from self._paid(count)
            has_healed = True
            ours, _ = self._counts()
        count = _Count(Span(WHOLE, Window(None, self._edge)), whole, total)
        if not count.is_equal:
            self._refresh()
        yield from self._total(count, has_healed=has_healed)

    def _paid(self, count: _Count) -> Iterator[Audited]:
        """Heal a span; where that costs more than is left, say so, and let the others come first the next time."""
        try:
            yield from self._healed(count)
        except AllowanceSpent:
            yield self._result(
                count.span,
                "count",
                "differs",
                in_crm=count.in_crm,
                with_us=count.with_us,
                verdict="the counts differ; to find out why costs more than is left for today",
            )
            raise

    def _total(self, count: _Count, *, has_healed: bool) -> Iterator[Audited]:
        """Yield the result of the whole object: records without a time of change are in no other count."""
        if not count.is_equal or has_healed:
            _, total = self._counts()
            count = replace(count, in_crm=self._live(None), with_us=total)
        if count.is_equal or self._is_explained(count):
            yield self._equal(count)
            return
        yield from self._by_ids(count.span, counted=count)

    def _healed(self, count: _Count) -> Iterator[Audited]:
        """Read a span again whose counts differ; list its ids where that does not explain it."""
        done, problem = self._reread(count.span.window)
        ours, _ = self._counts()
        again = self._counted(count.span, ours)
        missed = done.missed if done else None
        apart = done.quarantined + _withheld(done) if done else 0
        if done and again.with_us <= again.in_crm <= again.with_us + apart:
            lost = missed.new if missed else 0
            stale = missed.changed if missed else 0
            gone = missed.deleted if missed else 0
            yield self._result(
                again.span,
                "count",
                "healed" if lost or stale or gone else "equal",
                in_crm=count.in_crm,
                with_us=count.with_us,
                missing=lost,
                ghosts=gone,
                stale=stale,
                healed=lost + stale + gone,
                apart=again.in_crm - again.with_us,
                verdict=_reread_text(lost, gone, stale, again.in_crm - again.with_us),
            )
            return
        yield from self._by_ids(count.span, counted=count, done=done, problem=problem)

    def _by_ids(
        self,
        span: Span,
        *,
        counted: _Count | None = None,
        done: Extraction | None = None,
        problem: str = "",
    ) -> Iterator[Audited]:
        """List the ids of a span, and yield the result: of a sweep of the whole object one for each month as well."""
        plan = sweep_plan(self._setting.account, self._setting.obj, span.window)
        yield from self._swept(span, plan, counted=counted, done=done, problem=problem)

    def _swept(
        self,
        span: Span,
        plan: Plan,
        *,
        counted: _Count | None = None,
        done: Extraction | None = None,
        problem: str = "",
    ) -> Iterator[Audited]:
        setting = self._setting
        if plan.cost > setting.left:
            raise AllowanceSpent(
                f"{setting.name}: a sweep of its ids costs {plan.cost:,} {plan.unit}, and {setting.left:,} are left for "
                "this audit.",
                wait_s=0.0,
                cure="A larger `audit_percent` of the connection lets it do more at once.",
            )
        try:
            swept = sweep(setting.account, plan, setting.new_file("sweep").with_suffix(""))
        except CountMismatch as error:
            yield self._unswept(span, counted, error.message)
            return
        differs, reread, text = self._differs(swept, span)
        found = confirmed(setting, swept, differs, self._edge, is_whole=span.month == WHOLE)
        notes = [note for note in (problem, text) if note]
        if counted and not found.different and not found.doubts:
            notes.append(f"the vendor counts {counted.in_crm:,}, and lists {differs.in_crm:,}")
        total = _Total(found, [one.missed for one in (done, reread) if one and one.missed])
        if span.month == WHOLE:
            yield from self._months(differs, found)
        yield self._result(
            span,
            "ids",
            total.state,
            in_crm=counted.in_crm if counted else differs.in_crm,
            with_us=counted.with_us if counted else differs.with_us,
            **total.numbers,
            verdict=found_text(found, "; ".join(notes)),
        )

    def _differs(self, swept: Swept, span: Span) -> tuple[Difference, Extraction | None, str]:
        """Compare a sweep with what has landed; a span that lacks many records is read again first."""
        setting = self._setting
        first = setting.account.connection.start

        def compared() -> Difference:
            with setting.engine() as engine:
                return difference(engine, swept, setting.fold(engine), first)

        differs = compared()
        if differs.missing.num_rows + differs.stale.num_rows <= _MOST_POINTS:
            return differs, None, ""
        done, problem = self._reread(span.window)
        return replace(compared(), with_us=differs.with_us, months=differs.months), done, problem

    def _months(self, differs: Difference, found: Found) -> Iterator[Audited]:
        """Yield the results of the months of a sweep of the whole object."""
        by_month: dict[str, set[str]] = {}
        for one, month in differs.month_of(self._setting.account.connection.start).items():
            by_month.setdefault(month, set()).add(one)
        for month, (in_crm, with_us) in sorted(differs.months.items()):
            own = found.only(by_month.get(month, set()))
            own.doubts = found.doubts if own.ghosts - own.healed else []
            total = _Total(own, [])
            yield self._result(
                Span(month, Window(None, self._edge)),
                "ids",
                total.state,
                in_crm=in_crm,
                with_us=with_us,
                **total.numbers,
                verdict=found_text(own),
                is_part=True,
            )

    def _unswept(self, span: Span, counted: _Count | None, problem: str) -> Audited:
        ours, total = self._counts()
        return self._result(
            span,
            "ids",
            "unknown",
            in_crm=counted.in_crm if counted else None,
            with_us=counted.with_us if counted else ours.get(span.month, total),
            verdict=problem,
        )

    def _without_counts(self) -> Iterator[Audited]:
        """List ids of the whole object where that may be paid for, else of its months, the oldest comparison first."""
        setting, plan = self._setting, self._whole_plan()
        if plan.cost <= setting.left:
            yield from self._swept(Span(WHOLE, Window(None, self._edge)), plan)
            return
        for span in self._spans():
            if span.window.from_at is None:
                continue  # it has no begin, so its list is that of the whole object
            plan = sweep_plan(setting.account, setting.obj, span.window)
            if plan.cost > setting.left:
                raise AllowanceSpent(
                    f"{setting.name}: a sweep of the ids of {span.month} costs {plan.cost:,} {plan.unit}, and "
                    f"{setting.left:,} are left for this audit.",
                    wait_s=0.0,
                    cure="It goes on there the next time; a larger `audit_percent` lets it do more at once.",
                )
            yield from self._swept(span, plan)

    def _by_content(self) -> Audited:
        """Read the whole object again, and count what differed from what had landed."""
        _, total = self._counts()
        done, problem = self._reread(Window(None, self._edge))
        missed = (done.missed if done else None) or Missed()
        lost, stale, gone = missed.new, missed.changed, missed.deleted
        if done is not None and missed.unstamped:
            setting = self._setting
            with setting.engine() as engine:
                stale += changed_content(
                    engine, setting.landing, setting.connection, setting.obj.name, done.window_id
                )
        return self._result(
            Span(WHOLE, Window(None, self._edge)),
            "content",
            "unknown" if done is None else "healed" if lost + stale + gone else "equal",
            in_crm=done.read - done.deleted if done else None,
            with_us=total,
            missing=lost,
            ghosts=gone,
            stale=stale,
            healed=lost + stale + gone,
            verdict=problem or _reread_text(lost, gone, stale, 0),
        )

    def _reread(self, window: Window) -> tuple[Extraction | None, str]:
        """Read a span again and land what differs; return the read, or why it was not committed."""
        setting = self._setting
        # What landed is compared from a time on; records without one are seen by sweeps only.
        window = Window(window.from_at or _BEGINNING, window.to_at)
        try:
            done = extract(
                setting.account,
                setting.obj,
                window,
                mode="recheck",
                landing=setting.landing,
                key=setting.key,
            )
        except CountMismatch as error:
            return None, error.message
        setting.extractions.append(done)
        return done, ""

    def _refresh(self) -> None:
        """Read what changed meanwhile, once."""
        if self._has_refreshed:
            return
        self._has_refreshed = True
        setting = self._setting
        setting.extractions.append(
            extract(
                setting.account,
                setting.obj,
                None,
                mode="refresh",
                landing=setting.landing,
                key=setting.key,
            )
        )

    def _spans(self) -> list[Span]:
        """Return the months up to the edge, the oldest comparison first."""
        first = self._setting.account.connection.start
        last = max(first, Month.of(self._edge))
        spans = [
            Span(
                str(month),
                Window(None if month == first else month.start_at, min(month.end_at, self._edge)),
            )
            for month in first.through(last)
            if month == first or month.start_at < self._edge
        ]
        at = self._before.audited_at
        return sorted(spans, key=lambda span: (at(span.month) or _OLDEST, span.month))

    def _counts(self) -> tuple[Mapping[str, int], int]:
        """Return the live records here by month up to the edge, and all of them."""
        setting = self._setting
        with setting.engine() as engine:
            keys = setting.fold(engine)
            first = setting.account.connection.start
            return counts_by_month(engine, keys, first, self._edge), keys.records

    def _counted(self, span: Span, ours: Mapping[str, int]) -> _Count:
        return _Count(span, self._live(span.window), ours.get(span.month, 0))

    def _count_live(self, window: Window | None) -> int | None:
        account = self._setting.account
        if not isinstance(account, Auditable):
            return None
        return account.count_live(self._setting.schema, window)

    def _live(self, window: Window | None) -> int:
        count = self._count_live(window)
        if count is None:
            raise Rejected(
                f"{self._setting.name}: the vendor counts it no more.",
                code="no_count",
                cure="`crm-pipeline audit --deep` lists its ids.",
            )
        return count

    def _is_explained(self, count: _Count) -> bool:
        """Say whether a difference is that of records that are kept apart, as the last comparison found."""
        last = self._before.months.get(count.span.month)
        return bool(
            last
            and last.apart
            and last.state in ("equal", "healed")
            and count.in_crm - count.with_us == last.apart
        )

    def _equal(self, count: _Count) -> Audited:
        return self._result(
            count.span,
            "count",
            "equal",
            in_crm=count.in_crm,
            with_us=count.with_us,
            apart=max(0, count.in_crm - count.with_us),
            verdict=EQUAL_COUNT,
        )

    def _result(
        self, span: Span, by: By, state: State, is_part: bool = False, **values: Any
    ) -> Audited:
        """Return a result with the cost since the last one; parts of a sweep leave it to the whole."""
        usage, before = self._setting.account.usage, self._usage
        if is_part:
            before = usage
        else:
            self._usage = usage
        return Audited(
            connection=self._setting.connection,
            object=self._setting.obj.name,
            month=span.month,
            audited_at=self._setting.landing.clock.now(),
            by=by,
            state=state,
            calls=usage.calls - before.calls,
            cost=usage.cost - before.cost,
            unit=usage.unit,
            **values,
        )


@dataclass(frozen=True)
class _Total:
    """What was found in a span: by its ids, and by reading it again before."""

    found: Found
    missed: Sequence[Missed]

    @property
    def numbers(self) -> dict[str, Any]:
        """The numbers of a result."""
        found = self.found
        return {
            "missing": len(found.lost) + sum(each.new for each in self.missed),
            "stale": len(found.stale) + sum(each.changed for each in self.missed),
            "ghosts": len(found.ghosts) + sum(each.deleted for each in self.missed),
            "healed": len(found.healed) + sum(each.late for each in self.missed),
            "apart": len(found.apart),
        }

    @property
    def state(self) -> State:
        """Whether all is right now."""
        if self.found.different - self.found.healed:
            return "differs"
        if self.found.doubts:
            return "unknown"
        return "healed" if self.numbers["healed"] else "equal"


def _withheld(done: Extraction) -> int:
    """Return how many records of a read were not landed because their persons had been erased."""
    return done.read - done.records - done.known - done.quarantined


def _reread_text(lost: int, gone: int, stale: int, apart: int) -> str:
    kinds = {"lost": lost, "deleted in the CRM": gone, "stale": stale}
    named = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count)
    text = (
        f"{named}; healed by reading it again"
        if named
        else "the same records with the same content"
    )
    return f"{text}; {apart:,} quarantined, or of erased persons" if apart else text
