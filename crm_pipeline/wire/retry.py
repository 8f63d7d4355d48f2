"""Decide which errors are retried, how long to wait, and when to stop.

Waiting grows exponentially with full jitter (https://aws.amazon.com/blogs/architecture/
exponential-backoff-and-jitter/). The vendor's Retry-After replaces the computed wait. A budget shared by all requests of
a connection keeps a broken vendor from being hammered: a retry costs one token, a success earns a
tenth.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import stamina
import structlog

from crm_pipeline.kernel.errors import Retriable, Throttled

T = TypeVar("T")
_log = structlog.get_logger(__name__)


class RetryBudget:
    """Tokens that retries spend and successes earn back; thread-safe."""

    def __init__(self, tokens: float = 20.0, earned_per_success: float = 0.1) -> None:
        self._capacity = tokens
        self._tokens = tokens
        self._earned = earned_per_success
        self._lock = threading.Lock()

    def spend(self) -> bool:
        """Take a token for one retry; False where none is left."""
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True

    def earn(self) -> None:
        """Give back a fraction of a token for a success."""
        with self._lock:
            self._tokens = min(self._capacity, self._tokens + self._earned)


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request is retried, and for how long.

    Attributes:
        attempts: tries in all, the first included.
        base_s, cap_s: the n-th wait is uniform over [0, min(cap_s, base_s * 2**(n - 1))].
        timeout_s: no further try starts after this long; a wait that would end later, even one that the
            vendor asks for, is not started.
        waits_for_limits: whether a request that the vendor throttled is tried again.
    """

    attempts: int = 6
    base_s: float = 0.5
    cap_s: float = 30.0
    timeout_s: float = 300.0
    waits_for_limits: bool = True
    budget: RetryBudget = field(default_factory=RetryBudget)
    uniform: Callable[[float, float], float] = random.uniform
    monotonic: Callable[[], float] = time.monotonic

    def wait_s(self, tries: int, error: Retriable) -> float:
        """Return how long to wait after the given number of failed tries."""
        if error.retry_after_s is not None:
            return max(0.0, error.retry_after_s) + self.uniform(0, 1)
        return self.uniform(0, min(self.cap_s, self.base_s * 2 ** (tries - 1)))

    def _most_attempts(self, error: Retriable) -> int:
        return min(self.attempts, error.most_attempts or self.attempts)

    def call(self, attempt: Callable[[], T]) -> T:
        """Call until it succeeds, fails for good, or time or budget is spent; return the result.

        Raises:
            Retriable: the last error, when time or budget is spent.
        """
        tries = 0
        started = self.monotonic()

        def is_retriable(error: Exception) -> bool | float:
            nonlocal tries
            tries += 1
            if not isinstance(error, Retriable) or tries >= self._most_attempts(error):
                return False
            if isinstance(error, Throttled) and not self.waits_for_limits:
                return False
            wait_s = self.wait_s(tries, error)
            if self.monotonic() - started + wait_s >= self.timeout_s:
                if error.retry_after_s is not None and error.retry_after_s >= self.timeout_s:
                    error.cure = f"{_too_long(error.retry_after_s, self.timeout_s)} {error.cure}"
                return False
            if not self.budget.spend():
                _log.info("retry_budget_spent", error=type(error).__name__)
                return False
            return wait_s

        for context in stamina.retry_context(
            on=is_retriable, attempts=self.attempts, timeout=self.timeout_s
        ):
            with context:
                result = attempt()
                self.budget.earn()
                return result
        raise AssertionError("unreachable")


def _too_long(stated_s: float, timeout_s: float) -> str:
    hours = f", {stated_s / 3600:.1f} hours" if stated_s >= 5400 else ""
    return (
        f"The next try is due in {stated_s:,.0f} s{hours}, and a call waits {timeout_s:,.0f} s at most here"
        " (CRM_PATIENCE_S for runs): run it again then."
    )
