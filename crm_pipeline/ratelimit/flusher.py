"""A background thread that runs only while there is something to write.

It does not know what it writes: the limiter gives it one function.
"""

import threading
from collections.abc import Callable

import psycopg2

from crm_pipeline.kernel.errors import CrmError

_GATHERED_S = 0.05  # wake-ups within this time are handled together
_REST_S = 2.0


class Flusher:
    """Calls `work` soon after each `wake`, and again after the time that `work` returns.

    Args:
        work: does what is due; returns the seconds until more is due, None if nothing is left. Its errors
            are dropped: the next caller that needs the database gets the same.
    """

    def __init__(self, work: Callable[[], float | None]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._wake_up = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Start the thread, or wake it, because there is something to do."""
        self._wake_up.set()
        if self._is_running() or self._ended.is_set():
            return
        with self._lock:
            if not self._is_running():
                # A daemon, so that a program that forgets to close still ends.
                self._thread = threading.Thread(target=self._run, name="crm-gate", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """Stop the thread; return when its current work is over."""
        self._ended.set()
        self._wake_up.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=10)

    def _is_running(self) -> bool:
        thread = self._thread
        return thread is not None and thread.is_alive()

    def _run(self) -> None:
        rest_s = _REST_S
        while True:
            is_woken = self._wake_up.wait(rest_s)
            if is_woken:
                self._ended.wait(_GATHERED_S)
                self._wake_up.clear()
            if self._ended.is_set():
                return
            try:
                due_s = self._work()
            except (CrmError, psycopg2.Error):
                due_s = _REST_S
            if due_s is None and not is_woken:
                with self._lock:
                    if not self._wake_up.is_set():
                        self._thread = None
                        return
            rest_s = due_s or _REST_S
