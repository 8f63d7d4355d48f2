"""Reading a list by its cursor, page after page; what was done before a crash is not asked for again.

A cursor is the vendor's own affair (it belongs to its set of parameters) and is kept as it came: each
chunk notes the cursor that it began with and the one behind it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.pipedrive.catalog import Listing
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.pipedrive.responses import ListPage
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import ProtocolError, ReadLost, Rejected
from crm_pipeline.store.landing.checkpoint import Checkpoint

_CHUNK_ROWS = 10_000
_CHUNK_BYTES = 8 << 20
ROUTE = "cursor"


@dataclass
class _Chunk:
    """Pages that are landed together; `begin` is the cursor of the first."""

    begin: str
    pages: list[ListPage] = field(default_factory=list)
    batches: list[pa.RecordBatch] = field(default_factory=list)
    calls: int = 0

    def is_full(self) -> bool:
        rows: int = sum(batch.num_rows for batch in self.batches)
        size: int = sum(batch.nbytes for batch in self.batches)
        return rows >= _CHUNK_ROWS or size >= _CHUNK_BYTES


class Scan:
    """Reads one list to its end.

    Args:
        lister: asks.
        listing: the list.
        window: None for everything.
        checkpoint: where chunks are noted; None where nobody goes on after a crash.
        first: the first page, where it was asked for already.
    """

    def __init__(
        self,
        lister: Lister,
        listing: Listing,
        window: Window | None,
        *,
        checkpoint: Checkpoint | None = None,
        first: ListPage | None = None,
    ) -> None:
        self._lister = lister
        self._listing = listing
        self._window = window
        self._checkpoint = checkpoint
        self._first = first
        self._seen: set[str] = set()

    def pages(self) -> Iterator[Page]:
        """Yield the records in chunks.

        Raises:
            ProtocolError: the vendor named a page twice.
            ReadLost: the vendor does not know the cursor of an earlier run any more.
        """
        done = self._done()
        chunk = _Chunk("")
        cursor: str | None = ""
        while cursor is not None:
            if cursor in done and not chunk.pages:
                cursor = done[cursor]
                chunk = _Chunk(cursor or "")
                continue
            page = self._page(cursor, is_old=bool(done))
            chunk.pages.append(page)
            chunk.batches.append(page.within(self._window))
            chunk.calls += 1
            cursor = None if self._is_past(page) else page.cursor
            if cursor is None or chunk.is_full() or cursor in done:
                yield self._handed(chunk, cursor)
                chunk = _Chunk(cursor or "")

    def _page(self, cursor: str, *, is_old: bool) -> ListPage:
        if cursor in self._seen:
            raise ProtocolError(
                f"{self._lister.owner}: the vendor named the same page twice; reading on would never "
                "end.",
                cure="Run again; if it persists, report it to the vendor with the time of the run.",
            )
        self._seen.add(cursor)
        if not cursor and self._first is not None:
            return self._first
        more = {"cursor": cursor} if cursor else {}
        params = self._lister.scan(self._listing, self._window, **more)
        try:
            return self._lister.ask(self._listing, params)
        except Rejected as error:
            if not (is_old and "cursor" in error.message):
                raise
            raise ReadLost(
                f"{self._lister.owner}: the vendor does not know the place of an earlier run any more.",
                status=error.status,
                code=error.code,
            ) from error

    def _is_past(self, page: ListPage) -> bool:
        """Say whether a list in the order of time, without an end of its own, has left the window."""
        window = self._window
        if window is None or window.from_at is None or self._listing.until:
            return False
        last = page.batch.column("_modified_at")[-1].as_py() if page.ids else None
        return last is not None and last >= window.to_at

    def _handed(self, chunk: _Chunk, following: str | None) -> Page:
        facts = {"listing": self._listing.name, "route": ROUTE}
        return Page(
            shape="json",
            route=ROUTE,
            batches=lambda: iter(chunk.batches),
            # Of two reads of one version the later counts: a chunk is as old as its first answer.
            extracted_at=min(page.asked_at for page in chunk.pages),
            calls=chunk.calls,
            number=self._checkpoint.fresh_number() if self._checkpoint else None,
            facts={**facts, "begin": chunk.begin, "next": following},
            rejected=[row for page in chunk.pages for row in page.rejected],
            origin=self._listing.origin,
        )

    def _done(self) -> Mapping[str, str | None]:
        """Return the chunks that are done: the cursor before each -> the one behind it."""
        if self._checkpoint is None:
            return {}
        return {
            str(page.facts["begin"]): page.facts["next"]
            for page in self._checkpoint.all_done()
            if page.facts.get("listing") == self._listing.name and "begin" in page.facts
        }
