"""How long a read will take: the first page of each list is asked for, the rest is reckoned from it.

Pipedrive does not count. A list that fits one page is known exactly, and that page is not asked for
again; of a longer one the records are estimated from both its ends.
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

# A list that is read by offset says only that there is more.
_UNKNOWN_PAGES = 3


@dataclass
class BegunRead:
    """What a plan has asked for already.

    Attributes:
        optional: what `include_fields` may ask for with this login.
        refused: optional fields that the vendor does not give here.
        firsts: the first page of lists, by name.
        estimates: pages of each list.
        extra_calls: that the plan made for nothing but itself, `extra_cost` in tokens.
    """

    window: Window | None
    optional: tuple[str, ...]
    refused: tuple[str, ...] = ()
    firsts: dict[str, ListPage] = field(default_factory=dict)
    estimates: dict[str, int] = field(default_factory=dict)
    extra_calls: int = 0
    extra_cost: int = 0


def begin(lister: Lister, window: Window | None) -> BegunRead:
    """Ask for the first page of each list and reckon the rest.

    Where absence means deletion, lists behind the first are read after it: what moves from one to the
    other meanwhile is then seen twice, and not overlooked.
    """
    begun = BegunRead(window, lister.optional)
    if lister.item.paging == "deals":
        return _by_deals(lister, begun)
    if lister.item.paging == "per_deal":
        return _deal_by_deal(lister, begun)
    listings = lister.item.listings
    begun.extra_calls += len(lister.item.beside)
    begun.extra_cost += sum(listing.cost for listing in lister.item.beside)
    if window is None and len(listings) > 1:
        again = again_of(listings)
        begun.extra_calls += len(again)
        begun.extra_cost += sum(listing.cost for listing in again)
    for number, listing in enumerate(listings):
        if number and window is None:
            begun.estimates[listing.name] = 1
            continue
        first = _first(lister, listing, window, begun)
        begun.firsts[listing.name] = first
        begun.estimates[listing.name] = _estimate(lister, listing, first, begun)
    return begun


def _by_deals(lister: Lister, begun: BegunRead) -> BegunRead:
    deals = line_items.deals_of(lister)
    [items] = lister.item.listings
    living = [listing for listing in deals.item.listings if not listing.deleted]
    first = deals.ask(living[0], deals.scan(living[0], None))
    count = _estimate(deals, living[0], first, begun)
    begun.firsts[items.name] = first
    begun.extra_calls += count + len(living) - 1
    begun.extra_cost += count * living[0].cost + sum(listing.cost for listing in living[1:])
    sellers = len(line_items.sellers(first, deals.owner)) * (count if first.cursor else 1)
    begun.estimates[items.name] = max(1, line_items.calls(sellers))
    return begun


def _deal_by_deal(lister: Lister, begun: BegunRead) -> BegunRead:
    deals = per_deal.deals_of(lister)
    [asked] = lister.item.listings
    found = 0
    for listing in per_deal.living(deals):
        first = deals.ask(listing, deals.scan(listing, begun.window))
        count = _estimate(deals, listing, first, begun)
        begun.firsts[listing.name] = first
        begun.extra_calls += count
        begun.extra_cost += count * listing.cost
        is_known = first.cursor is None
        takes_call = per_deal.asked(lister, first.within(begun.window) if is_known else first.batch)
        found += takes_call if is_known else count * takes_call
    begun.estimates[asked.name] = found
    before = per_deal.maker(lister).listing
    if found and before is not None:
        begun.extra_calls += 1
        begun.extra_cost += before.cost
    return begun


def again_of(listings: Sequence[Listing]) -> list[Listing]:
    """Return the lists of living records that can be asked once more for what moved between them."""
    return [listing for listing in listings if listing.since and not listing.deleted]


def routes(
    lister: Lister, begun: BegunRead, *, asked: str, calls_per_s: float, described: tuple[int, int]
) -> tuple[ReadStrategy, ...]:
    """Return the ways of reading, with what they cost.

    Args:
        lister: of the object.
        begun: what is known of its lists.
        asked: the route of connections.yaml.
        calls_per_s: our share of the burst window.
        described: calls and tokens that the metadata took.
    """
    listings = lister.item.listings
    at_once = ranges.workers_of(calls_per_s, lister.api.round_trip_s)
    fixed, fixed_cost = described[0] + begun.extra_calls, described[1] + begun.extra_cost
    pages = sum(begun.estimates.values())
    tokens = _cost(listings, begun.estimates)
    # A page for each lane's end, one for the plan, and both ends where unstamped records are looked for.
    more = at_once + 1 + 2 * (begun.window is not None and begun.window.from_at is None)
    by_windows = {
        name: 1 if count == 1 else count + more for name, count in begun.estimates.items()
    }
    wide = sum(by_windows.values())
    in_lanes = sum(calls for calls in by_windows.values() if calls > 1)
    rtt_s = lister.api.round_trip_s
    return (
        ReadStrategy(
            scan.ROUTE,
            fixed + pages,
            fixed_cost + tokens,
            (fixed + pages) * rtt_s,
            f"{per_deal.maker(lister).what} of each of {pages:,} deals"
            if lister.item.paging == "per_deal"
            else "one page after the other",
        ),
        ReadStrategy(
            ranges.ROUTE,
            fixed + wide,
            fixed_cost + _cost(listings, by_windows),
            (fixed + wide - in_lanes) * rtt_s
            + max(in_lanes / calls_per_s, in_lanes * rtt_s / at_once),
            f"ranges of seconds, {at_once} at once",
            _impediment(lister, begun, asked),
        ),
    )


def _impediment(lister: Lister, begun: BegunRead, asked: str) -> str:
    if not lister.item.has_windows:
        return "the vendor has no list of it by time of change"
    if begun.window is None:
        return "everything is read, also what carries no stamp"
    if begun.window.from_at is None and asked != ranges.ROUTE:
        return "records without a stamp are in no range of seconds"
    return ""


def _cost(listings: Sequence[Listing], calls: Mapping[str, int]) -> int:
    return sum(calls[listing.name] * listing.cost for listing in listings)


def _first(lister: Lister, listing: Listing, window: Window | None, begun: BegunRead) -> ListPage:
    params = (
        offsets.parameters(lister, listing, window)
        if lister.item.paging != "cursor"
        else lister.scan(listing, window)
    )
    try:
        return lister.ask(listing, params)
    except (UnknownField, NotPermitted) as error:
        refused = refused_by(error, lister)
        if not refused:
            raise
        lister.optional = tuple(name for name in lister.optional if name not in refused)
        begun.optional = lister.optional
        begun.refused = (*begun.refused, *refused)
        begun.extra_calls += 1
        begun.extra_cost += listing.cost
        return _first(lister, listing, window, begun)


def _estimate(lister: Lister, listing: Listing, first: ListPage, begun: BegunRead) -> int:
    size = lister.api.page_records
    if lister.item.paging != "cursor":
        is_short = first.more is False or len(first) < size or lister.item.paging == "whole"
        return 1 if is_short else _UNKNOWN_PAGES
    if first.cursor is None:
        return 1
    window = begun.window
    bounded = window is not None and window.from_at is not None and listing.since
    params = lister.scan(listing, window if bounded else None)
    params |= {"sort_direction": "desc", "limit": str(size if bounded else 1)}
    begun.extra_calls += 1
    begun.extra_cost += listing.cost
    last = lister.ask(listing, params)
    records = _by_time(first, last, window) if bounded and window else _by_ids(first, last)
    return max(2, math.ceil(records / size))


def _by_ids(first: ListPage, last: ListPage) -> float:
    """Reckon with as many gaps in the ids as the first page has."""
    if not last.ids or not first.ids:
        return len(first)
    low, high, top = int(first.ids[0]), int(first.ids[-1]), int(last.ids[0])
    return len(first) / (high - low + 1) * (top - low + 1)


def _by_time(first: ListPage, last: ListPage, window: Window) -> float:
    """Reckon with the mean density of both ends."""
    begins, ends = first.newest, last.oldest
    assert window.from_at is not None
    if begins is None or ends is None or ends <= begins:
        return len(first) + 1
    whole_s = (window.to_at - window.from_at).total_seconds()
    head_s = max(1.0, (begins - window.from_at).total_seconds())
    tail_s = max(1.0, (window.to_at - ends).total_seconds())
    middle_s = max(0.0, whole_s - head_s - tail_s)
    density = (len(first) + len(last)) / (head_s + tail_s)
    return len(first) + len(last) + middle_s * density
