"""Credits and limits: the org's limits, the cost of calls, plans and refusals."""

from typing import Any

import pytest

from crm_pipeline.connectors.base import Plan
from crm_pipeline.connectors.zoho.documents import Licence, Organization
from crm_pipeline.connectors.zoho.meter import EDITIONS, credits_of, edition_of
from crm_pipeline.kernel.clock import Window, parse_instant
from crm_pipeline.kernel.errors import BudgetExhausted, Throttled
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.settings import ObjectSettings
from crm_pipeline_tests.connectors.zoho.conftest import MAIN, ZohoHarness, ZohoHarnessMaker
from crm_sandbox.zoho.scopes import ALL_SCOPES


def org(kind: str | None, users: int, *, paid: bool = True) -> Organization:
    return Organization(licence=Licence(paid=paid, paid_type=kind, users=users))


@pytest.mark.parametrize(
    ("org", "amount", "at_once"),
    [
        (org("free", 3, paid=False), 5_000, 5),
        (org("standard", 10), 52_500, 10),
        (org("standard", 1_000), 100_000, 10),
        (org("professional", 10), 55_000, 15),
        (org("enterprise", 25), 75_000, 20),
        (org("enterprise", 9_000), 5_000_000, 20),
        (org("Zoho One", 25), 75_000, 20),
        (org("ultimate", 25), 100_000, 25),
        (org("ultimate", 9_000), 18_050_000, 25),
        (org("CRM Plus", 25), 100_000, 25),
    ],
)
def test_limits_follow_from_the_edition(org: Organization, amount: int, at_once: int) -> None:
    """Edition and licences give the credits of 24 hours and the calls at once, as published."""
    edition = edition_of(org)
    assert edition is not None
    assert (credits_of(edition, org), edition.at_once) == (amount, at_once)


def test_an_unknown_edition_is_not_guessed() -> None:
    """An unknown edition is not guessed: the lowest limits stay."""
    assert edition_of(org("galaxy", 5)) is None
    assert edition_of(Organization()) is None
    assert EDITIONS[-1].base == 5_000


def limits(harness: ZohoHarness) -> dict[str, Any]:
    with RateLimiter(harness.database, harness.clock) as limiter:
        return {limit.name: limit for limit in limiter.usage("demo")}


def test_the_limiter_counts_credits(harness: ZohoHarness) -> None:
    """The cost of every call is counted against our share of the org's credits, as the org counts it."""
    before = harness.emulator.apis["main"].meter.credits.used
    done = harness.extract("Contacts", route="coql")
    spent = harness.emulator.apis["main"].meter.credits.used - before
    with harness.account() as account:
        account.vendor_now()
        remaining = account.plan(ObjectSettings("Contacts"), None).remaining
    assert done.cost == spent - 1  # `org` was asked before the extraction was counted
    counted = limits(harness)["daily_credits"]
    assert counted.ceiling == 67_500
    assert counted.used == harness.emulator.apis["main"].meter.credits.used - before
    assert remaining is not None
    assert remaining <= 67_500 - spent


def test_the_remaining_credits_are_read(make_harness: ZohoHarnessMaker) -> None:
    """Once half of the credits are used, the vendor reports the rest, which overrides our count."""
    with make_harness() as harness:
        harness.emulator.set_credits(total=75_000, used=60_000)
        with harness.account() as account:
            account.objects()
            account.vendor_now()
            usage = account.usage
        assert (usage.used, usage.allowed, usage.unit) == (60_002, 75_000, "credits")
        assert limits(harness)["daily_credits"].used >= 60_000


def test_another_apps_credits_stop_us(harness: ZohoHarness) -> None:
    """Credits that another app used up end the work with an explained error, before the vendor refuses."""
    harness.emulator.set_credits(total=75_000, used=74_000)
    with harness.account() as account:
        account.objects()
    with pytest.raises(BudgetExhausted, match="daily_credits") as caught:
        harness.extract("Contacts")
    assert "share" in str(caught.value)
    assert {entry.status for entry in harness.calls("/crm/v8")} == {200}


def test_a_429_that_stays(harness: ZohoHarness) -> None:
    """The error for a 429 that does not end lists its possible reasons."""
    body = '{"code":"TOO_MANY_REQUESTS","details":{},"message":"too many","status":"error"}'
    harness.sandbox.faults.order("status", path="/coql", status=429, body=body, times=99)
    with pytest.raises(Throttled, match="does not say which"):
        harness.extract("Contacts", route="coql")


def plan(
    harness: ZohoHarness, module: str = "Contacts", route: str = "auto", **window: Any
) -> Plan:
    span = Window(
        parse_instant(window["since"]) if "since" in window else None,
        parse_instant(window.get("until", "2026-11-23T10:00:00Z")),
    )
    with harness.account() as account:
        return account.plan(ObjectSettings(module, route=route), span)


def test_a_plan_has_every_strategy(quiet: ZohoHarness) -> None:
    """A plan has all three strategies with calls, credits and seconds, including the chosen one."""
    made = plan(quiet)
    assert [strategy.name for strategy in made.strategies] == ["records", "coql", "bulk"]
    by_name = {strategy.name: strategy for strategy in made.strategies}
    assert by_name["bulk"].cost >= 50
    assert by_name["bulk"].seconds > by_name["coql"].seconds > 0
    assert made.unit == "credits"
    assert made.route in by_name
    assert made.reason.startswith(f"{made.vendor_count} records: {made.route}")


def test_large_windows(quiet: ZohoHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows beyond the reach of page tokens are read by queries, or by exports if few credits are left."""
    monkeypatch.setattr("crm_pipeline.connectors.zoho.counting.of_plan", lambda *_: 1_000_000)
    monkeypatch.setattr("crm_pipeline.connectors.api.VendorApi.round_trip_s", 0.35)
    many = plan(quiet, "Accounts")
    by_name = {strategy.name: strategy for strategy in many.strategies}
    assert "page tokens reach 100,000" in by_name["records"].impediment
    assert by_name["coql"].cost == pytest.approx(1_500, rel=0.05)
    assert by_name["bulk"].cost == pytest.approx(5 * 56, rel=0.1)
    assert many.route == "coql"
    monkeypatch.setattr("crm_pipeline.connectors.zoho.api.Api.remaining", 4_000)
    assert plan(quiet, "Accounts").route == "bulk"


def test_months_of_the_past_are_not_listed(quiet: ZohoHarness) -> None:
    """Get Records has no upper end, so for a past month it would read all later changes, too."""
    past = plan(quiet, since="2026-07-01T00:00:00Z", until="2026-08-01T00:00:00Z")
    assert "no upper bound" in past.strategies[0].impediment
    asked = plan(quiet, route="records", since="2026-07-01T00:00:00Z", until="2026-08-01T00:00:00Z")
    assert asked.route == "records"


SCOPES = {
    "ZohoCRM.coql.READ": "ZohoCRM.coql.READ",
    "ZohoCRM.bulk.ALL": "ZohoCRM.bulk.READ",
    "ZohoCRM.users.ALL": "ZohoCRM.users.READ",
    "ZohoCRM.org.ALL": "ZohoCRM.org.READ",
}


def test_a_missing_scope_is_named(harness: ZohoHarness) -> None:
    """`check` names each missing scope, with a cure."""
    without(harness, *SCOPES)
    with harness.account() as account:
        findings = account.check().findings
    for named in SCOPES.values():
        missing = [finding for finding in findings if named in finding.detail]
        assert missing, named
        assert all("crm-pipeline login demo" in finding.cure for finding in missing)


def without(harness: ZohoHarness, *lacks: str) -> None:
    """Replace the refresh token with one without some scopes."""
    scopes = [scope for scope in ALL_SCOPES if scope not in lacks]
    harness.emulator.oauth.grants.begin_chain("main", scopes, MAIN.refresh_token)


def test_without_the_scope_for_queries(harness: ZohoHarness) -> None:
    """Without the scope there are no queries and counts; records are read by lists."""
    without(harness, "ZohoCRM.coql.READ")
    done = harness.extract("Contacts")
    assert done.route == "records"
    assert done.vendor_count is None
    assert "lacks the scope ZohoCRM.coql.READ" in done.reason
    assert done.read - done.deleted == harness.emulator.count("Contacts")


def test_configured_limits_win(make_harness: ZohoHarnessMaker) -> None:
    """A limit in connections.yaml overrides the one that the org reports."""
    with make_harness(daily_credits=1_000) as harness:
        harness.extract("Users")
        assert limits(harness)["daily_credits"].ceiling == 900
