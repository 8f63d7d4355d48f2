"""Lists and searches of a portal hold what the portal holds."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from crm_sandbox import SandboxServer
from crm_sandbox.hubspot.credentials import MAIN
from crm_sandbox.hubspot.emulation import HubSpotSandbox


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer(contacts=150, now=datetime(2026, 11, 1, tzinfo=UTC)) as running:
        yield running


@pytest.fixture(scope="module")
def portal(server: SandboxServer) -> HubSpotSandbox:
    found = server.emulations["hubspot"]
    assert isinstance(found, HubSpotSandbox)
    found.set_limits(private=100_000, search=100_000)
    return found


def ask(server: SandboxServer, path: str, **more: Any) -> dict[str, Any]:
    method = "POST" if "json" in more else "GET"
    headers = {"Authorization": f"Bearer {MAIN.token}"}
    response = requests.request(method, f"{server.url}/hubspot{path}", headers=headers, **more)
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_what_belongs_to_a_deal_has_its_currency(
    server: SandboxServer, portal: HubSpotSandbox
) -> None:
    """Line items and quotes are in the money of their deal; the amount of a line is net of its discount."""
    path = "/crm/v3/objects/{}?limit=100&associations=deals&properties={}"
    deals = {
        one["id"]: one["properties"]["deal_currency_code"]
        for archived in ("false", "true")
        for one in ask(
            server, path.format("deals", "deal_currency_code") + f"&archived={archived}"
        )["results"]
    }
    assert len(set(deals.values())) > 1
    priced = "quantity,price,amount,discount,hs_discount_percentage,hs_line_item_currency_code"
    lines = ask(server, path.format("line_items", priced))["results"]
    quotes = ask(server, path.format("quotes", "hs_currency"))["results"]
    off = set()
    for one in (*lines, *quotes):
        has = one["properties"]
        deal = one["associations"]["deals"]["results"][0]["id"]
        currency = has.get("hs_line_item_currency_code") or has.get("hs_currency")
        assert currency == deals[deal]
        if "price" in has:
            money, percent = has["discount"] or 0, has["hs_discount_percentage"] or 0
            off.add((bool(money), bool(percent)))
            each = (float(has["price"]) - float(money)) * (1 - float(percent) / 100)
            net = float(has["quantity"]) * each
            assert abs(net - float(has["amount"])) < 0.005
    assert off == {(False, False), (True, False), (False, True)}


@pytest.mark.parametrize("archived", [False, True])
def test_a_list_has_every_record_once(
    server: SandboxServer, portal: HubSpotSandbox, archived: bool
) -> None:
    """Pages in ascending order of ids, joined by `after`, hold the live or the archived records."""
    found: list[str] = []
    params = {"limit": "40", "archived": str(archived).lower()}
    while True:
        page = ask(server, "/crm/objects/2026-09/contacts", params=params)
        found += [record["id"] for record in page["results"]]
        if "paging" not in page:
            break
        params["after"] = page["paging"]["next"]["after"]
    rows = portal.rows("contacts", include_deleted=True)
    assert found == [row["id"] for row in rows if row["_archived"] == archived]


def test_a_search_counts_what_it_finds(server: SandboxServer, portal: HubSpotSandbox) -> None:
    """A window of modification stamps holds the records that the portal has in it."""
    since = datetime(2025, 1, 1, tzinfo=UTC)
    value = str(int(since.timestamp() * 1000))
    clause = {"propertyName": "lastmodifieddate", "operator": "GTE", "value": value}
    body = {"filterGroups": [{"filters": [clause]}], "limit": 200}
    assert ask(server, "/crm/v3/objects/contacts/search", json=body)["total"] == portal.count(
        "contacts", since=since
    )
