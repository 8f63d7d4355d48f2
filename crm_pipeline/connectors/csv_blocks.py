"""A stream of CSV in blocks that end where a record ends, and a block taken apart record by record.

Readers of CSV work block by block, and Arrow's loses a line feed where a block ends inside of a cell. So it
is given whole records. Which line breaks end a record is told by quotation marks: outside of cells their
number is even (RFC 4180).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from crm_pipeline.wire.bounds import Allowance

QUOTE = 34
_PIECE = 1 << 17  # stays in the processor's cache
_CELL = rb'(?:"(?:[^"]++|"")*+"|[^",\r\n]*+)'
_END = rb"(?:\r\n|\n|\r|\Z)"
_RECORD = re.compile(_CELL + rb"(?:," + _CELL + rb")*+" + _END)
_OPEN_CELL = re.compile(rb"(?:" + _CELL + rb',)*+"(?:[^"]++|"")*+\Z')
_ANY_CELL = re.compile(_CELL)
_LINE = re.compile(rb"[^\r\n]*+" + _END)
STRAY = "a quotation mark stands where none may"


class Readable(Protocol):
    """What is read from."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill a buffer from the stream and return how many bytes came; none at its end."""


@dataclass(frozen=True)
class Block:
    """Whole records, as far as quotation marks tell; good until the next block is taken.

    Attributes:
        buffer: begins with them.
        size: how many bytes of `buffer` they are.
        quotes: how many quotation marks those have.
        is_last: nothing comes behind.
        is_full: the block has grown as far as it may, and still no record ends.
    """

    buffer: bytearray
    size: int
    quotes: int
    is_last: bool = False
    is_full: bool = False

    @property
    def data(self) -> memoryview:
        """The records, without a copy."""
        return memoryview(self.buffer)[: self.size]

    def has(self, sign: bytes) -> bool:
        """Say whether some bytes stand in it."""
        return self.buffer.find(sign, 0, self.size) >= 0


class CsvBlocks:
    """Cuts a stream into blocks.

    All blocks share one buffer: fresh memory for each would cost as much as all that is done here.

    Args:
        file: the stream.
        size: how many bytes are read at a time.
        longest: how far a block may grow while no record ends.
        allowance: bounds the stream.
    """

    def __init__(self, file: Readable, *, size: int, longest: int, allowance: Allowance) -> None:
        self._file = file
        self._size = size
        self._longest = longest
        self._allowance = allowance
        self._buffer = bytearray()
        self._begin = 0
        self._filled = 0
        self._is_end = False

    def head(self, most: int) -> bytes:
        """Return the first line without its end, nothing where it is longer than `most`."""
        while not self._is_end and self._buffer.find(b"\n", 0, self._filled) < 0:
            if self._filled > most:
                return b""
            self._more()
        line = _LINE.match(self._buffer, 0, self._filled)
        assert line is not None
        self._begin = line.end()
        return line[0].rstrip(b"\r\n")

    def take(self) -> Block | None:
        """Return the next block; None at the end.

        Raises:
            TooLarge: the stream exceeds its bound.
        """
        while not self._is_end:
            self._more()
            end, quotes = _record_end(self._buffer, self._filled)
            if end and not self._is_end:
                self._begin = end
                return Block(self._buffer, end, quotes)
            if self._filled >= self._longest and not self._is_end:
                break
        self._settle()
        size, self._begin = self._filled, self._filled
        if not size:
            return None
        quotes = count_quotes(memoryview(self._buffer)[:size])
        return Block(self._buffer, size, quotes, is_last=self._is_end, is_full=not self._is_end)

    def give_back(self, size: int) -> None:
        """Let the last bytes of the block that was taken come again, at the beginning of the next."""
        self._begin -= size

    def _settle(self) -> None:
        """Move what was not taken yet to the beginning of the buffer."""
        rest = self._filled - self._begin
        if self._begin:
            self._buffer[:rest] = self._buffer[self._begin : self._filled]
        self._begin, self._filled = 0, rest

    def _more(self) -> None:
        self._settle()
        wanted = self._filled + self._size
        if len(self._buffer) < wanted:
            # A new one: what was given out goes on pointing to the old one.
            larger = bytearray(wanted + self._size // 4)
            larger[: self._filled] = memoryview(self._buffer)[: self._filled]
            self._buffer = larger
        with memoryview(self._buffer) as view:
            size = self._file.readinto(view[self._filled : wanted]) or 0
        self._allowance.take(size)
        self._is_end = not size
        self._filled += size


def count_quotes(data: memoryview) -> int:
    """Return the number of quotation marks."""
    numbers = np.frombuffer(data, np.uint8)
    pieces = (numbers[at : at + _PIECE] for at in range(0, len(numbers), _PIECE))
    return sum(int(np.count_nonzero(piece == QUOTE)) for piece in pieces)


def are_quotes_in_place(block: Block) -> bool:
    """Say whether each quotation mark begins or ends a cell, or is one of a pair inside of one."""
    numbers = np.frombuffer(block.buffer, np.uint8, block.size)
    at = np.flatnonzero(numbers == QUOTE)
    if len(at) % 2:
        return False
    before = numbers[np.maximum(at[::2], 1) - 1]
    behind = numbers[np.minimum(at[1::2], block.size - 2) + 1]
    begins = np.isin(before, _BORDERS) | (at[::2] == 0)
    ends = np.isin(behind, _BORDERS) | (at[1::2] == block.size - 1)
    return bool(begins.all() and ends.all())


_BORDERS = np.frombuffer(b',\r\n"', np.uint8)


@dataclass
class Part:
    """A piece of a block that begins at `begin`: a record, or what should be one.

    Attributes:
        defect: what is wrong with it; "" for a good one.
    """

    raw: bytes
    defect: str
    begin: int


class Splitter:
    """Takes blocks apart that hold something odd; slow, and strict about RFC 4180.

    Args:
        columns: how many cells a record has.
        id_column: which of them is the id.
        id_form: a regular expression for ids. Where a record is broken, the next one begins at the next line
            with an id in its place: a text of several lines looks otherwise.
    """

    def __init__(self, columns: int, id_column: int, id_form: bytes) -> None:
        self._columns = columns
        behind = rb"(?:," + _CELL + rb"){%d}" % (columns - 1)
        self._record = re.compile(_CELL + behind + _END)
        before = rb"(?:" + _CELL + rb",){%d}" % id_column
        self._id = re.compile(before + rb'"?(' + id_form + rb')"?(?:,|\r|\n|\Z)')

    def parts(self, block: Block) -> tuple[list[Part], int]:
        """Return the records of a block, and the size of what goes on behind it."""
        data = bytes(block.data)
        found: list[Part] = []
        at = 0
        while at < len(data):
            may_go_on = not block.is_last and not (block.is_full and at == 0)
            end, defect = self._piece(data, at, may_go_on=may_go_on)
            if not end:
                break
            piece = data[at:end]
            if piece.strip(b"\r\n"):
                if found and found[-1].defect and not self.id_of(piece):
                    found[-1].raw = data[found[-1].begin : end]
                else:
                    found.append(Part(piece, defect, at))
            at = end
        is_open = bool(found and found[-1].defect) and not block.is_last
        if is_open and not (block.is_full and len(found) == 1):
            # What is left of a broken record may stand in the next block.
            at = found.pop().begin
        return found, len(data) - at

    def id_of(self, raw: bytes) -> str:
        """Return the id of a record, "" where it cannot be told."""
        seen = self._id.match(raw)
        return seen[1].decode() if seen else ""

    def reordered(self, record: bytes, places: Sequence[int]) -> bytes:
        """Return a record with its cells in another order, each as it is; a broken one stays as it is."""
        if self._record.fullmatch(record) is None:
            return record
        cells = list(_cells(record))
        return b",".join(cells[place] for place in places)

    def _piece(self, data: bytes, at: int, *, may_go_on: bool) -> tuple[int, str]:
        """Return where a piece ends and what is wrong with it; 0 where it goes on behind the data."""
        record = self._record.match(data, at)
        if record is not None and (not may_go_on or record.end() < len(data) or data[-1:] == b"\n"):
            return record.end(), ""
        if may_go_on and (record is not None or _OPEN_CELL.match(data, at)):
            return 0, ""
        line = _LINE.match(data, at)
        assert line is not None
        other = _RECORD.match(data, at)
        if other is None:
            return line.end(), STRAY
        if other.end() > line.end() and self._record.match(data, line.end()):
            return line.end(), STRAY  # a cell that was not closed took the next record in
        cells = len(list(_cells(other[0])))
        return other.end(), f"{cells} cells where {self._columns} were expected"


def _cells(record: bytes) -> Iterator[bytes]:
    at = 0
    while at <= len(record):
        cell = _ANY_CELL.match(record, at)
        assert cell is not None
        yield cell[0]
        if record[cell.end() : cell.end() + 1] != b",":
            return
        at = cell.end() + 1


def _record_end(data: bytearray, size: int) -> tuple[int, int]:
    """Return where the last record ends, 0 where none does, and the quotation marks before."""
    quotes, at = count_quotes(memoryview(data)[:size]), size
    while (newline := data.rfind(b"\n", 0, at)) >= 0:
        quotes -= data.count(b'"', newline, at)
        if quotes % 2 == 0:
            return newline + 1, quotes
        at = newline
    return 0, 0
