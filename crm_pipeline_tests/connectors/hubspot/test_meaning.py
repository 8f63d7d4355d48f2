"""What the columns of the published file mean, against plain Python over what the portals answer."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.stages.normalized import normalize, tables_for
from crm_pipeline.stages.published import publish
from crm_pipeline.stages.raw import extract, note_account, opened
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.connectors.hubspot.conftest import (
    _NARROW,
    ENVIRON,
    WIDE,
    Client,
    _server,
    emulator,
)
from crm_pipeline_tests.harness import START, Harness
from crm_pipeline_tests.servers import database_of_its_own
from crm_sandbox.hubspot import credentials

TYPES = {
    "contacts": "0-1",
    "companies": "0-2",
    "deals": "0-3",
    "tickets": "0-5",
    "tasks": "0-27",
    "notes": "0-46",
    "meetings": "0-47",
    "calls": "0-48",
    "emails": "0-49",
    "leads": "0-136",
}
ACTIVITIES = ("tasks", "notes", "meetings", "calls", "emails")
PIPELINES = {"deal_pipelines": "deals", "ticket_pipelines": "tickets", "lead_pipelines": "leads"}
# Of the other portal, in another zone and currency, what depends on those.
PARTNERS = ("contacts", "companies", "deals", "tasks", "owners", "deal_pipelines")
PORTALS = {"demo": credentials.MAIN, "partner": credentials.SECOND}
TOKENS = {"demo": "HUB_TOKEN", "partner": "HUB_SECOND_TOKEN"}
CONNECTION = """
  {name}:
    vendor: hubspot
    login_url: {url}/hubspot
    sandbox: true
    start: 2026-06
    auth: {{kind: token, token_env: {token}}}
    ceilings: {{{ceilings}}}
    objects: [{objects}]
"""
Row = dict[str, Any]


@dataclass(frozen=True)
class World:
    """Two portals as they were read and published, and as they answer."""

    harness: Harness
    name: str
    rows: Mapping[str, list[Row]]

    @cached_property
    def client(self) -> Client:
        return Client(self.harness, PORTALS[self.name].token)

    @cached_property
    def details(self) -> Row:
        found: Row = self.client.ask("GET", "/account-info/v3/details")
        return found

    @cached_property
    def owners(self) -> list[Row]:
        lists = [
            self.client.listed("/crm/v3/owners", archived=archived)
            for archived in ("false", "true")
        ]
        return [owner for one in lists for owner in one.values()]

    def table(self, name: str, obj: str = "") -> dict[str, Row]:
        """Return this connection's published rows by id."""
        found = [r for r in self.rows[name] if r["connection"] == self.name]
        return {r["source_id"]: r for r in found if not obj or r["object"] == obj}

    def day(self, text: str | None) -> dt.date | None:
        """Return the day of an instant on the wall calendar of the portal."""
        zone = ZoneInfo(self.details["timeZone"])
        return dt.datetime.fromisoformat(text).astimezone(zone).date() if text else None

    def page(self, obj: str, record: str) -> str:
        portal = self.details
        return f"https://{portal['uiDomain']}/contacts/{portal['portalId']}/record/{TYPES[obj]}/{record}"

    def user(self, login: str | None) -> str | None:
        """Return the key of the user whose login this is."""
        ids = [o["id"] for o in self.owners if str(o["userIdIncludingInactive"]) == login]
        return f"{self.name}:owners:{ids[0]}" if ids else None

    def stages(self, kind: str) -> dict[str, tuple[str, Row]]:
        """Return the stages of all pipelines of a kind, each with its pipeline."""
        listed = self.client.ask("GET", f"/crm/v3/pipelines/{PIPELINES[kind]}")["results"]
        return {stage["id"]: (one["id"], stage) for one in listed for stage in one["stages"]}


def _settings(root: Any, database_url: str, url: str) -> Any:
    given = {
        "url": url,
        "ceilings": ", ".join(f"{k}: {v}" for k, v in WIDE.items()),
    }
    objects = {"demo": (*TYPES, "products", "owners", *PIPELINES), "partner": PARTNERS}
    parts = [
        CONNECTION.format(name=name, token=TOKENS[name], objects=", ".join(listed), **given)
        for name, listed in objects.items()
    ]
    (root / "connections.yaml").write_text("connections:" + "".join(parts))
    return load_settings(root, {**ENVIRON, "CRM_DATABASE_URL": database_url})


def _changed(harness: Harness) -> None:
    """Make what the seeded world lacks."""
    for portal in PORTALS.values():
        client = Client(harness, portal.token)
        one, other, third, fourth, fifth, *_ = sorted(client.all("contacts"))
        path = f"/crm/v4/objects/contacts/{one}/associations"
        client.ask("PUT", f"{path}/default/contacts/{other}")
        client.edit("contacts", third, email="")
        emulator(harness).edit(
            "contacts", third, account=portal.name, hs_additional_emails="z@x.test;y@x.test"
        )
        client.edit("contacts", fourth, firstname="", lastname="")
        client.edit("contacts", fifth, firstname="", lastname="Solo")
        parent, child, *_ = sorted(client.all("companies"))
        label = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 13}]
        path = f"/crm/v4/objects/companies/{parent}/associations/companies/{child}"
        client.ask("PUT", path, label)
        late, evening, *_ = sorted(client.all("deals"))
        # In New York both are still in March, in Berlin both in April already.
        client.edit("deals", late, closedate="2023-04-01T01:09:44Z")
        client.edit("deals", evening, closedate="2023-03-31T22:30:00Z")


@pytest.fixture(scope="module")
def published(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Both portals, read whole and published."""
    root = tmp_path_factory.mktemp("meaning")
    with (
        database_of_its_own(postgres_url) as url,
        Database(url) as database,
        _server(40) as server,
    ):
        harness = Harness(server, _settings(root, url, server.url), database, FrozenClock(START))
        for portal in PORTALS.values():
            emulator(harness).set_limits(**dict.fromkeys(_NARROW, 100_000), account=portal.name)
        _changed(harness)
        harness.advance()
        _read(harness)
        yield harness, _everything(harness)


def _read(harness: Harness) -> None:
    """Read both portals whole, build every table, publish."""
    landing, tables = harness.landing, Tables(harness.settings.data)
    vendor = connector("hubspot")
    for connection in harness.settings.connections.values():
        with opened(
            harness.settings, connection.name, harness.database, clock=harness.clock
        ) as account:
            note_account(account, landing)
            for obj in connection.objects:
                extract(account, obj, None, mode="range", landing=landing)
    with Engine(harness.settings.data / "tmp", memory_limit="512MB", threads=1) as engine:
        for connection in harness.settings.connections.values():
            for table in tables_for(connection, vendor.mapping):
                normalize(connection, table, landing, tables, vendor.mapping, engine, vendor.keys)
        publish(landing, tables, engine)


def _everything(harness: Harness) -> dict[str, list[Row]]:
    with closing(open_published(harness.settings.data)) as database:
        listed = database.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'crm'"
        ).fetchall()
        rows = {}
        for (name,) in listed:
            cursor = database.execute(f"FROM crm.{name}")
            columns = [column[0] for column in cursor.description]
            rows[name] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        return rows


@pytest.fixture(params=PORTALS)
def world(request: pytest.FixtureRequest, published: Any) -> World:
    harness, rows = published
    return World(harness, request.param, rows)


@pytest.fixture
def main(published: Any) -> World:
    harness, rows = published
    return World(harness, "demo", rows)


def instant(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


def number(text: str | None) -> Decimal | None:
    return Decimal(text) if text else None


def compare(found: Mapping[str, Row], wanted: Mapping[str, Row]) -> None:
    """Compare the columns that `wanted` names, row by row."""
    assert set(found) == set(wanted)
    wrong = [
        (record, column, found[record][column], value)
        for record, columns in wanted.items()
        for column, value in columns.items()
        if found[record][column] != value
    ]
    assert wrong == []


def _made(world: World, obj: str, record: Row) -> Row:
    """Return what every kind of record has."""
    login = record["properties"]["hs_created_by_user_id"]
    return {
        "url": world.page(obj, record["id"]),
        "created_by_source_id": login,
        "created_by_key": world.user(login),
    }


def _last(world: World, properties: Row) -> Row:
    text = properties["notes_last_updated"]
    return {"last_activity_on": world.day(text), "last_activity_at": instant(text)}


def test_facts_of_the_account(main: World) -> None:
    """Zone, currency and web address are those of the account's details."""
    with main.harness.account() as account:
        facts = account.facts()  # type: ignore[attr-defined]
    details = Client(main.harness).ask("GET", "/account-info/v3/details")
    assert (facts.time_zone, facts.currency) == (details["timeZone"], details["companyCurrency"])
    assert facts.web_address == f"https://{details['uiDomain']}/contacts/{details['portalId']}"


def test_contacts(world: World) -> None:
    """Names, all addresses, consent of every subscription, bounces, days in the portal's zone."""
    optouts = ("hs_email_optout", *(f"hs_email_optout_{n}" for n in (170001, 170002, 170003)))
    wanted = {}
    for one, record in world.client.all("contacts").items():
        has = record["properties"]
        said = {has[name] for name in optouts} - {None, ""}
        more = (has["hs_additional_emails"] or "").split(";")
        addresses = list(dict.fromkeys(a for a in (has["email"], *more) if a))
        bounced = (has["hs_email_bounce"] or "0") != "0" or has["hs_email_hard_bounce_reason_enum"]
        wanted[one] = {
            **_made(world, "contacts", record),
            **_last(world, has),
            "full_name": " ".join(filter(None, (has["firstname"], has["lastname"]))) or None,
            "email": addresses[0] if addresses else None,
            "email_opt_out": ("true" in said) if said else None,
            "email_bounced": bool(bounced),
            "email_bounced_reason": has["hs_email_hard_bounce_reason_enum"] or None,
            "lifecycle_stage": has["lifecyclestage"] or None,
        }
        rows = world.table("contacts")
        labels = [point["label"] for point in rows[one]["emails"]]
        assert labels == ["main" if a == has["email"] else "other" for a in addresses]
        assert [point["value"] for point in rows[one]["emails"]] == addresses
        assert [point["is_primary"] for point in rows[one]["emails"]][:1] == [True][
            : len(addresses)
        ]
    compare(world.table("contacts"), wanted)
    seen = Counter(
        (row["email_opt_out"], row["email_bounced"]) for row in world.table("contacts").values()
    )
    assert {optout for optout, _ in seen} >= {True, False}
    assert {bounced for _, bounced in seen} == {True, False}


def test_companies(world: World) -> None:
    """Lifecycle, latest activity, who made it, where it is shown."""
    wanted = {
        one: {
            **_made(world, "companies", record),
            **_last(world, record["properties"]),
            "lifecycle_stage": record["properties"]["lifecyclestage"] or None,
        }
        for one, record in world.client.all("companies").items()
    }
    compare(world.table("companies"), wanted)


def test_deals(world: World) -> None:
    """Closed by the deal's own word, on the portal's day, in the portal's money."""
    stages = world.stages("deal_pipelines")
    wanted = {}
    deals = world.client.all("deals")
    for one, record in deals.items():
        has = record["properties"]
        pipeline, stage = stages[has["dealstage"]]
        is_closed = has["hs_is_closed"] == "true"
        wanted[one] = {
            **_made(world, "deals", record),
            **_last(world, has),
            "close_date": world.day(has["closedate"]),
            "closed_at": instant(has["closedate"]) if is_closed else None,
            "is_closed": stage["metadata"]["isClosed"] == "true",
            "is_won": stage["metadata"]["probability"] == "1.0",
            "is_archived": False,
            "lost_reason": has["closed_lost_reason"] or None,
            "amount": number(has["amount"]),
            "amount_main": number(has["amount_in_home_currency"]),
            "source": has["hs_analytics_source"] or None,
            "pipeline_key": f"{world.name}:deal_pipelines:{pipeline}",
            "stage_label": stage["label"],
            "stage_changed_at": instant(has["hs_v2_date_entered_current_stage"]),
        }
    found = world.table("deals")
    compare(found, wanted)
    assert len({row["currency"] for row in found.values()}) > 1
    assert any(row["amount"] != row["amount_main"] for row in found.values())
    days = [record["properties"]["closedate"][:10] for record in deals.values()]
    assert Counter(days) != Counter(str(row["close_date"]) for row in found.values()), "all at noon"


def test_a_deal_closed_at_night(world: World) -> None:
    """It belongs to the day, the month and the quarter that the portal's people had."""
    rows = world.table("deals")
    found = [rows[one]["close_date"] for one in sorted(rows)[:2]]
    march, april = dt.date(2023, 3, 31), dt.date(2023, 4, 1)
    assert found == {"demo": [march, march], "partner": [april, april]}[world.name]


def test_the_stage_history(world: World) -> None:
    """Each stay in a stage has a beginning, an end and a pipeline; the last one is where the deal stands."""
    stages = world.stages("deal_pipelines")
    listed = world.client.listed(
        "/crm/v3/objects/deals",
        properties="hs_v2_date_entered_current_stage",
        propertiesWithHistory="dealstage",
    )
    found = defaultdict(list)
    for row in world.table("deal_stage_history").values():
        found[row["deal_source_id"]].append(row)
    assert set(found) == set(listed)
    for one, record in listed.items():
        told = sorted(
            record["propertiesWithHistory"]["dealstage"], key=lambda entry: entry["timestamp"]
        )
        ours = sorted(found[one], key=lambda row: row["changed_at"])
        ends = [instant(entry["timestamp"]) for entry in told[1:]] + [None]
        for row, entry, end in zip(ours, told, ends, strict=True):
            login = str(entry["updatedByUserId"])
            wanted = {
                "stage": entry["value"],
                "changed_at": instant(entry["timestamp"]),
                "entered_at": instant(entry["timestamp"]),
                "left_at": end,
                "pipeline_source_id": stages[entry["value"]][0],
                "pipeline_key": f"{world.name}:deal_pipelines:{stages[entry['value']][0]}",
                "stage_label": stages[entry["value"]][1]["label"],
                "changed_by_key": world.user(login),
            }
            assert {name: row[name] for name in wanted} == wanted
        entered = record["properties"]["hs_v2_date_entered_current_stage"]
        assert ours[-1]["entered_at"] == instant(entered)
        assert ours[-1]["stage"] == world.table("deals")[one]["stage"]


def test_leads(main: World) -> None:
    """A lead's status is a stage of a pipeline of leads, which has a label."""
    stages = main.stages("lead_pipelines")
    wanted = {
        one: {
            **_made(main, "leads", record),
            "status_label": stages[record["properties"]["hs_pipeline_stage"]][1]["label"],
            "pipeline_key": f"{main.name}:lead_pipelines:{record['properties']['hs_pipeline']}",
            "is_archived": False,
        }
        for one, record in main.client.all("leads").items()
    }
    compare(main.table("leads"), wanted)
    pipelines = {row["pipeline_key"] for row in main.table("pipelines", "lead_pipelines").values()}
    assert {row["pipeline_key"] for row in wanted.values()} <= pipelines


def test_tickets(main: World) -> None:
    """Who made it, and where it is shown."""
    records = main.client.all("tickets").items()
    compare(main.table("tickets"), {i: _made(main, "tickets", one) for i, one in records})


def test_activities(world: World) -> None:
    """Due on the portal's day, at its instant; which way an e-mail went."""
    way = {"EMAIL": "outbound", "INCOMING_EMAIL": "inbound"}
    for obj in ACTIVITIES if world.name == "demo" else ("tasks",):
        wanted = {
            one: {
                **_made(world, obj, record),
                "due_on": world.day(record["properties"]["hs_timestamp"]),
                "due_at": instant(record["properties"]["hs_timestamp"]),
                "email_direction": way.get(record["properties"].get("hs_email_direction")),
                "is_closed": _closed(record["properties"]),
                **_call(world, obj, record["properties"]),
                "duration_minutes": _minutes(record["properties"]),
            }
            for one, record in world.client.all(obj).items()
        }
        compare(world.table("activities", obj), wanted)


def _closed(has: Row) -> bool | None:
    """Say whether nothing is left to do, by the status that each kind of activity has."""
    if "hs_task_status" in has:
        return bool(has["hs_task_status"] == "COMPLETED")
    keys = ("hs_meeting_outcome", "hs_call_status", "hs_email_status")
    status = next((has[key] for key in keys if has.get(key)), None)
    over = {"COMPLETED", "CANCELED", "NO_SHOW", "NO_ANSWER", "BUSY", "FAILED", "SENT", "BOUNCED"}
    return status in over if status else None


def _call(world: World, obj: str, has: Row) -> Row:
    """Return the outcome of a call as the account calls it, and its direction."""
    if obj != "calls":
        return {"call_result": None, "call_direction": None}
    told = world.client.ask("GET", "/crm/v3/properties/calls/hs_call_disposition")["options"]
    labels = {one["value"]: one["label"] for one in told}
    way = has["hs_call_direction"]
    return {"call_result": labels.get(has["hs_call_disposition"]), "call_direction": way.lower()}


def _minutes(has: Row) -> int | None:
    starts, ends = has.get("hs_meeting_start_time"), has.get("hs_meeting_end_time")
    if not starts or not ends:
        return None
    return int((dt.datetime.fromisoformat(ends) - dt.datetime.fromisoformat(starts)).seconds / 60)


def test_users_and_those_who_left(world: World) -> None:
    """Owners who left are users that are not active; what they own still finds them."""
    wanted = {
        owner["id"]: {
            "full_name": f"{owner['firstName']} {owner['lastName']}",
            "is_active": not owner["archived"],
            "is_deleted": False,
            "login_id": str(owner["userIdIncludingInactive"]),
            "teams": [
                team["name"] for team in sorted(owner["teams"], key=lambda t: not t["primary"])
            ],
        }
        for owner in world.owners
    }
    compare(world.table("users"), wanted)
    assert any(not row["is_active"] for row in wanted.values())
    assert world.table("users_deleted") == {}
    keys = {row["user_key"] for row in world.table("users").values()}
    owned = [row["owner_key"] for row in world.table("deals").values() if row["owner_key"]]
    assert set(owned) <= keys


def test_products(main: World) -> None:
    """A product has its price."""
    records = main.client.all("products").items()
    wanted = {one: {"price": number(record["properties"]["price"])} for one, record in records}
    compare(main.table("products"), wanted)


def test_links_within_one_object_and_roles(world: World) -> None:
    """One row per label, and one for the plain link; contacts with contacts as well."""
    for obj, other in (("contacts", "contacts"), ("companies", "companies"), ("deals", "contacts")):
        told: Counter[tuple[str, str, str | None]] = Counter()
        for one in world.client.all(obj):
            listed = world.client.ask("GET", f"/crm/v4/objects/{obj}/{one}/associations/{other}")
            for to in listed["results"]:
                kinds = to["associationTypes"]
                told.update((one, str(to["toObjectId"]), kind["label"]) for kind in kinds)
        found = Counter(
            (row["from_source_id"], row["to_source_id"], row["role"])
            for row in world.table("associations", obj).values()
            if row["to_table"] == other
        )
        assert found == told
        assert told


def test_merges_before_the_first_read(world: World) -> None:
    """An id that was merged away before anybody read it leads to the record that stands for it."""
    wanted = {}
    for obj in ("contacts", "companies", "deals", "tickets"):
        for one, record in world.client.all(obj).items():
            for old in (record["properties"]["hs_merged_object_ids"] or "").split(";"):
                if old:
                    key = f"{world.name}:{obj}:"
                    wanted[old] = {
                        "table_name": obj,
                        "old_key": key + old,
                        "new_key": key + one,
                    }
    found = (row for row in world.rows["merges"] if row["connection"] == world.name)
    compare({row["old_key"].rpartition(":")[2]: row for row in found}, wanted)
    assert set(wanted) == set(
        emulator(world.harness).merged("contacts", account=PORTALS[world.name].name)
    )
