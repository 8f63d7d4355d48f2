"""What the tables make of Zoho's answers, computed once more in plain Python from the answers or the world.

Two orgs: in Los Angeles with dollars, and in Tokyo with users in Berlin, euros and stages of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import extract, note_account
from crm_pipeline.store.landing.account_facts import account_facts
from crm_pipeline.store.postgres.database import Database
from crm_pipeline_tests.connectors.modelled import build, rows
from crm_pipeline_tests.connectors.zoho.conftest import ZohoHarness, ZohoHarnessMaker, harness_in
from crm_pipeline_tests.servers import database_of_its_own
from crm_sandbox.zoho.accounts import ACCOUNTS
from crm_sandbox_tests.zoho.conftest import ZohoClient

MODULES = {
    "Accounts": "companies",
    "Contacts": "contacts",
    "Leads": "leads",
    "Deals": "deals",
    "DealHistory": "deal_stage_history",
    "Products": "products",
    "Campaigns": "campaigns",
    "Cases": "tickets",
    "Tasks": "activities",
    "Events": "activities",
    "Calls": "activities",
    "Notes": "activities",
}
# Stamps bear the offset of the user: in Berlin, where the second org is in Tokyo.
ZONES = {"main": "America/Los_Angeles", "second": "Asia/Tokyo"}
SETTINGS = ("Users", "Pipelines", "Currencies", "ContactRoles")


@dataclass
class Org:
    """An org that was read, and a client of its own that reads it as well."""

    harness: ZohoHarness
    client: ZohoClient
    key: str

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(ZONES[self.key])

    def answers(self, module: str, *fields: str) -> dict[str, dict[str, Any]]:
        """The living records of a module as the API answers them, by id."""
        wanted = {"fields": ",".join(("id", *fields))}
        wanted |= {"converted": "both"} if module == "Leads" else {}
        return {row["id"]: row for row in self.client.everything(f"/{module}", **wanted)}

    def rows(self, module: str, *columns: str) -> dict[str, tuple[Any, ...]]:
        """The living rows of a module's table, by id."""
        table = MODULES.get(module, module)
        told = rows(self.harness, table, f"object, is_deleted, source_id, {', '.join(columns)}")
        of_module = (row for row in told if table == module or row[0] == module)
        return {row[2]: row[3:] for row in of_module if not row[1]}

    def day(self, stamp: str | None) -> Any:
        return None if stamp is None else instant(stamp).astimezone(self.zone).date()


def instant(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp).astimezone(UTC)


def at(stamp: str | None) -> datetime | None:
    return None if stamp is None else instant(stamp)


def utc(column: str) -> str:
    return f"timezone('UTC', {column})"


def told(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)


@pytest.fixture(scope="module", params=["main", "second"])
def org(request: Any, postgres_url: str, tmp_path_factory: Any) -> Iterator[Org]:
    folder = tmp_path_factory.mktemp(request.param)
    objects = (*MODULES, *SETTINGS)
    with (
        database_of_its_own(postgres_url) as url,
        Database(url) as database,
        harness_in(
            folder, database, url, account=request.param, contacts=40, objects=objects
        ) as harness,
    ):
        client = ZohoClient(harness.sandbox, request.param)
        harness.emulator.set_zone(ZONES[request.param], account=request.param)
        read(harness, objects, folder / "engine")
        yield Org(harness, client, request.param)
        client.close()


def read(harness: ZohoHarness, objects: tuple[str, ...], folder: Path) -> None:
    with harness.account() as account:
        note_account(account, harness.landing)
        for obj in objects:
            extract(account, ObjectSettings(obj), None, mode="range", landing=harness.landing)
    build(harness, folder)


def world_of_deals(org: Org) -> dict[str, list[tuple[datetime, str]]]:
    """The way of each living deal, as the world drew it: when it entered which stage."""
    account = ACCOUNTS[org.key]
    emulated_org = org.harness.emulator.org(org.key)
    living = {row["id"] for row in org.harness.emulator.rows("Deals", account=org.key)}
    ways: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for step in emulated_org.world.deal_steps(account.crm).to_pylist():
        deal = str(emulated_org.ids.one("Deals", step["deal"]))
        line = int(step["r1"] % 4 == 0) % len(account.pipelines)
        if deal in living:
            stage = account.pipelines[line].stages[step["stage"]]
            ways[deal].append((step["at"].replace(tzinfo=UTC), stage))
    return ways


def stages_on(
    ways: dict[str, list[tuple[datetime, str]]], moment: datetime
) -> dict[str, str | None]:
    entered = {deal: [stage for at, stage in way if at <= moment] for deal, way in ways.items()}
    return {deal: stages[-1] for deal, stages in entered.items() if stages}


def past_days(org: Org) -> list[datetime]:
    now = org.harness.clock.now()
    return [now - timedelta(days=days) for days in (40, 400, 900)]


def history_on(harness: ZohoHarness, moment: datetime) -> dict[str, str]:
    asked = f"TIMESTAMPTZ '{moment.isoformat()}'"
    stood = f"entered_at <= {asked} AND (left_at IS NULL OR left_at > {asked}) AND NOT is_deleted"
    columns = f"DISTINCT deal_source_id, stage, {stood}"
    found = [
        (deal, stage)
        for deal, stage, is_so in rows(harness, "deal_stage_history", columns)
        if is_so
    ]
    assert len(found) == len(dict(found))
    return dict(found)


def test_the_stage_of_each_deal_on_past_days(org: Org) -> None:
    """It is where the world's way of the deal had come; today it is the deal's own stage, entered when it says."""
    ways = world_of_deals(org)
    for moment in past_days(org):
        wanted = stages_on(ways, moment)
        assert history_on(org.harness, moment) == wanted != {}
    deals = org.answers("Deals", "Stage", "Stage_Modified_Time")
    now = org.harness.clock.now()
    assert history_on(org.harness, now) == {key: row["Stage"] for key, row in deals.items()}
    changed = org.rows("Deals", utc("stage_changed_at"))
    entered = org.rows("deal_stage_history", "deal_source_id", utc("entered_at"), "left_at")
    current = {deal: moment for deal, moment, left in entered.values() if left is None}
    assert {key: (told(moment),) for key, moment in current.items()} == {
        key: (told(moment),) for key, (moment,) in changed.items()
    }
    assert {key: told(m) for key, (m,) in changed.items()} == {
        key: at(row["Stage_Modified_Time"]) for key, row in deals.items()
    }


def test_an_account_that_stamps_rows_when_they_end(
    make_harness: ZohoHarnessMaker, tmp_path: Path
) -> None:
    """Its own days say so: the stamps of the rows before are taken; the first stay begins by its days."""
    with make_harness(contacts=60, objects=("Deals", "DealHistory")) as harness:
        harness.emulator.stamp_history_late()
        read(harness, ("Deals", "DealHistory"), tmp_path / "engine")
        org = Org(harness, ZohoClient(harness.sandbox), "main")
        ways = world_of_deals(org)
        for moment in past_days(org):
            found, wanted = history_on(harness, moment), stages_on(ways, moment)
            # Of its first day the vendor tells the day.
            young = {
                deal for deal, way in ways.items() if abs(way[0][0] - moment) < timedelta(days=1)
            }
            assert {k: v for k, v in found.items() if k not in young} == {
                k: v for k, v in wanted.items() if k not in young
            }
        org.client.close()


def test_stages_say_what_is_closed_and_won(org: Org) -> None:
    """Types, categories and chances are those of the pipelines and of the pick list, not of names."""
    layouts = org.client.get("/settings/layouts", params={"module": "Deals"}).json()["layouts"]
    path, asked = "/settings/pipeline", {"layout_id": layouts[0]["id"]}
    wanted = {
        (pipeline["actual_value"], one["actual_value"]): (
            one["forecast_type"] != "Open",
            one["forecast_type"] == "Closed Won",
            one["forecast_category"]["name"],
        )
        for pipeline in org.client.get(path, params=asked).json()["pipeline"]
        for one in pipeline["maps"]
    }
    fields = [one for section in layouts[0]["sections"] for one in section["fields"]]
    [choices] = [one["pick_list_values"] for one in fields if one["api_name"] == "Stage"]
    chances = {one["actual_value"]: one["probability"] for one in choices}
    columns = (
        "pipeline_source_id",
        "name",
        "is_closed",
        "is_won",
        "forecast_category",
        "probability",
    )
    found = {row[:2]: row[2:] for row in org.rows("stages", *columns).values()}
    assert found == {key: (*told, chances[key[1]]) for key, told in wanted.items()}
    deals = org.answers("Deals", "Pipeline", "Stage")
    assert {(row["Pipeline"], row["Stage"]) for row in deals.values()} <= set(found)
    # Whether a deal is closed the publish stage takes from there.
    assert set(org.rows("Deals", "is_closed", "is_won").values()) == {(None, None)}


def test_an_org_without_pipelines(make_harness: ZohoHarnessMaker, tmp_path: Path) -> None:
    """Its own stages are those of one pipeline, and each of its deals finds the type of its stage there."""
    objects = ("Deals", "Pipelines")
    with make_harness(account="second", contacts=40, objects=objects) as harness:
        harness.emulator.drop_pipelines(account="second")
        read(harness, objects, tmp_path / "engine")
        assert rows(harness, "pipelines", "source_id, name, is_default") == [
            ("default", "default", True)
        ]
        columns = "pipeline_key, name, is_closed, is_won, is_active"
        stages = {row[:2]: row[2:] for row in rows(harness, "stages", columns)}
        assert {key[1] for key, told in stages.items() if told[1]} == {"Gewonnen"}
        assert {key[1] for key, told in stages.items() if told[0]} == {"Gewonnen", "Verloren"}
        deals = rows(harness, "deals", "pipeline_key, stage")
        assert set(deals) <= set(stages)
        assert {stages[deal] for deal in deals} == {
            (o, w, True) for o, w in ((False, False), (True, True), (True, False))
        }
        assert all(call.status == 400 for call in harness.calls("/settings/pipeline"))


def test_money_in_the_main_currency(org: Org) -> None:
    """An amount is divided by the rate that stands in the deal; of one in the org's own it is the amount."""
    deals = org.answers("Deals", "Amount", "Currency", "Exchange_Rate")
    wanted = {
        key: Decimal(repr(row["Amount"])) / Decimal(repr(row["Exchange_Rate"]))
        for key, row in deals.items()
    }
    found = org.rows("Deals", "amount_main", "currency")
    assert set(found) == set(wanted)
    for key, (amount, currency) in found.items():
        assert abs(amount - wanted[key]) <= Decimal("0.000001")
        assert currency == deals[key]["Currency"]
    carried = set(ACCOUNTS[org.key].carried or ["USD"])
    assert {currency for _, currency in found.values()} == carried
    rates = dict(org.rows("exchange_rates", "currency", "rate").values())
    assert {row["Currency"]: row["Exchange_Rate"] for row in deals.values()} == {
        code: float(rates[code]) for code in carried
    }


@pytest.mark.parametrize(
    ("module", "field", "day", "moment"),
    [
        ("Contacts", "Last_Activity_Time", "last_activity_on", "last_activity_at"),
        ("Accounts", "Last_Activity_Time", "last_activity_on", "last_activity_at"),
        ("Leads", "Last_Activity_Time", "last_activity_on", "last_activity_at"),
        ("Leads", "Converted_Date_Time", "converted_on", "converted_at"),
        ("Deals", "Last_Activity_Time", "last_activity_on", "last_activity_at"),
        ("Events", "Start_DateTime", "due_on", "due_at"),
        ("Calls", "Call_Start_Time", "due_on", "due_at"),
        ("Notes", "Created_Time", "due_on", "due_at"),
    ],
)
def test_days_are_those_of_the_orgs_zone(
    org: Org, module: str, field: str, day: str, moment: str
) -> None:
    """A day is cut out of its instant in the org's zone, and the instant stands beside it."""
    answers = org.answers(module, field)
    found = org.rows(module, day, utc(moment))
    assert {key: (on, told(when)) for key, (on, when) in found.items()} == {
        key: (org.day(row[field]), at(row[field])) for key, row in answers.items()
    }
    assert any(row[field] for row in answers.values())


def test_days_without_a_time_stay(org: Org) -> None:
    """Nothing is moved where the vendor tells a day."""
    for module, field, column in (
        ("Deals", "Closing_Date", "close_date"),
        ("Tasks", "Due_Date", "due_on"),
        ("Contacts", "Date_of_Birth", "birth_date"),
    ):
        found = {key: str(on or "") for key, (on,) in org.rows(module, column).items()}
        assert found == {k: r[field] or "" for k, r in org.answers(module, field).items()}


TABS = {
    "Contacts": "Contacts",
    "Accounts": "Accounts",
    "Leads": "Leads",
    "Deals": "Potentials",
    "Campaigns": "Campaigns",
    "Cases": "Cases",
    "Tasks": "Tasks",
    "Events": "Events",
    "Calls": "Calls",
}


def test_who_made_a_record_and_where_it_is_seen(org: Org) -> None:
    """Authors are users that there are; addresses are those of the org's own pages."""
    number = org.client.get("/org").json()["org"][0]["zgid"]
    users = set(org.rows("users", "user_key").values())
    for module, tab in TABS.items():
        if module != "Campaigns":
            made = org.rows(module, "created_by_source_id", "created_by_key")
            answers = org.answers(module, "Created_By")
            assert {k: source for k, (source, _) in made.items()} == {
                k: row["Created_By"]["id"] for k, row in answers.items()
            }
            assert {(key,) for _, key in made.values()} <= users
        for key, (url,) in org.rows(module, "url").items():
            assert url == f"{org.harness.sandbox.url}/zoho/crm/org{number}/tab/{tab}/{key}"


def test_plain_facts(org: Org) -> None:
    """Reasons, sources, prices and roles are those of the answers."""
    for module, fields, columns in (
        (
            "Deals",
            ("Reason_For_Loss__s", "Lead_Source", "Deal_Name"),
            ("lost_reason", "source", "name"),
        ),
        ("Leads", ("Lead_Source", "Lead_Status"), ("source", "status")),
    ):
        found, answers = org.rows(module, *columns), org.answers(module, *fields)
        assert found == {key: tuple(row[name] for name in fields) for key, row in answers.items()}
    prices = {key: float(price) for key, (price,) in org.rows("Products", "price").items()}
    assert prices == {k: r["Unit_Price"] for k, r in org.answers("Products", "Unit_Price").items()}
    users = org.client.get("/users", params={"type": "AllUsers"}).json()["users"]
    assert org.rows("users", "role", "role_source_id") == {
        one["id"]: (one["role"]["name"], one["role"]["id"]) for one in users
    }


@pytest.mark.parametrize("module", ["Contacts", "Leads"])
def test_consent_by_all_channels(org: Org, module: str) -> None:
    """Who opted out, or gave consent without a channel, is asked by it no more; without a word it is unknown."""
    basis = "Data_Processing_Basis_Details"
    schema = org.harness.emulator.org(org.key).known(module)
    own = [name for name in (basis, "Do_Not_Call") if schema.find(name)]
    answers = org.answers(module, "Email_Opt_Out", *own)

    def asked(row: dict[str, Any], own: bool | None, channel: str) -> bool | None:
        details = row.get(basis) or {}
        given = details.get("Data_Processing_Basis") == "Consent - Obtained"
        said = [own] if own is not None else []
        said += [details[channel] is False] if given and details[channel] is not None else []
        return any(said) if said else None

    assert org.rows(module, "email_opt_out", "do_not_call") == {
        key: (
            asked(row, row["Email_Opt_Out"], "Contact_Through_Email"),
            asked(row, row.get("Do_Not_Call"), "Contact_Through_Phone"),
        )
        for key, row in answers.items()
    }


def test_contacts_of_deals_have_roles(org: Org) -> None:
    """Each contact that a deal's list names is a link with its role, several of one deal too."""
    wanted = set()
    for deal in org.answers("Deals"):
        answer = org.client.get(f"/Deals/{deal}/Contact_Roles", params={"fields": "Last_Name"})
        if answer.status_code == 200:
            wanted |= {
                (deal, row["id"], row["Contact_Role"]["name"]) for row in answer.json()["data"]
            }
    columns = (
        "from_source_id",
        "to_source_id",
        "role",
        "from_table",
        "to_table",
        "from_key",
        "to_key",
    )
    found = set(org.rows("associations", *columns).values())
    assert {row[:3] for row in found} == wanted
    assert {row[3:5] for row in found} == {("deals", "contacts")}
    assert {row[5] for row in found} <= {key for (key,) in org.rows("Deals", "deal_key").values()}
    assert len({deal for deal, *_ in wanted}) < len(wanted)


def test_what_the_org_says_of_itself(org: Org) -> None:
    """Zone, currency and address are noted beside what landed."""
    shown = org.client.get("/org").json()["org"][0]
    facts = account_facts(org.harness.landing, "demo")
    assert (facts.time_zone, facts.currency) == (shown["time_zone"], shown["iso_code"])
    assert facts.web_address.endswith(f"/crm/org{shown['zgid']}")


def test_deleted_records_keep_their_names(make_harness: ZohoHarnessMaker, tmp_path: Path) -> None:
    """The row of a record in the recycle bin has its name, who deleted it and how; one gone for good the kind."""
    with make_harness(contacts=40, objects=("Contacts", "Deals")) as harness:
        first, second = (row for row in harness.emulator.rows("Deals")[:2])
        person = harness.emulator.rows("Contacts", limit=1)[0]
        harness.advance(60)
        harness.emulator.delete("Deals", first["id"])
        harness.emulator.delete("Contacts", person["id"])
        harness.emulator.hard_delete("Deals", second["id"])
        harness.advance(60)
        read(harness, ("Contacts", "Deals"), tmp_path / "engine")
        kept = "custom ->> '$.type', (custom ->> '$.deleted_by')::JSON ->> 'id'"
        told = {
            row[0]: row[1:]
            for row in rows(harness, "deals", f"source_id, name, is_deleted, {kept}")
        }
        assert told[first["id"]] == (first["Deal_Name"], True, "recycle", first["Owner"])
        assert told[second["id"]] == (None, True, "permanent", None)
        assert {row[2:] for row in told.values() if not row[1]} == {(None, None)}
        people = rows(harness, "contacts", "source_id, full_name, is_deleted")
        assert (person["id"], person["Full_Name"], True) in people
