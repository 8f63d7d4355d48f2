"""A cache of response bodies, so that a benchmark measures the client and not the sandbox."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from isal import igzip, isal_zlib

_GZIP_WRAPPED = 31  # the greatest window, and a header and trailer of gzip around it


class AnswerCache:
    """Keeps gzipped bodies by request and revision; drops the least recently used ones first.

    Args:
        most_bytes: the limit of all kept bodies, gzipped.
    """

    def __init__(self, most_bytes: int = 256 << 20) -> None:
        self._most = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[int, bytes]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, revision: int, make: Callable[[], bytes]) -> bytes:
        """Return the body for a request; make it where there is none of this revision."""
        body: bytes = isal_zlib.decompress(self.packed(key, revision, make), _GZIP_WRAPPED)
        return body

    def packed(self, key: Hashable, revision: int, make: Callable[[], bytes]) -> bytes:
        """Return the same body gzipped."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept[0] == revision:
                self._kept.move_to_end(key)
                return kept[1]
        body: bytes = igzip.compress(make(), compresslevel=1, mtime=0)
        with self._lock:
            before = self._kept.pop(key, None)
            self._bytes += len(body) - (len(before[1]) if before else 0)
            self._kept[key] = (revision, body)
            while self._bytes > self._most and len(self._kept) > 1:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._bytes -= len(dropped)
        return body
