"""Many processes under one limiter in simulated time: real pools and accounts, no threads, no database.

Time is in seconds. Every contact takes a while, in the middle of which the database decides; calls reach
the vendor some time after they begin. A killed process takes its permits and what it was about to tell
with it; its calls on the way still arrive.
"""

import heapq
import itertools
import json
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from crm_pipeline.ratelimit.decision import Amounts, Report, Verdict, Wants, apply_report
from crm_pipeline.ratelimit.flusher import _GATHERED_S
from crm_pipeline.ratelimit.ledger import LEASE_MS
from crm_pipeline.ratelimit.ledger_state import sound_ledger
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.ratelimit.permit_pool import PermitPool

_LOOKED_AFTER_S = 0.25


class Arrival(NamedTuple):
    """A call at the vendor; a foreign one's member is ""."""

    at: float
    member: str
    costs: Amounts


@dataclass
class World:
    """What is simulated.

    Attributes:
        latency_s: bounds of a call's duration; it arrives at a random moment in between.
        contact_s: bounds of the time that a contact takes.
        clock_s: what the database's clock shows beside the true time; may be changed at will.
        counters: the limits that the vendor states with each response, by name of the limit.
        arrived: calls at the vendor.
        most: the largest cost under way at once, by limit.
    """

    limits: Sequence[Limit]
    seed: int = 7
    latency_s: tuple[float, float] = (0.05, 0.35)
    contact_s: tuple[float, float] = (0.001, 0.006)
    now: float = 0.0
    clock_s: float = 1_000.0
    counters: dict[str, int] = field(default_factory=dict)
    arrived: list[Arrival] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.limits = sorted(self.limits, key=lambda limit: limit.name)
        self.most = [0] * len(self.limits)
        self._under_way = [0] * len(self.limits)
        self._ledgers = ["{}" for _ in self.limits]
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + seconds, next(self._numbers), what))

    def run(self, until: float) -> None:
        while self._due and self._due[0][0] <= until:
            self.now, _, what = heapq.heappop(self._due)
            what()
        self.now = until

    def now_ms(self) -> int:
        """What the database's clock shows."""
        return int((self.now + self.clock_s) * 1000)

    def exchange(self, report: Report, wants: Wants | None) -> Verdict:
        """Do what the database's transaction does."""
        now_ms = self.now_ms()
        ledgers = [sound_ledger(json.loads(text))[0] for text in self._ledgers]
        accounts = [
            (limit, ledger, now_ms) for limit, ledger in zip(self.limits, ledgers, strict=True)
        ]
        verdict = apply_report(accounts, report, wants)
        self._ledgers = [json.dumps(ledger.written()) for ledger in ledgers]
        return verdict

    def arrivals(self, name: str = "", member: str | None = None) -> list[tuple[float, int]]:
        """When which cost arrived under a limit (by default the first), of a member or of all."""
        index = [limit.name for limit in self.limits].index(name) if name else 0
        return sorted(
            (one.at, one.costs[index])
            for one in self.arrived
            if member in {None, one.member} and one.costs[index]
        )

    def begin(self, costs: Amounts, length: float) -> None:
        """Let a call begin that is under way for so long, whatever becomes of its process."""
        self._under_way = [a + b for a, b in zip(self._under_way, costs, strict=True)]
        self.most = list(map(max, self.most, self._under_way))
        self.after(length, lambda: self._end(costs))

    def _end(self, costs: Amounts) -> None:
        self._under_way = [a - b for a, b in zip(self._under_way, costs, strict=True)]

    def foreign(self, calls: int, costs: Amounts) -> None:
        """Let somebody else make calls now."""
        self.arrived.extend([Arrival(self.now, "", costs)] * calls)

    def counted(self, index: int) -> int:
        """The vendor's own count of the window that ends now."""
        start = self.now - self.limits[index].period_s
        latest = itertools.takewhile(lambda one: one.at > start, reversed(self.arrived))
        return sum(one.costs[index] for one in latest)


class Process:
    """A process whose callers want permits of these costs, one after the other.

    Args:
        costs: each one number for all limits, or one by limit in the order of their names.
        member: of the group.
        rest_s: bounds of what a caller does between two calls.
        settles: returns what a call costs in truth, which its process knows after the reply.
    """

    def __init__(
        self,
        world: World,
        costs: Sequence[int | Amounts],
        callers: int,
        member: str = "",
        rest_s: tuple[float, float] = (0.0, 0.0),
        settles: Callable[[Amounts], Amounts] = lambda held: held,
    ) -> None:
        self.world = world
        self.pool = PermitPool("simulated", world.limits, member)
        self.is_alive = True
        self.refused = 0
        self._costs = itertools.cycle(
            [(w,) * len(world.limits) if isinstance(w, int) else w for w in costs]
        )
        self.rest_s = rest_s
        self._settles = settles
        self._waiting: deque[Amounts] = deque()
        self._contacts: deque[tuple[Amounts | None, Callable[[Verdict], None]]] = deque()
        self._is_asking = False
        self._wake: Callable[[], None] = lambda: None
        for _ in range(callers):
            self._come()
        self._look()

    def kill(self) -> None:
        """End at once."""
        self.is_alive = False

    def finish(self) -> None:
        """Come to an end: calls under way are reported, no more are made."""
        self._costs = iter(())

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self.world.after(seconds, lambda: what() if self.is_alive else None)

    def _come(self) -> None:
        costs = next(self._costs, None)
        if costs is None:
            while self._waiting:
                self.pool.want_no_more(self._waiting.popleft())
            return
        self._waiting.append(costs)
        self.pool.want(costs)
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self.pool.take(self._waiting[0], self.world.now):
            costs = self._waiting.popleft()
            self.pool.want_no_more(costs)
            self._call(costs)
        if self._waiting and not self._is_asking:
            self._is_asking = True
            self._contact(self._waiting[0], self._answered)

    def _call(self, costs: Amounts) -> None:
        length = self.world.random.uniform(*self.world.latency_s)
        arrives = self.world.random.uniform(0, length)
        counts: list[tuple[int, int, int]] = []
        true = self._settles(costs)
        self.world.begin(costs, length)
        # also if the process is killed meanwhile
        self.world.after(arrives, lambda: self._arrived(true, counts))
        self._later(length, lambda: self._replied(costs, true, counts))

    def _arrived(self, costs: Amounts, counts: list[tuple[int, int, int]]) -> None:
        self.world.arrived.append(Arrival(self.world.now, self.pool.member, costs))
        for index, limit in enumerate(self.world.limits):
            if limit.name in self.world.counters:
                counts.append((index, self.world.counted(index), self.world.counters[limit.name]))

    def _replied(self, held: Amounts, true: Amounts, counts: list[tuple[int, int, int]]) -> None:
        if self.pool.reply(held, self.world.now, true):
            self._later(_GATHERED_S, lambda: self._contact(None, lambda _: None))
        self._wake()
        for index, used, ceiling in counts:
            self.pool.observe(index, used, ceiling, self.world.now)
        rest = self.world.random.uniform(*self.rest_s) if any(self.rest_s) else 0.0
        if rest:
            self._later(rest, self._come)
        else:
            self._come()

    def _answered(self, verdict: Verdict) -> None:
        is_over = False

        def go_on() -> None:
            nonlocal is_over
            if not is_over:
                is_over, self._wake = True, lambda: None
                self._is_asking = False
                self._serve()

        if verdict.is_for_slot:
            self._wake = go_on
        wait_s = verdict.wait_s
        if verdict.refusal:
            self.refused += 1
            wait_s = verdict.refusal.wait_s
        if wait_s:
            self._later(wait_s, go_on)
        else:
            go_on()

    def _look(self) -> None:
        if self.pool.has_report(self.world.now) or self.pool.is_due(
            self.world.now, LEASE_MS / 4000
        ):
            self._contact(None, lambda _: None)
        self._later(_LOOKED_AFTER_S, self._look)

    def _contact(self, need: Amounts | None, then: Callable[[Verdict], None]) -> None:
        self._contacts.append((need, then))
        if len(self._contacts) == 1:
            self._begin_contact()

    def _begin_contact(self) -> None:
        need, then = self._contacts[0]
        reported_at = self.world.now
        wants = self.pool.wants(need, reported_at) if need else None
        delta = self.pool.delta(reported_at)
        report = delta.report(self.pool.lease, self.pool.member, reported_at)

        def decide() -> None:
            verdict = self.world.exchange(report, wants)
            self._later(self.world.random.uniform(*self.world.contact_s) / 2, lambda: end(verdict))

        def end(verdict: Verdict) -> None:
            self.pool.done(delta, verdict.granted, self.world.now)
            self._contacts.popleft()
            if self._contacts:
                self._begin_contact()
            then(verdict)

        self._later(self.world.random.uniform(*self.world.contact_s) / 2, decide)
