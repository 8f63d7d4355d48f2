"""A CSV stream cut into blocks of whole records, and a block split record by record.

Arrow's CSV reader loses a line feed where a block ends inside of a cell, so it gets whole records only. A line break
ends a record where the number of quotation marks before it is even (RFC 4180).
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
MISPLACED_QUOTE = "a quotation mark stands where none may"


class Readable(Protocol):
    """A stream to read from."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill a buffer from the stream and return the number of bytes; 0 at its end."""


@dataclass(frozen=True)
class Block:
    """Whole records, by the count of quotation marks; valid until the next block is taken.

    Attributes:
        buffer: begins with the records.
        size: of the records, in bytes.
        quotes: the number of quotation marks in the records.
        is_last: the stream ends with this block.
        is_full: the block has reached its maximum size, and no record ends in it.
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
        """Return whether the block contains some bytes."""
        return self.buffer.find(sign, 0, self.size) >= 0


class CsvBlocks:
    """Cuts a stream into blocks.

    All blocks share one buffer: new memory for each would double the run time.

    Args:
        file: the stream.
        size: the number of bytes read at a time.
        longest: the maximum size of a block in which no record ends.
        allowance: limits the size of the stream.
    """

    def __init__(self, file: Readable, *, size: int, longest: int, allowance: Allowance) -> None:
        self._file = file
        self._size = size
        self._longest = longest
        self._allowance = allowance
        self._buffer = bytearray()
        self._begin = 0
        self._filled = 0
        self._at_end = False

    def head(self, most: int) -> bytes:
        """Return the first line without its end; empty where it is longer than `most`."""
        while not self._at_end and self._buffer.find(b"\n", 0, self._filled) < 0:
            if self._filled > most:
                return b""
            self._fill()
        line = _LINE.match(self._buffer, 0, self._filled)
        assert line is not None
        self._begin = line.end()
        return line[0].rstrip(b"\r\n")

    def take(self) -> Block | None:
        """Return the next block; None at the end.

        Raises:
            TooLarge: the stream exceeds its limit.
        """
        while not self._at_end:
            self._fill()
            end, quotes = _record_end(self._buffer, self._filled)
            if end and not self._at_end:
                self._begin = end
                return Block(self._buffer, end, quotes)
            if self._filled >= self._longest and not self._at_end:
                break
        self._settle()
        size, self._begin = self._filled, self._filled
        if not size:
            return None
        quotes = count_quotes(memoryview(self._buffer)[:size])
        return Block(self._buffer, size, quotes, is_last=self._at_end, is_full=not self._at_end)

    def give_back(self, size: int) -> None:
        """Return the last bytes of the taken block to the stream; the next block begins with them."""
        self._begin -= size

    def _settle(self) -> None:
        """Move the bytes that were not taken yet to the beginning of the buffer."""
        rest = self._filled - self._begin
        if self._begin:
            self._buffer[:rest] = self._buffer[self._begin : self._filled]
        self._begin, self._filled = 0, rest

    def _fill(self) -> None:
        self._settle()
        wanted = self._filled + self._size
        if len(self._buffer) < wanted:
            # A new buffer, because the last block still points to the old one.
            larger = bytearray(wanted + self._size // 4)
            larger[: self._filled] = memoryview(self._buffer)[: self._filled]
            self._buffer = larger
        with memoryview(self._buffer) as view:
            size = self._file.readinto(view[self._filled : wanted]) or 0
        self._allowance.take(size)
        self._at_end = not size
        self._filled += size


def count_quotes(data: memoryview) -> int:
    """Return the number of quotation marks."""
    numbers = np.frombuffer(data, np.uint8)
    pieces = (numbers[at : at + _PIECE] for at in range(0, len(numbers), _PIECE))
    return sum(int(np.count_nonzero(piece == QUOTE)) for piece in pieces)


def are_quotes_in_place(block: Block) -> bool:
    """Return whether each quotation mark begins or ends a cell, or is one of a pair inside of a cell."""
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
    """A part of a block: a record, or a broken one.

    Attributes:
        raw: its bytes.
        defect: the reason why it cannot be read; "" for a good record.
        begin: its offset in the block.
    """

    raw: bytes
    defect: str
    begin: int


class Splitter:
    """Splits irregular blocks into records; slow, and strict about RFC 4180.

    Args:
        columns: the number of cells in a record.
        id_column: the index of the id.
        id_form: a regular expression for ids. After a broken record, the next one begins at the next line with an
            id in the column of ids; lines of a longer text do not look so.
    """

    def __init__(self, columns: int, id_column: int, id_form: bytes) -> None:
        self._columns = columns
        behind = rb"(?:," + _CELL + rb"){%d}" % (columns - 1)
        self._record = re.compile(_CELL + behind + _END)
        before = rb"(?:" + _CELL + rb",){%d}" % id_column
        self._id = re.compile(before + rb'"?(' + id_form + rb')"?(?:,|\r|\n|\Z)')

    def parts(self, block: Block) -> tuple[list[Part], int]:
        """Return the records of a block, and the size of the rest that continues in the next block."""
        data = bytes(block.data)
        parts: list[Part] = []
        at = 0
        while at < len(data):
            may_continue = not block.is_last and not (block.is_full and at == 0)
            end, defect = self._part_end(data, at, may_continue=may_continue)
            if not end:
                break
            piece = data[at:end]
            if piece.strip(b"\r\n"):
                if parts and parts[-1].defect and not self.id_of(piece):
                    parts[-1].raw = data[parts[-1].begin : end]
                else:
                    parts.append(Part(piece, defect, at))
            at = end
        is_open = bool(parts and parts[-1].defect) and not block.is_last
        if is_open and not (block.is_full and len(parts) == 1):
            # The rest of a broken record may be in the next block.
            at = parts.pop().begin
        return parts, len(data) - at

    def id_of(self, raw: bytes) -> str:
        """Return the id of a record; "" where it cannot be read."""
        match = self._id.match(raw)
        return match[1].decode() if match else ""

    def reordered(self, record: bytes, columns: Sequence[int]) -> bytes:
        """Return a record with its cells, unchanged, in the order of `columns`; a broken record stays as it is."""
        if self._record.fullmatch(record) is None:
            return record
        cells = list(_cells(record))
        return b",".join(cells[column] for column in columns)

    def _part_end(self, data: bytes, at: int, *, may_continue: bool) -> tuple[int, str]:
        """Return where a part ends, and its defect; 0 where it continues behind the data."""
        record = self._record.match(data, at)
        if record is not None and (
            not may_continue or record.end() < len(data) or data[-1:] == b"\n"
        ):
            return record.end(), ""
        if may_continue and (record is not None or _OPEN_CELL.match(data, at)):
            return 0, ""
        line = _LINE.match(data, at)
        assert line is not None
        other = _RECORD.match(data, at)
        if other is None:
            return line.end(), MISPLACED_QUOTE
        if other.end() > line.end() and self._record.match(data, line.end()):
            return line.end(), MISPLACED_QUOTE  # an unclosed cell runs into the next record
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
    """Return where the last record ends (0 where none does), and the number of quotation marks before."""
    quotes, at = count_quotes(memoryview(data)[:size]), size
    while (newline := data.rfind(b"\n", 0, at)) >= 0:
        quotes -= data.count(b'"', newline, at)
        if quotes % 2 == 0:
            return newline + 1, quotes
        at = newline
    return 0, 0
