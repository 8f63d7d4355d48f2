"""How lists and their members are read: paging, cost, faults of the vendor, single members."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import hubspot as vendor
import pyarrow.parquet as pq
import pytest
from hubspot.crm.lists import ListSearchRequest

from crm_pipeline.connectors.base import Plan
from crm_pipeline.kernel.errors import CountMismatch, NotPermitted, ProtocolError, Rejected
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import Extraction, extract
from crm_pipeline.stages.raw.point import read_points
from crm_pipeline_tests.connectors.hubspot.conftest import Client, Portal, Still, emulator
from crm_pipeline_tests.harness import Harness
from crm_sandbox.hubspot import credentials

MEMBERS, LISTS = "list_memberships", "lists"
SMALL = {"member_records": 4, "list_search_records": 2}
Change = Callable[[str, dict[str, Any]], None]


def small(still: Still) -> Harness:
    """Return a pipeline on the shared portal whose pages are small."""
    return still(objects=("contacts", LISTS, MEMBERS), ceilings=SMALL)


def read(hub: Harness, obj: str = MEMBERS, **changed: Any) -> Extraction:
    with hub.account() as account:
        account.connection = replace(account.connection, **changed)
        return extract(account, ObjectSettings(obj), None, mode="refresh", landing=hub.landing)


def plan_of(hub: Harness, obj: str = MEMBERS) -> Plan:
    with hub.account() as account:
        return account.plan(ObjectSettings(obj), None)


def landed_ids(hub: Harness, obj: str = MEMBERS) -> Counter[str]:
    batches = hub.landing.batches("demo", obj)
    return Counter(one for batch in batches for one in table(batch)["_source_id"].to_pylist())


def table(batch: Any) -> Any:
    return pq.read_table(batch.path)


def members(hub: Harness) -> dict[str, set[str]]:
    """Return the members of each list, from the portal's own tables."""
    truth = emulator(hub)
    return {str(one["list_id"]): set(truth.members(str(one["list_id"]))) for one in truth.lists()}


@contextmanager
def changed(hub: Harness, path: str, change: Change) -> Iterator[None]:
    """Change the answers to a path, by the query and the body."""
    handle = emulator(hub).handle

    def handled(request: Any) -> Any:
        response = handle(request)
        if path not in request.path or response.status != 200:
            return response
        plain = response.unpacked()
        body = json.loads(plain.body)
        change(request.query_text, body)
        return replace(plain, body=json.dumps(body).encode())

    emulator(hub).handle = handled  # type: ignore[method-assign]
    try:
        yield
    finally:
        del emulator(hub).handle


def test_every_page_is_read(still: Still) -> None:
    """Members of lists of several pages land once each, with their list, their object and their moment; an empty list
    has none. The plan said how many calls it takes."""
    hub = small(still)
    plan = plan_of(hub)
    hub.sandbox.journal.clear()
    done = read(hub)
    wanted = {f"{number}:{one}" for number, ids in members(hub).items() for one in ids}
    assert landed_ids(hub) == Counter(wanted)
    assert Client(hub).calls("/7/memberships")
    assert not [one for one in wanted if one.startswith("7:")]
    assert len(Client(hub).calls("/crm/lists/")) == plan.calls == done.calls - 1
    rows = [
        json.loads(one)
        for b in hub.landing.batches("demo", MEMBERS)
        for one in table(b)["record"].to_pylist()
    ]
    objects = {one["listId"]: one.get("object") for one in rows}
    assert objects == {
        "1": "contacts",
        "2": "contacts",
        "3": "contacts",
        "4": "companies",
        "5": "deals",
        "6": None,
    }


def test_the_official_client_sees_the_same(still: Still) -> None:
    """The vendor's own client reads the same lists, and the same members with the same moments."""
    hub = small(still)
    read(hub)
    read(hub, LISTS)
    client = vendor.Client.create(
        access_token=credentials.MAIN.token, host=f"{hub.sandbox.url}/hubspot"
    )
    search = ListSearchRequest(offset=0, count=50, additional_properties=[])
    listed = client.crm.lists.lists_api.do_search(list_search_request=search).lists
    assert set(landed_ids(hub, LISTS)) == {one.list_id for one in listed}
    seen = {}
    for one in listed:
        page = client.crm.lists.memberships_api.get_page(one.list_id, limit=250)
        assert page.paging is None
        seen |= {f"{one.list_id}:{m.record_id}": m.membership_timestamp for m in page.results}
    batches = [table(batch) for batch in hub.landing.batches("demo", MEMBERS)]
    ours = {row["_source_id"]: row["_modified_at"] for b in batches for row in b.to_pylist()}
    assert ours == seen


def test_more_than_ten_thousand_members(portal: Portal) -> None:
    """A list of 10,500 members is read to its end, 250 a call, into few files."""
    with portal(contacts=60, objects=("contacts", MEMBERS)) as hub:
        truth = emulator(hub)
        truth.burst("contacts", 10_500)
        ids = [row["id"] for row in truth.rows("contacts")]
        made = truth.make_list("All", ids)
        read(hub)
        assert {one for one in landed_ids(hub) if one.startswith(f"{made}:")} == {
            f"{made}:{one}" for one in ids
        }
        assert len(Client(hub).calls(f"/{made}/memberships")) == 42
        assert len(hub.landing.batches("demo", MEMBERS)) <= 2


def emptied(query: str, body: dict[str, Any]) -> None:
    body.pop("paging", None)
    body |= {"results": [], "total": 0}


def cut(query: str, body: dict[str, Any]) -> None:
    body.pop("paging", None)


def without_last(query: str, body: dict[str, Any]) -> None:
    body["results"] = body["results"][:-1]
    body.pop("paging", None)


def last_emptied(query: str, body: dict[str, Any]) -> None:
    if "paging" not in body:
        body["results"] = []


@pytest.mark.parametrize("fault", [emptied, cut, without_last, last_emptied])
def test_a_list_that_loses_members_by_mistake(still: Still, fault: Change) -> None:
    """An empty page, a last page too early, a short one and an empty last one contradict the list's own count: nothing is committed."""
    hub = small(still)
    with (
        changed(hub, "/1/memberships", fault),
        pytest.raises(CountMismatch, match="members of list 1") as found,
    ):
        read(hub)
    assert found.value.cure
    assert hub.landing.batches("demo", MEMBERS) == []
    read(hub)
    assert {one.partition(":")[0] for one in landed_ids(hub)} == {"1", "2", "3", "4", "5", "6"}


@pytest.mark.parametrize("key", ["lists", "total"])
def test_a_search_that_loses_lists_by_mistake(still: Still, key: str) -> None:
    """A page of the search that lacks a list contradicts the search's count: neither lists nor members are committed."""
    hub = small(still)

    def shorter(query: str, body: dict[str, Any]) -> None:
        if "lists" in body:
            body[key] = body[key][:-1] if key == "lists" else body[key] + 1

    for obj in (LISTS, MEMBERS):
        with (
            changed(hub, "/lists/", shorter),
            pytest.raises(CountMismatch, match="HubSpot counts"),
        ):
            read(hub, obj)
    assert hub.landing.batches("demo", LISTS) == hub.landing.batches("demo", MEMBERS) == []


def test_a_member_that_is_listed_twice(still: Still) -> None:
    """A member that stands twice on a page, and again on the next one, lands once."""
    hub = small(still)
    first: list[Any] = []

    def twice(query: str, body: dict[str, Any]) -> None:
        first[:] = first or body["results"][:1]
        body["results"] = [*first, *first, *body["results"]]

    with changed(hub, "/1/memberships", twice):
        read(hub)
    assert set(landed_ids(hub).values()) == {1}
    assert {one for one in landed_ids(hub) if one.startswith("1:")} == {
        f"1:{one}" for one in members(hub)["1"]
    }


def test_a_page_that_leads_to_itself(still: Still) -> None:
    """Paging that repeats a cursor ends with an error, of members and of the search."""
    hub = small(still)

    def again(query: str, body: dict[str, Any]) -> None:
        if "paging" in body:
            body["paging"]["next"]["after"] = "1-1"
        if "lists" in body:
            body["offset"] = 0

    with changed(hub, "/lists/", again), pytest.raises(ProtocolError, match="lists twice"):
        read(hub, LISTS)
    with changed(hub, "/1/memberships", again), pytest.raises(ProtocolError, match="twice"):
        read(hub)


def test_a_member_that_cannot_be_read(still: Still) -> None:
    """It is quarantined with its list, and the others land."""
    hub = small(still)

    def broken(query: str, body: dict[str, Any]) -> None:
        if "after" not in query:
            body["results"][0]["recordId"] = None

    with changed(hub, "/1/memberships", broken):
        done = read(hub)
    assert done.quarantined == 1
    rejects = [one for w in hub.landing.windows("demo", MEMBERS) for one in hub.landing.rejects(w)]
    assert json.loads(rejects[0].raw)["listId"] == "1"
    assert len(landed_ids(hub)) == sum(map(len, members(hub).values())) - 1


def test_a_list_that_changes_during_the_read(portal: Portal) -> None:
    """Members who leave and come between two pages stop nothing: those who stayed are all there."""
    with portal(contacts=60, objects=("contacts", MEMBERS), ceilings=SMALL) as hub:
        truth = emulator(hub)
        ids = sorted(row["id"] for row in truth.rows("contacts"))
        made = truth.make_list("Busy", ids[2:30])
        moves = iter(((ids[2], ids[0]), (ids[3], None), (None, ids[1]), (None, ids[40])))

        def busy(query: str, body: dict[str, Any]) -> None:
            gone, new = next(moves, (None, None))
            truth.change_members(made, add=[new] * bool(new), remove=[gone] * bool(gone))

        with changed(hub, f"/{made}/memberships", busy):
            read(hub)
        landed = {one.partition(":")[2] for one in landed_ids(hub) if one.startswith(f"{made}:")}
        assert set(ids[4:30]) <= landed <= set(ids)


def test_a_list_that_is_deleted_during_the_read(portal: Portal) -> None:
    """A list that the search still showed is left out where the vendor says twice that it is not there."""
    with portal(contacts=60, objects=("contacts", MEMBERS)) as hub:
        plan = plan_of(hub)
        emulator(hub).drop_list("1")
        with hub.account() as account:
            pages = account.pages(plan, checkpoint=None)  # type: ignore[arg-type]
            ids = {one for p in pages for b in p.batches() for one in b["_source_id"].to_pylist()}
        assert {one.partition(":")[0] for one in ids} == {"2", "3", "4", "5", "6"}


def test_a_list_that_vanishes(portal: Portal) -> None:
    """Its members are not deleted at once, as far more are missing than usual; a read a cadence later confirms it."""
    with portal(contacts=60, objects=("contacts", MEMBERS)) as hub:
        read(hub)
        emulator(hub).drop_list("2")
        hub.advance(900)
        doubted = read(hub).shrink
        assert doubted is not None
        assert doubted.missing == sum(one.startswith("2:") for one in landed_ids(hub))
        hub.advance(3700)
        assert read(hub).shrink is None


def test_without_the_scope(still: Still) -> None:
    """The check and the read name the scope that is missing."""
    hub = still(kind="contacts_token", objects=("contacts", LISTS, MEMBERS))
    with hub.account() as account:
        failed = [one for one in account.check().findings if one.level == "fail"]
    assert len([one for one in failed if "crm.lists.read" in one.cure]) == 2
    with pytest.raises(NotPermitted) as refused:
        read(hub)
    assert "crm.lists.read" in refused.value.cure


def test_single_lists_and_members(still: Still) -> None:
    """A list is shown by its id, a member is not; members are read again by the list that their key names."""
    hub = small(still)
    with hub.account() as account:
        assert account.get(LISTS, "1", by=None)["name"] == "Newsletter"
        with pytest.raises(Rejected, match="cannot be read by their ids"):
            account.get(MEMBERS, "1:5", by=None)
        schema, rows = account.preview(LISTS, 2)
        assert [one["hs_list_size"] for one in rows] == [
            str(len(members(hub)[one["listId"]])) for one in rows
        ]
        assert schema.names == tuple(rows[0])
        assert len(account.preview(MEMBERS, 3)[1]) == 3
        known = f"3:{min(members(hub)['3'])}"
        hub.sandbox.journal.clear()
        point = read_points(account, ObjectSettings(MEMBERS), [known, "3:1"], landing=hub.landing)
    assert [point.outcomes[one].status for one in (known, "3:1")] == ["read", "not_found"]
    assert not Client(hub).calls("/1/memberships")
