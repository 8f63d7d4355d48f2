"""Bounds for one SQL statement: time, and memory beyond what DuckDB itself counts."""

import contextlib
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import duckdb
import psutil

_BESIDE_DUCKDB = 512 << 20


class Deadline:
    """Interrupts a connection that has worked for longer than allowed.

    Only time inside `running` counts, not the time in between in which rows go to a slow pipe.

    Args:
        connection: to be interrupted.
        seconds: how long it may work in all; None for no bound.
        overdue: called from another thread where the interruption has no effect in time, as in the
            middle of one call of a function on a huge text.
        grace_s: how long the interruption may take.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        seconds: float | None,
        overdue: Callable[[], object] = lambda: None,
        *,
        grace_s: float = 5.0,
    ) -> None:
        self._connection = connection
        self._left_s = seconds
        self._overdue = overdue
        self._grace_s = grace_s
        self.is_over = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of this block, and interrupt the connection when it is used up."""
        if self._left_s is None:
            yield
            return
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(ended, self._left_s), daemon=True)
        began_s = time.monotonic()
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
            self._left_s -= time.monotonic() - began_s

    def _watch(self, ended: threading.Event, left_s: float) -> None:
        if ended.wait(max(0.0, left_s)):
            return
        self.is_over = True
        self._connection.interrupt()
        if not ended.wait(self._grace_s):
            self._overdue()


@contextmanager
def memory_limit(memory_mb: int) -> Iterator[None]:
    """Bound the memory that this process may allocate beyond what it has.

    DuckDB's own limit does not count the values of a single row: `repeat('x', 3000000000)` takes six gigabytes
    under any limit. Where an allocation fails, DuckDB reports too little memory, as at its own limit.

    Args:
        memory_mb: DuckDB's own limit; rows that pass through Python come on top.
    """
    # Linux only: macOS and others have no figure that fits this limit.
    used = getattr(psutil.Process().memory_info(), "data", None)
    if used is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used + 2 * (memory_mb << 20) + _BESIDE_DUCKDB
    unlimited = resource.RLIM_INFINITY
    allowed = min(limit for limit in (wanted, soft, hard) if limit != unlimited)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
