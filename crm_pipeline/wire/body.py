"""Read the body of a response to its end and unpack it, within bounds of bytes and time.

urllib3 unpacks a gzip in pieces of 10 KB through Python, which for a page of 200 KB takes longer than all the
rest of a request. Here ISA-L unpacks it in large pieces. The length that the vendor announces is not trusted:
bytes are counted as they arrive, packed and unpacked.
"""

import re
from collections.abc import Iterator
from typing import Any

import requests
from isal import isal_zlib
from urllib3.exceptions import DecodeError

from crm_pipeline.settings.bounds import Bounds
from crm_pipeline.wire.bounds import Allowance, TooLarge
from crm_pipeline.wire.transport import bounded

_GZIP = frozenset({"gzip", "x-gzip"})
_PLAIN = frozenset({"", "identity"})
_GZIP_WRAPPED = 31  # the largest window, with gzip's header and trailer
_DEFECT: Any = isal_zlib.error
_PIECE_BYTES = 1 << 18
# Servers that pack block by block use at least 64 KB for each, and no response is that large.
_MOST_MEMBERS = 10_000
_PADDING = re.compile(rb"\0*")


def load(response: requests.Response, bounds: Bounds) -> None:
    """Read a streamed response to its end, so that `content` is its unpacked body.

    Raises:
        TooLarge, TooSlow: the body exceeds its bounds; reading has stopped.
        requests.exceptions.RequestException: the body did not arrive whole.
        urllib3.exceptions.HTTPError: it did not arrive whole, or is not the gzip that the header names.
    """
    allowance = Allowance(bounds.answer_bytes, bounds.answer_s)
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding in _GZIP | _PLAIN:
        received = b"".join(pieces(response, allowance))
        unpacked = _unpacked(received, bounds.answer_bytes) if coding in _GZIP else received
    else:
        unpacked = b"".join(_decoded(response, allowance))
    response.raw = _Whole(unpacked)
    response.content  # noqa: B018 - reading it keeps it


def pieces(response: requests.Response, allowance: Allowance) -> Iterator[bytes]:
    """Yield the body as received, piece by piece as it arrives.

    Raises:
        TooLarge, TooSlow: the body exceeds the allowance.
        urllib3.exceptions.HTTPError: the body ended before its announced length.
    """
    bounded(response.raw, allowance)
    while piece := response.raw.read1(_PIECE_BYTES, decode_content=False):
        allowance.take(len(piece))
        yield piece


def _decoded(response: requests.Response, allowance: Allowance) -> Iterator[bytes]:
    """Yield the unpacked pieces of a body in another coding, by way of urllib3."""
    bounded(response.raw, allowance)
    while piece := response.raw.read1(_PIECE_BYTES, decode_content=True):
        allowance.take(len(piece))
        yield piece


class _Whole:
    """A body that was read: `read` returns all of it at once, whatever size it is asked for."""

    def __init__(self, body: bytes) -> None:
        self._left = body

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002 - in one piece
        body, self._left = self._left, b""
        return body

    def close(self) -> None:
        """Do nothing: the connection is free already."""


def _unpacked(received: bytes, limit: int) -> bytes:
    """Return the content of one gzip member, or of several in a row.

    Raises:
        TooLarge: the content is longer than `limit` bytes; no more than those were unpacked.
    """
    parts: list[bytes] = []
    offset, left = 0, limit
    for _ in range(_MOST_MEMBERS):
        if offset == len(received):
            return b"".join(parts)
        unpacker = isal_zlib.decompressobj(_GZIP_WRAPPED)
        while not unpacker.eof:
            # Piece by piece, because the bytes behind a member are copied.
            piece = received[offset : offset + _PIECE_BYTES]
            if not piece:
                raise DecodeError("the answer is a gzip that ends in its middle")
            try:
                # One byte more than allowed shows that there is more.
                parts.append(unpacker.decompress(piece, left + 1))
            except _DEFECT as error:
                raise DecodeError(f"the answer is no gzip, although it says so: {error}") from None
            left -= len(parts[-1])
            if left < 0:
                raise TooLarge(f"it is larger than {limit // 1_000_000:,} MB")
            offset += len(piece) - len(unpacker.unused_data)
        padding = _PADDING.match(received, offset)
        offset = padding.end() if padding else offset
    raise DecodeError(f"the answer is a gzip of more than {_MOST_MEMBERS:,} parts")
