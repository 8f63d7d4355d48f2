"""Walks over lists: nothing is missed, whatever the list does, and no walk goes on for ever."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from crm_pipeline.connectors.rest.paging import Position, Walk
from crm_pipeline.connectors.rest.source import Paging
from crm_pipeline.kernel.errors import ProtocolError

START = datetime(2026, 1, 1, tzinfo=UTC)
Row = tuple[str, int]


@dataclass
class Page:
    """A page as a walk sees it."""

    rows: Sequence[Row]
    body: dict[str, Any] = field(default_factory=dict)
    next: str = ""

    @property
    def ids(self) -> list[str]:
        return [key for key, _ in self.rows]

    @property
    def seen(self) -> int:
        return len(self.rows)

    @property
    def digest(self) -> str:
        return repr(self.rows)

    @property
    def last_modified_at(self) -> datetime | None:
        return max((START + timedelta(seconds=at) for _, at in self.rows), default=None)

    def value(self, path: str) -> object:
        return self.body.get(path)

    def link(self, relation: str) -> str:
        return self.next if relation == "next" else ""


def walk(**paging: Any) -> Walk:
    return Walk(TypeAdapter(Paging).validate_python(paging), "acme.people")


def asked(position: Position, name: str) -> str:
    return next((value for into, value in position.values if into.query == name), "")


def seconds(at: datetime | None) -> int:
    return int((at - START).total_seconds()) if at else 0


SIZE = {"size": 5, "size_into": {"query": "n"}}
stamps = st.lists(st.integers(0, 6), max_size=40)


@given(stamps)
def test_a_keyset_passes_all_records_with_one_time(times: list[int]) -> None:
    rows = sorted(((f"{n:02}", at) for n, at in enumerate(times)), key=lambda row: (row[1], row[0]))

    def fetch(position: Position) -> Page:
        after = (seconds(position.since), asked(position, "after"))
        return Page([row for row in rows if (row[1], row[0]) > after][:5])

    paging = {"type": "keyset", "op": "gt", "tiebreak_into": {"query": "after"}, **SIZE}
    found = [row for page in walk(**paging).pages(fetch, START) for row in page.rows]
    assert found == [row for row in rows if (row[1], row[0]) > (0, "")]


@given(stamps)
def test_a_keyset_without_a_tiebreak_reads_all_or_says_that_it_cannot(times: list[int]) -> None:
    rows = sorted(((f"{n:02}", at) for n, at in enumerate(times)), key=lambda row: (row[1], row[0]))

    def fetch(position: Position) -> Page:
        return Page([row for row in rows if row[1] >= seconds(position.since)][:5])

    try:
        read = walk(type="keyset", **SIZE).pages(fetch, START)
        found = {row for page in read for row in page.rows}
    except ProtocolError as error:
        assert max(times.count(at) for at in times) >= 5, error  # noqa: PT017 - both ways are right
    else:
        assert found == set(rows)


@given(st.integers(0, 40), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 39)), max_size=6))
def test_by_offset_deletions_hide_no_record_that_stays(
    total: int, deletions: list[tuple[int, int]]
) -> None:
    """Any record may go after any page; those that stay are read."""
    rows = [(f"{n:02}", n) for n in range(total)]
    calls = 0

    def fetch(position: Position) -> Page:
        nonlocal calls
        page = Page(rows[int(asked(position, "from")) :][:5])
        for after, victim in deletions:
            if after == calls:
                rows[:] = [row for row in rows if row[1] != victim]
        calls += 1
        return page

    paging = {"type": "offset", "offset_into": {"query": "from"}, **SIZE}
    found = {row for page in walk(**paging).pages(fetch) for row in page.rows}
    assert found >= set(rows)


@pytest.mark.parametrize(
    "paging",
    [
        {"type": "offset", "offset_into": {"query": "at"}, **SIZE},
        {"type": "offset", "offset_into": {"query": "at"}, "overlap": 0, **SIZE},
        {"type": "page", "page_into": {"query": "at"}, **SIZE},
        {"type": "page", "page_into": {"query": "at"}, "has_more_from": "more", **SIZE},
        {"type": "cursor", "cursor_from": "next", "into": {"query": "at"}, **SIZE},
    ],
    ids=lambda paging: "-".join(sorted(set(paging) - {"size", "size_into"})),
)
def test_a_server_that_ignores_the_paging_is_noticed(paging: dict[str, Any]) -> None:
    rows = [("1", 1), ("2", 2), ("3", 3), ("4", 4), ("5", 5)]

    def fetch(position: Position) -> Page:
        return Page(rows, {"more": True, "next": f"x{asked(position, 'at')}"[:9]})

    with pytest.raises(ProtocolError, match="same page twice"):
        list(walk(**paging).pages(fetch))


def test_a_server_with_smaller_pages_than_asked_for_is_read_to_its_end() -> None:
    rows = [(f"{n:02}", n) for n in range(11)]

    def fetch(position: Position) -> Page:
        start = (int(asked(position, "at")) - 1) * 3
        return Page(rows[start : start + 3])

    paging = {"type": "page", "page_into": {"query": "at"}, **SIZE}
    assert [row for page in walk(**paging).pages(fetch) for row in page.rows] == rows


def test_links_are_followed_to_the_last() -> None:
    pages = {"": Page([("1", 1)], next="/b"), "/b": Page([("2", 2)])}
    read = walk(type="next_link", link_from="header").pages(lambda at: pages[at.link])
    assert [page.ids for page in read] == [["1"], ["2"]]


def test_a_list_that_ends_before_its_total_is_an_error() -> None:
    def fetch(position: Position) -> Page:
        rows = [(f"{n:02}", n) for n in range(7)][int(asked(position, "from")) :][:5]
        return Page(rows, {"total": 9})

    paging = {"type": "offset", "offset_into": {"query": "from"}, "total_from": "total", **SIZE}
    with pytest.raises(ProtocolError, match="ends after 7 of 9"):
        list(walk(**paging).pages(fetch))
