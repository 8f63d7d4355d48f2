"""Walking through pages: a paginator starts, learns from an answer, and shapes the next request.

It does not know the client. A place that comes up twice is an error, never a loop.
"""

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from crm_pipeline.kernel.errors import ProtocolError

PageT = TypeVar("PageT")
SeenT_contra = TypeVar("SeenT_contra", contravariant=True)
NextT_co = TypeVar("NextT_co", covariant=True)
PlaceT = TypeVar("PlaceT")


class Paginator(Protocol[SeenT_contra, NextT_co]):
    """Starts and learns; a place is whatever the next request needs (a URL, a token, a key pair)."""

    def start(self) -> NextT_co:
        """Return the place of the first page."""

    def next(self, page: SeenT_contra) -> NextT_co | None:
        """Return the place behind a page that was read; None at the end."""


class Link(Generic[PageT]):
    """The answer carries the place of the next page, or none at the end."""

    def __init__(self, first: str, read_next: Callable[[PageT], str | None]) -> None:
        self._first = first
        self._read_next = read_next

    def start(self) -> str:
        """Return the place of the first page."""
        return self._first

    def next(self, page: PageT) -> str | None:
        """Return the place that the page names."""
        return self._read_next(page)


class Keyset(Generic[PageT, PlaceT]):
    """The next page starts behind the key of the last record; a short page ends the walk.

    `read_last` gives the key of a page's last record. `is_final` says whether the page is the last:
    a short page is the end only where the vendor never cuts pages short. `owner` is for error texts.
    """

    def __init__(
        self,
        first: PlaceT,
        read_last: Callable[[PageT], PlaceT | None],
        is_final: Callable[[PageT], bool],
        *,
        owner: str,
    ) -> None:
        self._first = first
        self._owner = owner
        self._read_last = read_last
        self._is_final = is_final

    def start(self) -> PlaceT:
        """Return the key before all records."""
        return self._first

    def next(self, page: PageT) -> PlaceT | None:
        """Return the key of the last record.

        Raises:
            ProtocolError: the page is not the last one, and yet empty.
        """
        if self._is_final(page):
            return None
        last = self._read_last(page)
        if last is None:
            raise ProtocolError(
                f"{self._owner}: the vendor sent a page without records, although more are to come.",
            )
        return last


def walk(
    paginator: Paginator[PageT, PlaceT], fetch: Callable[[PlaceT], PageT], *, owner: str
) -> Iterator[PageT]:
    """Yield pages until the paginator says that there are no more.

    Raises:
        ProtocolError: a place came up a second time.
    """
    seen: set[PlaceT] = set()
    place: PlaceT | None = paginator.start()
    while place is not None:
        if place in seen:
            raise ProtocolError(
                f"{owner}: the vendor named the same page twice; reading on would never end.",
                cure="Run again; if it persists, report it to the vendor with the time of the run.",
            )
        seen.add(place)
        page = fetch(place)
        yield page
        place = paginator.next(page)
