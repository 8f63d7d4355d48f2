"""The body of an answer, read to its end and unpacked.

urllib3 unpacks a gzip in pieces of 10 KB through Python, which for a page of 200 KB takes longer than all the
rest of a request. Here it is unpacked in one piece, by ISA-L.
"""

from typing import Any

import requests
from isal import isal_zlib
from urllib3.exceptions import DecodeError

_GZIP = frozenset({"gzip", "x-gzip"})
_PLAIN = frozenset({"", "identity"})
_GZIP_WRAPPED = 31  # the greatest window, and a header and trailer of gzip around it
_DEFECT: Any = isal_zlib.error


def load(response: requests.Response) -> None:
    """Read an answer that was asked for as a stream, so that `content` has its body unpacked.

    Raises:
        requests.exceptions.RequestException: it did not arrive whole.
        urllib3.exceptions.HTTPError: it did not arrive whole, or is no gzip although it says so.
    """
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding in _GZIP | _PLAIN:
        received = response.raw.read(decode_content=False)
        response.raw = _Whole(_unpacked(received) if coding in _GZIP else received)
    response.content  # noqa: B018 - reading it keeps it


class _Whole:
    """A body that is here: it comes in one piece, however small the pieces are that are asked for."""

    def __init__(self, body: bytes) -> None:
        self._left = body

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002 - in one piece
        body, self._left = self._left, b""
        return body

    def close(self) -> None:
        """There is nothing to close: the connection is free already."""


def _unpacked(received: bytes) -> bytes:
    """Return what one gzip holds, or several one behind the other."""
    members = []
    while received:
        unpacker = isal_zlib.decompressobj(_GZIP_WRAPPED)
        try:
            members.append(unpacker.decompress(received))
        except _DEFECT as error:
            raise DecodeError(f"the answer is no gzip, although it says so: {error}") from None
        if not unpacker.eof:
            raise DecodeError("the answer is a gzip that ends in its middle")
        received = unpacker.unused_data.lstrip(b"\0")
    return b"".join(members)
