"""What goes wrong on the way: what passes loses nothing, what lasts is said and leaves nothing."""

import json
from typing import Any

import pytest

from crm_pipeline.kernel.errors import (
    AuthFailed,
    BudgetExhausted,
    CrmError,
    MalformedResponse,
    NotPermitted,
    ProtocolError,
    Throttled,
)
from crm_pipeline_tests.connectors.hubspot.conftest import Client, Portal, Still, emulator, landed
from crm_pipeline_tests.connectors.hubspot.test_errors import DAILY, ROLLING, SECONDLY
from crm_pipeline_tests.harness import Harness

SEARCH, LIST, LINKS = "/contacts/search", r"/objects/2026-09/contacts\b", "/associations/"
TOO_MANY = [SECONDLY, ROLLING]


def is_whole(hub: Harness) -> bool:
    rows = landed(hub)
    return {row["id"] for row in rows if not row["deleted"]} == set(Client(hub).all("contacts"))


@pytest.mark.parametrize(
    ("kind", "path"),
    [("status", LINKS), ("drop", "/contacts/batch/read")],
)
def test_what_passes_loses_nothing(still: Still, kind: str, path: str) -> None:
    """A dropped or truncated answer, or an outage of a moment, is asked for again."""
    hub = still()
    hub.sandbox.faults.order(kind, path=path, times=2)
    assert hub.extract("contacts", route="search").reconciled
    assert is_whole(hub)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (423, {}),
        (477, {"Retry-After": "1"}),
        (524, {}),
    ],
)
def test_statuses_that_pass(still: Still, status: int, headers: dict[str, str]) -> None:
    """With or without a figure for the wait."""
    hub = still()
    hub.sandbox.faults.order(
        "status", path=SEARCH, nth=2, status=status, body="<html></html>", headers=headers
    )
    assert hub.extract("contacts", route="search").reconciled
    assert is_whole(hub)


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        ({"status": 200, "body": '{"results":[]}'}, MalformedResponse),
        ({"status": 429, "body": json.dumps(ROLLING)}, Throttled),
        ({"status": 429, "body": json.dumps(DAILY)}, BudgetExhausted),
    ],
)
def test_what_lasts_is_said(still: Still, fault: dict[str, Any], wanted: type[CrmError]) -> None:
    """The error names the connection and what to do, and nothing of the window is kept."""
    hub = still()
    hub.sandbox.faults.order("status", **fault, path=SEARCH, nth=2, times=99)
    with pytest.raises(wanted) as found:
        hub.extract("contacts", route="search")
    assert "demo" in str(found.value)
    assert found.value.cure
    assert hub.landing.windows("demo", "contacts") == []
    hub.sandbox.faults.clear()
    assert hub.extract("contacts").reconciled
    assert is_whole(hub)


def test_an_empty_page_with_a_cursor_is_not_the_end(still: Still) -> None:
    """Only a missing cursor ends a list."""
    hub = still(ceilings={"list_records": 30})
    first = Client(hub).ask("GET", "/crm/v3/objects/contacts", limit="1")["results"][0]["id"]
    body = f'{{"results":[],"paging":{{"next":{{"after":"{first}","link":"x"}}}}}}'
    hub.sandbox.faults.order("status", path=LIST, method="GET", status=200, body=body)
    assert hub.extract("contacts", route="list").reconciled
    assert is_whole(hub)


def test_a_page_of_other_records_is_refused(still: Still) -> None:
    """A search that begins somewhere else than it was asked to is no page of ours."""
    hub = still()
    properties = {"lastmodifieddate": "2026-01-01T00:00:00Z"}
    record = {"id": "1", "properties": properties, "archived": False}
    body = json.dumps({"total": 9, "results": [record, record]})
    hub.sandbox.faults.order("status", path=SEARCH, nth=2, status=200, body=body, times=9)
    with pytest.raises(ProtocolError, match="other records"):
        hub.extract("contacts", route="search")


def test_rotated_refresh_tokens_are_kept(portal: Portal) -> None:
    """The answer's refresh token is the one that is used next."""
    with portal(kind="refresh_token") as hub:
        emulator(hub).rotate(on=True)
        for _ in range(3):
            hub.extract("companies")
            emulator(hub).expire_sessions()
            hub.advance(3600)


def test_a_token_that_was_withdrawn(still: Still, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixed token is not tried a second time."""
    hub = still()
    environ: Any = hub.settings.environ
    monkeypatch.setitem(environ, "HUB_TOKEN", "pat-na1-worthless")
    with pytest.raises(AuthFailed) as found:
        hub.extract("contacts")
    assert "HUB_TOKEN" in found.value.cure
    assert "worthless" not in str(found.value)
    assert len(hub.sandbox.journal.as_rows()) == 1


def test_a_missing_scope_is_named(still: Still) -> None:
    """The scope to add, where to add it, and that the object can be left out."""
    hub = still(kind="contacts_token")
    with pytest.raises(NotPermitted) as found:
        hub.extract("deals")
    assert "crm.objects.deals.read" in found.value.cure
    assert "connections.yaml" in found.value.cure


def test_our_share_of_the_day_is_all_that_is_used(hub: Harness) -> None:
    """Where another app has spent it, the vendor's counter stops us, in clear words."""
    emulator(hub).set_limits(daily=1_000, daily_used=890)

    def read_on() -> None:
        for _ in range(9):
            hub.extract("contacts")

    with pytest.raises(BudgetExhausted) as found:
        read_on()
    assert "left of our share of the vendor's limit" in str(found.value)
