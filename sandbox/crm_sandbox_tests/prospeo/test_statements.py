"""The fourteen statements about a faithful sandbox of Prospeo, each a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import requests

from crm_sandbox_tests.prospeo.conftest import Client, code_of

STATEMENTS = range(1, 15)
NOBODY = {"email": "nobody@nowhere.example"}
MINUTES = 60.0


def test_every_statement_has_a_test() -> None:
    """Each numbered statement is named by a test's docstring."""
    named: list[int] = []
    for node in ast.walk(ast.parse(Path(__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            claims = re.findall(r"Statement (\d+):", ast.get_docstring(node) or "")
            named += [int(number) for number in claims]
    assert set(named) == set(STATEMENTS)


@pytest.mark.parametrize("key", ["", "wrong"])
@pytest.mark.parametrize("path", ["/enrich-person", "/account-information", "/search-person"])
def test_a_wrong_key(client: Client, path: str, key: str) -> None:
    """Statement 1: a missing or wrong key is 401 with its error code."""
    response = client.post(path, {"data": NOBODY}, **{"X-KEY": key})
    assert response.status_code == 401
    assert response.json() == {"error": True, "error_code": "INVALID_API_KEY"}


def test_methods(client: Client) -> None:
    """Statement 2: an enrichment is no GET; the account answers GET, and POST as it used to, in a wrapper and with a
    blank in the time."""
    assert client.get("/enrich-person").status_code == 405
    for response in (client.get("/account-information"), client.post("/account-information")):
        body = response.json()
        assert body["error"] is False
        assert body["response"]["remaining_credits"] == 1_000
        date = body["response"]["next_quota_renewal_date"]
        assert date == "2026-11-15 00:00:00+00:00"
        assert body["response"]["next_quota_renewal_days"] == 14


def test_nobody(client: Client) -> None:
    """Statement 3: an unknown person is 400 NO_MATCH and costs nothing."""
    assert code_of(client.enrich(NOBODY)) == (400, "NO_MATCH")
    assert client.left() == 1_000
    assert client.account.rows("credits") == []


def test_what_a_match_costs(client: Client) -> None:
    """Statement 4: a match costs 1, with a mobile 10; the same again is free for as long as the account is set to."""
    person = client.people(mobile=True)[0]
    data = {"person_id": person["id"]}
    first = client.enrich(data)
    assert (first.json()["free_enrichment"], client.left()) == (False, 999)
    mobile = client.enrich(data, enrich_mobile=True).json()
    assert mobile["person"]["mobile"]["mobile"] == person["mobile"]
    assert (mobile["free_enrichment"], client.left()) == (False, 989)
    for flags in ({}, {"enrich_mobile": True}):
        assert client.enrich(data, **flags).json()["free_enrichment"] is True
    assert client.left() == 989
    assert [entry["cost"] for entry in client.account.rows("credits")] == [1, 10, 0, 0]
    without = client.people(mobile=False)[0]
    client.enrich({"person_id": without["id"]}, enrich_mobile=True)
    assert client.left() == 988


@pytest.mark.parametrize(("days", "is_free"), [(90, False), (None, True)])
def test_for_how_long_it_is_free(client: Client, days: int | None, is_free: bool) -> None:
    """Statement 4: ninety days, or for ever."""
    client.account.admin("set_account", free_days=days)
    data = {"person_id": client.people()[0]["id"]}
    client.enrich(data)
    client.clock.advance(89 * 86_400)
    assert client.enrich(data).json()["free_enrichment"] is True
    client.clock.advance(2 * 86_400)
    assert client.enrich(data).json()["free_enrichment"] is is_free


def test_what_is_not_bought_is_starred(client: Client) -> None:
    """Statement 5: without a purchase mobile and e-mail are masked, with `revealed: false`."""
    person = client.people(mobile=True)[0]
    found = client.enrich({"person_id": person["id"]}).json()["person"]
    assert found["email"]["email"] == person["work_email"]
    assert found["email"]["revealed"] is True
    assert found["mobile"]["revealed"] is False
    assert "*" in found["mobile"]["mobile"]
    assert person["mobile"] not in str(found)
    client.account.admin("set_account", masks_email=True)
    other = client.people()[1]
    response = client.enrich({"person_id": other["id"]}).json()
    assert response["person"]["email"]["revealed"] is False
    assert "*" in response["person"]["email"]["email"]
    assert other["work_email"] not in str(response)
    assert client.left() == 999


def test_only_verified(client: Client) -> None:
    """Statement 6: `only_verified_email` on an unverified address is NO_MATCH at no cost; `only_verified_mobile` buys
    the mobile."""
    unverified = client.people(verified=False, mobile=True)[0]
    data = {"person_id": unverified["id"]}
    assert code_of(client.enrich(data, only_verified_email=True)) == (400, "NO_MATCH")
    without = {"person_id": client.people(mobile=False)[0]["id"]}
    assert code_of(client.enrich(without, only_verified_mobile=True)) == (400, "NO_MATCH")
    assert client.left() == 1_000
    found = client.enrich(data, only_verified_mobile=True).json()["person"]
    assert found["email"]["status"] == "UNVERIFIED"
    assert found["mobile"]["mobile"] == unverified["mobile"]
    assert client.left() == 990


@pytest.mark.parametrize(
    "data",
    [
        {"company_name": "Acme"},
        {"company_website": "acme.example", "company_name": "Acme"},
        {"full_name": "Ada Lovelace"},
        {"first_name": "Ada", "company_website": "acme.example"},
        {},
    ],
)
def test_too_little(client: Client, data: dict[str, str]) -> None:
    """Statement 7: a company alone, or a person without a company, is INVALID_DATAPOINTS."""
    assert code_of(client.enrich(data)) == (400, "INVALID_DATAPOINTS")
    assert client.left() == 1_000


def test_bulk(client: Client) -> None:
    """Statement 8: 51 records are refused; the result is split by identifier, in another order, and `total_cost` is
    what the credits fell by."""
    people = client.people()
    records: list[dict[str, Any]] = [
        {"identifier": f"r{n}", "person_id": one["id"]} for n, one in enumerate(people[:20])
    ]
    records += [{"identifier": "miss", **NOBODY}, {"identifier": "wrong", "company_name": "Acme"}]
    assert code_of(client.bulk(records[:1] * 51)) == (400, "INVALID_REQUEST")
    client.enrich({"person_id": people[0]["id"]})
    before = client.left()
    body = client.bulk(records, enrich_mobile=True).json()
    shown = {one["identifier"]: one["person"]["person_id"] for one in body["matched"]}
    assert shown == {f"r{n}": one["id"] for n, one in enumerate(people[:20])}
    assert [one["identifier"] for one in body["matched"]] != sorted(shown)
    assert (body["not_matched"], body["invalid_datapoints"]) == (["miss"], ["wrong"])
    assert body["total_cost"] == before - client.left() > 20
    assert client.bulk(records, enrich_mobile=True).json()["total_cost"] == 0


@pytest.mark.parametrize("identifiers", [["a", "a"], ["", "b"], ["a-b", "c"]])
def test_identifiers(client: Client, identifiers: list[str]) -> None:
    """Statement 8: each record has an alphanumeric identifier of its own."""
    records = [{"identifier": name, **NOBODY} for name in identifiers]
    assert code_of(client.bulk(records)) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("in_second", [False, True])
def test_bulk_counts_records(client: Client, in_second: bool) -> None:
    """Statement 9: a bulk call of 50 takes 50 of the limit; in a second as well, where that is set."""
    client.account.admin("set_limits", plan="starter", bulk_counts_in_second=in_second)
    records = [{"identifier": f"r{n}", **NOBODY} for n in range(50)]
    response = client.bulk(records)
    if in_second:
        assert code_of(response) == (429, "RATE_LIMITED")
        return
    assert response.headers["x-minute-request-left"] == "250"
    assert response.headers["x-daily-request-left"] == "1950"


def test_limits(client: Client) -> None:
    """Statement 10: headers count down by class, failed calls do not count, 24 hours slide, what is over is 429."""
    client.account.admin("set_limits", enrich=[5, 300, 4], search=[1, 2, 10])

    def left(response: requests.Response) -> list[str]:
        names = ("x-minute-request-left", "x-daily-request-left", "x-daily-rate-limit")
        return [response.headers[name] for name in (*names, "x-second-rate-limit")]

    assert left(client.enrich(NOBODY)) == ["299", "3", "4", "5"]
    assert left(client.enrich({})) == ["299", "3", "4", "5"]
    client.clock.advance(3_600)
    for _ in range(3):
        last = client.enrich(NOBODY)
    assert left(last)[1] == "0"
    refused = client.enrich(NOBODY)
    assert code_of(refused) == (429, "RATE_LIMITED")
    assert refused.headers["x-daily-reset-seconds"] == str(23 * 3_600)
    assert left(client.search({"person_department": {"include": ["Sales"]}}))[1] == "9"
    client.clock.advance(23 * 3_600)
    assert code_of(client.enrich(NOBODY)) == (400, "NO_MATCH")
    assert code_of(client.enrich(NOBODY)) == (429, "RATE_LIMITED")
    client.seconds += MINUTES
    for expected in (400, 400, 429):
        client.seconds += 1.1
        filters = {"person_name": {"include": ["Nobody At All"]}}
        response = client.post("/search-person", {"filters": filters})
        assert response.status_code == expected


def test_no_credits(client: Client) -> None:
    """Statement 11: without credits everything is INSUFFICIENT_CREDITS, and the account still answers."""
    data = {"person_id": client.people(mobile=True)[0]["id"]}
    client.account.admin("set_credits", remaining=9)
    assert code_of(client.enrich(data, enrich_mobile=True)) == (400, "INSUFFICIENT_CREDITS")
    assert client.left() == 9
    client.account.admin("set_credits", remaining=0)
    assert code_of(client.enrich(NOBODY)) == (400, "INSUFFICIENT_CREDITS")
    search = client.search({"person_department": {"include": ["Sales"]}})
    assert code_of(search) == (400, "INSUFFICIENT_CREDITS")
    assert client.left() == 0
    client.clock.advance(15 * 86_400)
    assert client.left() == 1_000


def test_a_fault_of_the_vendor(client: Client) -> None:
    """Statement 12: INTERNAL_ERROR comes with status 400, costs nothing and goes away."""
    client.account.admin("fail", times=2)
    data = {"person_id": client.people()[0]["id"]}
    for _ in range(2):
        assert code_of(client.enrich(data)) == (400, "INTERNAL_ERROR")
    assert client.left() == 1_000
    assert client.enrich(data).status_code == 200


def test_search(client: Client) -> None:
    """Statement 13: 25 a page for a credit, no contact data, no page 1001, no search by exclusions alone."""
    filters = {"person_seniority": {"include": ["Manager", "Head"]}}
    expected = {
        row["id"] for row in client.people() if "Manager" in row["title"] or "Head" in row["title"]
    }
    pages, found = 1, set()
    number = 1
    while number <= pages:
        body = client.search(filters, number).json()
        pages = body["pagination"]["total_page"]
        assert len(body["results"]) <= body["pagination"]["per_page"] == 25
        assert body["pagination"]["total_count"] == len(expected)
        for one in body["results"]:
            assert not {"email", "mobile"} & set(one["person"])
            found.add(one["person"]["person_id"])
        number += 1
    assert found == expected
    assert pages > 1
    assert client.left() == 1_000 - pages
    assert code_of(client.search(filters, pages + 1)) == (400, "NO_RESULTS")
    assert client.left() == 1_000 - pages
    assert code_of(client.search(filters, 1_001)) == (400, "INVALID_REQUEST")
    for wrong, words in (
        ({"person_seniority": {"exclude": ["Manager"]}}, "at least one include"),
        ({"person_shoe_size": {"include": ["9"]}}, "person_shoe_size"),
        ({"person_name": {"include": ["a"] * 501}}, "more than 500"),
    ):
        response = client.search(wrong)
        assert code_of(response) == (400, "INVALID_FILTERS")
        assert words in response.json()["filter_error"]


@pytest.mark.parametrize("path", ["/email-finder", "/email-verifier", "/mobile-finder"])
def test_the_old_api(client: Client, path: str) -> None:
    """Statement 14: the old addresses say that they are gone, with the status that is set."""
    assert client.post(path, {}).status_code == 404
    client.account.admin("set_old_api", status=410)
    response = client.post(path, {})
    assert (response.status_code, response.json()["error"]) == (410, True)
