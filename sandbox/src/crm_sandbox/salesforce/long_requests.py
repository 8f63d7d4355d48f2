"""Requests that take long: how many of them the org carries at once."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from crm_sandbox.clock import SandboxClock
from crm_sandbox.salesforce.errors import ApiError

_GLANCE_S = 0.02


class LongRequests:
    """Hold requests on order, and refuse a long one when too many are held already.

    Args:
        clock: measures how long a request is held.

    Attributes:
        maximum: how many long requests may run at once; short ones are never refused.
        threshold_s: from how many seconds on a request is long.
    """

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._change = threading.Condition()
        self._running = 0
        self._closed = threading.Event()
        self.maximum = 25
        self.threshold_s = 20.0

    @contextmanager
    def held(self, seconds: float) -> Iterator[None]:
        """Let the sandbox's clock move on by some seconds before the block runs.

        Raises:
            ApiError: it would be long, and as many as may be are running.
        """
        is_long = seconds >= self.threshold_s
        with self._change:
            if is_long and self._running >= self.maximum:
                raise ApiError(
                    403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."
                )
            self._running += is_long
            self._change.notify_all()
        try:
            self._wait(seconds)
            yield
        finally:
            with self._change:
                self._running -= is_long
                self._change.notify_all()

    def wait_until(self, running: int, timeout_s: float = 30.0) -> bool:
        """Wait until so many long requests are running, and tell whether they are."""
        with self._change:
            return self._change.wait_for(lambda: self._running == running, timeout_s)

    def close(self) -> None:
        """Let every held request go on."""
        self._closed.set()

    def _wait(self, seconds: float) -> None:
        # A clock that is moved back would hold a request for ever, so real time counts as well.
        until, latest = self._clock.now() + timedelta(seconds=seconds), time.monotonic() + seconds
        while self._clock.now() < until and time.monotonic() < latest:
            if self._closed.wait(_GLANCE_S):
                return
