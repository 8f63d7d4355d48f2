"""The body of an answer: read to its end and unpacked, within bounds of bytes and time.

urllib3 unpacks a gzip in pieces of 10 KB through Python, which for a page of 200 KB takes longer than all the
rest of a request. Here it is unpacked in large pieces, by ISA-L. The vendor's word about the length of an answer,
packed or not, is a claim: bytes are counted as they come.
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
_GZIP_WRAPPED = 31  # the greatest window, and a header and trailer of gzip around it
_DEFECT: Any = isal_zlib.error
_PIECE_BYTES = 1 << 18
# Who packs block by block makes one of 64 KB at least, and no answer is that large.
_MOST_MEMBERS = 10_000
_PADDING = re.compile(rb"\0*")


def load(response: requests.Response, bounds: Bounds) -> None:
    """Read an answer that was asked for as a stream, so that `content` has its body unpacked.

    Raises:
        TooLarge, TooSlow: it exceeds its bounds; reading has stopped.
        requests.exceptions.RequestException: it did not arrive whole.
        urllib3.exceptions.HTTPError: it did not arrive whole, or is no gzip although it says so.
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
        TooLarge, TooSlow: it exceeds the allowance.
        urllib3.exceptions.HTTPError: it ended before its announced length.
    """
    bounded(response.raw, allowance)
    while piece := response.raw.read1(_PIECE_BYTES, decode_content=False):
        allowance.take(len(piece))
        yield piece


def _decoded(response: requests.Response, allowance: Allowance) -> Iterator[bytes]:
    """Yield a body in a coding that urllib3 knows, unpacked."""
    bounded(response.raw, allowance)
    while piece := response.raw.read1(_PIECE_BYTES, decode_content=True):
        allowance.take(len(piece))
        yield piece


class _Whole:
    """A body that is here: it comes in one piece, however small the pieces are that are asked for."""

    def __init__(self, body: bytes) -> None:
        self._left = body

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002 - in one piece
        body, self._left = self._left, b""
        return body

    def close(self) -> None:
        """There is nothing to close: the connection is free already."""


def _unpacked(received: bytes, most: int) -> bytes:
    """Return what one gzip holds, or several one behind the other.

    Raises:
        TooLarge: that is more than `most` bytes; no more than those were unpacked.
    """
    parts: list[bytes] = []
    place, left = 0, most
    for _ in range(_MOST_MEMBERS):
        if place == len(received):
            return b"".join(parts)
        unpacker = isal_zlib.decompressobj(_GZIP_WRAPPED)
        while not unpacker.eof:
            # Piece by piece: what lies behind a member is copied.
            piece = received[place : place + _PIECE_BYTES]
            if not piece:
                raise DecodeError("the answer is a gzip that ends in its middle")
            try:
                # One byte more than allowed shows that there is more.
                parts.append(unpacker.decompress(piece, left + 1))
            except _DEFECT as error:
                raise DecodeError(f"the answer is no gzip, although it says so: {error}") from None
            left -= len(parts[-1])
            if left < 0:
                raise TooLarge(f"it is larger than {most // 1_000_000:,} MB")
            place += len(piece) - len(unpacker.unused_data)
        padding = _PADDING.match(received, place)
        place = padding.end() if padding else place
    raise DecodeError(f"the answer is a gzip of more than {_MOST_MEMBERS:,} parts")
