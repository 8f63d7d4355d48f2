"""The cost of reading a window by each strategy: calls, and the duration that the account's limits allow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from crm_pipeline.connectors.base import Plan, ReadStrategy
from crm_pipeline.connectors.hubspot import batches, listing
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.meter import ASSOCIATIONS, SEARCH, HubSpotMeter
from crm_pipeline.connectors.hubspot.record_assembly import BATCH_RECORDS
from crm_pipeline.connectors.hubspot.selection import Selection
from crm_pipeline.connectors.metering import Operation

_MOST_WORKERS = 16
# Our own work on 1,000 records, which threads cannot share: more workers than that allows would only wait.
_OWN_S = 0.015
# Properties, and the counts before and after.
_WINDOW_CALLS = 3
# The first and last id; the last page of every second worker is nearly empty.
_EDGE_CALLS = 2
# A request, a poll and the file; the vendor does not publish how long an export takes. Why exports are not
# used: docs/decisions/0018-no-exports-of-hubspot.md.
_EXPORT_CALLS = 3
_NO_EXPORT = "its CSV has no documented form of instants, no histories and no types of associations"
BOUND_CALLS = 12
"""The maximum number of counts to find the id at which list and search meet."""


@dataclass(frozen=True)
class Load:
    """The calls that a window takes.

    Attributes:
        records: the vendor's count.
        list_pages, search_pages: calls for 1,000 records, or for their ids.
        list_reads, search_reads: further calls that read these by id; none where pages have whole records.
        linked: calls for the associations of 1,000 records.
        search_s, burst_s, linked_s: seconds between two calls of each kind that our share of its limit allows.
        round_trip_s: the duration of a call.
    """

    records: int
    list_pages: int
    search_pages: int
    list_reads: int
    search_reads: int
    linked: int
    search_s: float
    burst_s: float
    linked_s: float
    round_trip_s: float

    @classmethod
    def of(cls, api: Api, selection: Selection, records: int) -> "Load":
        """Return the calls that a window takes."""
        meter, round_trip_s = api.meter, api.round_trip_s
        in_list, in_search = selection.fits_list(api), selection.fits_search(api)
        reads = math.ceil(BATCH_RECORDS / batches.size_of(api, selection))
        page = listing.page_size(api, selection, by_id=not in_list)
        search_page = meter.limit("search_records")
        return cls(
            records=records,
            list_pages=math.ceil(BATCH_RECORDS / page),
            search_pages=math.ceil(BATCH_RECORDS / search_page),
            list_reads=0 if in_list else reads,
            search_reads=0 if in_search else reads,
            linked=len(selection.others),
            search_s=_each_s(meter, SEARCH, round_trip_s),
            burst_s=_each_s(meter, "", round_trip_s),
            linked_s=_each_s(meter, ASSOCIATIONS, round_trip_s),
            round_trip_s=round_trip_s,
        )

    @property
    def search_workers(self) -> int:
        """The number of search workers that the limits allow and the number of records is worth."""
        calls = self.search_pages + self.search_reads + self.linked
        slowest_s = max(
            _OWN_S,
            self.search_pages * self.search_s,
            self.search_reads * self.burst_s,
            self.linked * self.linked_s,
        )
        needed = math.ceil(calls * self.round_trip_s / slowest_s)
        return max(1, min(_MOST_WORKERS, needed + 1, self.records // BATCH_RECORDS))

    @property
    def list_s(self) -> float:
        """The duration of 1,000 records by a list: one call after the other."""
        calls = self.list_pages + self.list_reads
        return max(
            (calls + self.linked) * self.round_trip_s,
            calls * self.burst_s,
            self.linked * self.linked_s,
        )

    @property
    def search_worker_s(self) -> float:
        """The duration of 1,000 records by searches of all workers."""
        calls = self.search_pages + self.search_reads + self.linked
        return max(
            calls * self.round_trip_s / self.search_workers,
            self.search_pages * self.search_s,
            self.search_reads * self.burst_s,
            self.linked * self.linked_s,
        )

    @property
    def part_by_list(self) -> float:
        """The fraction of the records that the list reads if list and search end at the same time."""
        return self.search_worker_s / (self.list_s + self.search_worker_s)


def _each_s(meter: HubSpotMeter, kind: str, round_trip_s: float) -> float:
    """Return the seconds between two calls that our share of the limit allows."""
    limit = meter.limits(Operation("plan", kind=kind))[0]
    # A permit is held from its acquisition until one window after the response.
    return (limit.period_s + round_trip_s) / limit.calls


def more(calls: int, round_trip_s: float, how: str = "") -> ReadStrategy:
    """Return the cost of calls that are added to a strategy."""
    return ReadStrategy("more", calls, calls, calls * round_trip_s, how)


def added(
    strategies: Sequence[ReadStrategy], further: ReadStrategy, *, beside: bool = False
) -> tuple[ReadStrategy, ...]:
    """Return strategies with the cost of further calls, made before them or beside them."""
    return tuple(
        replace(
            strategy,
            calls=strategy.calls + further.calls,
            cost=strategy.cost + further.cost,
            seconds=max(strategy.seconds, further.seconds)
            if beside
            else strategy.seconds + further.seconds,
            how=strategy.how + f"; {further.how}" * bool(further.how),
        )
        for strategy in strategies
    )


def strategies(plan: Plan, load: Load, *, asked: str) -> tuple[ReadStrategy, ...]:
    """Return the strategies of a window with their estimates; a list is for full reads only."""
    is_full = plan.window is None or plan.window.from_at is None
    partial = "" if is_full else "the list has no filter by the last change"
    little = "there are too few records to read from both ends"
    is_little = load.records < 2 * BATCH_RECORDS and asked != "both"
    return (
        _list(load, partial),
        _search(load),
        _both(load, partial or little * is_little),
        _export(load),
    )


def _list(load: Load, impediment: str) -> ReadStrategy:
    calls = _WINDOW_CALLS + _of_records(load, 1.0, load.list_pages, load.list_reads)
    seconds = _WINDOW_CALLS * load.round_trip_s + load.list_s * load.records / BATCH_RECORDS
    how = "the list from end to end" + ", the records by id" * bool(load.list_reads)
    return ReadStrategy("list", calls, calls, seconds, how, impediment)


def _search(load: Load) -> ReadStrategy:
    workers = load.search_workers
    spare = _EDGE_CALLS + workers // 2 if workers > 1 else 0
    calls = _WINDOW_CALLS + spare + _of_records(load, 1.0, load.search_pages, load.search_reads)
    seconds = (_WINDOW_CALLS + spare / workers) * load.round_trip_s
    seconds += load.search_worker_s * load.records / BATCH_RECORDS
    how = f"searches by id with {workers} worker{'s' * (workers > 1)}"
    return ReadStrategy(
        "search", calls, calls, seconds, how + ", the records by id" * bool(load.search_reads)
    )


def _both(load: Load, impediment: str) -> ReadStrategy:
    part, workers = load.part_by_list, load.search_workers
    spare = _EDGE_CALLS + BOUND_CALLS // 4 + workers // 2
    calls = _WINDOW_CALLS + spare
    calls += _of_records(load, part, load.list_pages, load.list_reads)
    calls += _of_records(load, 1 - part, load.search_pages, load.search_reads)
    # The reads by id of both count towards one limit.
    reads_s = (part * load.list_reads + (1 - part) * load.search_reads) * load.burst_s
    each_s = max(part * load.list_s, reads_s + part * load.list_pages * load.burst_s)
    seconds = spare * max(load.search_s, load.round_trip_s) + each_s * load.records / BATCH_RECORDS
    return ReadStrategy(
        "both",
        calls,
        calls,
        seconds,
        f"the list from below, searches from above with {workers} workers",
        impediment,
    )


def _export(load: Load) -> ReadStrategy:
    calls = _WINDOW_CALLS + _EXPORT_CALLS
    seconds = calls * load.round_trip_s
    return ReadStrategy("export", calls, calls, seconds, "a file made by the vendor", _NO_EXPORT)


def _of_records(load: Load, part: float, pages: int, reads: int) -> int:
    """Return the calls for a part of the records."""
    records = load.records * part
    batches = math.ceil(records / BATCH_RECORDS)
    return (
        max(1, math.ceil(records * pages / BATCH_RECORDS))
        + math.ceil(records * reads / BATCH_RECORDS)
        + batches * load.linked
    )
