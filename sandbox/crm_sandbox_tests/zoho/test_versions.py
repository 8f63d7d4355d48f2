"""Older versions of the API, as far as it is known in what they differ."""

from __future__ import annotations

import pytest


def get(zoho, version: str, path: str):
    return zoho.http.get(f"{zoho.root}/crm/{version}{path}")


@pytest.mark.parametrize("version", ["v2", "v2.1"])
def test_fields_were_optional(zoho, version: str) -> None:
    """Before the third version a list came with all fields where none were named."""
    page = get(zoho, version, "/Contacts?per_page=2").json()
    assert {"id", "Last_Name", "Email", "Owner", "Account_Name"} <= set(page["data"][0])
    named = get(zoho, version, "/Contacts?per_page=2&fields=Email").json()
    assert set(named["data"][0]) == {"id", "Email"}
    deal = zoho.zoho.rows("Deals")[0]["id"]
    assert get(zoho, version, f"/Deals/{deal}/Stage_History").status_code == 200


@pytest.mark.parametrize("version", ["v3", "v5", "v8"])
def test_fields_are_needed(zoho, version: str) -> None:
    """Since the third version a list needs its fields."""
    answer = get(zoho, version, "/Contacts?per_page=2")
    assert zoho.refusal(answer) == (400, "REQUIRED_PARAM_MISSING")


def test_modules_of_lookups(zoho) -> None:
    """The second version names the module of a lookup by text, later ones by an object."""
    for path, place in (("fields", None), ("layouts", "sections")):
        modules = []
        for version in ("v2", "v8"):
            body = get(zoho, version, f"/settings/{path}?module=Contacts").json()
            fields = body["layouts"][0][place][0]["fields"] if place else body["fields"]
            [one] = [one for one in fields if one["api_name"] == "Account_Name"]
            modules.append(one["lookup"]["module"])
        assert modules[0] == modules[1]["api_name"] == "Accounts"


def test_how_far_queries_reached(zoho) -> None:
    """The fifth version's queries reached 10,000 rows, the eighth's reach 100,000."""
    body = {"select_query": "select id from Contacts where id is not null limit 10000, 5"}
    answers = [zoho.http.post(f"{zoho.root}/crm/{v}/coql", json=body) for v in ("v5", "v8")]
    assert zoho.refusal(answers[0]) == (400, "LIMIT_EXCEEDED")
    assert answers[1].status_code == 204


def test_bulk_read_named_a_module_by_text(zoho) -> None:
    """A bulk read of the second version names its module by text (from its SDK; not confirmed)."""
    body = {"query": {"module": "Contacts", "fields": ["Email"]}}
    answers = [zoho.http.post(f"{zoho.root}/crm/bulk/{v}/read", json=body) for v in ("v2", "v8")]
    assert [one.status_code for one in answers] == [201, 400]


@pytest.mark.parametrize("version", ["v1", "v9", "v2.2", "v88"])
def test_unknown_versions(zoho, version: str) -> None:
    """A version that there is not is an address that there is not (not confirmed)."""
    assert zoho.refusal(get(zoho, version, "/org")) == (404, "INVALID_URL_PATTERN")


def test_consent_is_described_as_what_it_is(zoho) -> None:
    """A consent lookup is described as an object and given as one."""
    [one] = [
        one
        for one in zoho.get("/settings/fields?module=Contacts").json()["fields"]
        if one["data_type"] == "consent_lookup"
    ]
    rows = zoho.data(f"/Contacts?fields={one['api_name']}")
    given = [row[one["api_name"]] for row in rows if row[one["api_name"]] is not None]
    assert one["json_type"] == "jsonobject"
    assert given
    assert all(isinstance(value, dict) for value in given)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/crm/bulk/v8/write", {"operation": [], "resource": []}, "INVALID_DATA"),
        ("/crm/bulk/v8/write", {"operation": "insert", "resource": [1]}, "INVALID_DATA"),
        ("/crm/v8/__composite_requests", {"__composite_requests": [{"uri": 1}]}, "INVALID_DATA"),
    ],
)
def test_parts_of_another_type(shared_zoho, path: str, body: dict, code: str) -> None:
    """A part of another type is refused in the vendor's form, which names the place."""
    response = shared_zoho.http.post(shared_zoho.root + path, json=body)
    assert shared_zoho.refusal(response) == (400, code)
    assert response.json()["details"]["json_path"].startswith("$.")


def test_a_record_that_is_none(shared_zoho) -> None:
    """What is no record is refused like one of a list that is none."""
    number = shared_zoho.zoho.rows("Contacts")[0]["id"]
    response = shared_zoho.put(f"/Contacts/{number}", {"data": [-1]})
    assert response.status_code == 400
    assert response.json()["data"][0]["code"] == "INVALID_DATA"


def test_ids_by_repeated_parameters(zoho) -> None:
    """Lists come with commas or (not confirmed) with the name repeated."""
    ids = [row["id"] for row in zoho.zoho.rows("Contacts")[:3]]
    rows = zoho.data("/Contacts", params={"ids": ids, "fields": ["Email", "Last_Name"]})
    assert {row["id"] for row in rows} == set(ids)
    assert set(rows[0]) == {"id", "Email", "Last_Name"}
