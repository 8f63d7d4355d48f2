"""Estimates each read strategy for a window: calls, credits, seconds, and why it may be impossible."""

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

# Every window needs the metadata, two counts and the list of deleted records.
_WINDOW = 4
# A query of 2,000 records takes about as long as this many other calls.
_QUERY_TRIPS = 3
# Exports wait in the vendor's queue, sometimes for minutes.
_JOB_S = 60.0
_JOB_POLLS = 5
_JOB_RECORDS_PER_S = 20_000
# A window that ended earlier than this is followed by changes that Get Records would read too.
_PAST = timedelta(hours=1)


def with_strategy(api: Api, plan: Plan, setting: str, kind: str) -> Plan:
    """Return the plan with the configured or the best read strategy.

    Args:
        api: the account.
        plan: with the vendor's count.
        setting: `route` of connections.yaml; `auto` for the best.
        kind: the module's `generated_type`.

    Raises:
        ConfigError: the configured strategy is impossible.
        BudgetExhausted: no strategy fits the budget.
    """
    count = plan.vendor_count
    if count is None:
        count = _upper_bound(api, plan)
    extra = 0 if plan.vendor_count is not None else 1
    strategies = tuple(
        replace(strategy, calls=strategy.calls + extra, cost=strategy.cost + extra)
        for strategy in (
            _by_records(api, plan, count, setting, kind),
            _by_coql(api, plan, count),
            _by_bulk(api, plan, count),
        )
    )
    return planned(
        plan, strategies, asked=setting, remaining=api.remaining, returns=api.budget_returns
    )


def _upper_bound(api: Api, plan: Plan) -> int:
    """Return an upper bound of the records, for the estimates only; 0 where none is known."""
    try:
        return counting.total(api, plan.object)
    except (NotPermitted, Rejected) as error:
        if error.code == "OAUTH_SCOPE_MISMATCH":
            raise
        return 0


def _by_records(api: Api, plan: Plan, count: int, setting: str, kind: str) -> ReadStrategy:
    chunks = len(field_backfill.chunked(plan.schema.names, api.limit("list_fields")))
    impediment, reach = "", api.limit("list_records")
    reads = count
    if plan.window is not None and plan.window.to_at < api.now() - _PAST:
        if setting == listing.ROUTE:
            later = replace(plan, window=replace(plan.window, to_at=api.now()))
            reads = counting.of_plan(api, later) or count
        else:
            impediment = "Get Records has no upper bound: it would also read every later change"
    if reads > reach:
        impediment = f"page tokens reach {reach:,} records"
    elif kind in deleted.PART_KINDS and kind != "field_tracker" and setting != listing.ROUTE:
        impediment = f"records of the type {kind} are not listed on their own"
    calls = _WINDOW + max(1, ceil(reads / api.limit("list_page_records"))) * chunks
    seconds = calls * api.round_trip_s
    return ReadStrategy(
        listing.ROUTE, calls, calls, seconds, f"pages by token, {_chunks_text(chunks)}", impediment
    )


def _by_coql(api: Api, plan: Plan, count: int) -> ReadStrategy:
    refused = describe.refused_by_queries(api, plan.schema)
    names = [name for name in plan.schema.names if name not in refused]
    chunks = len(field_backfill.chunked(names, api.limit("coql_select_fields")))
    size, workers = queries.page_size(api, count), queries.workers(api, count)
    pages = max(1, ceil(count / size))
    if workers > 1:
        pages += workers
    probes = chunks if api.probed_schemas.get(plan.object) != plan.schema.fingerprint else 0
    ends = 2 if workers > 1 else 0
    backfill = ceil(count / field_backfill.IDS) * ceil(
        len(refused) / (api.limit("list_fields") - 2)
    )
    cost = _WINDOW + probes + ends + pages * chunks * meter.coql(size).cost + backfill
    calls = _WINDOW + probes + ends + pages * chunks + backfill
    trips = _WINDOW + probes + ends + (pages * chunks * _QUERY_TRIPS + backfill) / workers
    how = f"keyset on the id, {_chunks_text(chunks)}, workers: {workers}"
    if refused:
        how += f"; {', '.join(refused)} by lists"
    impediment = api.unavailable["coql"].get(plan.object, "")
    return ReadStrategy(queries.ROUTE, calls, cost, trips * api.round_trip_s, how, impediment)


def _by_bulk(api: Api, plan: Plan, count: int) -> ReadStrategy:
    jobs = max(1, ceil(count / api.limit("bulk_job_records")))
    calls = _WINDOW + jobs * (2 + _JOB_POLLS)
    cost = calls + jobs * (meter.JOB.cost - 1)
    seconds = calls * api.round_trip_s + jobs * _JOB_S + count / _JOB_RECORDS_PER_S
    impediment = bulk.impediment(api, plan.schema)
    how = f"exports: {jobs}, one after the other"
    return ReadStrategy(bulk.ROUTE, calls, cost, seconds, how, impediment, saves_bytes=True)


def _chunks_text(chunks: int) -> str:
    return "all fields at once" if chunks == 1 else f"{chunks} lists of fields"
