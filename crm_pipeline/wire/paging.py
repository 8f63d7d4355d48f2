"""Walk through pages: a paginator gives the first position, and from each page the next one.

It does not know the client. A position that comes up twice is an error, never a loop.
"""

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from crm_pipeline.kernel.errors import ProtocolError

PageT = TypeVar("PageT")
ReadT_contra = TypeVar("ReadT_contra", contravariant=True)
NextT_co = TypeVar("NextT_co", covariant=True)
PositionT = TypeVar("PositionT")


class Paginator(Protocol[ReadT_contra, NextT_co]):
    """Gives positions; a position is what the next request needs (a URL, a token, a key pair)."""

    def start(self) -> NextT_co:
        """Return the position of the first page."""

    def next(self, page: ReadT_contra) -> NextT_co | None:
        """Return the position of the page after this one; None at the end."""


class Link(Generic[PageT]):
    """The response holds the position of the next page, or none at the end."""

    def __init__(self, first: str, read_next: Callable[[PageT], str | None]) -> None:
        self._first = first
        self._read_next = read_next

    def start(self) -> str:
        """Return the position of the first page."""
        return self._first

    def next(self, page: PageT) -> str | None:
        """Return the position that the page names."""
        return self._read_next(page)


class Keyset(Generic[PageT, PositionT]):
    """The next page starts after the key of the last record; a short page ends the walk.

    `read_last` returns the key of a page's last record. `is_final` says whether the page is the last:
    a short page is the end only where the vendor never cuts pages short. `owner` is for error texts.
    """

    def __init__(
        self,
        first: PositionT,
        read_last: Callable[[PageT], PositionT | None],
        is_final: Callable[[PageT], bool],
        *,
        owner: str,
    ) -> None:
        self._first = first
        self._owner = owner
        self._read_last = read_last
        self._is_final = is_final

    def start(self) -> PositionT:
        """Return the key before all records."""
        return self._first

    def next(self, page: PageT) -> PositionT | None:
        """Return the key of the last record.

        Raises:
            ProtocolError: the page is empty but not the last one.
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
    paginator: Paginator[PageT, PositionT], fetch: Callable[[PositionT], PageT], *, owner: str
) -> Iterator[PageT]:
    """Yield pages until the paginator says that there are no more.

    Raises:
        ProtocolError: a position came up a second time.
    """
    seen: set[PositionT] = set()
    position: PositionT | None = paginator.start()
    while position is not None:
        if position in seen:
            raise ProtocolError(
                f"{owner}: the vendor named the same page twice; reading on would never end.",
                cure="Run again; if it persists, report it to the vendor with the time of the run.",
            )
        seen.add(position)
        page = fetch(position)
        yield page
        position = paginator.next(page)
