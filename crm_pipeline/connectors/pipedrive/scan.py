"""Reads a list by its cursor, page after page; pages that were done before a crash are not read again.

A cursor is opaque, belongs to its parameters and is stored as received: each chunk stores its own cursor
and the next one.
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
    """Pages that are landed together; `cursor` is that of the first page."""

    cursor: str
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
        lister: of the object.
        listing: the list.
        window: None for everything.
        checkpoint: where chunks are noted; None where the read cannot be resumed.
        first: the first page, if it was already requested.
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
            ProtocolError: the vendor names the same next page again.
            ReadLost: the vendor no longer knows the cursor of an earlier run.
        """
        done = self._done_chunks()
        chunk = _Chunk("")
        cursor: str | None = ""
        while cursor is not None:
            if cursor in done and not chunk.pages:
                cursor = done[cursor]
                chunk = _Chunk(cursor or "")
                continue
            page = self._page(cursor, is_resumed=bool(done))
            chunk.pages.append(page)
            chunk.batches.append(page.within(self._window))
            chunk.calls += 1
            cursor = None if self._is_past(page) else page.cursor
            if cursor is None or chunk.is_full() or cursor in done:
                yield self._landing_page(chunk, cursor)
                chunk = _Chunk(cursor or "")

    def _page(self, cursor: str, *, is_resumed: bool) -> ListPage:
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
        params = self._lister.scan_params(self._listing, self._window, **more)
        try:
            return self._lister.fetch(self._listing, params)
        except Rejected as error:
            if not (is_resumed and "cursor" in error.message):
                raise
            raise ReadLost(
                f"{self._lister.owner}: the vendor no longer knows the cursor of an earlier run.",
                status=error.status,
                code=error.code,
            ) from error

    def _is_past(self, page: ListPage) -> bool:
        """Return whether a page reaches the window's end, for lists by time without an end filter."""
        window = self._window
        if window is None or window.from_at is None or self._listing.until:
            return False
        last = page.batch.column("_modified_at")[-1].as_py() if page.ids else None
        return last is not None and last >= window.to_at

    def _landing_page(self, chunk: _Chunk, next_cursor: str | None) -> Page:
        facts = {"listing": self._listing.name, "route": ROUTE}
        return Page(
            shape="json",
            route=ROUTE,
            batches=lambda: iter(chunk.batches),
            # The later of two reads of a version wins, so a chunk is as old as its first page.
            extracted_at=min(page.asked_at for page in chunk.pages),
            calls=chunk.calls,
            number=self._checkpoint.fresh_number() if self._checkpoint else None,
            facts={**facts, "begin": chunk.cursor, "next": next_cursor},
            rejected=[row for page in chunk.pages for row in page.rejected],
            origin=self._listing.origin,
        )

    def _done_chunks(self) -> Mapping[str, str | None]:
        """Return the next cursor of each finished chunk, by the chunk's own cursor."""
        if self._checkpoint is None:
            return {}
        return {
            str(page.facts["begin"]): page.facts["next"]
            for page in self._checkpoint.all_done()
            if page.facts.get("listing") == self._listing.name and "begin" in page.facts
        }
