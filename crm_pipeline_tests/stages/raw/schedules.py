"""A vendor whose records change while they are read, a pipeline that reads it, and eight ways of doing that wrong.

The vendor commits late: a change has the time at which it was made, and is visible some seconds later, at most a
look-back. Records are read in pages of two, and anything may happen between two pages, a kill included.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.kernel.errors import CountMismatch
from crm_pipeline.stages.normalized.fold import folded
from crm_pipeline.stages.normalized.inputs import collect
from crm_pipeline.stages.normalized.ranking import ranked
from crm_pipeline.stages.normalized.reading import raw
from crm_pipeline.stages.raw import extract, probe, read_points
from crm_pipeline.stages.raw.task import Task
from crm_pipeline.store import files
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.watermark import Edge
from crm_pipeline.store.landing.window import WindowWriter
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline_tests.stages.raw.test_point import (
    MAP,
    OBJECT,
    ORIGIN,
    Record,
    Vendor,
    VendorAccount,
)

LOOKBACK_S = 5
PAGE = 2
Step = tuple[Any, ...]
Key = tuple[datetime, str]


class Killed(BaseException):
    """The process ends here."""


class Unquiet(Exception):
    """The probe finds changes in a quiet account that no refresh reads."""


@dataclass
class LateVendor(Vendor):
    """A vendor whose changes become visible some seconds after the time that they carry."""

    pending: dict[str, tuple[datetime, Record]] = field(default_factory=dict)

    def change(self, key: str, value: int, lag_s: int, *, is_deleted: bool = False) -> None:
        """Change a record; one that is being changed is locked until that is visible."""
        self.settle()
        if key not in self.pending:
            visible_at = self.now + timedelta(seconds=lag_s)
            self.pending[key] = (visible_at, Record(self.now, value, is_deleted))
        self.settle()

    def settle(self) -> None:
        """Make visible what is due."""
        for key, (visible_at, record) in list(self.pending.items()):
            if visible_at <= self.now:
                self.records[key] = record
                del self.pending[key]


class PagedAccount(VendorAccount):
    """An account that reads in pages by keyset, on modification time and id."""

    vendor: LateVendor

    def __init__(
        self, vendor: LateVendor, connection: Any, between: Callable[[], None], *, counts: bool
    ) -> None:
        super().__init__(vendor, connection)
        self.between = between
        self.counts = counts

    def plan(self, obj: Any, window: Window | None) -> Plan:
        plan = super().plan(obj, window)
        return plan if self.counts else replace(plan, vendor_count=None)

    def count(self, plan: Plan) -> Any:
        return super().count(plan) if self.counts else None

    def inside(self, window: Window | None) -> dict[str, Record]:
        self.vendor.settle()
        return super().inside(window)

    def probe_changes(self, schema: Any, since: datetime) -> tuple[int, datetime | None]:
        self.vendor.settle()
        return super().probe_changes(schema, since)

    def pages(self, plan: Plan, checkpoint: Any) -> Iterator[Page]:
        read: list[Key] = []
        while True:
            rows = self.sorted_rows(plan.window)
            chosen = self.next_page(rows, read)
            batch, at = self._batch(dict(chosen), "json"), self.vendor.now
            yield Page("json", "rest", lambda batch=batch: iter([batch]), at)  # type: ignore[misc]
            read += map(_key_of, chosen)
            self.between()
            if len(chosen) < PAGE:
                return

    def sorted_rows(self, window: Window | None) -> list[tuple[str, Record]]:
        """Return the records of a window in the order in which they are read."""
        return sorted(self.inside(window).items(), key=_key_of)

    def next_page(
        self, rows: Sequence[tuple[str, Record]], read: Sequence[Key]
    ) -> Sequence[tuple[str, Record]]:
        """Return the page after those that were read."""
        return [row for row in rows if not read or _key_of(row) > read[-1]][:PAGE]


def _key_of(row: tuple[str, Record]) -> Key:
    return row[1].changed_at, row[0]


class ByIdAccount(PagedAccount):
    """An account whose pages are ordered by id, as those of bulk jobs and of ranges of ids are."""

    def sorted_rows(self, window: Window | None) -> list[tuple[str, Record]]:
        return sorted(self.inside(window).items())

    def next_page(
        self, rows: Sequence[tuple[str, Record]], read: Sequence[Key]
    ) -> Sequence[tuple[str, Record]]:
        return [row for row in rows if not read or row[0] > read[-1][1]][:PAGE]


class WithoutTieBreak(PagedAccount):
    """Goes on after the time of the last record, whatever else has that time."""

    def next_page(
        self, rows: Sequence[tuple[str, Record]], read: Sequence[Key]
    ) -> Sequence[tuple[str, Record]]:
        return [row for row in rows if not read or row[1].changed_at > read[-1][0]][:PAGE]


class ByOffset(PagedAccount):
    """Goes on at the position of the next record, whatever left the list meanwhile."""

    def next_page(
        self, rows: Sequence[tuple[str, Record]], read: Sequence[Key]
    ) -> Sequence[tuple[str, Record]]:
        return rows[len(read) :][:PAGE]


class Pipeline:
    """Reads a late vendor by refreshes, with the real extraction and landing.

    Args:
        folder: for data.
        org: an organisation of the tests, for its connection.
        engine: folds what has landed.
        account: the class of the account.
        counts: whether the vendor counts records.
    """

    def __init__(
        self,
        folder: Path,
        org: Any,
        engine: Engine,
        *,
        account: type[PagedAccount] = PagedAccount,
        counts: bool = False,
    ) -> None:
        self.clock = FrozenClock(ORIGIN)
        self.vendor = LateVendor(is_whole=False, shape="json", clock=self.clock)
        self.landing = Landing(folder, self.clock)
        self.engine = engine
        self.connection = replace(org.connection(), lookback_s=LOOKBACK_S, objects=(OBJECT,))
        self.between: list[Sequence[Step]] = []
        self.make = account
        self.counts = counts
        self.pointed: list[datetime] = []
        self.vendor.put("0", 0)

    @property
    def account(self) -> Any:
        return self.make(self.vendor, self.connection, self._between, counts=self.counts)

    def do(self, step: Step) -> None:
        """Do one step; see `crm_pipeline_tests.stages.raw.test_schedules.STEPS`."""
        kind, *given = step
        if kind == "wait":
            self.clock.advance(given[0])
        elif kind == "edit":
            self.vendor.change(*given)
        elif kind == "delete":
            key, lag_s = given
            if key in self.vendor.records:
                self.vendor.change(key, self.vendor.records[key].value, lag_s, is_deleted=True)
        elif kind == "merge":
            loser, winner, value = given
            self.do(("delete", loser, 0))
            self.vendor.change(winner, value, 0)
        elif kind == "point":
            self.vendor.settle()
            read_points(self.account, OBJECT, given[0], landing=self.landing)
            seen = [self.vendor.seen(key) for key in given[0]]
            self.pointed += [record.changed_at for record in seen if record is not None]
        elif kind == "refresh":
            self.between = list(given[0])
            self.refresh()
        elif kind == "killed":
            raise Killed

    def _between(self) -> None:
        for step in self.between.pop(0) if self.between else ():
            self.do(step)

    def refresh(self) -> None:
        """Read what changed; a read whose counts disagree is left to the next one, and so is one that is killed."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(WindowWriter, "__exit__", _leave)
            with suppress(CountMismatch, Killed):
                extract(self.account, OBJECT, None, mode="refresh", landing=self.landing)
        for marker in self.landing.root.rglob("*.open"):
            files.write_json(marker, {**files.read_json(marker), "pid": _DEAD})

    def wait_until_quiet(self) -> None:
        """Let all changes become visible, and refresh as long as the probe says that something changed."""
        self.between = []
        self.clock.advance(LOOKBACK_S + 1)
        for _ in range(3):
            watermark = self.landing.watermark("acme", "Contact")
            if watermark and not probe(self.account, [OBJECT], self.landing).news:
                return
            self.refresh()
            self.clock.advance(1)
        raise Unquiet

    def table(self) -> dict[str, tuple[int, bool]]:
        """Return value and deletion mark of each record, as folded from what has landed."""
        landed = collect("acme", MAP, self.landing)
        assert landed is not None
        relation = folded(self.engine, landed, ranked(self.engine, landed))
        rows = self.engine.rows(
            f"SELECT _source_id, {raw('Name')}, _deleted OR NOT _is_seen FROM {relation}"
        )
        return {key: (int(value), is_gone) for key, value, is_gone in rows}

    def world(self) -> dict[str, tuple[int, bool]]:
        """Return the same as the vendor has it."""
        self.vendor.settle()
        return {key: (r.value, r.is_deleted) for key, r in self.vendor.records.items()}


_DEAD = next(pid for pid in range(4_000_000, 5_000_000) if not psutil.pid_exists(pid))


def _leave(writer: WindowWriter, kind: Any, *rest: Any) -> None:
    """End a window as usual, or leave everything as it is if the process was killed."""
    if kind is None or not issubclass(kind, Killed):
        _EXIT(writer, kind, *rest)


_EXIT = WindowWriter.__exit__

Plant = Callable[[pytest.MonkeyPatch, Pipeline], None]


def _with_edge(at: Callable[[Pipeline, Edge], datetime | None]) -> Plant:
    """Return what replaces the watermark by another."""

    def plant(patch: pytest.MonkeyPatch, run: Pipeline) -> None:
        derived = Landing.edge

        def edge(landing: Landing, *given: Any, **named: Any) -> Edge:
            real = derived(landing, *given, **named)
            other = at(run, real) if real.at is not None else None
            return replace(real, at=max(other, real.at) if other and real.at else real.at)

        patch.setattr(Landing, "edge", edge)

    return plant


def _without_lookback(patch: pytest.MonkeyPatch, run: Pipeline) -> None:
    patch.setattr(Task, "lookback", property(lambda _: timedelta()))


def _newest_landed(run: Pipeline) -> datetime | None:
    """Return the newest time that landed, plus what makes `>=` a `>`."""
    newest = run.landing.landed_since("acme", "Contact", ORIGIN)[1]
    return newest and newest + timedelta(seconds=LOOKBACK_S + 1)


def _begun(patch: pytest.MonkeyPatch, run: Pipeline) -> None:
    """Note the end of a window as the watermark when its read begins."""
    ends: list[datetime] = []
    begin = Landing.begin

    def noting(landing: Landing, connection: str, obj: str, window: Window, *rest: Any, **named: Any) -> Any:  # fmt: skip
        ends.append(window.to_at)
        return begin(landing, connection, obj, window, *rest, **named)

    patch.setattr(Landing, "begin", noting)
    _with_edge(lambda *_: max(ends, default=None))(patch, run)


def _wall_clock(patch: pytest.MonkeyPatch, run: Pipeline) -> None:
    """Note the time at which a read ends as the watermark."""
    ends: list[datetime] = []
    commit = WindowWriter.commit

    def noting(writer: WindowWriter, *given: Any) -> Any:
        done = commit(writer, *given)
        ends.append(run.clock.now())
        return done

    patch.setattr(WindowWriter, "commit", noting)
    _with_edge(lambda *_: max(ends, default=None))(patch, run)


def _partial(patch: pytest.MonkeyPatch, run: Pipeline) -> None:
    """Take the newest record of any page as the watermark, also of a read that was cut off."""
    newest: list[datetime] = []
    batch = VendorAccount._batch

    def noting(account: VendorAccount, found: dict[str, Record], shape: str) -> Any:
        newest.extend(one.changed_at for one in found.values())
        return batch(account, found, shape)

    patch.setattr(VendorAccount, "_batch", noting)
    _with_edge(lambda *_: max(newest, default=None))(patch, run)


def _nothing(patch: pytest.MonkeyPatch, run: Pipeline) -> None:
    pass


@dataclass(frozen=True)
class Wrong:
    """A wrong algorithm: the account that it reads with, what it changes in the real code, a schedule that shows it."""

    account: type[PagedAccount]
    plant: Plant
    steps: Sequence[Step]


_MANY: Sequence[Step] = [("edit", key, 1, 0) for key in "1234"]
WRONG: dict[str, Wrong] = {
    "later than the newest only": Wrong(
        PagedAccount,
        _with_edge(lambda run, _: _newest_landed(run)),
        [("edit", "1", 1, 5), ("wait", 1), ("edit", "2", 1, 0), ("wait", 1), ("refresh", [])],
    ),
    "no tie-break": Wrong(WithoutTieBreak, _nothing, [*_MANY, ("wait", 1)]),
    "watermark before landing": Wrong(
        PagedAccount, _begun, [*_MANY, ("wait", 9), ("refresh", [[("killed",)]])]
    ),
    "no look-back": Wrong(
        PagedAccount, _without_lookback, [("edit", "1", 1, 5), ("wait", 1), ("refresh", [])]
    ),
    "pages by offset": Wrong(
        ByOffset, _nothing, [*_MANY, ("wait", 9), ("refresh", [[("edit", "1", 9, 0)]])]
    ),
    "watermark of the wall clock": Wrong(
        PagedAccount, _wall_clock, [("wait", 1), ("refresh", [[("edit", "1", 1, 0), ("wait", 9)]])]
    ),
    "watermark of webhooks": Wrong(
        PagedAccount,
        _with_edge(lambda run, _: max(run.pointed, default=None)),
        [("edit", "1", 1, 0), ("wait", 9), ("edit", "2", 1, 0), ("point", ["2"])],
    ),
    "watermark of a partial window": Wrong(
        ByIdAccount,
        _partial,
        [
            ("edit", "2", 1, 0),
            ("wait", 9),
            ("edit", "1", 1, 0),
            ("wait", 1),
            ("refresh", [[("killed",)]]),
        ],
    ),
}
