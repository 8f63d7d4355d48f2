"""Many processes under one gate in simulated time: real desks and accounts, no threads, no database.

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

from crm_pipeline.store.attendant import _GATHERED_S
from crm_pipeline.store.budget import LEASE_MS, Book, LimitShape, News, Verdict, entered
from crm_pipeline.store.desk import Desk

_LOOKED_AFTER_S = 0.25


@dataclass
class World:
    """What is simulated.

    Attributes:
        latency_s: bounds of a call's duration; it arrives at a random moment in between.
        contact_s: bounds of the time that a contact takes.
        clock_s: what the database's clock shows beside the true time; may be changed at will.
        arrived: when which weight arrived at the vendor.
    """

    limits: Sequence[LimitShape]
    seed: int = 7
    latency_s: tuple[float, float] = (0.05, 0.35)
    contact_s: tuple[float, float] = (0.001, 0.006)
    now: float = 0.0
    clock_s: float = 1_000.0
    arrived: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.limits = sorted(self.limits, key=lambda limit: limit.name)
        self._books = ["{}" for _ in self.limits]
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + seconds, next(self._numbers), what))

    def run(self, until: float) -> None:
        while self._due and self._due[0][0] <= until:
            self.now, _, what = heapq.heappop(self._due)
            what()
        self.now = until

    def settled(self, news: News, need: int, wish: int) -> Verdict:
        """Do what the database's transaction does."""
        now_ms = int((self.now + self.clock_s) * 1000)
        books = [Book.read(json.loads(text)) for text in self._books]
        accounts = [(limit, book, now_ms) for limit, book in zip(self.limits, books, strict=True)]
        verdict = entered(accounts, news, need, wish)
        self._books = [json.dumps(book.written()) for book in books]
        return verdict


class Process:
    """A process whose callers want permits of these weights, one after the other."""

    def __init__(self, world: World, weights: Sequence[int], callers: int) -> None:
        self.world = world
        self.desk = Desk("simulated", world.limits)
        self.is_alive = True
        self._weights = itertools.cycle(weights)
        self._waiting: deque[int] = deque()
        self._contacts: deque[tuple[int, Callable[[Verdict], None]]] = deque()
        self._is_asking = False
        for _ in range(callers):
            self._come()
        self._look()

    def kill(self) -> None:
        self.is_alive = False

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self.world.after(seconds, lambda: what() if self.is_alive else None)

    def _come(self) -> None:
        weight = next(self._weights)
        self._waiting.append(weight)
        self.desk.want(weight)
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self.desk.take(self._waiting[0], self.world.now):
            weight = self._waiting.popleft()
            self.desk.want(-weight)
            self._call(weight)
        if self._waiting and not self._is_asking:
            self._is_asking = True
            self._contact(self._waiting[0], self._answered)

    def _call(self, weight: int) -> None:
        length = self.world.random.uniform(*self.world.latency_s)
        arrives = self.world.random.uniform(0, length)
        self.world.after(
            arrives, lambda: self.world.arrived.append((self.world.now, weight))
        )  # also if the process is killed meanwhile
        self._later(length, lambda: self._replied(weight))

    def _replied(self, weight: int) -> None:
        if self.desk.reply(weight, self.world.now):
            self._later(_GATHERED_S, lambda: self._contact(0, lambda _: None))
        self._come()

    def _answered(self, verdict: Verdict) -> None:
        def go_on() -> None:
            self._is_asking = False
            self._serve()

        if verdict.wait_s:
            self._later(verdict.wait_s, go_on)
        else:
            go_on()

    def _look(self) -> None:
        if self.desk.has_news(self.world.now) or self.desk.is_due(self.world.now, LEASE_MS / 4000):
            self._contact(0, lambda _: None)
        self._later(_LOOKED_AFTER_S, self._look)

    def _contact(self, need: int, then: Callable[[Verdict], None]) -> None:
        self._contacts.append((need, then))
        if len(self._contacts) == 1:
            self._begin_contact()

    def _begin_contact(self) -> None:
        need, then = self._contacts[0]
        told_at = self.world.now
        wish = self.desk.wish(need, told_at) if need else 0
        delta = self.desk.delta(told_at)
        ago = tuple((told_at - moment, weight) for moment, weight in delta.replied)
        news = News(self.desk.lease, ago, delta.kept)

        def decide() -> None:
            verdict = self.world.settled(news, need, wish)
            self._later(self.world.random.uniform(*self.world.contact_s) / 2, lambda: end(verdict))

        def end(verdict: Verdict) -> None:
            self.desk.done(delta, verdict.granted, self.world.now)
            self._contacts.popleft()
            if self._contacts:
                self._begin_contact()
            then(verdict)

        self._later(self.world.random.uniform(*self.world.contact_s) / 2, decide)
