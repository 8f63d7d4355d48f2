from __future__ import annotations

import pytest


def composite(client, *calls: dict, **more):
    return client.post("/__composite_requests", {"__composite_requests": list(calls), **more})


def call(method: str, uri: str, **more) -> dict:
    return {"method": method, "uri": f"/crm/v8{uri}", **more}


def inner(response) -> list[dict]:
    return [one["details"]["response"] for one in response.json()["__composite_requests"]]


def test_references(own_zoho) -> None:
    """A call may use what another one answered, in its address, parameters and body."""
    response = composite(
        own_zoho,
        call("POST", "/Accounts", sub_request_id="a", body={"data": [{"Account_Name": "comp"}]}),
        call(
            "POST",
            "/Contacts",
            sub_request_id="c",
            body={
                "data": [{"Last_Name": "x", "Account_Name": {"id": "@{a:$.data[0].details.id}"}}]
            },
        ),
        call("GET", "/Contacts/@{c:$.data[0].details.id}"),
        call("GET", "/Contacts", params={"fields": "id", "ids": "@{c:$.data[0].details.id}"}),
    )
    assert response.status_code == 200
    made, _, read, listed = inner(response)
    assert [one["status_code"] for one in inner(response)] == [201, 201, 200, 200]
    assert read["body"]["data"][0]["Account_Name"]["id"] == made["body"]["data"][0]["details"]["id"]
    assert len(listed["body"]["data"]) == 1


def test_partial_and_broken_reference(own_zoho) -> None:
    """Without rollback what can be done is done; a broken reference fails its call alone."""
    response = composite(
        own_zoho,
        call("POST", "/Products", sub_request_id="p", body={"data": [{"Product_Name": "kept"}]}),
        call("GET", "/Products/@{nobody:$.data[0].id}"),
        call("GET", "/Products"),
    )
    assert response.status_code == 207
    first, broken, refused = response.json()["__composite_requests"]
    assert first["code"] == refused["code"] == "SUCCESS"
    assert broken["code"] == "INVALID_REFERENCE"
    assert refused["details"]["response"]["status_code"] == 400
    number = first["details"]["response"]["body"]["data"][0]["details"]["id"]
    assert own_zoho.data(f"/Products/{number}")[0]["Product_Name"] == "kept"


def test_rollback(own_zoho) -> None:
    """With rollback one failed call undoes the others."""
    before = own_zoho.zoho.count("Products")
    own_zoho.get("/Products?fields=Product_Name")
    response = composite(
        own_zoho,
        call("POST", "/Products", body={"data": [{"Product_Name": "gone"}]}),
        call("GET", "/Products?fields=Product_Name"),
        call("POST", "/Products", body={"data": [{"Product_Code": "no name"}]}),
        rollback_on_fail=True,
    )
    assert response.status_code == 400
    entries = response.json()["__composite_requests"]
    assert [one["code"] for one in entries] == ["ROLLBACK_PERFORMED"] * 3
    assert entries[0]["details"] == {"rollbacked_by_sub_request_index": 2}
    assert own_zoho.zoho.count("Products") == before
    names = {row["Product_Name"] for row in own_zoho.data("/Products?fields=Product_Name")}
    assert "gone" not in names


def test_price(own_zoho) -> None:
    """Statement 17: a composite request costs one credit, whatever is in it."""
    meter = own_zoho.zoho.apis["main"].meter
    before = meter.credits.used
    composite(own_zoho, *[call("GET", "/Contacts?fields=id")] * 5)
    assert meter.credits.used - before == 1
    own_zoho.get("/org")
    assert meter.credits.used - before == 2


@pytest.mark.parametrize(
    ("calls", "more", "code"),
    [
        ([call("GET", "/org")] * 6, {}, "INVALID_DATA"),
        ([], {}, "INVALID_DATA"),
        ([{"method": "GET"}], {}, "MANDATORY_NOT_FOUND"),
        ([{"method": "GET", "uri": "/elsewhere"}], {}, "INVALID_DATA"),
        ([call("POST", "/__composite_requests")], {}, "NOT_SUPPORTED"),
        ([call("GET", "/org", sub_request_id="a")] * 2, {}, "DUPLICATE_DATA"),
        (
            [call("GET", "/org")],
            {"rollback_on_fail": True, "parallel_execution": True},
            "AMBIGUITY_DURING_PROCESSING",
        ),
    ],
)
def test_refusals(zoho, calls, more, code: str) -> None:
    """A request with too many calls, unreadable ones or contradictions is refused as a whole."""
    assert zoho.refusal(composite(zoho, *calls, **more)) == (400, code)


def test_scopes(own_zoho) -> None:
    """A composite request needs its own scope and those of its calls."""
    own_zoho.login("ZohoCRM.composite_requests.CUSTOM")
    (answer,) = inner(composite(own_zoho, call("GET", "/Contacts?fields=id")))
    assert (answer["status_code"], answer["body"]["code"]) == (401, "OAUTH_SCOPE_MISMATCH")
    own_zoho.login("ZohoCRM.modules.ALL")
    refused = composite(own_zoho, call("GET", "/Contacts?fields=id"))
    assert own_zoho.refusal(refused)[1] == "OAUTH_SCOPE_MISMATCH"
