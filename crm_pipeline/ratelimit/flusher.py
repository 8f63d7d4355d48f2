"""A background thread that is there only while there is something to tell.

It knows nothing of what it tells: the limiter gives it one function.
"""

import threading
from collections.abc import Callable

import psycopg2

from crm_pipeline.kernel.errors import CrmError

_GATHERED_S = 0.05  # what comes within this span is told together
_REST_S = 2.0


class Flusher:
    """Calls `work` soon after each `ring`, and again when `work` says.

    Args:
        work: does what is due; returns after how many seconds there will be more, None if nothing
            is left. What it raises is dropped: whoever needs the database next gets the same.
    """

    def __init__(self, work: Callable[[], float | None]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def ring(self) -> None:
        """Say that there is something to do."""
        self._bell.set()
        if self._is_there() or self._ended.is_set():
            return
        with self._lock:
            if not self._is_there():
                # A daemon: a program that forgets to close must end nevertheless.
                self._thread = threading.Thread(target=self._run, name="crm-gate", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """Stop working; return when the last piece of work is over."""
        self._ended.set()
        self._bell.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=10)

    def _is_there(self) -> bool:
        thread = self._thread
        return thread is not None and thread.is_alive()

    def _run(self) -> None:
        rest_s = _REST_S
        while True:
            rung = self._bell.wait(rest_s)
            if rung:
                self._ended.wait(_GATHERED_S)
                self._bell.clear()
            if self._ended.is_set():
                return
            try:
                due_s = self._work()
            except (CrmError, psycopg2.Error):
                due_s = _REST_S
            if due_s is None and not rung:
                with self._lock:
                    if not self._bell.is_set():
                        self._thread = None
                        return
            rest_s = due_s or _REST_S
