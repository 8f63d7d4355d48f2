"""A task that is repeated in the background, such as sending deliveries that are due."""

import threading
from collections.abc import Callable


class Repeating:
    """Repeats a task every few seconds in a thread, from `begin` until `close`.

    Args:
        name: of the thread.
        every_s: the pause between two calls.
        do: the task.
    """

    def __init__(self, name: str, every_s: float, do: Callable[[], object]) -> None:
        self._name = name
        self._every_s = every_s
        self._do = do
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start the thread, unless it runs."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._repeat, daemon=True, name=self._name)
                self._thread.start()

    def close(self) -> None:
        """Stop; a task that is running has ten seconds to end."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _repeat(self) -> None:
        while not self._closed.wait(self._every_s):
            self._do()
