"""What each route would take for a window: calls, credits, seconds; and what stands in its way."""

from dataclasses import replace
from datetime import timedelta
from math import ceil

from crm_pipeline.connectors.base import Plan, ReadStrategy
from crm_pipeline.connectors.strategies import planned
from crm_pipeline.connectors.zoho import (
    bulk,
    counting,
    deleted,
    describe,
    field_backfill,
    listing,
    meter,
    queries,
)
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.kernel.errors import NotPermitted, Rejected

# Every window costs a description, two counts and the list of deleted records.
_WINDOW = 4
# Queries of 2,000 records take about as long as so many other calls.
_QUERY_TRIPS = 3
# Exports wait for their turn at the vendor, for minutes at times.
_JOB_S = 60.0
_JOB_POLLS = 5
_JOB_RECORDS_PER_S = 20_000
# A window that ended longer ago than this has later changes behind it, which Get Records would read too.
_PAST = timedelta(hours=1)


def routed(api: Api, plan: Plan, asked: str, kind: str) -> Plan:
    """Return the plan with the route that is asked for, or the best.

    Args:
        api: the account.
        plan: with the vendor's count.
        asked: the route of connections.yaml, or `auto`.
        kind: the module's `generated_type`.

    Raises:
        ConfigError: the route that is asked for is impossible.
        BudgetExhausted: none fits the budget.
    """
    count = plan.vendor_count
    if count is None:
        count = _bound(api, plan)
    extra = 0 if plan.vendor_count is not None else 1
    routes = tuple(
        replace(one, calls=one.calls + extra, cost=one.cost + extra)
        for one in (
            _by_records(api, plan, count, asked, kind),
            _by_coql(api, plan, count),
            _by_bulk(api, plan, count),
        )
    )
    return planned(plan, routes, asked=asked, remaining=api.remaining, returns=api.budget_returns)


def _bound(api: Api, plan: Plan) -> int:
    """Return an upper bound of what is read, for the estimates only; 0 where none can be had."""
    try:
        return counting.total(api, plan.object)
    except (NotPermitted, Rejected) as error:
        if error.code == "OAUTH_SCOPE_MISMATCH":
            raise
        return 0


def _by_records(api: Api, plan: Plan, count: int, asked: str, kind: str) -> ReadStrategy:
    chunks = len(field_backfill.chunked(plan.schema.names, api.limit("list_fields")))
    impediment, reach = "", api.limit("list_records")
    reads = count
    if plan.window is not None and plan.window.to_at < api.now() - _PAST:
        if asked == listing.ROUTE:
            later = replace(plan, window=replace(plan.window, to_at=api.now()))
            reads = counting.of_plan(api, later) or count
        else:
            impediment = "it has no upper end and would read all that changed later, too"
    if reads > reach:
        impediment = f"page tokens reach {reach:,} records"
    elif kind in deleted.PARTS and kind != "field_tracker" and asked != listing.ROUTE:
        impediment = f"records of the type {kind} are not listed by themselves"
    calls = _WINDOW + max(1, ceil(reads / api.limit("list_page_records"))) * chunks
    seconds = calls * api.round_trip_s
    return ReadStrategy(
        listing.ROUTE, calls, calls, seconds, f"pages by token, {_lists(chunks)}", impediment
    )


def _by_coql(api: Api, plan: Plan, count: int) -> ReadStrategy:
    refused = describe.refused_by_queries(api, plan.schema)
    names = [name for name in plan.schema.names if name not in refused]
    chunks = len(field_backfill.chunked(names, api.limit("coql_select_fields")))
    size, at_once = queries.page_size(api, count), queries.workers(api, count)
    pages = max(1, ceil(count / size))
    if at_once > 1:
        pages += at_once
    probes = chunks if api.tried.get(plan.object) != plan.schema.fingerprint else 0
    ends = 2 if at_once > 1 else 0
    beside = ceil(count / field_backfill.IDS) * ceil(len(refused) / (api.limit("list_fields") - 2))
    cost = _WINDOW + probes + ends + pages * chunks * meter.coql(size).cost + beside
    calls = _WINDOW + probes + ends + pages * chunks + beside
    trips = _WINDOW + probes + ends + (pages * chunks * _QUERY_TRIPS + beside) / at_once
    how = f"keyset on the id, {_lists(chunks)}, lanes: {at_once}"
    if refused:
        how += f"; {', '.join(refused)} by lists"
    impediment = api.closed["coql"].get(plan.object, "")
    return ReadStrategy(queries.ROUTE, calls, cost, trips * api.round_trip_s, how, impediment)


def _by_bulk(api: Api, plan: Plan, count: int) -> ReadStrategy:
    jobs = max(1, ceil(count / api.limit("bulk_job_records")))
    calls = _WINDOW + jobs * (2 + _JOB_POLLS)
    cost = calls + jobs * (meter.JOB.cost - 1)
    seconds = calls * api.round_trip_s + jobs * _JOB_S + count / _JOB_RECORDS_PER_S
    impediment = bulk.impediment(api, plan.schema)
    return ReadStrategy(
        bulk.ROUTE, calls, cost, seconds, f"exports: {jobs}, one after the other", impediment
    )


def _lists(chunks: int) -> str:
    return "all fields at once" if chunks == 1 else f"{chunks} lists of fields"
