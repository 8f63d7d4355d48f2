"""Plans: the cost of each strategy, the possible ones, and what planning learns."""

from datetime import timedelta

import pytest

from crm_pipeline.connectors.base import Plan
from crm_pipeline.connectors.pipedrive.ranges import workers_of
from crm_pipeline.kernel.clock import Window, parse_instant
from crm_pipeline.kernel.errors import ConfigError, NotPermitted, UnknownField
from crm_pipeline.settings import ObjectSettings
from crm_pipeline_tests.connectors.pipedrive.conftest import WIDE, Harness, HarnessMaker

SPAN = Window(parse_instant("2025-01-01T00:00:00Z"), parse_instant("2026-11-01T00:00:00Z"))


def plan(harness: Harness, obj: str, window: Window | None = SPAN, route: str = "auto") -> Plan:
    with harness.account() as account:
        return account.plan(ObjectSettings(obj, route=route), window)


@pytest.mark.parametrize(
    ("obj", "window", "words"),
    [
        ("leads", SPAN, "no list of it by time of change"),
        ("stages", SPAN, "no list of it by time of change"),
        ("persons", Window(None, SPAN.to_at), "without a time of change"),
    ],
)
def test_why_not_by_windows(still: Harness, obj: str, window: Window, words: str) -> None:
    """All strategies are compared, and the plan shows why one is impossible."""
    planned = plan(still, obj, window)
    assert [strategy.name for strategy in planned.strategies] == ["cursor", "windows"]
    assert planned.route == "cursor"
    assert words in planned.strategies[1].impediment
    assert words in planned.reason
    if obj != "persons":
        with pytest.raises(ConfigError, match=words):
            plan(still, obj, window, route="windows")


def test_the_faster_strategy_is_taken(still: Harness) -> None:
    """Many pages are read by parallel workers if that is faster; a single page is read directly."""
    long = plan(still, "persons")
    by = {strategy.name: strategy for strategy in long.strategies}
    assert by["windows"].calls > by["cursor"].calls > 4
    assert by["windows"].cost == 10 * by["windows"].calls
    assert (long.unit, long.vendor_count) == ("tokens", None)
    assert long.remaining
    hour = Window(SPAN.to_at - timedelta(hours=1), SPAN.to_at)
    short = plan(still, "persons", hour)
    assert (short.route, short.calls, short.cost) == ("cursor", 2, 20)


@pytest.mark.parametrize("obj", ["persons", "organizations", "activities", "products", "deals"])
@pytest.mark.parametrize("route", ["cursor", "windows"])
def test_plans_come_true(still: Harness, obj: str, route: str) -> None:
    """Calls and tokens are within a fifth of the plan, give or take five calls."""
    extraction = still.extract(obj, window=SPAN, route=route)
    assert abs(extraction.calls - extraction.planned_calls) <= 0.2 * extraction.planned_calls + 5
    assert abs(extraction.cost - extraction.planned_cost) <= 0.2 * extraction.planned_cost + 50


def test_a_plan_reads_no_page_twice(still: Harness) -> None:
    """The first page of each list is requested once, by the plan, and used by the read."""
    still.sandbox.journal.clear()
    extraction = still.extract("persons", window=SPAN, route="cursor")
    queries = [entry.query for entry in still.sandbox.journal.entries(path="/api/v2/persons$")]
    assert len(queries) == len(set(queries))
    assert extraction.calls == len(queries) + 1  # the metadata


@pytest.mark.parametrize(
    ("calls_per_s", "rtt_s", "workers"),
    [(9.0, 0.35, 4), (45.0, 0.35, 16), (200.0, 1.0, 16), (1, 0.1, 1)],
)
def test_workers(calls_per_s: float, rtt_s: float, workers: int) -> None:
    """There are enough workers to use up the allowed rate, at most sixteen."""
    assert workers_of(calls_per_s, rtt_s) == workers


@pytest.mark.parametrize(
    ("status", "code", "error", "gone"),
    [
        (
            400,
            "ERR_SCHEMA_VALIDATION_FAILED",
            "Validation failed: include_fields: 'doi_status' is not a valid value",
            {"doi_status"},
        ),
        (
            400,
            "ERR_SCHEMA_VALIDATION_FAILED",
            "include_fields: Invalid enum value. Expected 'notes_count' | 'files_count', received 'doi_status'",
            {"doi_status"},
        ),
        (
            400,
            "ERR_SCHEMA_VALIDATION_FAILED",
            "Validation failed: include_fields: only with the add-on",
            {"doi_status", "marketing_status"},
        ),
        (403, "", "marketing_status needs the marketing app", {"doi_status", "marketing_status"}),
    ],
)
def test_fields_that_are_not_given(
    harness: Harness, status: int, code: str, error: str, gone: set[str]
) -> None:
    """A refused optional field is left out and named in the reason; all others are read."""
    body = f'{{"success":false,"error":"{error}","code":"{code}"}}'
    harness.sandbox.faults.order("status", status=status, body=body, path="/api/v2/persons")
    extraction = harness.extract("persons")
    names = set(extraction.schema.names)
    assert not gone & names
    assert {"notes_count", "smart_bcc_email"} <= names
    assert all(name in extraction.reason for name in gone)
    assert harness.ids(extraction) == harness.truth("persons")


def test_a_refusal_of_everything_optional(harness: Harness) -> None:
    """If all optional fields are refused, the rest is read; if that is refused too, it is an error."""
    body = '{"success":false,"error":"include_fields: no","code":"ERR_SCHEMA_VALIDATION_FAILED"}'
    harness.sandbox.faults.order("status", status=400, body=body, path="/api/v2/persons", times=2)
    assert "notes_count" not in harness.extract("persons").schema.names
    harness.sandbox.faults.order("status", status=400, body=body, path="/api/v2/persons", times=9)
    with pytest.raises(UnknownField):
        harness.extract("persons")


def test_an_unknown_object(still: Harness) -> None:
    """The error lists the objects and suggests one."""
    with pytest.raises(NotPermitted, match="no object person; known: deals, persons") as caught:
        plan(still, "person")
    assert "Did you mean 'persons'?" in caught.value.cure


def test_all_optional_fields_are_requested(make_harness: HarnessMaker) -> None:
    """Every list that has optional fields is requested with all of them."""
    with make_harness(ceilings=WIDE) as harness:
        harness.extract("deals")
        asked = harness.sandbox.journal.entries(path="/api/v2/deals")
        assert len(asked) == 4
        assert all("products_count" in entry.query for entry in asked)
        assert all("custom_fields" not in entry.query for entry in asked)
