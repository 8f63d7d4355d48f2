"""Estimates the cost of a read: requests the first page of each list and estimates the rest from it.

Pipedrive has no counts. The size of a list that fits one page is exact, and that page is not requested
again; the size of a longer list is estimated from both its ends.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crm_pipeline.connectors.base import ReadStrategy
from crm_pipeline.connectors.pipedrive import line_items, offsets, per_deal, ranges, scan
from crm_pipeline.connectors.pipedrive.catalog import Listing
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.pipedrive.optional import refused_by
from crm_pipeline.connectors.pipedrive.responses import ListPage
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import NotPermitted, UnknownField

# The estimate for lists by offset, which say only that there is more.
_ASSUMED_PAGES = 3


@dataclass
class StartedRead:
    """What planning has read and estimated.

    Attributes:
        window: of the read; None for everything.
        optional: the fields that `include_fields` may name with this login.
        refused: the optional fields that the vendor refuses.
        first_pages: the first pages of lists, by name.
        estimates: the number of pages of each list, by name.
        extra_calls: calls beside those of the pages, `extra_cost` in tokens.
    """

    window: Window | None
    optional: tuple[str, ...]
    refused: tuple[str, ...] = ()
    first_pages: dict[str, ListPage] = field(default_factory=dict)
    estimates: dict[str, int] = field(default_factory=dict)
    extra_calls: int = 0
    extra_cost: int = 0

    def take_first_pages(self) -> dict[str, ListPage]:
        """Return the first pages, once: a second read of the same plan requests them again."""
        pages, self.first_pages = self.first_pages, {}
        return pages


def start(lister: Lister, window: Window | None) -> StartedRead:
    """Request the first page of each list and estimate the rest.

    In a complete read, where absence means deletion, later lists are read after the first one: a record
    that moves to a later list during the read is then seen twice instead of not at all.
    """
    started = StartedRead(window, lister.optional)
    if lister.item.paging == "deals":
        return _by_deals(lister, started)
    if lister.item.paging == "per_deal":
        return _deal_by_deal(lister, started)
    listings = lister.item.listings
    started.extra_calls += len(lister.item.lookups)
    started.extra_cost += sum(listing.cost for listing in lister.item.lookups)
    if window is None and len(listings) > 1:
        again = reread_lists(listings)
        started.extra_calls += len(again)
        started.extra_cost += sum(listing.cost for listing in again)
    for number, listing in enumerate(listings):
        if number and window is None:
            started.estimates[listing.name] = 1
            continue
        first = _first(lister, listing, window, started)
        started.first_pages[listing.name] = first
        started.estimates[listing.name] = _estimate(lister, listing, first, started)
    return started


def _by_deals(lister: Lister, started: StartedRead) -> StartedRead:
    deals = line_items.deals_of(lister)
    [items] = lister.item.listings
    live = [listing for listing in deals.item.listings if not listing.deleted]
    first = deals.fetch(live[0], deals.scan_params(live[0], None))
    count = _estimate(deals, live[0], first, started)
    started.first_pages[items.name] = first
    started.extra_calls += count + len(live) - 1
    started.extra_cost += count * live[0].cost + sum(listing.cost for listing in live[1:])
    on_page = len(line_items.deals_with_items(first, deals.owner))
    with_items = on_page * (count if first.cursor else 1)
    started.estimates[items.name] = max(1, line_items.calls(with_items))
    return started


def _deal_by_deal(lister: Lister, started: StartedRead) -> StartedRead:
    deals = per_deal.deals_of(lister)
    [sublist] = lister.item.listings
    total = 0
    for listing in per_deal.live_lists(deals):
        first = deals.fetch(listing, deals.scan_params(listing, started.window))
        count = _estimate(deals, listing, first, started)
        started.first_pages[listing.name] = first
        started.extra_calls += count
        started.extra_cost += count * listing.cost
        is_exact = first.cursor is None
        calls = per_deal.calls(lister, first.within(started.window) if is_exact else first.batch)
        total += calls if is_exact else count * calls
    started.estimates[sublist.name] = total
    lookup = per_deal.builder_of(lister).lookup
    if total and lookup is not None:
        started.extra_calls += 1
        started.extra_cost += lookup.cost
    return started


def reread_lists(listings: Sequence[Listing]) -> list[Listing]:
    """Return the lists of live records that are read again for records that moved between lists."""
    return [listing for listing in listings if listing.since and not listing.deleted]


def strategies(
    lister: Lister,
    started: StartedRead,
    *,
    setting: str,
    calls_per_s: float,
    metadata_usage: tuple[int, int],
) -> tuple[ReadStrategy, ...]:
    """Return the read strategies with their costs.

    Args:
        lister: of the object.
        started: the estimates of its lists.
        setting: `route` of connections.yaml.
        calls_per_s: our share of the burst limit.
        metadata_usage: the calls and tokens that the metadata took.
    """
    listings = lister.item.listings
    workers = ranges.workers_of(calls_per_s, lister.api.round_trip_s)
    metadata_calls, metadata_cost = metadata_usage
    fixed, fixed_cost = metadata_calls + started.extra_calls, metadata_cost + started.extra_cost
    pages = sum(started.estimates.values())
    tokens = _cost(listings, started.estimates)
    # One page for each worker's end, one for the plan, and two where records without a time are read.
    more = workers + 1 + 2 * (started.window is not None and started.window.from_at is None)
    by_windows = {
        name: 1 if count == 1 else count + more for name, count in started.estimates.items()
    }
    total = sum(by_windows.values())
    parallel = sum(calls for calls in by_windows.values() if calls > 1)
    rtt_s = lister.api.round_trip_s
    return (
        ReadStrategy(
            scan.ROUTE,
            fixed + pages,
            fixed_cost + tokens,
            (fixed + pages) * rtt_s,
            f"{per_deal.builder_of(lister).what} of each of {pages:,} deals"
            if lister.item.paging == "per_deal"
            else "one page after the other",
        ),
        ReadStrategy(
            ranges.ROUTE,
            fixed + total,
            fixed_cost + _cost(listings, by_windows),
            (fixed + total - parallel) * rtt_s
            + max(parallel / calls_per_s, parallel * rtt_s / workers),
            f"ranges of seconds, {workers} at once",
            _impediment(lister, started, setting),
        ),
    )


def _impediment(lister: Lister, started: StartedRead, setting: str) -> str:
    if not lister.item.has_windows:
        return "the vendor has no list of it by time of change"
    if started.window is None:
        return "all records are read, also those without a time of change"
    if started.window.from_at is None and setting != ranges.ROUTE:
        return "records without a time of change are in no range of seconds"
    return ""


def _cost(listings: Sequence[Listing], calls: Mapping[str, int]) -> int:
    return sum(calls[listing.name] * listing.cost for listing in listings)


def _first(
    lister: Lister, listing: Listing, window: Window | None, started: StartedRead
) -> ListPage:
    params = (
        offsets.parameters(lister, listing, window)
        if lister.item.paging != "cursor"
        else lister.scan_params(listing, window)
    )
    try:
        return lister.fetch(listing, params)
    except (UnknownField, NotPermitted) as error:
        refused = refused_by(error, lister)
        if not refused:
            raise
        lister.optional = tuple(name for name in lister.optional if name not in refused)
        started.optional = lister.optional
        started.refused = (*started.refused, *refused)
        started.extra_calls += 1
        started.extra_cost += listing.cost
        return _first(lister, listing, window, started)


def _estimate(lister: Lister, listing: Listing, first: ListPage, started: StartedRead) -> int:
    size = lister.api.page_records
    if lister.item.paging != "cursor":
        is_short = first.has_more is False or len(first) < size or lister.item.paging == "whole"
        return 1 if is_short else _ASSUMED_PAGES
    if first.cursor is None:
        return 1
    window = started.window
    bounded = window is not None and window.from_at is not None and listing.since
    params = lister.scan_params(listing, window if bounded else None)
    params |= {"sort_direction": "desc", "limit": str(size if bounded else 1)}
    started.extra_calls += 1
    started.extra_cost += listing.cost
    last = lister.fetch(listing, params)
    records = _by_time(first, last, window) if bounded and window else _by_ids(first, last)
    return max(2, math.ceil(records / size))


def _by_ids(first: ListPage, last: ListPage) -> float:
    """Estimate the records, with as many gaps in the ids as on the first page."""
    if not last.ids or not first.ids:
        return len(first)
    low, high, top = int(first.ids[0]), int(first.ids[-1]), int(last.ids[0])
    return len(first) / (high - low + 1) * (top - low + 1)


def _by_time(first: ListPage, last: ListPage, window: Window) -> float:
    """Estimate the records, with the mean density of both ends."""
    head_end, tail_start = first.last_modified_at, last.first_modified_at
    assert window.from_at is not None
    if head_end is None or tail_start is None or tail_start <= head_end:
        return len(first) + 1
    whole_s = (window.to_at - window.from_at).total_seconds()
    head_s = max(1.0, (head_end - window.from_at).total_seconds())
    tail_s = max(1.0, (window.to_at - tail_start).total_seconds())
    middle_s = max(0.0, whole_s - head_s - tail_s)
    density = (len(first) + len(last)) / (head_s + tail_s)
    return len(first) + len(last) + middle_s * density
