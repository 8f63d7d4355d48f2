"""The rate gate: how many calls all processes together may make under a group's limits.

Permits are counted in PostgreSQL, under the row locks of a group's limits and by the database's
clock, so any number of processes and hosts agree. The arithmetic is in `budget.py`, sharing among
the threads of a process in `desk.py`, counts of calls made in `usage.py`.
"""

import atexit
import contextlib
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from crm_pipeline.kernel.clock import Clock
from crm_pipeline.kernel.errors import BudgetExhausted, ConfigError, DatabaseUnavailable
from crm_pipeline.store.attendant import Attendant
from crm_pipeline.store.budget import (
    LEASE_MS,
    LimitShape,
    News,
    Refusal,
    Verdict,
    entered,
    used_weight,
)
from crm_pipeline.store.database import Database
from crm_pipeline.store.desk import Delta, Desk
from crm_pipeline.store.gate_rows import Row, Rows
from crm_pipeline.store.observations import Observations
from crm_pipeline.store.usage import DayUsage, UsageCounts

_RENEWED_AFTER_S = LEASE_MS / 4000
_LOOKED_AFTER_S = 0.25
_WRITTEN_AFTER_S = 1.0


@dataclass(frozen=True)
class LimitUsage:
    """How one limit stands.

    Attributes:
        group: limit group.
        name: of the limit.
        kind: `rolling`, `daily` or `concurrency`.
        used: calls that count now: ours, or the vendor's figure where that is higher.
        under_way: permits out, in use or in a pack.
        ceiling: our share.
        vendor_used: the vendor's own counter, as last read.
        vendor_ceiling: the vendor's own ceiling.
        observed_at: when that was read.
    """

    group: str
    name: str
    kind: str
    used: int
    under_way: int
    ceiling: int
    vendor_used: int | None
    vendor_ceiling: int | None
    observed_at: datetime | None


class Gate:
    """Gives out permits; safe with threads, and agreed with every process on the same database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._reset()
        atexit.register(self.close)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._desks: dict[tuple[str, tuple[LimitShape, ...]], Desk] = {}
        self._attendant = Attendant(self._work)
        self._written_at = 0.0
        self._observations = Observations(self._database)
        self._counts = UsageCounts(self._database)

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def permit(
        self,
        group: str,
        limits: Sequence[LimitShape],
        weight: int | Mapping[str, int] = 1,
        *,
        member: str = "",
    ) -> Iterator[float]:
        """Wait until a call may be made under all the limits; yield the seconds waited.

        The call is to be made inside the `with`. It counts until one window after its end, whether
        it ended well or not.

        Args:
            group: who shares the limits (`limit_group` of a connection).
            limits: of the group; a call may fall under some of them only.
            weight: what the call costs: under each limit the same, or by the limit's name; one that
                is not named costs 1, and 0 is for a limit that the call does not fall under.
            member: who of the group asks, the connection's name; by default the group itself.

        Raises:
            BudgetExhausted: a daily limit is spent; `wait_s` says when to try again.
            ConfigError: a limit is not positive, or the call weighs more than it.
        """
        del member
        if not isinstance(weight, int):
            # The dearest price for all: too careful where they differ.
            limits = [limit for limit in limits if weight.get(limit.name, 1)]
            weight = max((weight.get(limit.name, 1) for limit in limits), default=1)
        desk = self._desk(group, tuple(limits), weight)
        waited_s = self._acquire(desk, weight)
        process = os.getpid()
        try:
            yield waited_s
        finally:
            # A child forked in here leaves a permit that is its parent's to give back.
            if process == os.getpid() and desk.reply(weight, time.monotonic()):
                self._attendant.ring()

    def observe(self, group: str, name: str, used: int, ceiling: int, *, member: str = "") -> None:
        """Let the vendor's own counter of a daily limit overrule ours.

        Cheap enough for every reply: written once a second, every 50 calls, or past 80 %; until
        then the figure in force may lack so many calls.
        """
        del member
        self._be_own()
        if self._observations.note(group, name, used, ceiling):
            # The reply is good even if its figure cannot be kept; the next permit will tell.
            with contextlib.suppress(DatabaseUnavailable):
                self._observations.write()
        else:
            self._attendant.ring()

    def record(
        self,
        group: str,
        operation: str,
        calls: int = 1,
        weight: int | None = None,
        *,
        member: str = "",
    ) -> None:
        """Count calls made, for the accounts by day; written within a second or at `close`."""
        del member
        self._be_own()
        if self._counts.add(group, operation, calls, calls if weight is None else weight):
            self._attendant.ring()

    def remaining(
        self, group: str, limits: Sequence[LimitShape], *, member: str = ""
    ) -> int | None:
        """Return what is left today of the daily limits among them, in their unit; None without any."""
        del member
        daily = {limit.name: limit.calls for limit in limits if limit.kind == "daily"}
        if not daily:
            return None
        for row in self.usage(group):
            if row.name in daily:
                left = min(daily[row.name], row.ceiling) - row.used - row.under_way
                daily[row.name] = max(0, left)
        return min(daily.values())

    def usage(self, group: str | None = None) -> list[LimitUsage]:
        """Return how the limits stand, of one group or of all."""
        found = []
        with self._database.transaction() as cursor:
            for row in Rows(cursor).of_group(group):
                row.book.settle(row, row.now_ms)
                found.append(_described(row))
        return found

    def usage_by_day(self, group: str | None = None, days: int | None = None) -> list[DayUsage]:
        """Return the counts of `record`, of the last `days` days or of all."""
        self._counts.flush()
        return self._counts.by_day(group, days)

    def flush(self) -> None:
        """Write everything noted so far, and give back the permits taken in advance."""
        self._be_own()
        self._observations.write()
        self._counts.flush()
        for desk in list(self._desks.values()):
            self._contact(desk, 0, at=math.inf)

    def close(self) -> None:
        """Flush and end; a gate that cannot reach the database any more ends all the same."""
        atexit.unregister(self.close)
        self._attendant.end()
        if self._pid == os.getpid():
            with contextlib.suppress(DatabaseUnavailable):
                self.flush()

    def _be_own(self) -> None:
        """Begin anew in a forked child: it must not spend its parent's permits."""
        if self._pid != os.getpid():
            self._lock = threading.Lock()
            self._reset()

    def _desk(self, group: str, limits: tuple[LimitShape, ...], weight: int) -> Desk:
        self._be_own()
        with self._lock:
            desk = self._desks.get((group, limits))
            if desk is None:
                _check(group, limits)
                desk = self._desks[group, limits] = Desk(group, limits)
        for limit in limits:
            if not 1 <= weight <= limit.calls:
                raise ConfigError(
                    f"a call of weight {weight} can never pass the limit '{limit.name}' of group"
                    f" '{group}', which allows {limit.calls}.",
                    cure="Raise the connection's `share` in connections.yaml.",
                )
        return desk

    def _acquire(self, desk: Desk, weight: int) -> float:
        started = time.monotonic()
        with desk.changed:
            desk.want(weight)
            try:
                while not desk.take(weight, time.monotonic()):
                    if desk.asking:
                        desk.changed.wait()
                    else:
                        self._ask(desk, weight)
            finally:
                desk.want(-weight)
        return time.monotonic() - started

    def _ask(self, desk: Desk, weight: int) -> None:
        """Ask for all threads of this process, and sleep for them; called holding `changed`."""
        desk.asking = True
        desk.changed.release()
        try:
            verdict = self._contact(desk, weight)
            if verdict.refusal:
                raise self._exhausted(desk, verdict.refusal)
            if verdict.wait_s:
                self._clock.sleep(verdict.wait_s)
        finally:
            desk.changed.acquire()
            desk.asking = False
            desk.changed.notify_all()

    def _contact(self, desk: Desk, need: int, at: float | None = None) -> Verdict:
        with desk.contact:
            now = time.monotonic()
            wish = desk.wish(need, now) if need else 0
            delta = desk.delta(now if at is None else at)
            try:
                verdict = self._settled(desk, delta, need, wish, now)
            except BaseException:
                desk.failed(delta)
                raise
            desk.done(delta, verdict.granted, time.monotonic())
            if verdict.granted:
                self._attendant.ring()
            return verdict

    def _settled(self, desk: Desk, delta: Delta, need: int, wish: int, told_at: float) -> Verdict:
        with self._database.transaction() as cursor:
            rows = Rows(cursor).locked(desk.group, desk.limits)
            accounts = [
                (limit, row.book, row.now_ms) for limit, row in zip(desk.limits, rows, strict=True)
            ]
            news = News(
                desk.lease,
                tuple((told_at - moment, weight) for moment, weight in delta.replied),
                delta.kept,
            )
            verdict = entered(accounts, news, need, wish)
            if delta.out or verdict.granted:
                Rows(cursor).write(rows, desk.limits)
            return verdict

    def _exhausted(self, desk: Desk, refusal: Refusal) -> BudgetExhausted:
        limit = next(limit for limit in desk.limits if limit.name == refusal.limit)
        state = next(row for row in self.usage(desk.group) if row.name == limit.name)
        vendor = ""
        if state.vendor_ceiling:
            vendor = (
                f" (the vendor's own counter: {state.vendor_used:,} of {state.vendor_ceiling:,}; our"
                f" share of that is {limit.calls / state.vendor_ceiling:.0%})"
            )
        again = datetime.fromtimestamp(self._clock.now().timestamp() + refusal.wait_s, UTC)
        return BudgetExhausted(
            f"the daily limit '{limit.name}' of group '{desk.group}' is spent: {refusal.used:,} of"
            f" {refusal.ceiling:,} calls in the last 24 hours{vendor}.",
            wait_s=refusal.wait_s,
            cure=f"Try again at {again:%Y-%m-%d %H:%M} UTC, in {_span(refusal.wait_s)}; or raise the"
            " connection's `share` in connections.yaml.",
        )

    def _work(self) -> float | None:
        """Tell the database what is due; return when there will be more, None if nothing is left."""
        now = time.monotonic()
        due = []
        for desk in list(self._desks.values()):
            if desk.has_news(now) or (desk.is_due(now, _RENEWED_AFTER_S)):
                self._contact(desk, 0)
            if not desk.is_idle():
                due.append(_LOOKED_AFTER_S)
        if self._observations.is_pending() or self._counts.is_pending():
            due.append(_WRITTEN_AFTER_S)
            if now - self._written_at > _WRITTEN_AFTER_S:
                self._written_at = now
                self._observations.write()
                self._counts.flush()
        return min(due, default=None)


def _check(group: str, limits: Sequence[LimitShape]) -> None:
    names = [limit.name for limit in limits]
    for limit in limits:
        if limit.calls < 1 or limit.period_s <= 0 or names.count(limit.name) > 1:
            raise ConfigError(
                f"the limit '{limit.name}' of group '{group}' allows {limit.calls} calls in"
                f" {limit.period_s} s; both must be positive, and its name unique.",
                cure="Correct the connection's `share` in connections.yaml.",
            )


def _described(row: Row) -> LimitUsage:
    vendor = row.book.vendor
    return LimitUsage(
        group=row.group,
        name=row.name,
        kind=row.kind,
        used=used_weight(row, row.book),
        under_way=row.book.leased,
        ceiling=row.calls,
        vendor_used=vendor.used if vendor else None,
        vendor_ceiling=vendor.ceiling if vendor else None,
        observed_at=datetime.fromtimestamp(vendor.at_ms / 1000, UTC) if vendor else None,
    )


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
