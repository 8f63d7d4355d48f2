import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.kernel.errors import ConnectionLost, ProtocolError
from crm_pipeline.wire.paging import Keyset, Link, walk

Page = list[tuple[int, int]]
RECORDS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), unique=True, max_size=40)


class Vendor:
    """Serves sorted records after a key, and records the requests."""

    def __init__(self, records: Page, size: int) -> None:
        self.records = sorted(records)
        self.size = size
        self.asked: list[tuple[int, int]] = []

    def fetch(self, key: tuple[int, int]) -> Page:
        self.asked.append(key)
        return [record for record in self.records if record > key][: self.size]


def keyset(size: int) -> Keyset[Page, tuple[int, int]]:
    return Keyset(
        (-1, -1),
        read_last=lambda page: page[-1] if page else None,
        is_final=lambda page: len(page) < size,
        owner="acme",
    )


@given(RECORDS, st.integers(1, 7))
def test_a_keyset_walk_reads_every_record_once(records: Page, size: int) -> None:
    """Whatever ties there are in the modification times, each record comes once and in order."""
    vendor = Vendor(records, size)
    pages = list(walk(keyset(size), vendor.fetch, owner="acme"))
    assert [record for page in pages for record in page] == sorted(records)
    assert len(vendor.asked) == len(records) // size + 1


def test_an_empty_page_in_the_middle_is_an_error() -> None:
    """An empty page that is not the last is an error, not the end of the list."""
    pages = {(-1, -1): [(0, 1)], (0, 1): []}
    paginator: Keyset[Page, tuple[int, int]] = Keyset(
        (-1, -1),
        read_last=lambda page: page[-1] if page else None,
        is_final=lambda page: False,
        owner="acme",
    )
    walking = walk(paginator, pages.__getitem__, owner="acme")
    assert next(walking) == [(0, 1)]
    with pytest.raises(ProtocolError, match=r"acme: .* without records"):
        list(walking)


def test_a_link_walk_follows_to_the_end() -> None:
    """Each page names the next; the one that names none is the last."""
    pages = {"": ("a", 1), "a": ("b", 2), "b": (None, 3)}
    link = Link[tuple[str | None, int]]("", lambda page: page[0])
    assert [page[1] for page in walk(link, pages.__getitem__, owner="acme")] == [1, 2, 3]


@given(st.integers(1, 8), st.integers(0, 7))
def test_a_position_that_comes_again_is_an_error(length: int, back_to: int) -> None:
    """Positions in a circle of any length are an error after one round, never a loop."""
    target = str(min(back_to, length - 1))
    following = {str(n): str(n + 1) for n in range(length - 1)} | {str(length - 1): target}
    fetched: list[str] = []

    def fetch(place: str) -> str:
        fetched.append(place)
        return following[place]

    with pytest.raises(ProtocolError, match="acme: the vendor named the same page twice"):
        list(walk(Link[str]("0", lambda page: page), fetch, owner="acme"))
    assert fetched == [str(n) for n in range(length)]


def test_a_repeating_keyset_page_is_an_error() -> None:
    """A vendor that ignores the key and sends its first page for ever is stopped."""
    with pytest.raises(ProtocolError):
        list(walk(keyset(1), lambda _: [(0, 1)], owner="acme"))


def test_pages_are_asked_for_when_they_are_wanted() -> None:
    """The walk holds one page at a time: the second is not requested before the first was used."""
    vendor = Vendor([(0, n) for n in range(5)], 2)
    walking = walk(keyset(2), vendor.fetch, owner="acme")
    assert vendor.asked == []
    next(walking)
    assert len(vendor.asked) == 1


def test_a_failing_page_ends_the_walk_with_its_error() -> None:
    """A page that cannot be read raises its error and is never the end of the list."""

    def fetch(place: str) -> str:
        if place == "b":
            raise ConnectionLost("lost")
        return "b"

    walking = walk(Link[str]("a", lambda page: page), fetch, owner="acme")
    next(walking)
    with pytest.raises(ConnectionLost):
        next(walking)
