"""Something that is done again and again in the background, such as sending what falls due."""

import threading
from collections.abc import Callable


class Repeating:
    """A thread that does one thing every so many seconds, from its first need until the end.

    Args:
        name: of the thread.
        every_s: the pause between two times.
        do: what is done.
    """

    def __init__(self, name: str, every_s: float, do: Callable[[], object]) -> None:
        self._name = name
        self._every_s = every_s
        self._do = do
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Begin, unless it has begun."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._repeat, daemon=True, name=self._name)
                self._thread.start()

    def close(self) -> None:
        """Do it no more; what is being done may take some seconds to end."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _repeat(self) -> None:
        while not self._closed.wait(self._every_s):
            self._do()
