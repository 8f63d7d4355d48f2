"""CSV in blocks: whatever stands in cells and wherever blocks end, Python's csv module reads the same."""

import csv
import io
from collections.abc import Sequence
from functools import partial
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.connectors.csv_blocks import MISPLACED_QUOTE
from crm_pipeline.connectors.csv_records import (
    BLOCK_BYTES,
    HAS_NUL,
    NO_ID,
    CsvForm,
    CsvRecords,
    key_columns,
)
from crm_pipeline.connectors.record_page import NO_INSTANT, NO_UTF8
from crm_pipeline.kernel.errors import ProtocolError
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.wire.bounds import Allowance, TooLarge

NAMES = ("Id", "Text", "Stamp")
STAMP = "2026-01-01T00:00:00Z"
HEAD = b"Id,Text,Stamp\n"


def read(
    body: bytes, *, block: int = BLOCK_BYTES, names: Sequence[str] = NAMES, most: int = 1 << 40
) -> tuple[list[tuple[str, ...]], list[Reject]]:
    """Return the rows of a file, and what was set aside."""
    keys = partial(key_columns, id_field="Id", modified_field="Stamp", deleted_field=None)
    form = CsvForm("acme.X", names, lambda cells: cells, keys, "Id", rb"[0-9]{3}")
    rejected: list[Reject] = []
    file = CsvRecords(form, Allowance(most, inf), rejected, block_bytes=block)
    batches = list(file.batches(io.BytesIO(body)))
    rows = [tuple(row[name] for name in names) for one in batches for row in one.to_pylist()]
    assert file.seen == len(rows) + len(rejected)
    return rows, rejected


def written(rows: list[tuple[str, ...]], end: str = "\n", *, marked: bool) -> bytes:
    """Write rows, with quotation marks around all cells or those that need them.

    Python's writer leaves a lone carriage return bare.
    """

    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if marked or set(text) & set('",\r\n') else text

    return "".join(",".join(map(cell, row)) + end for row in (NAMES, *rows)).encode()


CELLS = st.text(alphabet='ab",\r\n é', max_size=12)


@given(
    cells=st.lists(CELLS, min_size=1, max_size=12),
    marked=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
    block=st.integers(1, 40),
    ended=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_cells_come_unchanged_wherever_blocks_end(
    cells: list[str], end: str, block: int, *, marked: bool, ended: bool
) -> None:
    """Rows are those that Python's csv module reads, for every size of blocks; nothing is set aside."""
    rows = [(f"{n:03}", cell, STAMP) for n, cell in enumerate(cells)]
    body = written(rows, end, marked=marked)
    body = body if ended else body.removesuffix(end.encode())
    assert list(csv.reader(io.StringIO(body.decode(), newline=""))) == [
        list(row) for row in (NAMES, *rows)
    ]
    assert read(body, block=block) == (rows, [])


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_a_line_feed_at_the_edge_of_a_block(offset: int) -> None:
    r"""A cell whose \r is the last byte of Arrow's block keeps its \n: the file is larger than a block."""
    begin = HEAD + b'001,"'
    long = "a" * ((8 << 20) - 1 - len(begin) + offset) + "\r\nsecond line"
    body = begin + long.encode() + f'",{STAMP}\n002,b,{STAMP}\n'.encode()
    assert read(body) == ([("001", long, STAMP), ("002", "b", STAMP)], [])


GOOD = f"001,good,{STAMP}\n".encode(), f'003,"go""od",{STAMP}\n'.encode()
BAD = [
    (f"002,caf\xe9,{STAMP}".encode("latin-1"), NO_UTF8, "002"),
    (f"002,a\0b,{STAMP}".encode(), HAS_NUL, "002"),
    (b"002,a,0000-01-01T00:00:00Z", NO_INSTANT, "002"),
    (b"002,a,99999-01-01T00:00:00Z", NO_INSTANT, "002"),
    (b"002,a,somewhen", NO_INSTANT, "002"),
    (f'002,"He said "hi" there",{STAMP}'.encode(), MISPLACED_QUOTE, "002"),
    (f'"002","a"b","{STAMP}"'.encode(), MISPLACED_QUOTE, "002"),
    (f'002,"a,{STAMP}'.encode(), MISPLACED_QUOTE, "002"),
    (f'002,"two "lines\nof, a, text",{STAMP}'.encode(), MISPLACED_QUOTE, "002"),
    (f'002,a"b,{STAMP}'.encode(), MISPLACED_QUOTE, "002"),
    (f"002,a,b,{STAMP}".encode(), "4 cells where 3 were expected", "002"),
    (b"002,a", "2 cells where 3 were expected", "002"),
    (f",a,{STAMP}".encode(), NO_ID, ""),
]


@pytest.mark.parametrize(("bad", "reason", "source_id"), BAD)
@pytest.mark.parametrize("block", [7, 64, BLOCK_BYTES])
def test_one_bad_record_is_set_aside(bad: bytes, reason: str, source_id: str, block: int) -> None:
    """It keeps its bytes, its reason and its id where that can be told; those around it are read. Where its cells
    cannot be told apart it may hold the next record, too."""
    body = HEAD + GOOD[0] + bad + b"\n" + GOOD[1]
    rows, rejected = read(body, block=block)
    assert rows == [("001", "good", STAMP), ("003", 'go"od', STAMP)]
    is_torn = reason == MISPLACED_QUOTE or "cells" in reason
    assert rejected == [Reject(reason, bad, source_id, is_torn)]


@given(
    place=st.integers(0, 400),
    byte=st.sampled_from([b'"', b"\n", b",", b"\xe9", b"\0", b'""', b"\r"]),
    block=st.sampled_from([16, 100, 1 << 20]),
    marked=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_damage_stays_where_it_is(place: int, byte: bytes, block: int, *, marked: bool) -> None:
    """Some bytes put anywhere change the record that they stand in, and no other, or it is set aside."""
    rows = [(f"{n:03}", f'a "{n}", and\nmore', STAMP) for n in range(8)]
    body = written(rows, marked=marked)
    at = len(HEAD) + 10 + place % (len(body) - len(HEAD) - 10)
    seen, rejected = read(body[:at] + byte + body[at:], block=block)
    # A line break between two cells cuts one record into two pieces at most.
    assert sum(row in rows for row in seen) >= len(rows) - 2
    assert len(seen) + len(rejected) <= len(rows) + 2


def test_bounds() -> None:
    """A file larger than allowed, and one that is no CSV for long, are broken off."""
    with pytest.raises(TooLarge):
        read(HEAD + GOOD[0] * 100, block=64, most=1000)
    with pytest.raises(ProtocolError, match="more than 64 MB of a CSV file cannot be read"):
        read(HEAD + b'001,"a"b' + b"c" * (70 << 20))
