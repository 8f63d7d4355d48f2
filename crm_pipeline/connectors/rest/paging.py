"""The paging of a source: which request follows a page.

A walk ends where the API says so, and never by a guess: a repeated page, a cap and a shift of the list are errors or
are read again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from crm_pipeline.connectors.rest.source import (
    CursorPaging,
    Into,
    KeysetPaging,
    LinkPaging,
    NumberPaging,
    OffsetPaging,
    Paging,
    SinglePage,
)
from crm_pipeline.kernel.errors import ProtocolError

_MOST_SHIFTS = 20


@dataclass(frozen=True)
class Position:
    """The place of a page: what goes into its request.

    Attributes:
        values: with their places.
        link: the address of the page, where the API names one; "" for the resource's own.
        since: for keysets, the time of change that the page begins with.
        offset: of its first record, or its number.
        overlap: how many of its records were on the page before.
    """

    values: tuple[tuple[Into, str], ...] = ()
    link: str = ""
    since: datetime | None = None
    offset: int = 0
    overlap: int = 0


class ReadPage(Protocol):
    """What a walk knows about a page that was read."""

    @property
    def ids(self) -> Sequence[str]:
        """The ids of the readable records, in the order of the response."""

    @property
    def seen(self) -> int:
        """The number of records, readable or not."""

    @property
    def digest(self) -> str:
        """A digest of the records as received."""

    @property
    def last_modified_at(self) -> datetime | None:
        """The latest time of change."""

    def value(self, path: str) -> object:
        """Return a value of the response by its path, or of a header by `header:NAME`; None where there is none."""

    def link(self, relation: str) -> str:
        """Return the address of a relation in the header Link; "" where there is none."""


PageT = TypeVar("PageT", bound=ReadPage)


@dataclass
class Walk:
    """The pages of one list.

    Args:
        paging: of the resource.
        owner: the connection and the object, for error texts.
    """

    paging: Paging
    owner: str
    _seen: set[Position] = field(default_factory=set)
    _last: str = ""
    _shifts: int = 0
    _largest: int = 0
    _before: int = 0

    def pages(
        self, fetch: Callable[[Position], PageT], since: datetime | None = None
    ) -> Iterator[PageT]:
        """Yield the pages to the end of the list.

        Args:
            fetch: requests a page.
            since: for keysets, the start of the window.

        Raises:
            ProtocolError: the API repeats a page, or ends a list before its end.
        """
        position: Position | None = self._first(since)
        before: PageT | None = None
        while position is not None:
            if position in self._seen:
                raise self._repeated()
            self._seen.add(position)
            page = fetch(position)
            is_keyset = isinstance(self.paging, KeysetPaging)
            if page.seen and page.digest == self._last and not is_keyset:
                raise self._repeated()
            self._last = page.digest
            yield page
            position, before = self._next(position, page, before), page

    def _first(self, since: datetime | None) -> Position:
        paging = self.paging
        match paging:
            case SinglePage():
                return Position()
            case OffsetPaging():
                return self._at_offset(paging, paging.start)
            case NumberPaging():
                return self._at_number(paging, paging.start)
            case KeysetPaging():
                return Position(_sized(paging), since=since)
            case _:
                return Position(_sized(paging))

    def _next(self, position: Position, page: ReadPage, before: ReadPage | None) -> Position | None:
        match self.paging:
            case OffsetPaging() as paging:
                return self._after_offset(paging, position, page, before)
            case NumberPaging() as paging:
                return self._after_number(paging, position, page)
            case CursorPaging() as paging:
                return self._after_cursor(paging, page)
            case LinkPaging() as paging:
                return self._after_link(paging, page)
            case KeysetPaging() as paging:
                return self._after_keyset(paging, position, page)
            case _:
                return None

    def _at_offset(self, paging: OffsetPaging, offset: int, overlap: int = 0) -> Position:
        values = (*_sized(paging), (paging.offset_into, str(offset)))
        return Position(values, offset=offset, overlap=overlap)

    def _after_offset(
        self, paging: OffsetPaging, position: Position, page: ReadPage, before: ReadPage | None
    ) -> Position | None:
        if before is not None and position.overlap:
            expected = set(list(before.ids)[-position.overlap :])
            if expected and not expected & set(page.ids):
                return self._shifted(paging, position)
        total = page.value(paging.total_from) if paging.total_from else None
        end = position.offset + page.seen
        is_all = (
            isinstance(total, int) and not isinstance(total, bool) and end - paging.start >= total
        )
        if is_all:
            return None
        overlap = min(paging.overlap, max(0, page.seen - position.overlap - 1))
        # At the cap itself, an empty page says nothing about what comes after it.
        if paging.max_offset is not None and end > paging.max_offset - 1:
            raise ProtocolError(
                f"{self.owner}: the list is longer than the {paging.max_offset:,} records that the API shows by offset.",
                cure="Read it in shorter windows (a later `start` in connections.yaml, or months by `backfill`), or "
                "by another paging.",
            )
        if page.seen <= position.overlap:
            self._complete(paging, end, total)
            return None
        if paging.last_page == "short" and page.seen < paging.size:
            return None
        return self._at_offset(paging, end - overlap, overlap)

    def _shifted(self, paging: OffsetPaging, position: Position) -> Position:
        """Return an earlier place: records before this one were deleted, and others moved up."""
        self._shifts += 1
        if self._shifts > _MOST_SHIFTS:
            raise ProtocolError(
                f"{self.owner}: the list shifts with each page, so that records would be missed.",
                cure="Sort it by something that does not change, such as the id: name the parameter under `params`.",
            )
        self._seen.clear()
        return self._at_offset(paging, max(paging.start, position.offset - paging.size))

    def _complete(self, paging: OffsetPaging, end: int, total: object) -> None:
        if isinstance(total, int) and end - paging.start < total:
            raise ProtocolError(
                f"{self.owner}: the list ends after {end - paging.start:,} of {total:,} records."
            )

    def _at_number(self, paging: NumberPaging, number: int) -> Position:
        return Position((*_sized(paging), (paging.page_into, str(number))), offset=number)

    def _after_number(
        self, paging: NumberPaging, position: Position, page: ReadPage
    ) -> Position | None:
        number = position.offset
        if paging.has_more_from is not None:
            if not _is_yes(page.value(paging.has_more_from)):
                return None
        elif paging.total_pages_from is not None:
            total = page.value(paging.total_pages_from)
            if isinstance(total, int) and number - paging.start + 1 >= total:
                return None
        elif page.seen == 0 or (paging.last_page == "short" and page.seen < paging.size):
            return None
        if paging.max_page is not None and number >= paging.max_page:
            raise ProtocolError(
                f"{self.owner}: the list is longer than the {paging.max_page:,} pages that the API shows.",
                cure="Read it in shorter windows (a later `start` in connections.yaml, or months by `backfill`).",
            )
        return self._at_number(paging, number + 1)

    def _after_cursor(self, paging: CursorPaging, page: ReadPage) -> Position | None:
        if paging.has_more_from is not None and not _is_yes(page.value(paging.has_more_from)):
            return None
        cursor = page.value(paging.cursor_from)
        if cursor is None or cursor == "" or cursor is False:
            return None
        return Position((*_sized(paging), (paging.into, str(cursor))))

    def _after_link(self, paging: LinkPaging, page: ReadPage) -> Position | None:
        if paging.link_from == "header":
            link: object = page.link("next")
        else:
            link = page.value(paging.link_from)
        return Position(link=str(link)) if link else None

    def _after_keyset(
        self, paging: KeysetPaging, position: Position, page: ReadPage
    ) -> Position | None:
        if not page.seen:
            return None
        last, ids = page.last_modified_at, page.ids
        if last is None or not ids:
            raise ProtocolError(
                f"{self.owner}: no record of a page has a time of change, so that the next page cannot be found."
            )
        values = _sized(paging)
        if paging.tiebreak_into is not None:
            return Position((*values, (paging.tiebreak_into, ids[-1])), since=last)
        if last != position.since:
            # Pages before the last one show how many records the API gives at most.
            self._largest, self._before = max(self._largest, self._before), page.seen
            return Position(values, since=last)
        if page.seen < min(paging.size, self._largest or paging.size):
            return None
        raise ProtocolError(
            f"{self.owner}: {page.seen} records have the same time of change and fill a page, so that the next page would "
            "be the same.",
            cure="Take a larger `size`, or name where the id of the last record goes: `tiebreak_into`.",
        )

    def _repeated(self) -> ProtocolError:
        return ProtocolError(
            f"{self.owner}: the API sent the same page twice; reading on would never end.",
            cure="Compare `paginate` with the API's documentation: it may ignore the parameter.",
        )


def _sized(paging: Paging) -> tuple[tuple[Into, str], ...]:
    into = getattr(paging, "size_into", None)
    return ((into, str(getattr(paging, "size", 0))),) if into is not None else ()


def _is_yes(value: object) -> bool:
    return (
        value is True
        or (isinstance(value, str) and value.lower() in {"true", "1", "yes"})
        or (isinstance(value, int) and value > 0)
    )


def page_size(paging: Paging) -> int:
    """Return the number of records of a page; 1,000 for a list that comes at once."""
    return int(getattr(paging, "size", 1000))
