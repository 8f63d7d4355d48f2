"""Reads a window with parallel workers: disjoint ranges of seconds, each with its own cursor.

Many records may share a second; a cursor continues after the record, not after the second.
"""

import math
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from functools import partial

from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.pipedrive.catalog import Listing
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.pipedrive.responses import seconds_of
from crm_pipeline.connectors.pipedrive.undated import ListEnds
from crm_pipeline.connectors.range_reader import KeyRange, ParallelRangeReader, RangeBatch, missing
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import ProtocolError
from crm_pipeline.store.landing.checkpoint import Checkpoint

ROUTE = "windows"
_MOST_WORKERS = 16


def workers_of(calls_per_s: float, rtt_s: float) -> int:
    """Return how many parallel calls use up the allowed rate."""
    return max(1, min(_MOST_WORKERS, math.ceil(calls_per_s * rtt_s)))


def pages(
    lister: Lister, listing: Listing, window: Window, *, workers: int, checkpoint: Checkpoint | None
) -> Iterator[Page]:
    """Yield the records of a window of one list; with an open start also those without a time of change."""
    start, set_aside = window.from_at, set[str]()
    if start is None:
        ends = ListEnds(lister, listing, route=ROUTE, set_aside=set_aside)
        yield from ends.pages()
        start = min(ends.first_modified_at or window.to_at, window.to_at)
    whole = KeyRange(_second(start), _second(window.to_at))
    done = [
        page.facts
        for page in (checkpoint.all_done() if checkpoint else ())
        if page.facts.get("listing") == listing.name and "low" in page.facts
    ]
    reader = ParallelRangeReader(
        partial(_read, lister, listing),
        at_once=workers,
        owner=lister.owner,
        route=ROUTE,
        checkpoint=checkpoint,
        unique=False,
        origin=listing.origin,
        set_aside=set_aside,
        note={"listing": listing.name},
    )
    yield from reader.pages(missing(whole, done, parts=workers))


def _read(lister: Lister, listing: Listing, key_range: KeyRange) -> Generator[RangeBatch]:
    # A cursor belongs to its parameters, so the end of the range stays as it was at the start.
    window = Window(_instant(key_range.low), _instant(key_range.high))
    cursor, seen = "", {""}
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = lister.fetch(listing, lister.scan_params(listing, window, **more))
        rows = page.within(Window(window.from_at, _END))
        yield RangeBatch(
            positions=seconds_of(rows),
            batch=rows,
            asked_at=page.asked_at,
            is_last=page.cursor is None,
            rejected=tuple(page.rejected),
        )
        cursor = page.cursor or ""
        if cursor in seen:
            raise ProtocolError(
                f"{lister.owner}: the vendor named the same page twice; reading on would never end.",
                cure="Run again; if it persists, report it to the vendor with the time of the run.",
            )
        seen.add(cursor)


_END = datetime(9999, 1, 1, tzinfo=UTC)


def _second(at: datetime) -> int:
    return math.ceil(at.timestamp())


def _instant(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)
