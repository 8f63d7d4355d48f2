"""The rate limiter: grants permits to all processes together under a group's limits.

Permits are counted in PostgreSQL, under the row locks of a group's limits and by the database's
clock, so any number of processes and hosts agree. The arithmetic is in `decision.py`, the sharing among
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
from crm_pipeline.kernel.errors import BudgetExhausted, StoreError, WouldWait
from crm_pipeline.ratelimit.call_cost import costs_of, require_countable
from crm_pipeline.ratelimit.decision import Amounts, Refusal, Verdict, Wants, apply_report
from crm_pipeline.ratelimit.fair_share import Request, headroom_of
from crm_pipeline.ratelimit.flusher import Flusher
from crm_pipeline.ratelimit.ledger import LEASE_MS
from crm_pipeline.ratelimit.ledger_rows import Rows
from crm_pipeline.ratelimit.ledger_state import warn
from crm_pipeline.ratelimit.limit_status import (
    Forgotten,
    LimitStatus,
    exhausted,
    forget_counts,
    status_of,
)
from crm_pipeline.ratelimit.limits import Limit, is_countable
from crm_pipeline.ratelimit.permit_pool import Delta, PermitPool
from crm_pipeline.ratelimit.reservation import NotNow, Reservation, not_now
from crm_pipeline.ratelimit.usage import DayUsage, UsageCounts
from crm_pipeline.ratelimit.vendor_counters import VendorCounters
from crm_pipeline.store.postgres.database import Database

__all__ = ["LimitStatus", "NotNow", "RateLimiter", "Reservation"]

_RENEWED_AFTER_S = LEASE_MS / 4000
_LOOKED_AFTER_S = 0.25
_WRITTEN_AFTER_S = 1.0
_TRIES = 4  # another thread may take what was granted to one that does not wait


class RateLimiter:
    """Grants permits; safe with threads, and shared by all processes on the same database.

    Args:
        database: with the ledgers.
        clock: sleeps.
        waits: whether `permit` and `reserve` wait; otherwise they raise `WouldWait` where a permit is not free at once.
    """

    def __init__(self, database: Database, clock: Clock, *, waits: bool = True) -> None:
        self._database = database
        self._clock = clock
        self._waits = waits
        self._lock = threading.Lock()
        self._reset()
        atexit.register(self.close)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._pools: dict[tuple[str, str, tuple[Limit, ...]], PermitPool] = {}
        self._flusher = Flusher(self._flush_due)
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

        The call must be made inside the `with`. It counts until one window after its end, whether it
        succeeds or not.

        Args:
            group: the connections that share the limits (`limit_group` of a connection).
            limits: of the group; a call may fall under some of them only.
            cost: of the call: one number for every limit, or numbers by the limit's name. A limit that is
                not named costs 1; 0 is for a limit that the call does not fall under.
            member: the connection that asks; by default the group itself.

        Raises:
            BudgetExhausted: a daily or monthly limit is spent; `wait_s` says when to try again.
            WouldWait: a permit is not free at once, and this limiter does not wait.
            ConfigError: a limit is not positive, or the call costs more than a limit allows.
        """
        with self.reserve(group, limits, cost, member=member) as reservation:
            yield reservation.waited_s

    @contextlib.contextmanager
    def reserve(
        self,
        group: str,
        limits: Sequence[Limit],
        most: int | Mapping[str, int] = 1,
        *,
        member: str = "",
    ) -> Iterator[Reservation]:
        """Wait as `permit` does, for a call whose cost is known only after its reply.

        The most that it may cost is held. `Reservation.settle` says what it did cost, inside the `with`; the
        rest goes back to the others. A call that is not settled costs the most, and so does one whose process
        dies.

        Args:
            group: as for `permit`.
            limits: as for `permit`.
            most: the most that the call may cost, as `cost` of `permit`.
            member: as for `permit`.

        Raises:
            BudgetExhausted: as for `permit`.
            WouldWait: as for `permit`.
            ConfigError: as for `permit`.
        """
        pool = self._pool(group, member, tuple(limits))
        costs = costs_of(group, pool.limits, most)
        reservation = Reservation(pool.limits, costs)
        if any(costs) and self._waits:
            reservation.waited_s = self._acquire(pool, costs)
        elif any(costs):
            self._require_now(pool, costs)
        with self._held(pool, reservation):
            yield reservation

    @contextlib.contextmanager
    def try_reserve(
        self,
        group: str,
        limits: Sequence[Limit],
        most: int | Mapping[str, int] = 1,
        *,
        member: str = "",
    ) -> Iterator[Reservation | NotNow]:
        """Reserve as `reserve` does if it is possible at once, and yield `NotNow` instead of waiting or raising.

        Nothing is kept for a caller that gets `NotNow`: those that wait go first.

        Raises:
            ConfigError: as for `permit`.
        """
        pool = self._pool(group, member, tuple(limits))
        costs = costs_of(group, pool.limits, most)
        refused = self._try_acquire(pool, costs) if any(costs) else None
        if refused:
            yield not_now(pool.limits, refused)
            return
        reservation = Reservation(pool.limits, costs)
        with self._held(pool, reservation):
            yield reservation

    def observe(self, group: str, name: str, used: int, allowed: int, *, member: str = "") -> None:
        """Enter the vendor's own counter, which overrules ours where it is higher.

        Cheap enough for every response. A daily counter is written once a second, every 50 calls, or past
        80 %; until then the stored figure may be up to 50 calls behind. A counter of a shorter window is reported with
        the next contact; calls that others made count until they have left the window. A counter that cannot
        be true is ignored.

        Args:
            group: limit group.
            name: of the limit.
            used: the vendor's count of the current window or day.
            allowed: the vendor's own limit.
            member: the connection that made the call.
        """
        if not is_countable(used, allowed):
            warn(group, name, ["a counter of the vendor"])
            return
        self._reset_after_fork()
        location = self._pool_with_limit(group, name, member or group)
        if location:
            pool, index = location
            pool.observe(index, used, allowed, time.monotonic())
        elif self._vendor_counters.observe(group, name, used, allowed):
            # The response is good even if its counter cannot be stored; the next permit reports the error.
            with contextlib.suppress(StoreError):
                self._vendor_counters.write()
            return
        self._flusher.wake()

    def record(
        self,
        group: str,
        operation: str,
        calls: int = 1,
        cost: int | None = None,
        *,
        member: str = "",
    ) -> None:
        """Count calls made, for the usage by day; written within a second or at `close`.

        Args:
            group: limit group.
            operation: the connector's name for the kind of call.
            calls: how many.
            cost: their cost in the vendor's unit; by default their number.
            member: the connection that made them; by default the group itself.
        """
        self._reset_after_fork()
        cost = calls if cost is None else cost
        if self._counts.add((group, member or group, operation), calls, cost):
            self._flusher.wake()

    def remaining(self, group: str, limits: Sequence[Limit], *, member: str = "") -> int | None:
        """Return what a member may still take of the daily and monthly limits among these; None if there are none.

        It is in the limit's unit, and the least of several limits: our share or the vendor's own limit,
        less what is used, and less what is reserved for the other members of the group.
        """
        shapes = {limit.name: limit for limit in limits if limit.refuses}
        left = {name: limit.calls for name, limit in shapes.items()}
        if not shapes:
            return None
        for row in self._database.done(lambda cursor: Rows(cursor).of_group(group)):
            limit = shapes.get(row.limit.name)
            if limit:
                row.ledger.settle(limit, row.now_ms)
                request = Request(limit, row.ledger, member or group, 0, row.now_ms)
                left[row.limit.name] = max(0, headroom_of(request).available)
        return min(left.values())

    def usage(self, group: str | None = None) -> list[LimitStatus]:
        """Return the status of the limits of one group or of all."""
        rows = self._database.done(lambda cursor: Rows(cursor).of_group(group))
        for row in rows:
            row.ledger.settle(row.limit, row.now_ms)
        return [status_of(row) for row in rows]

    def forget(self, group: str, *, counted: bool = True, reported: bool = True) -> list[Forgotten]:
        """Remove counts from the ledgers of a group's limits, and return them.

        Safe while calls are made: permits on lease stay, and calls that end from now on count.

        Args:
            group: limit group.
            counted: forget our own count.
            reported: forget the vendor's own counters; its next response reports them again.
        """

        def work(cursor: Cursor) -> list[Forgotten]:
            rows = Rows(cursor).locked_of(group)
            forgotten = [forget_counts(row, counted=counted, reported=reported) for row in rows]
            Rows(cursor).write(rows, [row.limit for row in rows])
            return forgotten

        return self._database.done(work)

    def usage_by_day(self, group: str | None = None, days: int | None = None) -> list[DayUsage]:
        """Return the counts of `record`, of the last `days` days or of all."""
        self._counts.flush()
        return self._counts.by_day(group, days)

    def flush(self) -> None:
        """Write all counts and counters, and give back the permits taken in advance."""
        self._reset_after_fork()
        self._vendor_counters.write()
        self._counts.flush()
        for pool in list(self._pools.values()):
            self._contact(pool, at=math.inf)

    def close(self) -> None:
        """Flush and end, even if the database is gone or full."""
        atexit.unregister(self.close)
        self._flusher.end()
        if self._pid == os.getpid():
            with contextlib.suppress(StoreError):
                self.flush()

    def _reset_after_fork(self) -> None:
        """Start with empty state in a forked child, which must not spend its parent's permits."""
        if self._pid != os.getpid():
            self._lock = threading.Lock()
            self._reset()

    def _pool(self, group: str, member: str, limits: tuple[Limit, ...]) -> PermitPool:
        self._reset_after_fork()
        with self._lock:
            pool = self._pools.get((group, member, limits))
            if pool is None:
                require_countable(group, limits)
                pool = self._pools[group, member, limits] = PermitPool(group, limits, member)
        return pool

    def _pool_with_limit(self, group: str, name: str, member: str) -> tuple[PermitPool, int] | None:
        """Return a pool, the member's if it has one, with the index of its limit of this name that does not refuse."""
        other = None
        # The latest first: limits change when the vendor reports its own.
        for pool in reversed(list(self._pools.values())):
            if pool.group == group and (pool.member == member or other is None):
                for index, limit in enumerate(pool.limits):
                    if limit.name == name and not limit.refuses:
                        if pool.member == member:
                            return pool, index
                        other = pool, index
        return other

    @contextlib.contextmanager
    def _held(self, pool: PermitPool, reservation: Reservation) -> Iterator[None]:
        process = os.getpid()
        try:
            yield
        finally:
            held, costs = reservation.held, reservation.costs
            # A child process forked inside the block must not give back the parent's permit.
            is_ours = process == os.getpid() and any((*held, *costs))
            if is_ours and pool.reply(held, time.monotonic(), costs):
                self._flusher.wake()

    def _require_now(self, pool: PermitPool, costs: Amounts) -> None:
        """Take permits if there are enough now; raise otherwise."""
        verdict = self._try_acquire(pool, costs)
        if verdict is None:
            return
        if verdict.refusal:
            raise self._exhausted(pool, verdict.refusal)
        short = not_now(pool.limits, verdict)
        named = f" under the limit {short.limit}" if short.limit else ""
        raise WouldWait(
            f"{pool.member}: no permit is free{named} for {short.wait_s:,.1f} s; other calls of "
            f"{pool.group} hold them.",
            wait_s=short.wait_s,
            limit=short.limit,
        )

    def _try_acquire(self, pool: PermitPool, costs: Amounts) -> Verdict | None:
        """Take permits if there are enough now; return None, or the verdict that gave too few."""
        verdict = Verdict(costs)
        for _ in range(_TRIES):
            with pool.changed:
                if pool.take(costs, time.monotonic()):
                    return None
            if not any(verdict.granted):
                break
            verdict = self._contact(pool, costs, is_patient=False)
        return verdict

    def _acquire(self, pool: PermitPool, costs: Amounts) -> float:
        started = time.monotonic()
        with pool.changed:
            pool.want(costs)
            try:
                while not pool.take(costs, time.monotonic()):
                    if pool.is_contacting:
                        pool.changed.wait()
                    else:
                        self._ask(pool, costs)
            finally:
                pool.want_no_more(costs)
        return time.monotonic() - started

    def _ask(self, pool: PermitPool, costs: Amounts) -> None:
        """Request permits for all threads of this process, and sleep for them; the caller holds `changed`."""
        pool.is_contacting = True
        pool.changed.release()
        try:
            verdict = self._contact(pool, costs)
            if verdict.refusal:
                raise self._exhausted(pool, verdict.refusal)
            if verdict.is_for_slot:
                pool.wait_for_reply(verdict.wait_s)
            elif verdict.wait_s:
                self._clock.sleep(verdict.wait_s)
        finally:
            pool.changed.acquire()
            pool.is_contacting = False
            pool.changed.notify_all()

    def _contact(
        self,
        pool: PermitPool,
        need: Amounts | None = None,
        at: float | None = None,
        *,
        is_patient: bool = True,
    ) -> Verdict:
        with pool.contact:
            now = time.monotonic()
            wants = pool.wants(need, now, is_patient=is_patient) if need else None
            delta = pool.delta(now if at is None else at)
            try:
                verdict = self._exchange(pool, delta, wants, now)
            except BaseException:
                pool.failed(delta)
                raise
            pool.done(delta, verdict.granted, time.monotonic())
            if any(verdict.granted):
                self._flusher.wake()
            return verdict

    def _exchange(
        self, pool: PermitPool, delta: Delta, wants: Wants | None, reported_at: float
    ) -> Verdict:
        def work(cursor: Cursor) -> Verdict:
            rows = Rows(cursor).locked(pool.group, pool.limits)
            accounts = [
                (limit, row.ledger, row.now_ms)
                for limit, row in zip(pool.limits, rows, strict=True)
            ]
            verdict = apply_report(
                accounts, delta.report(pool.lease, pool.member, reported_at), wants
            )
            if wants or not delta.is_empty:
                Rows(cursor).write(rows, pool.limits)
            return verdict

        # If it is done twice because a reply was lost, calls count twice: too many, never too few.
        return self._database.done(work)

    def _exhausted(self, pool: PermitPool, refusal: Refusal) -> BudgetExhausted:
        limit = next(limit for limit in pool.limits if limit.name == refusal.limit)
        state = next(row for row in self.usage(pool.group) if row.name == limit.name)
        return exhausted(limit, refusal, state, self._clock.now(), pool.member)

    def _flush_due(self) -> float | None:
        """Write what is due; return the seconds until more is due, None if nothing is left."""
        now = time.monotonic()
        due = []
        for pool in list(self._pools.values()):
            if pool.has_report(now) or (pool.is_due(now, _RENEWED_AFTER_S)):
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
