"""The rate limiter: how many calls all processes together may make under a group's limits.

Permits are counted in PostgreSQL, under the row locks of a group's limits and by the database's
clock, so any number of processes and hosts agree. The arithmetic is in `decision.py`, sharing among
the threads of a process in `permit_pool.py`, counts of calls made in `usage.py`.
"""

import atexit
import contextlib
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its case

from crm_pipeline.kernel.clock import Clock
from crm_pipeline.kernel.errors import BudgetExhausted, StoreError
from crm_pipeline.ratelimit.call_cost import checked, priced
from crm_pipeline.ratelimit.decision import Amounts, Refusal, Verdict, Wants, entered
from crm_pipeline.ratelimit.fair_share import Request, room
from crm_pipeline.ratelimit.flusher import Flusher
from crm_pipeline.ratelimit.ledger import LEASE_MS
from crm_pipeline.ratelimit.ledger_rows import Rows
from crm_pipeline.ratelimit.ledger_state import warn
from crm_pipeline.ratelimit.limit_status import (
    Forgotten,
    LimitStatus,
    described,
    exhausted,
    forgotten,
)
from crm_pipeline.ratelimit.limits import Limit, is_countable
from crm_pipeline.ratelimit.permit_pool import Delta, PermitPool
from crm_pipeline.ratelimit.usage import DayUsage, UsageCounts
from crm_pipeline.ratelimit.vendor_counters import VendorCounters
from crm_pipeline.store.postgres.database import Database

__all__ = ["LimitStatus", "RateLimiter"]

_RENEWED_AFTER_S = LEASE_MS / 4000
_LOOKED_AFTER_S = 0.25
_WRITTEN_AFTER_S = 1.0


class RateLimiter:
    """Gives out permits; safe with threads, and agreed with every process on the same database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._reset()
        atexit.register(self.close)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._pools: dict[tuple[str, str, tuple[Limit, ...]], PermitPool] = {}
        self._flusher = Flusher(self._work)
        self._written_at = 0.0
        self._vendor_counters = VendorCounters(self._database)
        self._counts = UsageCounts(self._database)

    def __enter__(self) -> "RateLimiter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def permit(
        self,
        group: str,
        limits: Sequence[Limit],
        cost: int | Mapping[str, int] = 1,
        *,
        member: str = "",
    ) -> Iterator[float]:
        """Wait until a call may be made under all the limits; yield the seconds waited.

        The call is to be made inside the `with`. It counts until one window after its end, whether
        it ended well or not.

        Args:
            group: who shares the limits (`limit_group` of a connection).
            limits: of the group; a call may fall under some of them only.
            cost: what the call costs: under each limit the same, or by the limit's name; one that
                is not named costs 1, and 0 is for a limit that the call does not fall under.
            member: who of the group asks, the connection's name; by default the group itself.

        Raises:
            BudgetExhausted: a daily limit is spent; `wait_s` says when to try again.
            ConfigError: a limit is not positive, or the call weighs more than it.
        """
        pool = self._pool(group, member, tuple(limits))
        costs = priced(group, pool.limits, cost)
        if not any(costs):
            yield 0.0
            return
        waited_s = self._acquire(pool, costs)
        process = os.getpid()
        try:
            yield waited_s
        finally:
            # A child forked in here leaves a permit that is its parent's to give back.
            if process == os.getpid() and pool.reply(costs, time.monotonic()):
                self._flusher.ring()

    def observe(self, group: str, name: str, used: int, ceiling: int, *, member: str = "") -> None:
        """Let the vendor's own counter overrule ours, where it has counted more.

        Cheap enough for every reply. A counter of a day is written once a second, every 50 calls, or
        past 80 %; until then the figure in force may lack so many calls. One of a shorter window
        goes with the next contact, and holds back what others took until that has left the window. One that
        cannot be true is ignored.

        Args:
            group: limit group.
            name: of the limit.
            used: what the vendor has counted in the window or day that is running.
            ceiling: the vendor's own.
            member: whose call was answered.
        """
        if not is_countable(used, ceiling):
            warn(group, name, ["a counter of the vendor"])
            return
        self._be_own()
        found = self._watching(group, name, member or group)
        if found:
            pool, place = found
            pool.note(place, used, ceiling, time.monotonic())
        elif self._vendor_counters.note(group, name, used, ceiling):
            # The reply is good even if its figure cannot be kept; the next permit will tell.
            with contextlib.suppress(StoreError):
                self._vendor_counters.write()
            return
        self._flusher.ring()

    def record(
        self,
        group: str,
        operation: str,
        calls: int = 1,
        cost: int | None = None,
        *,
        member: str = "",
    ) -> None:
        """Count calls made, for the accounts by day; written within a second or at `close`.

        Args:
            group: limit group.
            operation: a word of the connector's for what was done.
            calls: how many.
            cost: what they cost in the vendor's unit; by default as many.
            member: who made them, the connection's name; by default the group itself.
        """
        self._be_own()
        cost = calls if cost is None else cost
        if self._counts.add((group, member or group, operation), calls, cost):
            self._flusher.ring()

    def remaining(self, group: str, limits: Sequence[Limit], *, member: str = "") -> int | None:
        """Return what a member may still take of the daily limits among these; None without any.

        It is in the limit's unit, and the least of several: our share or the vendor's own ceiling,
        less what is used, and less what is kept for the other members of the group.
        """
        shapes = {limit.name: limit for limit in limits if limit.kind == "daily"}
        left = {name: limit.calls for name, limit in shapes.items()}
        if not shapes:
            return None
        for row in self._database.done(lambda cursor: Rows(cursor).of_group(group)):
            limit = shapes.get(row.limit.name)
            if limit:
                row.ledger.settle(limit, row.now_ms)
                found = room(Request(limit, row.ledger, member or group, 0, row.now_ms))
                left[row.limit.name] = max(0, found.allowed)
        return min(left.values())

    def usage(self, group: str | None = None) -> list[LimitStatus]:
        """Return how the limits stand, of one group or of all."""
        rows = self._database.done(lambda cursor: Rows(cursor).of_group(group))
        for row in rows:
            row.ledger.settle(row.limit, row.now_ms)
        return [described(row) for row in rows]

    def forget(self, group: str, *, counted: bool = True, told: bool = True) -> list[Forgotten]:
        """Forget what stands in the accounts of a group's limits, and return it.

        Safe while calls are made: permits that are out stay out, and what ends from now on counts.

        Args:
            group: limit group.
            counted: forget what we counted.
            told: forget the vendor's own counters; its next answer tells them anew.
        """

        def work(cursor: Cursor) -> list[Forgotten]:
            rows = Rows(cursor).locked_of(group)
            found = [forgotten(row, counted=counted, told=told) for row in rows]
            Rows(cursor).write(rows, [row.limit for row in rows])
            return found

        return self._database.done(work)

    def usage_by_day(self, group: str | None = None, days: int | None = None) -> list[DayUsage]:
        """Return the counts of `record`, of the last `days` days or of all."""
        self._counts.flush()
        return self._counts.by_day(group, days)

    def flush(self) -> None:
        """Write everything noted so far, and give back the permits taken in advance."""
        self._be_own()
        self._vendor_counters.write()
        self._counts.flush()
        for pool in list(self._pools.values()):
            self._contact(pool, at=math.inf)

    def close(self) -> None:
        """Flush and end; a limiter whose database is gone or full ends all the same."""
        atexit.unregister(self.close)
        self._flusher.end()
        if self._pid == os.getpid():
            with contextlib.suppress(StoreError):
                self.flush()

    def _be_own(self) -> None:
        """Begin anew in a forked child: it must not spend its parent's permits."""
        if self._pid != os.getpid():
            self._lock = threading.Lock()
            self._reset()

    def _pool(self, group: str, member: str, limits: tuple[Limit, ...]) -> PermitPool:
        self._be_own()
        with self._lock:
            pool = self._pools.get((group, member, limits))
            if pool is None:
                checked(group, limits)
                pool = self._pools[group, member, limits] = PermitPool(group, limits, member)
        return pool

    def _watching(self, group: str, name: str, member: str) -> tuple[PermitPool, int] | None:
        """Return a pool, the member's if it has one, that has a limit of this name to wait for."""
        found = None
        # The latest first: limits change when the vendor tells its own ceilings.
        for pool in reversed(list(self._pools.values())):
            if pool.group == group and (pool.member == member or found is None):
                for place, limit in enumerate(pool.limits):
                    if limit.name == name and limit.kind != "daily":
                        if pool.member == member:
                            return pool, place
                        found = pool, place
        return found

    def _acquire(self, pool: PermitPool, costs: Amounts) -> float:
        started = time.monotonic()
        with pool.changed:
            pool.want(costs)
            try:
                while not pool.take(costs, time.monotonic()):
                    if pool.asking:
                        pool.changed.wait()
                    else:
                        self._ask(pool, costs)
            finally:
                pool.want_no_more(costs)
        return time.monotonic() - started

    def _ask(self, pool: PermitPool, costs: Amounts) -> None:
        """Ask for all threads of this process, and sleep for them; called holding `changed`."""
        pool.asking = True
        pool.changed.release()
        try:
            verdict = self._contact(pool, costs)
            if verdict.refusal:
                raise self._exhausted(pool, verdict.refusal)
            if verdict.is_for_a_place:
                pool.wait_for_reply(verdict.wait_s)
            elif verdict.wait_s:
                self._clock.sleep(verdict.wait_s)
        finally:
            pool.changed.acquire()
            pool.asking = False
            pool.changed.notify_all()

    def _contact(
        self, pool: PermitPool, need: Amounts | None = None, at: float | None = None
    ) -> Verdict:
        with pool.contact:
            now = time.monotonic()
            wants = pool.wants(need, now) if need else None
            delta = pool.delta(now if at is None else at)
            try:
                verdict = self._settled(pool, delta, wants, now)
            except BaseException:
                pool.failed(delta)
                raise
            pool.done(delta, verdict.granted, time.monotonic())
            if any(verdict.granted):
                self._flusher.ring()
            return verdict

    def _settled(
        self, pool: PermitPool, delta: Delta, wants: Wants | None, told_at: float
    ) -> Verdict:
        def work(cursor: Cursor) -> Verdict:
            rows = Rows(cursor).locked(pool.group, pool.limits)
            accounts = [
                (limit, row.ledger, row.now_ms)
                for limit, row in zip(pool.limits, rows, strict=True)
            ]
            verdict = entered(accounts, delta.news(pool.lease, pool.member, told_at), wants)
            if wants or not delta.is_empty:
                Rows(cursor).write(rows, pool.limits)
            return verdict

        # Done twice, because an answer was lost, calls count twice: too careful, never too little.
        return self._database.done(work)

    def _exhausted(self, pool: PermitPool, refusal: Refusal) -> BudgetExhausted:
        limit = next(limit for limit in pool.limits if limit.name == refusal.limit)
        state = next(row for row in self.usage(pool.group) if row.name == limit.name)
        return exhausted(limit, refusal, state, self._clock.now(), pool.member)

    def _work(self) -> float | None:
        """Tell the database what is due; return when there will be more, None if nothing is left."""
        now = time.monotonic()
        due = []
        for pool in list(self._pools.values()):
            if pool.has_news(now) or (pool.is_due(now, _RENEWED_AFTER_S)):
                self._contact(pool)
            if not pool.is_idle():
                due.append(_LOOKED_AFTER_S)
        if self._vendor_counters.is_pending() or self._counts.is_pending():
            due.append(_WRITTEN_AFTER_S)
            if now - self._written_at > _WRITTEN_AFTER_S:
                self._written_at = now
                self._vendor_counters.write()
                self._counts.flush()
        return min(due, default=None)
