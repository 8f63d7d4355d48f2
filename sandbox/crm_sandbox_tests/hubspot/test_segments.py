"""Lists of records and their members."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import hubspot as vendor
import pytest
from hubspot.crm.lists import ApiException, ListSearchRequest

from crm_sandbox.hubspot import credentials
from crm_sandbox_tests.hubspot.conftest import Client


def members(client: Client, number: str, order: str = "", limit: int = 5) -> list[dict[str, Any]]:
    """Read the members of a list to the end."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        path = f"/crm/lists/2026-09/{number}/memberships{order}"
        body = client.get(path, limit=limit, **cursor).json()
        found += body["results"]
        if "paging" not in body:
            assert body["total"] == len(found)
            return found
        cursor = {"after": body["paging"]["next"]["after"]}


def test_orders(hubspot: Client) -> None:
    """Members come in the order of records or in that of joining, page by page, each once."""
    by_id = [int(one["recordId"]) for one in members(hubspot, "1")]
    assert by_id == sorted(by_id)
    assert {str(one) for one in by_id} == set(hubspot.truth.members("1"))
    joined = members(hubspot, "1", "/join-order")
    assert all(
        one["membershipTimestamp"] <= two["membershipTimestamp"] for one, two in pairwise(joined)
    )
    assert sorted(int(one["recordId"]) for one in joined) == by_id


def test_search(hubspot: Client) -> None:
    """A search pages by place, filters by name, id, kind and type, and says how many there are."""

    def search(**body: Any) -> dict[str, Any]:
        found: dict[str, Any] = hubspot.post("/crm/v3/lists/search", body).json()
        return found

    first = search(count=3, offset=0)
    assert (first["hasMore"], first["offset"], first["total"]) == (True, 3, 7)
    assert search(count=500, offset=3)["hasMore"] is False
    assert [one["name"] for one in search(query="NEWS")["lists"]] == ["Newsletter"]
    assert [one["listId"] for one in search(listIds=["2", "99"])["lists"]] == ["2"]
    assert {one["processingType"] for one in search(processingTypes=["DYNAMIC"])["lists"]} == {
        "DYNAMIC"
    }
    assert {one["objectTypeId"] for one in search(objectTypeId="0-2")["lists"]} == {"0-2"}
    sizes = {one["listId"]: one["additionalProperties"]["hs_list_size"] for one in first["lists"]}
    assert sizes == {number: str(len(hubspot.truth.members(number))) for number in sizes}
    assert hubspot.post("/crm/v3/lists/search", {"count": 501}).status_code == 400
    assert hubspot.post("/crm/v3/lists/search", {"count": 500, "offset": 9_600}).status_code == 400


def test_changes(own: Client) -> None:
    """Members come and go without a new modification time of the list; a cursor of one who left still works; a merge
    brings the new record; archived ones are not shown; a list that was deleted is gone."""
    listed = own.get("/crm/v3/lists/1").json()["list"]
    first = own.get("/crm/v3/lists/1/memberships", limit=2).json()
    one, two = (member["recordId"] for member in first["results"])
    rest = [member["recordId"] for member in members(own, "1")][2:]
    own.truth.change_members("1", remove=[two])
    after = first["paging"]["next"]["after"]
    assert [
        m["recordId"] for m in own.get("/crm/v3/lists/1/memberships", after=after).json()["results"]
    ] == rest
    own.truth.change_members("1", add=[two])
    made = own.truth.merge("contacts", one, two)
    own.truth.delete("contacts", rest[0])
    now = {member["recordId"] for member in members(own, "1")}
    assert now == {made, *rest[1:]}
    again = own.get("/crm/v3/lists/1").json()["list"]
    assert (again["updatedAt"], again["size"]) == (listed["updatedAt"], len(now))
    number = own.truth.make_list("Two", [made], processing="SNAPSHOT")
    assert members(own, number)[0]["recordId"] == made
    own.admin("/hubspot/drop_list", {"number": number})
    assert own.get(f"/crm/v3/lists/{number}/memberships").status_code == 404
    assert number not in {
        str(row["list_id"]) for row in own.admin("/hubspot/lists").json()["lists"]
    }


def test_refusals(hubspot: Client) -> None:
    """Too large pages, cursors of nowhere, lists that are not there, and tokens without the scope are refused."""
    assert hubspot.get("/crm/v3/lists/1/memberships", limit=251).status_code == 400
    assert hubspot.get("/crm/v3/lists/1/memberships", after="x").status_code == 400
    assert hubspot.get("/crm/v3/lists/99").json()["category"] == "OBJECT_NOT_FOUND"
    assert hubspot.get(f"/crm/v3/lists/{10**30}").status_code == 404
    assert hubspot.http.put(f"{hubspot.root}/crm/v3/lists/1").status_code == 405
    token = {"Authorization": f"Bearer {hubspot.facts.contacts_token}"}
    refused = hubspot.http.get(f"{hubspot.root}/crm/v3/lists/1", headers=token)
    assert (refused.status_code, "crm.lists.read" in refused.text) == (403, True)


@pytest.mark.client("hubspot-api-client")
def test_the_official_client(own: Client) -> None:
    """The vendor's own client searches lists and reads their members in both orders."""
    api = vendor.Client.create(access_token=credentials.MAIN.token, host=own.root).crm.lists
    search = ListSearchRequest(offset=0, count=500, additional_properties=["hs_list_size"])
    found = api.lists_api.do_search(list_search_request=search)
    assert found.total == len(found.lists) == 7
    for one in found.lists:
        wanted = set(own.truth.members(one.list_id))
        page = api.memberships_api.get_page(one.list_id, limit=250)
        joined = api.memberships_api.get_page_ordered_by_added_to_list_date(one.list_id, limit=250)
        assert (
            {m.record_id for m in page.results} == {m.record_id for m in joined.results} == wanted
        )
        assert api.lists_api.get_by_id(one.list_id).list.size == len(wanted)
    with pytest.raises(ApiException):
        api.memberships_api.get_page("99")
