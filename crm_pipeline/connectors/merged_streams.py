"""Several streams as one, each made in a thread of its own: while one waits for the vendor, others are read."""

import queue
import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
_STOP_LOOKS_S = 0.1


@dataclass(frozen=True)
class _End:
    """A stream is over: read to its end, or with what it raised."""

    error: BaseException | None = None


class _Merged(Generic[T]):
    def __init__(self, streams: tuple[Generator[T], ...]) -> None:
        self._ready: queue.Queue[T | _End] = queue.Queue(len(streams))
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(stream,), name=f"stream-{number}", daemon=True)
            for number, stream in enumerate(streams)
        ]

    def items(self) -> Generator[T]:
        for thread in self._threads:
            thread.start()
        try:
            running = len(self._threads)
            while running:
                found = self._ready.get()
                if not isinstance(found, _End):
                    yield found
                elif found.error is not None:
                    raise found.error
                else:
                    running -= 1
        finally:
            self._stopped.set()
            for thread in self._threads:
                thread.join()

    def _run(self, stream: Generator[T]) -> None:
        try:
            with closing(stream):
                for item in stream:
                    self._put(item)
                    if self._stopped.is_set():
                        return
            self._put(_End())
        except BaseException as error:  # noqa: BLE001 - raised where the items are read
            self._put(_End(error))

    def _put(self, item: T | _End) -> None:
        while not self._stopped.is_set():
            try:
                self._ready.put(item, timeout=_STOP_LOOKS_S)
            except queue.Full:
                continue
            return


def merged(*streams: Generator[T]) -> Generator[T]:
    """Yield what any of the streams has, as it comes.

    What one raises is raised here and ends the others; whoever closes it ends them all.
    """
    if len(streams) == 1:
        return streams[0]
    return _Merged(streams).items()
