"""Associations and stage histories come with each record, whole, in full reads and in refreshes."""

from collections import Counter
from typing import Any

import pytest

from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.kernel.errors import MalformedResponse, ProtocolError, Unavailable
from crm_pipeline_tests.connectors.hubspot.conftest import Client, Portal, Still, landed, run_sql
from crm_pipeline_tests.harness import Harness

Link = tuple[str, str, str, int, str | None]


def links(record: dict[str, Any]) -> Counter[Link]:
    keys = ("to_object", "to_id", "category", "type_id", "label")
    return Counter(tuple(link[key] for key in keys) for link in record["associations"])


def true_links(client: Client, obj: str, record: str, others: list[str]) -> Counter[Link]:
    """Return what the vendor says about one record, asked for it alone."""
    found: Counter[Link] = Counter()
    for other in others:
        path = f"/crm/v4/objects/{obj}/{record}/associations/{other}"
        after: dict[str, str] = {}
        while True:
            page = client.ask("GET", path, limit="500", **after)
            for one in page["results"]:
                for kind in one["associationTypes"]:
                    named = (kind["category"], kind["typeId"], kind["label"])
                    found[(other, str(one["toObjectId"]), *named)] += 1
            if "paging" not in page:
                break
            after = {"after": page["paging"]["next"]["after"]}
    return found


@pytest.mark.parametrize("route", ["search", "list"])
def test_records_carry_their_associations(hub: Harness, route: str) -> None:
    """With every label and kind, to each of the objects that are read, its own too, and to nothing else."""
    client = Client(hub)
    alone = client.create("contacts", lastname="Alone")
    hub.advance()
    both = [other for other in sorted(client.all("contacts"))[:2] if other != alone]
    path = f"/crm/v4/objects/contacts/{both[0]}/associations/default/contacts/{both[1]}"
    client.ask("PUT", path)
    every = ["contacts", "companies", "deals"]
    for obj, others in (("deals", every), ("contacts", every)):
        hub.extract(obj, route=route)
        rows = [row["record"] for row in landed(hub, obj) if not row["deleted"]]
        some = [*rows[:40], *(row for row in rows if row["id"] == alone)]
        wanted = {row["id"]: true_links(client, obj, row["id"], others) for row in some}
        assert {row["id"]: links(row) for row in some} == wanted
        assert sum(len(one) for one in wanted.values()) > 30
    assert wanted[alone] == {}, "a record without any says so with an empty list"


def test_a_thousand_records_take_one_call(still: Still) -> None:
    """The ids of a slice are asked about together."""
    hub = still()
    hub.extract("contacts")
    assert len(Client(hub).calls("/associations/2026-09/contacts/companies/batch/read")) == 1


def test_long_lists_are_followed(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A company with more contacts than an answer names has them all."""
    from crm_sandbox.hubspot import association_reads

    monkeypatch.setattr(association_reads, "MOST_IN_BATCH", 3)
    with portal(contacts=60, objects=["contacts", "companies"]) as hub:
        hub.extract("companies")
        rows = [row["record"] for row in landed(hub, "companies") if not row["deleted"]]
        client = Client(hub)
        longest = max(rows, key=lambda row: len(row["associations"]))
        assert len({link["to_id"] for link in longest["associations"]}) > 6
        for row in (longest, *rows[:5]):
            wanted = true_links(client, "companies", row["id"], ["contacts", "companies"])
            assert links(row) == wanted


def test_a_refresh_brings_them_too(hub: Harness) -> None:
    """A record that changed has the associations that it has now."""
    hub.extract("deals")
    client = Client(hub)
    deal = next(row for row in landed(hub, "deals") if row["record"]["associations"])["id"]
    contact = max(client.all("contacts"))
    client.ask("PUT", f"/crm/v4/objects/deals/{deal}/associations/default/contacts/{contact}")
    hub.advance()
    client.edit("deals", deal, dealname="Renamed")
    hub.advance()
    done = hub.extract("deals", mode="refresh")
    record = next(row["record"] for row in landed(hub, "deals") if row["id"] == deal)
    assert done.records >= 1
    assert record["properties"]["dealname"] == "Renamed"
    assert links(record) == true_links(client, "deals", deal, ["contacts", "companies"])
    assert contact in {link["to_id"] for link in record["associations"]}


@pytest.mark.parametrize("route", ["search", "list"])
def test_deals_carry_the_history_of_their_stage(still: Still, route: str) -> None:
    """With 50 records a call, as many as the vendor allows then."""
    hub = still()
    done = hub.extract("deals", route=route)
    client = Client(hub)
    rows = [row["record"] for row in landed(hub, "deals") if not row["deleted"]]
    for row in rows[:10]:
        single = f"/crm/v3/objects/deals/{row['id']}"
        asked = client.ask("GET", single, propertiesWithHistory="dealstage")
        assert row["propertiesWithHistory"] == asked["propertiesWithHistory"]
    assert any(len(row["propertiesWithHistory"]["dealstage"]) > 1 for row in rows)
    assert done.reconciled
    assert "propertiesWithHistory" not in str(Client(hub).calls("/deals/search"))


def test_objects_without_any_kind_of_association(portal: Portal, monkeypatch: Any) -> None:
    """Where the vendor refuses a pair that cannot be associated, the kinds are asked for once."""
    plain = Api.associated

    def refusing(self: Api, name: str, other: str, body: Any, reader: Any) -> Any:
        if {name, other} == {"notes", "quotes"}:
            return self.request("POST", "/crm/v3/objects/nonsense/search", _OPERATION, data=b"{}")
        return plain(self, name, other, body, reader)

    from crm_pipeline.connectors.hubspot.api import METADATA as _OPERATION

    monkeypatch.setattr(Api, "associated", refusing)
    with portal(objects=["notes", "quotes", "contacts"]) as hub:
        run_sql(hub, 'UPDATE "notes" SET _archived = false')
        client = Client(hub)
        kinds = client.ask("GET", "/crm/v4/associations/notes/quotes/labels")["results"]
        assert kinds == [], "another pair has to stand for one that cannot be associated"
        hub.extract("notes")
        assert all("associations" in row["record"] for row in landed(hub, "notes"))
        assert len(client.calls("/associations/2026-09/notes/quotes/labels")) == 1


def spoiled(body: bytes) -> Any:
    """Return what stands for `Api.associated` where the answer's body was changed on its way."""
    return lambda *given: given[-1](body)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b'{"results":null}', MalformedResponse),
        (b"<html></html>", MalformedResponse),
        (b'{"results":[{"from":{"id":"1"},"to":[{"toObjectId":[]}]}]}', MalformedResponse),
        (b'{"results":[],"numErrors":1,"errors":[{"category":"INTERNAL"}]}', Unavailable),
    ],
)
def test_what_could_not_be_told_is_no_empty_list(
    still: Still, monkeypatch: pytest.MonkeyPatch, body: bytes, wanted: type[Exception]
) -> None:
    """A part that failed fails the window."""
    hub = still()
    monkeypatch.setattr(Api, "associated", spoiled(body))
    with pytest.raises(wanted):
        hub.extract("contacts")
    assert hub.landing.windows("demo", "contacts") == []


def test_a_page_of_associations_that_comes_again_is_refused(
    still: Still, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading on would never end."""
    hub = still()
    first = min(Client(hub).all("contacts"))
    body = b'{"results":[{"from":{"id":"%s"},"to":[],"paging":{"next":{"after":"7"}}}]}'
    monkeypatch.setattr(Api, "associated", spoiled(body % first.encode()))
    with pytest.raises(ProtocolError, match="twice"):
        hub.extract("contacts")
