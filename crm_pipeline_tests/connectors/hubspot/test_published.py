"""From the portal to the analysts' file: what is published is what the portal holds, before and after changes."""

import datetime as dt
from collections import Counter
from contextlib import closing
from typing import Any

from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.connectors.hubspot.conftest import Client, Portal, emulator
from crm_pipeline_tests.connectors.modelled import read_and_published
from crm_pipeline_tests.harness import Harness

CUSTOM = "2-3800001"
RECORDS = ("contacts", "companies", "deals", "tasks", CUSTOM)
OBJECTS = (*RECORDS, "owners", "deal_pipelines")


def ask(hub: Harness, sql: str, *given: Any) -> list[dict[str, Any]]:
    with closing(open_published(hub.settings.data)) as database:
        cursor = database.execute(sql, list(given))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def published(hub: Harness, obj: str) -> dict[str, dict[str, Any]]:
    """Return the rows of an object's view by id, with their fields by API name."""
    fields = ask(hub, "SELECT field, view_column, view_name FROM ops.fields WHERE object = ?", obj)
    named = {one["view_column"]: one["field"] for one in fields}
    rows = ask(hub, f"FROM {fields[0]['view_name']}")
    found = [{named[key]: value for key, value in row.items() if key in named} for row in rows]
    assert len({row["id"] for row in found}) == len(found), f"{obj}: rows are there twice"
    return {row["id"]: row for row in found}


def shown(prop: dict[str, Any], text: str | None) -> Any:
    """Return what an analyst sees of a stored text."""
    if text in (None, ""):
        return None
    labels = {one["value"]: one["label"] for one in prop["options"]}
    match prop["type"]:
        case "enumeration" if prop["fieldType"] == "checkbox":
            return [labels.get(part, part) for part in text.split(";") if part]
        case "enumeration":
            return labels.get(text, text)
        case "bool":
            return text == "true"
        case "number":
            return round(float(text), 4)
        case "date":
            return dt.date.fromisoformat(text)
        case "datetime":
            return dt.datetime.fromisoformat(text)
        case _:
            return text


def plain(value: Any) -> Any:
    match value:
        case dt.datetime():
            return value.astimezone(dt.UTC)
        case bool() | str() | list() | dt.date() | None:
            return value
        case _:
            return round(float(value), 4)


STAGES = ("dealstage", "hs_pipeline_stage")


def labels_of_stages(client: Client, obj: str) -> dict[str, str]:
    """Return what people call the stages of an object's pipelines."""
    if obj not in {"deals", "tickets", "leads"}:
        return {}
    pipelines = client.ask("GET", f"/crm/v3/pipelines/{obj}")["results"]
    return {stage["id"]: stage["label"] for one in pipelines for stage in one["stages"]}


def compare(hub: Harness) -> None:
    """Compare every property of every record with what the portal shows."""
    client = Client(hub)
    for obj in RECORDS:
        ours, theirs = published(hub, obj), client.all(obj)
        properties = client.ask("GET", f"/crm/v3/properties/{obj}")["results"]
        stages = labels_of_stages(client, obj)
        assert set(ours) == set(theirs), obj
        for one, record in theirs.items():
            for prop in properties:
                name = prop["name"]
                text, value = record["properties"][name], plain(ours[one][name])
                # Ids are text, though HubSpot calls them numbers.
                is_id = prop["type"] == "number" and isinstance(value, str)
                wanted = stages.get(text) if name in STAGES else None
                wanted = wanted or (text if is_id else shown(prop, text))
                assert value == wanted, (obj, one, name)


def compare_links(hub: Harness) -> None:
    """Compare stages, owners and associations of the common model with the portal."""
    client = Client(hub)
    deals = client.all("deals")
    rows = ask(hub, "SELECT source_id, stage, owner_key, pipeline_key FROM crm.deals")
    for row in rows:
        properties = deals[row["source_id"]]["properties"]
        assert row["stage"] == properties["dealstage"]
        assert str(row["owner_key"] or "").endswith(properties["hubspot_owner_id"] or "")
        assert row["pipeline_key"].endswith(properties["pipeline"])
    linked = ask(
        hub,
        "SELECT from_source_id, to_source_id FROM crm.associations "
        "WHERE from_table = 'contacts' AND to_table = 'companies'",
    )
    found = {(row["from_source_id"], row["to_source_id"]) for row in linked}
    wanted = emulator(hub).links("contacts", "companies")
    assert found == {(one, other) for one, other, _ in wanted}
    history = Counter(
        row["deal_source_id"]
        for row in ask(hub, "SELECT deal_source_id FROM crm.deal_stage_history")
    )
    single = {
        one: client.ask("GET", f"/crm/v3/objects/deals/{one}", propertiesWithHistory="dealstage")
        for one in sorted(deals)[:5]
    }
    for one, record in single.items():
        assert history[one] == len(record["propertiesWithHistory"]["dealstage"])


def test_the_published_file_is_the_portal(portal: Portal) -> None:
    """Objects of each kind; then edits, a merge, an archived and a restored record, and a new property with
    values in all records, by a refresh."""
    with portal(contacts=60, objects=OBJECTS) as hub:
        read_and_published(hub.settings, hub.clock, "range")
        compare(hub)
        compare_links(hub)

        sandbox, (first, second, third, fourth, *_) = (
            emulator(hub),
            sorted(Client(hub).all("contacts")),
        )
        back = next(
            row["id"] for row in sandbox.rows("contacts", include_deleted=True) if row["_archived"]
        )
        hub.advance(3600)
        sandbox.edit("contacts", first, jobtitle='01234\n"NA", 😀')
        sandbox.delete("contacts", second)
        sandbox.merge("contacts", third, fourth)
        sandbox.restore("contacts", back)
        sandbox.create("deals", dealname="NULL", dealstage="closedwon", pipeline="default")
        sandbox.add_field("companies", "shoe_size", value="forty-two")
        hub.advance()
        read_and_published(hub.settings, hub.clock, "refresh")
        compare(hub)
        assert {row["shoe_size"] for row in published(hub, "companies").values()} == {"forty-two"}
        owners = ask(hub, "SELECT source_id, is_active FROM crm.users")
        archived = Client(hub).ask("GET", "/crm/v3/owners", archived="true")["results"]
        away = {row["source_id"] for row in owners if not row["is_active"]}
        assert away <= {one["id"] for one in archived}
        losers = ask(
            hub, "SELECT source_id FROM crm.contacts WHERE source_id IN (?, ?)", third, fourth
        )
        assert losers == []
