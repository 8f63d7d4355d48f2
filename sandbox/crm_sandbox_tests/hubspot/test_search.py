from datetime import datetime

import pytest

from crm_sandbox import SandboxServer
from crm_sandbox_tests.conftest import NOW
from crm_sandbox_tests.hubspot.conftest import Client


def where(name: str, operator: str, value=None, **more) -> dict:
    return {
        "propertyName": name,
        "operator": operator,
        **({"value": value} if value else {}),
        **more,
    }


def ids(response) -> set[str]:
    assert response.status_code == 200, response.text
    return {row["id"] for row in response.json()["results"]}


def test_pages_of_a_search(hubspot) -> None:
    """Statement 14: 10 results by default, `after` is an offset, the last page has none."""
    total = hubspot.truth.count("contacts")
    page = hubspot.search("contacts").json()
    assert page["total"] == total
    assert len(page["results"]) == 10
    assert page["paging"] == {"next": {"after": "10"}}
    found = []
    after = "0"
    while after:
        page = hubspot.search("contacts", limit=200, after=after).json()
        found += [row["id"] for row in page["results"]]
        after = page.get("paging", {}).get("next", {}).get("after")
    assert len(found) == len(set(found)) == total


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 201},
        {"limit": 0},
        {"limit": 200, "after": "9801"},
        {"after": "x"},
        {"filterGroups": [{"filters": [where("email", "HAS_PROPERTY")]}] * 6},
        {"filterGroups": [{"filters": [where("email", "HAS_PROPERTY")] * 7}]},
        {"filterGroups": [{"filters": [where("email", "HAS_PROPERTY")] * 5}] * 4},
        {"properties": ["x" * 3_000]},
        {"filterGroups": [{"filters": [where("nope", "EQ", "1")]}]},
        {"filterGroups": [{"filters": [where("email", "LIKE", "1")]}]},
        {"filterGroups": [{"filters": [where("lastmodifieddate", "GT", "yesterday")]}]},
        {"sorts": [{"propertyName": "nope"}]},
    ],
)
def test_what_a_search_refuses(hubspot, body: dict) -> None:
    """Statement 14: too large pages, offsets past 10,000, too many filters, long bodies: 400."""
    response = hubspot.post("/crm/v3/objects/contacts/search", body)
    assert response.status_code == 400
    assert response.json()["category"] == "VALIDATION_ERROR"


def test_the_last_page_that_is_allowed(hubspot) -> None:
    """Statement 14: offset and limit may reach 10,000 exactly."""
    assert hubspot.search("contacts", limit=200, after="9800").status_code == 200
    groups = [{"filters": [where("email", "HAS_PROPERTY")] * 6}] * 3
    body = {"filterGroups": groups}
    assert hubspot.post("/crm/v3/objects/contacts/search", body).status_code == 200


def test_search_shows_live_records_without_links(hubspot) -> None:
    """Statement 14: a search shows no archived records and no associations."""
    gone = hubspot.every("contacts", archived="true")[0]["id"]
    response = hubspot.search("contacts", where("hs_object_id", "EQ", gone))
    assert response.json() == {"total": 0, "results": []}
    row = hubspot.search("contacts", associations=["companies"]).json()["results"][0]
    assert "associations" not in row


def test_text_is_compared_without_case(hubspot) -> None:
    """Statement 14: text without case, choices with it; values of IN must come in lower case."""
    row = next(r for r in hubspot.truth.rows("contacts") if r["email"] and r["hs_lead_status"])
    email = row["email"]
    assert ids(hubspot.search("contacts", where("email", "EQ", email.upper()))) == {row["id"]}
    assert ids(hubspot.search("contacts", where("email", "IN", values=[email.lower()]))) == {
        row["id"]
    }
    assert ids(hubspot.search("contacts", where("email", "IN", values=[email.upper()]))) == set()
    status = where("hs_lead_status", "EQ", row["hs_lead_status"])
    assert hubspot.search("contacts", status).json()["total"] > 0
    status = where("hs_lead_status", "EQ", row["hs_lead_status"].lower())
    assert hubspot.search("contacts", status).json()["total"] == 0


def test_linked_records(hubspot) -> None:
    """Statement 14: `associations.company` finds the contacts of a company; not for own objects."""
    links = hubspot.truth.links("contacts", "companies")
    company = next(to for _, to, _ in sorted(links))
    wanted = {one for one, to, _ in links if to == company}
    found = ids(hubspot.search("contacts", where("associations.company", "EQ", company), limit=200))
    assert found == wanted
    machine = where("associations.machine", "EQ", "1")
    assert hubspot.search("contacts", machine).status_code == 400


@pytest.mark.parametrize(
    ("filters", "keeps"),
    [
        ([("numberofemployees", "GT", "50")], lambda r: float(r["numberofemployees"]) > 50),
        (
            [("numberofemployees", "BETWEEN", "10", "60")],
            lambda r: 10 <= float(r["numberofemployees"]) <= 60,
        ),
        ([("type", "NOT_HAS_PROPERTY")], lambda r: not r["type"]),
        (
            [("type", "HAS_PROPERTY"), ("is_public", "EQ", "true")],
            lambda r: r["type"] and r["is_public"] == "true",
        ),
        ([("type", "NEQ", "PARTNER")], lambda r: r["type"] != "PARTNER"),
        (
            [("country", "NOT_IN", ["germany", "france"])],
            lambda r: r["country"] not in ("Germany", "France"),
        ),
        ([("name", "CONTAINS_TOKEN", "energy")], lambda r: "energy" in r["name"].lower().split()),
        ([("name", "CONTAINS_TOKEN", "ener*")], lambda r: "ener" in r["name"].lower()),
        (
            [("renewal_on", "GTE", "1767225600000")],
            lambda r: (r["renewal_on"] or "") >= "2026-01-01",
        ),
        (
            [("hs_lastmodifieddate", "LT", "1767225600000")],
            lambda r: r["hs_lastmodifieddate"] < "2026-01-01",
        ),
        (
            [("hs_lastmodifieddate", "LT", "2026-01-01")],
            lambda r: r["hs_lastmodifieddate"] < "2026-01-01",
        ),
    ],
)
def test_operators(hubspot, filters: list, keeps) -> None:
    """Every operator finds what it says."""
    asked = []
    for name, operator, *values in filters:
        if values and isinstance(values[0], list):
            asked.append(where(name, operator, values=values[0]))
        elif len(values) == 2:
            asked.append(where(name, operator, values[0], highValue=values[1]))
        else:
            asked.append(where(name, operator, *values))
    wanted = {row["id"] for row in hubspot.truth.rows("companies") if keeps(row)}
    assert ids(hubspot.search("companies", *asked, limit=200)) == wanted
    assert 0 < len(wanted) < hubspot.truth.count("companies")


def test_groups_are_alternatives_and_one_sort_holds(hubspot) -> None:
    """Groups are joined by OR; the first sort decides the order, without one the creation."""
    rows = hubspot.truth.rows("companies")
    groups = [{"filters": [where("hs_object_id", "EQ", rows[k]["id"])]} for k in (4, 2)]
    sorts = [{"propertyName": "hs_object_id", "direction": "DESCENDING"}]
    body = {"filterGroups": groups, "sorts": sorts}
    found = hubspot.post("/crm/v3/objects/companies/search", body).json()["results"]
    assert [row["id"] for row in found] == [rows[4]["id"], rows[2]["id"]]
    created = [row["createdAt"] for row in hubspot.search("contacts", limit=200).json()["results"]]
    assert created == sorted(created)


def test_words(hubspot) -> None:
    """`query` looks for the beginnings of words in the searched properties."""
    row = next(r for r in hubspot.truth.rows("contacts") if r["firstname"] == "Kevin")
    found = hubspot.search("contacts", query="KEV", limit=200)
    assert row["id"] in ids(found)
    assert hubspot.search("contacts", query="zzzz").json()["total"] == 0


def test_a_window_by_modification_and_id(hubspot) -> None:
    """A window of stamps, walked by id, gives exactly the truth's records of that window."""
    edges = [datetime(2026, 1, 1, tzinfo=NOW.tzinfo), datetime(2026, 11, 1, tzinfo=NOW.tzinfo)]
    since, until = (str(int(edge.timestamp() * 1000)) for edge in edges)
    found: list[str] = []
    last = "0"
    while True:
        filters = (
            where("lastmodifieddate", "GTE", since),
            where("lastmodifieddate", "LT", until),
            where("hs_object_id", "GT", last),
        )
        sorts = [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]
        page = hubspot.search("contacts", *filters, sorts=sorts, limit=7).json()["results"]
        if not page:
            break
        found += [row["id"] for row in page]
        last = found[-1]
    truth = hubspot.truth.rows("contacts", since=edges[0], until=edges[1])
    assert found == [row["id"] for row in truth]
    assert len(found) > 50


@pytest.mark.parametrize("direction", ["ASCENDING", "DESCENDING"])
@pytest.mark.parametrize(
    ("operators", "keeps"),
    [
        ((), lambda number, low, high: True),
        (("GT", "LT"), lambda number, low, high: low < number < high),
        (("GTE", "LTE"), lambda number, low, high: low <= number <= high),
        (("GTE", "LT"), lambda number, low, high: low <= number < high),
    ],
)
def test_a_range_of_ids_in_both_directions(hubspot, direction, operators, keeps) -> None:
    """Edges, other filters, offsets and totals hold where the order is that of the ids."""
    known = [int(row["id"]) for row in hubspot.truth.rows("contacts") if row["email"]]
    low, high = known[3], known[-4]
    edges = [where("hs_object_id", o, str(e)) for o, e in zip(operators, (low, high), strict=False)]
    given = {"sorts": [{"propertyName": "hs_object_id", "direction": direction}], "limit": 5}
    page = hubspot.search(
        "contacts", where("email", "HAS_PROPERTY"), *edges, after="2", **given
    ).json()
    expected = [number for number in known if keeps(number, low, high)]
    assert page["total"] == len(expected)
    ordered = expected[::-1] if direction == "DESCENDING" else expected
    assert [int(row["id"]) for row in page["results"]] == ordered[2:7]


def test_pages_by_id_see_what_is_written(own) -> None:
    """What is kept between pages is kept no longer than the records stay as they are."""
    asked = {"sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}], "limit": 200}
    before = [row["id"] for row in own.search("contacts", **asked).json()["results"]]
    made = own.create("contacts", email="new@example.org").json()["id"]
    own.delete(f"/crm/v3/objects/contacts/{before[0]}")
    after = [row["id"] for row in own.search("contacts", **asked).json()["results"]]
    assert after == [*before[1:], made]


def test_the_index_lags(own) -> None:
    """Statement 15: for a while search sees the former values, and shows the fresh record."""
    own.admin("/hubspot/set", {"search_lag_s": 10})
    record = own.first()
    before = own.truth.rows("contacts", limit=1)[0]["city"]
    own.patch(f"/crm/v3/objects/contacts/{record}", city="Nowhere")
    made = own.create("contacts", email="new@example.org", city="Nowhere").json()["id"]
    gone = own.first(number=3)
    own.delete(f"/crm/v3/objects/contacts/{gone}")
    assert (
        own.get(f"/crm/v3/objects/contacts/{record}", properties="city").json()["properties"][
            "city"
        ]
        == "Nowhere"
    )
    assert own.search("contacts", where("city", "EQ", "Nowhere")).json()["total"] == 0
    stale = own.search(
        "contacts", where("city", "EQ", before), properties=["city"], limit=200
    ).json()
    assert {row["id"]: row for row in stale["results"]}[record]["properties"]["city"] == "Nowhere"
    assert own.search("contacts", where("hs_object_id", "EQ", gone)).json()["total"] == 1
    own.sandbox.clock.advance(11)
    assert ids(own.search("contacts", where("city", "EQ", "Nowhere"))) == {record, made}
    assert own.search("contacts", where("hs_object_id", "EQ", gone)).json()["total"] == 0


def test_more_than_the_ceiling_in_one_millisecond() -> None:
    """Statement 16: on order 10,500 records share one millisecond, so that time alone cannot page."""
    with SandboxServer(contacts=60, seed=3, now=NOW, vendors=("hubspot",)) as running:
        own = Client(running)
        moment = own.admin("/hubspot/burst", {"rows": 10_500}).json()["result"]
        window = (where("lastmodifieddate", "BETWEEN", str(moment), highValue=str(moment)),)
        page = own.search("contacts", *window, limit=200, after="9800").json()
        assert page["total"] == 10_500
        assert own.search("contacts", *window, limit=200, after="9900").status_code == 400
        last = own.truth.rows("contacts")[-1]["id"]
        beyond = own.search("contacts", *window, where("hs_object_id", "GTE", last)).json()
        assert [row["id"] for row in beyond["results"]] == [last]
        mails = [row["email"] for row in own.truth.rows("contacts") if row["email"]]
        assert len(mails) == len({mail.lower() for mail in mails})
        own.close()
