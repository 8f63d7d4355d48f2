"""Limits: reported ones have precedence over published ones, and configured ones over both."""

from types import SimpleNamespace
from typing import Any

import pytest
import requests

from crm_pipeline.connectors.base import ConnectorContext
from crm_pipeline.connectors.hubspot import connector
from crm_pipeline.connectors.hubspot.meter import HubSpotMeter
from crm_pipeline.connectors.implausible import ImplausibleValues
from crm_pipeline.connectors.metering import Operation, believed
from crm_pipeline_tests.connectors.hubspot.test_errors import answer, connection

PLAIN = Operation("list")
SEARCH = Operation("search", kind="search")
LINKS = Operation("associations", kind="associations")
HEADERS = {
    "X_HubSpot_RateLimit_Daily": "625000",
    "X_HubSpot_RateLimit_Daily_Remaining": "600000",
    "X_HubSpot_RateLimit_Max": "190",
    "X_HubSpot_RateLimit_Remaining": "150",
}


def meter(
    kind: str = "token", *, told: dict[str, int] | None = None, **changes: Any
) -> HubSpotMeter:
    rows = [SimpleNamespace(name=k, vendor_ceiling=v) for k, v in (told or {}).items()]
    context: Any = SimpleNamespace(limiter=SimpleNamespace(usage=lambda _: rows))
    made: HubSpotMeter = HubSpotMeter(
        connection(kind, **changes), _as_tools(context), connector.limits
    )
    made.begins_day_in("US/Eastern")
    return made


def _as_tools(context: Any) -> ConnectorContext:
    return context


def read(made: HubSpotMeter, response: requests.Response) -> dict[str, tuple[int, int]]:
    """Let a meter take over the plausible counters of a response."""
    readings = list(believed(made.reported_counters(response), ImplausibleValues("acme")))
    for one in readings:
        made.heed(one)
    return {one.limit: (one.used, one.allowed) for one in readings}


def limits(of: HubSpotMeter, operation: Operation) -> dict[str, tuple[int, float, str, str]]:
    return {x.name: (x.calls, x.period_s, x.kind, x.resets) for x in of.limits(operation)}


def test_before_any_response_the_lowest_published_limits_count() -> None:
    """Of every limit we take our share; the day ends at the account's midnight."""
    daily = (225_000, 86_400.0, "daily", "US/Eastern")
    made = meter()
    assert limits(made, PLAIN) == {"burst": (90, 10.0, "rolling", ""), "daily": daily}
    assert limits(made, SEARCH) == {"search": (5, 1.0 / 0.9, "rolling", ""), "daily": daily}
    assert limits(made, LINKS) == {
        "associations": (90, 10.0, "rolling", ""),
        "daily_associations": (450_000, 86_400.0, "daily", "US/Eastern"),
        "daily": daily,
    }


def test_responses_report_the_tier() -> None:
    """The limits of the account replace the published ones; associations follow the tier."""
    made = meter()
    assert read(made, answer(200, {}, **HEADERS)) == {
        "burst": (40, 190),
        "daily": (25_000, 625_000),
    }
    assert limits(made, PLAIN)["burst"][0] == 171
    assert limits(made, PLAIN)["daily"][0] == 562_500
    assert limits(made, LINKS)["associations"][0] == 135


def test_a_new_process_has_the_limits_reported_to_an_earlier_one() -> None:
    """The limiter keeps the limits that the vendor reported."""
    assert limits(meter(told={"burst": 250}), PLAIN)["burst"][0] == 225


def test_connections_yaml_has_the_last_word() -> None:
    """Whoever knows better writes it down."""
    made = meter(ceilings={"private_calls": 50, "search_calls": 10, "association_calls": 200})
    read(made, answer(200, {}, **HEADERS))
    assert limits(made, PLAIN)["burst"][0] == 45
    assert limits(made, SEARCH)["search"][0] == 9
    assert limits(made, LINKS)["associations"][0] == 180
    assert made.limit("search_records") == 200


def test_apps_with_oauth_have_no_day() -> None:
    """110 calls per 10 seconds, and nothing else; a header of the day would be another app's."""
    made = meter("refresh_token")
    assert limits(made, PLAIN) == {"burst": (99, 10.0, "rolling", "")}
    assert list(read(made, answer(200, {}, **HEADERS))) == ["burst"]


@pytest.mark.parametrize("zone", ["", "Mars/Olympus"])
def test_an_unknown_midnight_is_any_day(zone: str) -> None:
    """Where the zone is not known the last 24 hours count, which is never too much."""
    made = meter()
    made.begins_day_in(zone)
    assert limits(made, PLAIN)["daily"][3] == ""


@pytest.mark.parametrize("left", ["", "many", "-3"])
def test_headers_that_say_nothing(left: str) -> None:
    """A header that is missing or broken is no reading, and no error."""
    bad = {**HEADERS, "X_HubSpot_RateLimit_Remaining": left}
    assert list(read(meter(), answer(200, {}, **bad))) == ["daily"]


def test_answers_about_associations_say_nothing_of_the_burst() -> None:
    """Whose bucket their headers speak of is not documented."""
    found = answer(200, {}, **HEADERS)
    found.url = "https://api.hubapi.com/crm/associations/2026-09/contacts/deals/batch/read"
    assert list(read(meter(), found)) == ["daily"]
