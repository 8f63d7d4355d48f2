"""Limits that an emulated vendor enforces: rolling windows, daily amounts, calls at once."""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager


class Rolling:
    """Limits the weight of calls within a rolling window; refused calls do not count.

    Args:
        calls: the limit.
        period_s: the length of the window.
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
        """Count a call and return True; return False where it would exceed the limit."""
        with self._lock:
            now = self._forget()
            if self._used + weight > self.calls:
                return False
            self._arrived.append((now, weight))
            self._used += weight
            return True

    @property
    def used(self) -> int:
        """The weight in the window."""
        with self._lock:
            self._forget()
            return self._used

    @property
    def remaining(self) -> int:
        """What is left of the limit now."""
        return max(0, self.calls - self.used)

    @property
    def reset_s(self) -> float:
        """Seconds until the oldest call leaves the window; 0 where it is empty."""
        with self._lock:
            now = self._forget()
            return self._arrived[0][0] + self.period_s - now if self._arrived else 0.0

    def _forget(self) -> float:
        now = self._now()
        while self._arrived and self._arrived[0][0] <= now - self.period_s:
            self._used -= self._arrived.popleft()[1]
        return now


class Daily:
    """Limits an amount by the day.

    Args:
        amount: the limit.
        day: returns the present day in any form; the amount is whole again when it differs.
    """

    def __init__(self, amount: int, day: Callable[[], Hashable]) -> None:
        self.amount = amount
        self._day = day
        self._lock = threading.Lock()
        self._of = day()
        self._used = 0

    def take(self, weight: int = 1) -> bool:
        """Spend and return True; return False where it would exceed the limit."""
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
    """Limits calls that are under way at the same time."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self._lock = threading.Lock()
        self.under_way = 0

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Count a call inside the block; yield False where there are too many already."""
        with self._lock:
            is_in = self.under_way < self.calls
            self.under_way += is_in
        try:
            yield is_in
        finally:
            with self._lock:
                self.under_way -= is_in
