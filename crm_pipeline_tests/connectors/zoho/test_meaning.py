"""The tables of Zoho's records, compared with plain Python over the API's responses or the world.

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
    """An org that was read, with an independent client of its API."""

    harness: ZohoHarness
    client: ZohoClient
    key: str

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(ZONES[self.key])

    def records(self, module: str, *fields: str) -> dict[str, dict[str, Any]]:
        """Return the live records of a module from the API, by id."""
        wanted = {"fields": ",".join(("id", *fields))}
        wanted |= {"converted": "both"} if module == "Leads" else {}
        return {row["id"]: row for row in self.client.everything(f"/{module}", **wanted)}

    def rows(self, module: str, *columns: str) -> dict[str, tuple[Any, ...]]:
        """Return the live rows of a module's table, by id."""
        table = MODULES.get(module, module)
        stored = rows(self.harness, table, f"object, is_deleted, source_id, {', '.join(columns)}")
        of_module = (row for row in stored if table == module or row[0] == module)
        return {row[2]: row[3:] for row in of_module if not row[1]}

    def day(self, text: str | None) -> Any:
        return None if text is None else instant(text).astimezone(self.zone).date()


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def at(text: str | None) -> datetime | None:
    return None if text is None else instant(text)


def utc(column: str) -> str:
    return f"timezone('UTC', {column})"


def in_utc(moment: datetime | None) -> datetime | None:
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
    """Return when each live deal entered which stage, from the world."""
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
    stages = [
        (deal, stage)
        for deal, stage, is_so in rows(harness, "deal_stage_history", columns)
        if is_so
    ]
    assert len(stages) == len(dict(stages))
    return dict(stages)


def test_the_stage_of_each_deal_on_past_days(org: Org) -> None:
    """It is the stage of the world's history on that day; today it is the deal's own stage."""
    ways = world_of_deals(org)
    for moment in past_days(org):
        wanted = stages_on(ways, moment)
        assert history_on(org.harness, moment) == wanted != {}
    deals = org.records("Deals", "Stage", "Stage_Modified_Time")
    now = org.harness.clock.now()
    assert history_on(org.harness, now) == {key: row["Stage"] for key, row in deals.items()}
    changed = org.rows("Deals", utc("stage_changed_at"))
    entered = org.rows("deal_stage_history", "deal_source_id", utc("entered_at"), "left_at")
    current = {deal: moment for deal, moment, left in entered.values() if left is None}
    assert {key: (in_utc(moment),) for key, moment in current.items()} == {
        key: (in_utc(moment),) for key, (moment,) in changed.items()
    }
    assert {key: in_utc(m) for key, (m,) in changed.items()} == {
        key: at(row["Stage_Modified_Time"]) for key, row in deals.items()
    }


def test_an_account_with_times_of_leaving(make_harness: ZohoHarnessMaker, tmp_path: Path) -> None:
    """The counted days show it: times of previous rows are used; the first stay starts by its days."""
    with make_harness(contacts=60, objects=("Deals", "DealHistory")) as harness:
        harness.emulator.stamp_history_late()
        read(harness, ("Deals", "DealHistory"), tmp_path / "engine")
        org = Org(harness, ZohoClient(harness.sandbox), "main")
        ways = world_of_deals(org)
        for moment in past_days(org):
            published, wanted = history_on(harness, moment), stages_on(ways, moment)
            # Of its first day the vendor tells the day.
            young = {
                deal for deal, way in ways.items() if abs(way[0][0] - moment) < timedelta(days=1)
            }
            assert {k: v for k, v in published.items() if k not in young} == {
                k: v for k, v in wanted.items() if k not in young
            }
        org.client.close()


def test_stages_decide_closed_and_won(org: Org) -> None:
    """Types, categories and probabilities come from the pipelines and the pick list, not from names."""
    layouts = org.client.get("/settings/layouts", params={"module": "Deals"}).json()["layouts"]
    path, asked = "/settings/pipeline", {"layout_id": layouts[0]["id"]}
    wanted = {
        (pipeline["actual_value"], stage["actual_value"]): (
            stage["forecast_type"] != "Open",
            stage["forecast_type"] == "Closed Won",
            stage["forecast_category"]["name"],
        )
        for pipeline in org.client.get(path, params=asked).json()["pipeline"]
        for stage in pipeline["maps"]
    }
    fields = [field for section in layouts[0]["sections"] for field in section["fields"]]
    [choices] = [field["pick_list_values"] for field in fields if field["api_name"] == "Stage"]
    chances = {choice["actual_value"]: choice["probability"] for choice in choices}
    columns = (
        "pipeline_source_id",
        "name",
        "is_closed",
        "is_won",
        "forecast_category",
        "probability",
    )
    published = {row[:2]: row[2:] for row in org.rows("stages", *columns).values()}
    assert published == {key: (*flags, chances[key[1]]) for key, flags in wanted.items()}
    deals = org.records("Deals", "Pipeline", "Stage")
    assert {(row["Pipeline"], row["Stage"]) for row in deals.values()} <= set(published)
    # Whether a deal is closed the publish stage takes from there.
    assert set(org.rows("Deals", "is_closed", "is_won").values()) == {(None, None)}


def test_an_org_without_pipelines(make_harness: ZohoHarnessMaker, tmp_path: Path) -> None:
    """Its stages become those of one pipeline, which has the type of each deal's stage."""
    objects = ("Deals", "Pipelines")
    with make_harness(account="second", contacts=40, objects=objects) as harness:
        harness.emulator.drop_pipelines(account="second")
        read(harness, objects, tmp_path / "engine")
        assert rows(harness, "pipelines", "source_id, name, is_default") == [
            ("default", "default", True)
        ]
        columns = "pipeline_key, name, is_closed, is_won, is_active"
        stages = {row[:2]: row[2:] for row in rows(harness, "stages", columns)}
        assert {key[1] for key, flags in stages.items() if flags[1]} == {"Gewonnen"}
        assert {key[1] for key, flags in stages.items() if flags[0]} == {"Gewonnen", "Verloren"}
        deals = rows(harness, "deals", "pipeline_key, stage")
        assert set(deals) <= set(stages)
        assert {stages[deal] for deal in deals} == {
            (o, w, True) for o, w in ((False, False), (True, True), (True, False))
        }
        assert all(call.status == 400 for call in harness.calls("/settings/pipeline"))


def test_money_in_the_main_currency(org: Org) -> None:
    """An amount is divided by the deal's rate; in the home currency it stays."""
    deals = org.records("Deals", "Amount", "Currency", "Exchange_Rate")
    wanted = {
        key: Decimal(repr(row["Amount"])) / Decimal(repr(row["Exchange_Rate"]))
        for key, row in deals.items()
    }
    amounts = org.rows("Deals", "amount_main", "currency")
    assert set(amounts) == set(wanted)
    for key, (amount, currency) in amounts.items():
        assert abs(amount - wanted[key]) <= Decimal("0.000001")
        assert currency == deals[key]["Currency"]
    carried = set(ACCOUNTS[org.key].carried or ["USD"])
    assert {currency for _, currency in amounts.values()} == carried
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
    """A day is that of its instant in the org's time zone, and the instant is kept."""
    records = org.records(module, field)
    days = org.rows(module, day, utc(moment))
    assert {key: (on, in_utc(when)) for key, (on, when) in days.items()} == {
        key: (org.day(row[field]), at(row[field])) for key, row in records.items()
    }
    assert any(row[field] for row in records.values())


def test_days_without_a_time_stay(org: Org) -> None:
    """A day without a time is not shifted."""
    for module, field, column in (
        ("Deals", "Closing_Date", "close_date"),
        ("Tasks", "Due_Date", "due_on"),
        ("Contacts", "Date_of_Birth", "birth_date"),
    ):
        days = {key: str(on or "") for key, (on,) in org.rows(module, column).items()}
        assert days == {k: r[field] or "" for k, r in org.records(module, field).items()}


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


def test_creators_and_addresses(org: Org) -> None:
    """Creators are existing users; addresses are those of the org's pages."""
    number = org.client.get("/org").json()["org"][0]["zgid"]
    users = set(org.rows("users", "user_key").values())
    for module, tab in TABS.items():
        if module != "Campaigns":
            made = org.rows(module, "created_by_source_id", "created_by_key")
            records = org.records(module, "Created_By")
            assert {k: source for k, (source, _) in made.items()} == {
                k: row["Created_By"]["id"] for k, row in records.items()
            }
            assert {(key,) for _, key in made.values()} <= users
        for key, (url,) in org.rows(module, "url").items():
            assert url == f"{org.harness.sandbox.url}/zoho/crm/org{number}/tab/{tab}/{key}"


def test_plain_facts(org: Org) -> None:
    """Reasons, sources, prices and roles are those of the responses."""
    for module, fields, columns in (
        (
            "Deals",
            ("Reason_For_Loss__s", "Lead_Source", "Deal_Name"),
            ("lost_reason", "source", "name"),
        ),
        ("Leads", ("Lead_Source", "Lead_Status"), ("source", "status")),
    ):
        published, records = org.rows(module, *columns), org.records(module, *fields)
        assert published == {
            key: tuple(row[name] for name in fields) for key, row in records.items()
        }
    prices = {key: float(price) for key, (price,) in org.rows("Products", "price").items()}
    assert prices == {k: r["Unit_Price"] for k, r in org.records("Products", "Unit_Price").items()}
    users = org.client.get("/users", params={"type": "AllUsers"}).json()["users"]
    assert org.rows("users", "role", "role_source_id") == {
        user["id"]: (user["role"]["name"], user["role"]["id"]) for user in users
    }


@pytest.mark.parametrize("module", ["Contacts", "Leads"])
def test_consent_by_all_channels(org: Org, module: str) -> None:
    """Persons who opted out, or consented without a channel, are opted out of it; otherwise it is unknown."""
    basis = "Data_Processing_Basis_Details"
    schema = org.harness.emulator.org(org.key).known(module)
    own = [name for name in (basis, "Do_Not_Call") if schema.find(name)]
    records = org.records(module, "Email_Opt_Out", *own)

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
        for key, row in records.items()
    }


def test_contacts_of_deals_have_roles(org: Org) -> None:
    """Each contact in a deal's list is a link with its role, also several of one deal."""
    wanted = set()
    for deal in org.records("Deals"):
        response = org.client.get(f"/Deals/{deal}/Contact_Roles", params={"fields": "Last_Name"})
        if response.status_code == 200:
            wanted |= {
                (deal, row["id"], row["Contact_Role"]["name"]) for row in response.json()["data"]
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
    links = set(org.rows("associations", *columns).values())
    assert {row[:3] for row in links} == wanted
    assert {row[3:5] for row in links} == {("deals", "contacts")}
    assert {row[5] for row in links} <= {key for (key,) in org.rows("Deals", "deal_key").values()}
    assert len({deal for deal, *_ in wanted}) < len(wanted)


def test_facts_of_the_org(org: Org) -> None:
    """Time zone, currency and address are stored beside the landing."""
    shown = org.client.get("/org").json()["org"][0]
    facts = account_facts(org.harness.landing, "demo")
    assert (facts.time_zone, facts.currency) == (shown["time_zone"], shown["iso_code"])
    assert facts.web_address.endswith(f"/crm/org{shown['zgid']}")


def test_deleted_records_keep_their_names(make_harness: ZohoHarnessMaker, tmp_path: Path) -> None:
    """A record in the recycle bin keeps its name, deleter and kind; a permanently deleted one only the kind."""
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
        published = {
            row[0]: row[1:]
            for row in rows(harness, "deals", f"source_id, name, is_deleted, {kept}")
        }
        assert published[first["id"]] == (first["Deal_Name"], True, "recycle", first["Owner"])
        assert published[second["id"]] == (None, True, "permanent", None)
        assert {row[2:] for row in published.values() if not row[1]} == {(None, None)}
        people = rows(harness, "contacts", "source_id, full_name, is_deleted")
        assert (person["id"], person["Full_Name"], True) in people
