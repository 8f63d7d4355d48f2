"""A window is read whole, by each route and for every object; the truth is what somebody else reads."""

from typing import Any

import pytest

from crm_pipeline.connectors.hubspot import record_assembly
from crm_pipeline.kernel.clock import Window, parse_instant
from crm_pipeline_tests.connectors.hubspot.conftest import (
    Client,
    Portal,
    Still,
    landed,
    run_sql,
    tables,
)
from crm_pipeline_tests.harness import Harness

EVERY_OBJECT = [
    "contacts",
    "companies",
    "deals",
    "tickets",
    "products",
    "line_items",
    "quotes",
    "tasks",
    "notes",
    "meetings",
    "calls",
    "emails",
    "leads",
]


def bare(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what the connector adds."""
    ours = ("associations", "propertiesWithHistory")
    return {key: value for key, value in record.items() if key not in ours}


def compare(harness: Harness, obj: str) -> None:
    """Compare all that has landed with what the vendor shows."""
    client, rows = Client(harness), landed(harness, obj)
    live, archived = client.all(obj), client.all(obj, archived="true")
    assert {row["id"]: bare(row["record"]) for row in rows if not row["deleted"]} == live
    assert {row["id"]: bare(row["record"]) for row in rows if row["deleted"]} == archived


def test_every_object_is_read(still: Still) -> None:
    """All of HubSpot's own objects, and one that the account made, by either of its names, as planned."""
    hub = still(objects=EVERY_OBJECT)
    custom = Client(hub).ask("GET", "/crm/v3/schemas")["results"][0]
    for obj in (*EVERY_OBJECT, custom["objectTypeId"], custom["fullyQualifiedName"]):
        done = hub.extract(obj)
        assert done.reconciled, obj
        assert abs(done.calls - done.planned_calls) <= 0.2 * done.planned_calls + 5, obj
        compare(hub, obj)


@pytest.mark.parametrize("route", ["search", "list"])
def test_many_properties_are_read_by_id(still: Still, route: str) -> None:
    """Where their names fit neither a search nor an address, nothing is cut: records come by batches."""
    hub = still(ceilings={"search_characters": 900, "uri_characters": 700})
    hub.extract("contacts", route=route)
    compare(hub, "contacts")
    assert len(Client(hub).calls("/objects/2026-09/contacts/batch/read")) == 3
    addresses = Client(hub).calls("/crm/objects/2026-09/contacts", "GET")
    assert max(map(len, addresses)) < 700


def test_a_window_is_half_open(hub: Harness) -> None:
    """A record stamped at the beginning belongs to it, one stamped at the end to the next."""
    edges = [parse_instant(f"2026-11-01T00:0{minute}:00Z") for minute in range(3)]
    ids = sorted(Client(hub).all("contacts"))[:4]
    for record, stamp in zip(ids, [-1, 0, 59_999, 60_000], strict=True):
        at = int(edges[0].timestamp() * 1000) + stamp
        run_sql(hub, 'UPDATE "contacts" SET _updated = ? WHERE _id = ?', at, int(record))
    first = hub.extract("contacts", window=Window(edges[0], edges[1]))
    assert [row["id"] for row in landed(hub)] == ids[1:3]
    second = hub.extract("contacts", window=Window(edges[1], edges[2]))
    assert (first.read, second.read) == (2, 1)


def _live_ids(hub: Harness) -> list[int]:
    rows = tables(hub).rows('SELECT _id FROM "contacts" WHERE NOT _archived')
    return [row["_id"] for row in rows]


@pytest.mark.parametrize("route", ["search", "both", "list"])
def test_workers_share_the_work(
    portal: Portal, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids are unevenly distributed, and still no record is missed or doubled between two workers."""
    for module in (record_assembly, "search", "listing", "estimate"):
        target = (
            module if not isinstance(module, str) else f"crm_pipeline.connectors.hubspot.{module}"
        )
        if isinstance(target, str):
            monkeypatch.setattr(f"{target}.BATCH_RECORDS", 40)
        else:
            monkeypatch.setattr(target, "BATCH_RECORDS", 40)
    # As if the vendor were far away: nearby two workers would do.
    monkeypatch.setattr("crm_pipeline.connectors.hubspot.estimate._OWN_S", 0.0)
    small = {"search_records": 20, "list_records": 20, "list_cursors": 3 if route == "list" else 1}
    with portal(contacts=400, objects=["contacts"], ceilings=small) as hub:
        run_sql(hub, 'UPDATE "contacts" SET _id = _id - 11999999000 WHERE _id % 7 < 3')
        done = hub.extract("contacts", route=route)
        rows = [row for row in landed(hub) if not row["deleted"]]
        assert {int(row["id"]) for row in rows} == set(_live_ids(hub))
        assert done.read - done.deleted == len(rows) == done.vendor_count
        assert abs(done.calls - done.planned_calls) <= 0.2 * done.planned_calls + 5
        assert hub.clock.slept == []  # overlaps of workers were read once: no count is waited for


def test_only_the_cursor_knows_the_way(still: Still) -> None:
    """A list is gone on with at `after`, never at `link`: that names another version of the API."""
    hub = still(ceilings={"list_records": 30})
    hub.extract("contacts", route="list")
    lists = Client(hub).calls("/objects/2026-09/contacts", "GET")
    assert len([one for one in lists if "archived" not in one]) == 4


def test_numbered_versions_bring_the_same(still: Still) -> None:
    """v3 for records and v4 for associations, as long as they last."""
    hub = still(more="    api_version: v3")
    hub.extract("contacts")
    compare(hub, "contacts")
    assert Client(hub).calls("/crm/v4/associations/contacts/deals/batch/read")
    assert not Client(hub).calls("2026-09")
