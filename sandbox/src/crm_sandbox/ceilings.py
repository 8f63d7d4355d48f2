"""Ceilings that a vendor really enforces: rolling windows, amounts by the day, calls at once."""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager


class Rolling:
    """So much weight within any span of so many seconds; what is refused does not count.

    Args:
        calls: the ceiling.
        period_s: the span.
        now: the clock, in seconds.
    """

    def __init__(
        self, calls: int, period_s: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.calls = calls
        self.period_s = period_s
        self._now = now
        self._lock = threading.Lock()
        self._arrived: deque[tuple[float, int]] = deque()
        self._used = 0

    def take(self, weight: int = 1) -> bool:
        """Count an arrival, unless it is one too many."""
        with self._lock:
            now = self._forget()
            if self._used + weight > self.calls:
                return False
            self._arrived.append((now, weight))
            self._used += weight
            return True

    @property
    def used(self) -> int:
        """The weight that counts now."""
        with self._lock:
            self._forget()
            return self._used

    @property
    def remaining(self) -> int:
        """What is left now."""
        return max(0, self.calls - self.used)

    @property
    def reset_s(self) -> float:
        """Seconds until the oldest arrival leaves the span; 0 where nothing counts."""
        with self._lock:
            now = self._forget()
            return self._arrived[0][0] + self.period_s - now if self._arrived else 0.0

    def _forget(self) -> float:
        now = self._now()
        while self._arrived and self._arrived[0][0] <= now - self.period_s:
            self._used -= self._arrived.popleft()[1]
        return now


class Daily:
    """An amount that begins anew with each day.

    Args:
        amount: the ceiling.
        day: names the present day; another name, another day.
    """

    def __init__(self, amount: int, day: Callable[[], Hashable]) -> None:
        self.amount = amount
        self._day = day
        self._lock = threading.Lock()
        self._of = day()
        self._used = 0

    def take(self, weight: int = 1) -> bool:
        """Spend, unless it is too much."""
        with self._lock:
            self._begin()
            if self._used + weight > self.amount:
                return False
            self._used += weight
            return True

    def spend(self, weight: int) -> None:
        """Spend without asking, as another app of the same account does."""
        with self._lock:
            self._begin()
            self._used += weight

    @property
    def used(self) -> int:
        """What was spent today."""
        with self._lock:
            self._begin()
            return self._used

    @property
    def remaining(self) -> int:
        """What is left today."""
        return max(0, self.amount - self.used)

    def _begin(self) -> None:
        today = self._day()
        if today != self._of:
            self._of, self._used = today, 0


class AtOnce:
    """So many calls under way at one time."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self._lock = threading.Lock()
        self.under_way = 0

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Be one of them inside the block; yields False where there are too many already."""
        with self._lock:
            is_in = self.under_way < self.calls
            self.under_way += is_in
        try:
            yield is_in
        finally:
            with self._lock:
                self.under_way -= is_in
