import re

import pytest

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
V1_INSTANT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
HASH = re.compile(r"[0-9a-f]{40}")
SHAPES = {
    "varchar": lambda v: isinstance(v, str),
    "varchar_auto": lambda v: isinstance(v, str),
    "text": lambda v: isinstance(v, str),
    "phone": lambda v: isinstance(v, str),
    "double": lambda v: isinstance(v, float),
    "enum": lambda v: isinstance(v, int),
    "set": lambda v: isinstance(v, list) and all(isinstance(one, int) for one in v),
    "monetary": lambda v: set(v) == {"value", "currency"} and isinstance(v["value"], float),
    "date": lambda v: re.fullmatch(r"\d{4}-\d\d-\d\d", v),
    "daterange": lambda v: set(v) == {"value", "until"},
    "time": lambda v: set(v) == {"value", "timezone_id", "timezone_name"},
    "timerange": lambda v: {"value", "until", "timezone_id"} < set(v),
    "address": lambda v: {"value", "country", "locality", "postal_code"} < set(v),
    "org": lambda v: isinstance(v, int),
    "people": lambda v: isinstance(v, int),
    "user": lambda v: isinstance(v, int),
}


def test_person(main) -> None:
    """Statement 7: ids are numbers, times RFC 3339, e-mails and phones arrays of objects."""
    rows = main.every("/persons")
    assert all(isinstance(row["owner_id"], int) for row in rows)
    assert {type(row["org_id"]) for row in rows} == {int, type(None)}
    assert all(INSTANT.fullmatch(row["add_time"]) for row in rows)
    points = [point for row in rows for point in [*row["emails"], *row["phones"]]]
    assert {frozenset(point) for point in points} == {frozenset({"value", "primary", "label"})}
    assert all(isinstance(row["emails"], list) for row in rows)
    assert any(row["emails"] == [] for row in rows)
    assert any(len(row["emails"]) > 1 for row in rows)
    assert {row["visible_to"] for row in rows} == {1, 3}


def test_unstamped_records(main) -> None:
    """Statement 11: a few very old records have no update time; updated_since does not find them."""
    rows = main.every("/persons")
    unstamped = {row["id"] for row in rows if row["update_time"] is None}
    assert 0 < len(unstamped) < 10
    changed = main.every("/persons", updated_since="2000-01-01T00:00:00Z")
    assert len(changed) == len(rows) - len(unstamped)


def test_custom_field_types(main) -> None:
    """Statement 7: custom fields of all sixteen types, by 40-hex keys, each with its own shape, or null."""
    described = {one["code"]: one for one in main.truth.fields("persons")}
    assert {one["type"] for one in described.values()} == set(SHAPES)
    seen = set()
    for row in main.every("/persons"):
        assert list(row["custom_fields"]) == list(described)
        for code, value in row["custom_fields"].items():
            assert HASH.fullmatch(code)
            if value is not None:
                assert SHAPES[described[code]["type"]](value), (described[code], value)
                seen.add(described[code]["type"])
    assert seen == set(SHAPES)


def test_keys_of_companies(main, second) -> None:
    """Statement 7: the keys of one company mean nothing in another."""
    ours = {one["code"] for name in ("persons", "deals") for one in main.truth.fields(name)}
    theirs = {
        one["code"]
        for name in ("persons", "deals")
        for one in second.truth.fields(name, account="second")
    }
    assert ours
    assert theirs
    assert not ours & theirs
    assert {row["name"] for row in second.every("/pipelines")} != {
        row["name"] for row in main.every("/pipelines")
    }


def test_the_same_people(main, second) -> None:
    """Two companies know many of the same people, under ids of their own."""
    known = [
        {one["person"] for one in main.truth.identities("persons", account=account)}
        for account in ("main", "second")
    ]
    assert len(known[0] & known[1]) > len(known[0]) / 2
    assert main.every("/persons", limit=500)[0]["name"] != second.every("/persons")[0]["name"]


def test_awkward_values(main) -> None:
    """Leading zeros, null-like words, line breaks, other scripts and long texts arrive as they are."""
    code, text = main.code("persons", "Legacy code"), main.code("persons", "Background")
    rows = main.every("/persons")
    values = {row["custom_fields"][code] for row in rows}
    wanted = {
        "NA",
        "NULL",
        "1e5",
        "line one\r\nline two",
        "🚀 rocket 👩‍👩‍👧 family",
        "1234567890123456789",
    }
    assert wanted <= values
    assert {len(row["custom_fields"][text] or "") for row in rows} >= {0, 30_000}
    assert any(row["custom_fields"][text] == "" for row in rows)


def test_option_labels(main) -> None:
    """include_option_labels shows options as id and label."""
    code = main.code("persons", "Tier")
    known = next(one for one in main.truth.fields("persons") if one["code"] == code)["options"]
    plain = main.every("/persons", limit=100)
    shown = main.every("/persons", limit=100, include_option_labels="true")
    for before, after in zip(plain, shown, strict=True):
        number = before["custom_fields"][code]
        assert after["custom_fields"][code] == (
            None if number is None else {"id": number, "label": known[number]}
        )


@pytest.mark.parametrize("name", ["persons", "organizations", "deals"])
def test_labels(main, name: str) -> None:
    """include_labels adds a record's labels with their names; without it there are only ids."""
    fields = {one["field_code"]: one for one in main.every(f"/{name[:-1]}Fields")}
    known = {one["id"]: one["label"] for one in fields["label_ids"]["options"]}
    assert "labels" not in main.data(f"/api/v2/{name}", limit=1)[0]
    rows = main.every(f"/{name}", include_labels="true")
    assert any(row["labels"] for row in rows)
    for row in rows:
        wanted = [{"id": number, "label": known[number]} for number in row["label_ids"]]
        assert row["labels"] == wanted


def test_deal(main) -> None:
    """Statement 7: a deal has its stage, pipeline, money and the moment it was closed."""
    stages = {row["id"]: row["pipeline_id"] for row in main.every("/stages")}
    for row in main.every("/deals") + main.every("/deals/archived"):
        assert stages[row["stage_id"]] == row["pipeline_id"]
        assert isinstance(row["value"], float)
        assert (row["close_time"] is None) == (row["status"] == "open")
        assert (row["won_time"] is not None) == (row["status"] == "won")
        assert row["update_time"] is None or row["update_time"] >= row["stage_change_time"]


def test_activities_have_no_custom_fields(main) -> None:
    """Activities never carry custom fields; other objects do."""
    assert "custom_fields" not in main.data("/api/v2/activities", limit=1)[0]
    assert main.v2("/activities", custom_fields="x").status_code == 400


def test_marketing_status(main, own) -> None:
    """Statement 25: marketing_status is there only when asked for, and only with the marketing app."""
    assert "marketing_status" not in main.data("/api/v2/persons", limit=1)[0]
    rows = main.every("/persons", include_fields="marketing_status,doi_status")
    assert {row["marketing_status"] for row in rows} >= {"unsubscribed", "subscribed", "no_consent"}
    own.truth.set_company(marketing=False)
    row = own.data("/api/v2/persons", limit=1, include_fields="marketing_status")[0]
    assert "marketing_status" not in row


def test_contact_sync(main, second) -> None:
    """Statement 25: what contact sync fills is only there where it is on."""
    synced = {"job_title", "postal_address", "birthday", "im", "notes"}
    assert not synced & set(main.data("/api/v2/persons", limit=1)[0])
    assert synced <= set(second.data("/api/v2/persons", limit=1)[0])


def test_counters(main) -> None:
    """include_fields adds counters and the nearest activities; an unknown one is a 400."""
    rows = main.every(
        "/organizations", include_fields="people_count,open_deals_count,last_activity_id"
    )
    people = main.every("/persons")
    for row in rows:
        assert row["people_count"] == sum(one["org_id"] == row["id"] for one in people)
    assert any(row["last_activity_id"] for row in rows)
    assert main.v2("/organizations", include_fields="shoes").status_code == 400


@pytest.mark.parametrize(
    ("path", "name"), [("/v1/leads", "leads"), ("/v1/notes", "notes")], ids=["leads", "notes"]
)
def test_v1_lists(main, path: str, name: str) -> None:
    """Statement 8: v1 lists go by start and limit until there is no more."""
    rows = main.every_v1(path, limit=20)
    rows += main.every_v1("/v1/leads/archived", limit=20) if name == "leads" else []
    assert len({row["id"] for row in rows}) == len(rows) == main.truth.count(name)
    paging = main.get(path, limit=10).json()["additional_data"]["pagination"]
    wanted = {"start": 0, "limit": 10, "more_items_in_collection": True, "next_start": 10}
    assert paging == wanted
    assert main.get(f"/api{path}", limit=10).json() == main.get(path, limit=10).json()


def test_v1_times(main) -> None:
    """Statement 8: v1 writes times without T and Z; leads have fractions."""
    assert V1_INSTANT.fullmatch(main.data("/v1/notes", limit=1)[0]["add_time"])
    lead = main.data("/v1/leads", limit=1)[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", lead["update_time"])
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}", lead["id"]
    )


def test_flat_paging(own) -> None:
    """Statement 8: the schemas put the paging elsewhere than the examples; which holds is a switch."""
    own.truth.set_company(flat_paging=True)
    extra = own.get("/v1/leads", limit=2).json()["additional_data"]
    assert (extra["start"], extra["limit"], extra["more_items_in_collection"]) == (0, 2, True)


def test_users(main) -> None:
    """Statement 8: all users come at once, deactivated ones among them."""
    body = main.get("/v1/users").json()
    assert "additional_data" not in body
    assert len(body["data"]) == main.truth.count("users") == 12
    assert {row["active_flag"] for row in body["data"]} == {True, False}
    owners = {row["owner_id"] for row in main.every("/persons")}
    assert owners <= {row["id"] for row in body["data"]}


def test_me(main, second) -> None:
    """users/me tells which company a token belongs to."""
    for client in (main, second):
        me = client.data("/v1/users/me")
        assert (me["company_id"], me["is_you"]) == (client.access.company_id, True)


def test_empty_v1_list(main) -> None:
    """Statement 8: an empty v1 list is null or [], by object."""
    assert main.data("/v1/notes", deal_id=987654) is None
    assert main.data("/v1/leads", person_id=987654) == []


def test_leads(main) -> None:
    """A lead points at a person or an organization of the company, and names its labels."""
    people = {row["id"] for row in main.every("/persons")}
    labels = {one["id"] for one in main.data("/v1/leadLabels")}
    rows = main.every_v1("/v1/leads")
    assert sum(row["person_id"] in people for row in rows) > len(rows) * 0.9
    assert {label for row in rows for label in row["label_ids"]} <= labels
    assert any(row["value"] and set(row["value"]) == {"amount", "currency"} for row in rows)
    one = main.data(f"/v1/leads/{rows[0]['id']}")
    assert one == rows[0]
    missing = main.get("/v1/leads/00000000-0000-4000-8000-000000000000")
    assert missing.status_code == 404
    assert "not found" in missing.json()["error"]


def test_setup(main) -> None:
    """Activity types, currencies, lead labels, sources and filters are listed."""
    types = {one["key_string"] for one in main.data("/v1/activityTypes")}
    assert {row["type"] for row in main.every("/activities")} == types
    currencies = {one["code"] for one in main.data("/v1/currencies")}
    assert {row["currency"] for row in main.every("/deals")} <= currencies
    assert main.data("/v1/leadSources")
    assert {one["type"] for one in main.data("/v1/filters", type="people")} == {"people"}
