"""Several streams as one; each runs in a thread of its own, so that others are read while one waits for the vendor."""

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
    """The end of a stream, with the error that it raised, if any."""

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
                item = self._ready.get()
                if not isinstance(item, _End):
                    yield item
                elif item.error is not None:
                    raise item.error
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
    """Yield the items of all streams in the order in which they arrive.

    The error of one stream is raised here and ends the others; closing the result ends them all.
    """
    if len(streams) == 1:
        return streams[0]
    return _Merged(streams).items()
