"""Records of HubSpot by their ids: batches of 100, archived and merged ones, and what is not answered."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from crm_pipeline.connectors.hubspot import points
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import PointRead, read_points
from crm_pipeline_tests.connectors.hubspot.conftest import Client, Portal, Still, emulator, landed
from crm_pipeline_tests.harness import Harness


def read(hub: Harness, obj: str, ids: Sequence[str]) -> PointRead:
    with hub.account() as account:
        return read_points(account, ObjectSettings(obj), ids, landing=hub.landing)


def test_wanted_archived_merged_and_unknown(portal: Portal) -> None:
    """250 ids are 3 batches; of the missing ones archived records come with their mark, old ids of a merge lead to the
    new record, which lands whole, and more than a few unknown ids are not requested singly."""
    with portal(contacts=260, objects=("contacts",)) as hub:
        client = Client(hub)
        ids = sorted(row["id"] for row in emulator(hub).rows("contacts"))[:250]
        hub.sandbox.journal.clear()
        done = read(hub, "contacts", ids)
        assert (len(client.calls("/objects/2026-09/contacts/batch/read")), done.records) == (3, 250)
        assert done.counts == {"read": 250}

        gone, winner, loser, erased, kept = ids[:5]
        emulator(hub).delete("contacts", gone)
        emulator(hub).hard_delete("contacts", erased)
        merged = emulator(hub).merge("contacts", winner, loser)
        hub.advance()
        hub.sandbox.journal.clear()
        done = read(hub, "contacts", [gone, winner, loser, erased, kept, "007", "42"])
        found = {one: (outcome.status, outcome.into) for one, outcome in done.outcomes.items()}
        assert found == {
            gone: ("deleted", ""),
            winner: ("merged", merged),
            loser: ("merged", merged),
            erased: ("not_found", ""),
            kept: ("read", ""),
            "007": ("malformed", ""),
            "42": ("not_found", ""),
        }
        # Live, archived, the new record; singly the four that are in neither.
        assert len(client.calls("/objects/2026-09/contacts/batch/read")) == 3
        assert len(client.calls("/objects/2026-09/contacts/", "GET")) == 4
        rows = {row["id"]: row for row in landed(hub)}
        assert rows[gone]["deleted"]
        assert rows[merged]["record"] == client_record(client, merged, rows[merged]["record"])
        assert erased in rows
        assert not rows[erased]["deleted"]

        hub.sandbox.journal.clear()
        many = [str(number) for number in range(1, points.MOST_SINGLES + 2)]
        done = read(hub, "contacts", many)
        assert done.counts == {"not_found": len(many)}
        assert client.calls("/objects/2026-09/contacts/", "GET") == []
        assert (done.window_id, done.records) == ("", 0)


def client_record(client: Client, record: str, names: dict[str, Any]) -> dict[str, Any]:
    """Return a record as another client gets it, with the links that we add."""
    params = {"properties": ",".join(names["properties"])}
    whole = client.ask("GET", f"/crm/v3/objects/contacts/{record}", **params)
    return {**whole, "associations": names["associations"]}


def test_what_is_not_answered(still: Still) -> None:
    """An input that fails with another error than 'not found' is refused with that error, one that is left out twice
    without a reason as well; neither is 'not found', nor deleted."""
    hub = still(objects=("companies",))
    failing, silent, kept = sorted(row["id"] for row in emulator(hub).rows("companies"))[:3]
    handle = emulator(hub).handle

    def handled(request: Any) -> Any:
        response = handle(request).unpacked()
        if "/crm/objects/" not in request.path or not request.path.endswith("/batch/read"):
            return response
        body = json.loads(bytes(response.body))
        body["results"] = [one for one in body["results"] if one["id"] == kept]
        body["errors"] = [{"category": "VALIDATION_ERROR", "context": {"ids": [failing]}}]
        return replace(response, status=207, body=json.dumps(body).encode())

    emulator(hub).handle = handled
    try:
        done = read(hub, "companies", [failing, silent, kept])
    finally:
        del emulator(hub).handle
    assert {one: outcome.status for one, outcome in done.outcomes.items()} == {
        failing: "refused",
        silent: "refused",
        kept: "read",
    }
    assert "VALIDATION_ERROR" in done.outcomes[failing].reason


def test_owners_and_pipelines_by_their_lists(still: Still) -> None:
    """Short lists are read whole, and only the wanted records land."""
    hub = still(objects=("owners", "deal_pipelines"))
    done = read(hub, "deal_pipelines", ["default", "nothing"])
    assert {one: outcome.status for one, outcome in done.outcomes.items()} == {
        "default": "read",
        "nothing": "not_found",
    }
    assert [row["id"] for row in landed(hub, "deal_pipelines")] == ["default"]
    owners = Client(hub).listed("/crm/v3/owners", archived="true")
    assert read(hub, "owners", [min(owners), "1"]).counts == {"read": 1, "not_found": 1}
