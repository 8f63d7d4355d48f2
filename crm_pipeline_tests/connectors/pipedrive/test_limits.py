"""Limits: daily tokens and calls in two seconds, counted as the company counts them."""

from typing import Any

import pytest

from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.pipedrive.api import Api
from crm_pipeline.connectors.pipedrive.meter import DAILY, SEARCHES
from crm_pipeline.kernel.errors import BudgetExhausted
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import extract, opened
from crm_pipeline_tests.connectors.pipedrive.conftest import Harness, HarnessMaker

OBJECTS = (
    "persons",
    "deals",
    "leads",
    "notes",
    "users",
    "pipelines",
    "activityTypes",
    "leadLabels",
)


def api_of(account: object) -> Api:
    api: Api = account._api  # type: ignore[attr-defined]
    return api


@pytest.mark.parametrize("obj", OBJECTS)
def test_our_count_is_the_companys_count(still: Harness, obj: str) -> None:
    """A read costs the tokens that the vendor counts and that the plan estimated."""
    before = still.company.set_limits()["used"]
    with still.account() as account:
        extraction = extract(
            account, ObjectSettings(obj), None, mode="range", landing=still.landing
        )
        spent = account.usage.cost
    after = still.company.set_limits()["used"]
    assert after - before == spent
    # Beside the read itself: who we are, before it and, for what is read whole, behind it.
    assert spent <= extraction.cost + 4
    assert abs(extraction.cost - extraction.planned_cost) <= 0.2 * extraction.cost + 20


def test_usage_by_operation(harness: Harness) -> None:
    """Calls and tokens are counted by operation, as in the sandbox's journal."""
    harness.extract("persons")
    with RateLimiter(harness.database, harness.clock) as limiter:
        days = {day.operation: (day.calls, day.cost) for day in limiter.usage_by_day("pipe")}
    assert days == {"me": (1, 2), "fields": (1, 10), "list persons": (1, 10)}


@pytest.mark.parametrize(
    ("kind", "plan", "burst"),
    [("token", "Lite", 20), ("token", "Ultimate", 120), ("refresh_token", "Growth", 160)],
)
def test_limits_are_learned_from_headers(
    make_harness: HarnessMaker, kind: str, plan: str, burst: int
) -> None:
    """Headers set the limits; before the first response those of the smallest plan apply."""
    with make_harness(kind=kind, ceilings="") as harness:
        harness.company.set_limits(plan=plan)
        with harness.account() as account:
            meter = api_of(account).pace
            assert meter.limit(meter.burst) == (20 if kind == "token" else 80)
            assert meter.limit(DAILY) == 30_000
            account.identity()
            assert meter.limit(meter.burst) == burst
            assert meter.limit(DAILY) == harness.company.set_limits()["daily"]
            assert meter.calls_per_s == int(burst * 0.9) / 2


def test_limits_by_configuration(make_harness: HarnessMaker) -> None:
    """`ceilings` of connections.yaml apply where the vendor reports nothing."""
    ceilings = "daily_tokens: 500000, burst_by_token: 100, searches: 8"
    with make_harness(ceilings=ceilings) as harness, harness.account() as account:
        meter = api_of(account).pace
        limits = {limit.name: limit for limit in meter.limits(Operation("x", 20, "search"))}
        assert (limits[DAILY].calls, limits[DAILY].kind) == (450_000, "daily")
        assert limits[DAILY].unit == "tokens"
        assert (limits[meter.burst].calls, limits[meter.burst].period_s) == (90, 2.0)
        assert limits[SEARCHES].calls == 7
        assert meter.costs(Operation("x", 20)) == {DAILY: 20}


def test_a_read_that_does_not_fit(harness: Harness) -> None:
    """A plan that needs more tokens than the rest of our share is refused before it starts."""
    daily = harness.company.set_limits()["daily"]
    with harness.account() as account:
        account.identity()
    harness.company.set_limits(used=int(daily * 0.9) - 40)
    with pytest.raises(BudgetExhausted, match="tokens"):
        harness.extract("deals")


def test_headers_may_be_missing(harness: Harness) -> None:
    """Without the header of the day the configured limit applies."""
    harness.company.set_limits(shows_daily=False)
    with harness.account() as account:
        account.identity()
        assert account.usage.used is None
        assert api_of(account).pace.limit(DAILY) == 30_000


@pytest.mark.parametrize(
    ("kind", "limits"), [("token", {"plan": "Lite"}), ("refresh_token", {"app": 16})]
)
def test_the_pace_is_kept(make_harness: HarnessMaker, kind: str, limits: dict[str, Any]) -> None:
    """Parallel workers with more calls than two seconds allow cause no refusal."""
    with make_harness(kind=kind, ceilings="page_records: 4") as harness:
        harness.company.set_limits(**limits)
        with opened(harness.settings, "pipe", harness.database) as account:
            whole = ObjectSettings("persons", route="windows")
            extraction = extract(account, whole, None, mode="range", landing=harness.landing)
        assert harness.ids(extraction) == harness.truth("persons")
        assert extraction.calls > 20
        entries = harness.sandbox.journal.entries(vendor="pipedrive")
        assert {entry.status for entry in entries} == {200}
        assert harness.company.companies["main"].limits.refused == 0


def test_an_expensive_call_fits_the_burst_limit(make_harness: HarnessMaker) -> None:
    """Tokens count only against the daily limit: a call of 40 tokens fits a burst limit of 18."""
    with make_harness(ceilings="") as harness:
        harness.company.set_limits(plan="Lite")
        assert harness.ids(harness.extract("leads")) == harness.truth("leads")


def test_fewer_tokens_than_a_call_costs(make_harness: HarnessMaker) -> None:
    """A reported limit below the cost of a call means used-up tokens; reads work again after the day."""
    with make_harness(ceilings="") as harness:
        amount = harness.company.set_limits()["daily"]
        harness.company.set_limits(daily=32)
        with harness.account() as account:
            account.identity()
            assert api_of(account).pace.limit(DAILY) == 32
        with pytest.raises(BudgetExhausted):
            harness.extract("leads")
        harness.company.set_limits(daily=amount)
        with RateLimiter(harness.database, harness.clock) as limiter:
            limiter.forget("pipe")
        assert harness.ids(harness.extract("leads")) == harness.truth("leads")


def test_a_search_does_not_narrow_the_pace(still: Harness) -> None:
    """The limit in a search's response may be that of searches, so the burst limit stays."""
    body = '{"success":true,"data":{"items":[]}}'
    headers = {"x-ratelimit-limit": "10", "x-ratelimit-remaining": "9"}
    still.sandbox.faults.order("status", status=200, body=body, headers=headers, path="/search")
    with still.account() as account:
        account.identity()
        meter = api_of(account).pace
        before = meter.limit(meter.burst)
        assert list(account.query("/api/v2/persons/search?term=ab", include_deleted=False)) == []
        assert meter.limit(meter.burst) == before > 10
