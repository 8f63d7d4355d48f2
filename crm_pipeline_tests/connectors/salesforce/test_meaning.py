"""What columns say, computed by plain Python from what the org's REST API answers: every record of a small world."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
import requests

from crm_pipeline.connectors.registry import connector
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.stages.raw import note_account
from crm_pipeline.store.landing.account_facts import account_facts
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.tables import Tables
from crm_pipeline_tests.connectors.modelled import build
from crm_pipeline_tests.harness import Harness, harness_in
from crm_pipeline_tests.servers import database_of_its_own
from crm_sandbox.salesforce import credentials

OBJECTS = connector("salesforce").default_objects
BULK = {"Contact", "User", "PricebookEntry", "Event", "DatedConversionRate"}
NEW_YORK, TOKYO = "America/New_York", "Asia/Tokyo"
DAYS = {
    "activities": ("due_on",),
    "deals": ("close_date", "last_activity_on"),
    "leads": ("converted_on",),
    "contacts": ("last_activity_on", "birth_date"),
    "campaigns": ("starts_on", "ends_on"),
    "exchange_rates": ("starts_on", "ends_on"),
}
Row = dict[str, Any]


class Org:
    """The org as its REST API shows it, and what we made of it in two time zones."""

    def __init__(self, harness: Harness, folder: Path) -> None:
        self.harness = harness
        self.url = f"{harness.sandbox.url}/salesforce"
        self._kept: dict[str, dict[str, Row]] = {}
        self._made: dict[tuple[str, str], dict[str, Row]] = {}
        _sell_to_partners(harness)
        for obj in OBJECTS:
            harness.extract(obj, route="bulk" if obj in BULK else "rest")
        for zone, tables in ((TOKYO, DAYS), (NEW_YORK, ())):
            [row] = harness.org.rows("Organization")
            harness.org.edit("Organization", row["Id"], TimeZoneSidKey=zone)
            # Another zone counts once it is named on two days.
            for _ in range(2):
                harness.advance(86_400)
                with harness.account() as account:
                    note_account(account, harness.landing)
            assert account_facts(harness.landing, "demo") == AccountFacts(zone, "USD", self.url)
            build(harness, folder / "engine", tuple(tables))
            self._keep(zone)

        form = {
            "grant_type": "client_credentials",
            "client_id": credentials.CLIENT_ID,
            "client_secret": credentials.CLIENT_SECRET,
        }
        answer = requests.post(f"{self.url}/services/oauth2/token", data=form, timeout=30).json()
        self._headers = {"Authorization": f"Bearer {answer['access_token']}"}

    def ask(self, path: str, **params: str) -> Any:
        place = f"{self.url}/services/data/v66.0{path}"
        return requests.get(place, params, headers=self._headers, timeout=30).json()

    def told(self, obj: str) -> dict[str, Row]:
        """All records, deleted ones too, as the API answers them."""
        if obj not in self._kept:
            fields = self.ask(f"/sobjects/{obj}/describe")["fields"]
            names = [one["name"] for one in fields if one["type"] not in {"address", "location"}]
            rows, answer = [], self.ask("/queryAll/", q=f"SELECT {', '.join(names)} FROM {obj}")
            while True:
                rows += answer["records"]
                if answer["done"]:
                    break
                answer = self.ask(answer["nextRecordsUrl"].partition("v66.0")[2])
            self._kept[obj] = {row["Id"]: row for row in rows}
            assert len(rows) == len(self._kept[obj]) > 0
        return self._kept[obj]

    def made(self, table: str, zone: str = NEW_YORK, obj: str = "") -> dict[str, Row]:
        """The rows of a table by id, of one object where it holds several."""
        rows = self._made[table, zone]
        return {key: row for key, row in rows.items() if obj in ("", row["object"])}

    def _keep(self, zone: str) -> None:
        tables = Tables(self.harness.settings.data)
        with duckdb.connect() as database:
            database.execute("SET TimeZone = 'UTC'")
            for name in tables.names("normalized/demo/"):
                version = tables.version(name)
                assert version is not None
                cursor = database.execute(f"FROM {Tables.relation(version)}")
                columns = [column[0] for column in cursor.description or ()]
                rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
                kept = {row["source_id"]: row for row in rows}
                assert len(kept) == len(rows), name
                self._made[name.rsplit("/", 1)[1], zone] = kept


def _sell_to_partners(harness: Harness) -> None:
    """Give some products prices in another book and currency, of which one is out of use and one deleted."""
    book = harness.org.create("Pricebook2", Name="Partners", IsStandard=False)
    price = {"Pricebook2Id": book, "CurrencyIsoCode": "EUR"}
    entries = [
        harness.org.create("PricebookEntry", Product2Id=product["Id"], UnitPrice=12.5, **price)
        for product in harness.org.rows("Product2")[:3]
    ]
    harness.org.edit("PricebookEntry", entries[1], IsActive=False)
    harness.org.delete("PricebookEntry", entries[2])
    harness.advance()


@pytest.fixture(scope="module")
def org(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Org]:
    folder = tmp_path_factory.mktemp("org")
    with (
        database_of_its_own(postgres_url) as url,
        Database(url) as database,
        harness_in(folder, database, url, objects=OBJECTS) as harness,
    ):
        yield Org(harness, folder)


def instant(text: str | None) -> dt.datetime | None:
    return dt.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z") if text else None


def day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text) if text else None


def key(obj: str, record: str | None) -> str | None:
    return f"demo:{obj}:{record}" if record else None


def exact(number: float | None) -> Decimal | None:
    return None if number is None else Decimal(repr(number))


def compare(org: Org, table: str, obj: str, expected: Any) -> dict[str, Row]:
    """Compare columns of every row with what a function makes of its record; return the rows."""
    told, made = org.told(obj), org.made(table, obj=obj)
    assert set(told) == set(made)
    for record, source in told.items():
        wanted: Mapping[str, Any] = expected(source)
        assert {name: made[record][name] for name in wanted} == wanted, (table, record)
    return made


def made_by(org: Org, source: Row, obj: str) -> Row:
    """What every record tells of itself that shows in a browser."""
    return {
        "created_at": instant(source["CreatedDate"]),
        "created_by_source_id": source["CreatedById"],
        "created_by_key": key("User", source["CreatedById"]),
        "owner_key": key("User", source["OwnerId"]),
        "url": f"{org.url}/lightning/r/{obj}/{source['Id']}/view",
        "is_deleted": source["IsDeleted"],
    }


def person(source: Row) -> Row:
    return {
        "first_name": source["FirstName"],
        "last_name": source["LastName"],
        "email": source["Email"],
        "phone": source["Phone"],
        "mobile_phone": source["MobilePhone"],
        "do_not_call": source["DoNotCall"],
        "email_opt_out": source["HasOptedOutOfEmail"],
        "email_bounced": bool(source["EmailBouncedDate"] or source["EmailBouncedReason"]),
        "email_bounced_at": instant(source["EmailBouncedDate"]),
        "email_bounced_reason": source["EmailBouncedReason"],
        "last_activity_on": day(source["LastActivityDate"]),
        "last_activity_at": None,
        "lifecycle_stage": None,
    }


def test_contacts(org: Org) -> None:
    """Consent and bounces, who made it, where it is shown."""
    made = compare(
        org,
        "contacts",
        "Contact",
        lambda one: {
            **made_by(org, one, "Contact"),
            **person(one),
            "company_key": key("Account", one["AccountId"]),
            "birth_date": day(one["Birthdate"]),
            "merged_into": key("Contact", one["MasterRecordId"]),
        },
    )
    assert {row["email_bounced"] for row in made.values()} == {True, False}
    assert {row["do_not_call"] for row in made.values()} == {True, False}


def test_companies(org: Org) -> None:
    """Who made it, when somebody last did something with it."""
    compare(
        org,
        "companies",
        "Account",
        lambda one: {
            **made_by(org, one, "Account"),
            "last_activity_on": day(one["LastActivityDate"]),
            "last_activity_at": None,
            "parent_key": key("Account", one["ParentId"]),
            "annual_revenue": exact(one["AnnualRevenue"]),
            "currency": one["CurrencyIsoCode"],
        },
    )


def test_leads(org: Org) -> None:
    """Salesforce tells the day of a conversion and no instant; no lead is put aside."""
    compare(
        org,
        "leads",
        "Lead",
        lambda one: {
            **made_by(org, one, "Lead"),
            **person(one),
            "status": one["Status"],
            "is_converted": one["IsConverted"],
            "converted_on": day(one["ConvertedDate"]),
            "converted_at": None,
            "is_archived": None,
            "converted_contact_key": key("Contact", one["ConvertedContactId"]),
            "converted_company_key": key("Account", one["ConvertedAccountId"]),
            "pipeline_key": None,
        },
    )


def test_deals(org: Org) -> None:
    """Open, won and lost come from the record; a closed deal was closed at its last change of stage."""
    made = compare(
        org,
        "deals",
        "Opportunity",
        lambda one: {
            **made_by(org, one, "Opportunity"),
            "stage": one["StageName"],
            "is_closed": one["IsClosed"],
            "is_won": one["IsWon"],
            "closed_at": instant(one["LastStageChangeDate"]) if one["IsClosed"] else None,
            "stage_changed_at": instant(one["LastStageChangeDate"]),
            "close_date": day(one["CloseDate"]),
            "amount": exact(one["Amount"]),
            "currency": one["CurrencyIsoCode"],
            "amount_main": None,
            "lost_reason": None,
            "is_archived": None,
            "company_key": key("Account", one["AccountId"]),
            "pipeline_key": "demo:Pipeline:default",
        },
    )
    stages = {row["ApiName"]: row for row in org.told("OpportunityStage").values()}
    for row in made.values():
        stage = stages[row["stage"]]
        assert (row["is_closed"], row["is_won"]) == (stage["IsClosed"], stage["IsWon"])


def test_stages_of_deals(org: Org) -> None:
    """A deal entered a stage with its first row of it and left it with the first row of the next."""
    of_deal = defaultdict(list)
    for row in org.told("OpportunityHistory").values():
        of_deal[row["OpportunityId"]].append(row)
    stays: dict[str, tuple[Any, Any]] = {}
    for listed in of_deal.values():
        listed.sort(key=lambda row: (row["CreatedDate"], row["Id"]))
        entered = None
        for number, row in enumerate(listed):
            if number == 0 or listed[number - 1]["StageName"] != row["StageName"]:
                entered = row["CreatedDate"]
            left = next(
                (
                    one["CreatedDate"]
                    for one in listed[number:]
                    if one["StageName"] != row["StageName"]
                ),
                None,
            )
            stays[row["Id"]] = instant(entered), instant(left)
    made = compare(
        org,
        "deal_stage_history",
        "OpportunityHistory",
        lambda one: {
            "deal_key": key("Opportunity", one["OpportunityId"]),
            "stage": one["StageName"],
            "pipeline_source_id": "default",
            "pipeline_key": "demo:Pipeline:default",
            "changed_at": instant(one["CreatedDate"]),
            "entered_at": stays[one["Id"]][0],
            "left_at": stays[one["Id"]][1],
            "changed_by_key": key("User", one["CreatedById"]),
            "amount": exact(one["Amount"]),
            "currency": one["CurrencyIsoCode"],
        },
    )
    for deal in org.told("Opportunity").values():
        last = made[of_deal[deal["Id"]][-1]["Id"]]
        assert (last["stage"], last["left_at"]) == (deal["StageName"], None)


def test_line_items(org: Org) -> None:
    """Prices and quantities are those of the record to the last digit; a product's own record has no price."""
    compare(
        org,
        "deal_line_items",
        "OpportunityLineItem",
        lambda one: {
            "deal_key": key("Opportunity", one["OpportunityId"]),
            "product_key": key("Product2", one["Product2Id"]),
            "quantity": exact(one["Quantity"]),
            "unit_price": exact(one["UnitPrice"]),
            "list_price": exact(one["ListPrice"]),
            "total_price": exact(one["TotalPrice"]),
        },
    )
    compare(org, "products", "Product2", lambda one: {"name": one["Name"], "price": None})


def test_prices(org: Org) -> None:
    """A price says whose it is and of which book, by Bulk as by REST, the standard one or another."""
    books = org.told("Pricebook2")
    made = compare(
        org,
        "product_prices",
        "PricebookEntry",
        lambda one: {
            "product_key": key("Product2", one["Product2Id"]),
            "price_book_source_id": one["Pricebook2Id"],
            "price_book": books[one["Pricebook2Id"]]["Name"],
            "is_standard": books[one["Pricebook2Id"]]["IsStandard"],
            "price": exact(one["UnitPrice"]),
            "currency": one["CurrencyIsoCode"],
            "is_active": one["IsActive"],
            "is_deleted": one["IsDeleted"],
            "created_at": instant(one["CreatedDate"]),
        },
    )
    kinds = {(row["price_book"], row["is_standard"]) for row in made.values()}
    assert kinds == {("Standard", True), ("Partners", False)}
    assert {row["is_active"] for row in made.values()} == {True, False}
    assert {row["is_deleted"] for row in made.values()} == {True, False}
    with org.harness.account() as account:
        _, shown = account.preview("PricebookEntry", 200)
    assert {r["Id"]: (r["Pricebook2.Name"], r["Pricebook2.IsStandard"]) for r in shown} == {
        record: (row["price_book"], row["is_standard"])
        for record, row in made.items()
        if not row["is_deleted"]
    }


def test_tasks(org: Org) -> None:
    """A task is due on a day; Salesforce says of calls which way they went, of e-mails not."""
    kinds = {"Call": "call", "Email": "email"}
    compare(
        org,
        "activities",
        "Task",
        lambda one: {
            **made_by(org, one, "Task"),
            "activity_type": kinds.get(one["TaskSubtype"], "task"),
            "due_on": day(one["ActivityDate"]),
            "due_at": None,
            "completed_at": instant(one["CompletedDateTime"]),
            "is_closed": one["IsClosed"],
            "call_direction": one["CallType"].lower() if one["CallType"] else None,
            "email_direction": None,
        },
    )


@pytest.mark.parametrize("zone", [NEW_YORK, TOKYO])
def test_days_of_events(org: Org, zone: str) -> None:
    """An event is due on the day of its instant where the org is; one of whole days on its day."""
    told, made = org.told("Event"), org.made("activities", zone, "Event")
    moved = 0
    for record, one in told.items():
        starts = instant(one["ActivityDateTime"])
        assert starts is not None
        local = starts.astimezone(ZoneInfo(zone)).date()
        whole = one["IsAllDayEvent"]
        wanted = day(one["ActivityDate"]) if whole else local
        assert (made[record]["due_on"], made[record]["due_at"]) == (
            wanted,
            None if whole else starts,
        )
        moved += local != starts.date()
    assert moved
    assert {one["IsAllDayEvent"] for one in told.values()} == {True, False}


def test_days_that_are_days(org: Org) -> None:
    """A day without a time is the same wherever the org is."""
    for table, columns in DAYS.items():
        here, there = org.made(table, NEW_YORK), org.made(table, TOKYO)
        assert set(here) == set(there)
        for record, row in here.items():
            if row["object"] == "Event":
                continue  # most of these are instants
            assert [row[c] for c in columns] == [there[record][c] for c in columns]


def test_events_tickets_campaigns(org: Org) -> None:
    """Who made them and where they are shown."""
    compare(org, "activities", "Event", lambda one: made_by(org, one, "Event"))
    compare(
        org,
        "tickets",
        "Case",
        lambda one: {**made_by(org, one, "Case"), "closed_at": instant(one["ClosedDate"])},
    )
    compare(
        org,
        "campaigns",
        "Campaign",
        lambda one: {"url": f"{org.url}/lightning/r/Campaign/{one['Id']}/view"},
    )


def test_users(org: Org) -> None:
    """A user's role is named, by Bulk as by REST; Salesforce has no teams of users."""
    names = {one["Id"]: one["Name"] for one in org.told("UserRole").values()}
    made = compare(
        org,
        "users",
        "User",
        lambda one: {
            "full_name": one["Name"],
            "role_source_id": one["UserRoleId"],
            "role": names.get(one["UserRoleId"]),
            "teams": None,
            "is_active": one["IsActive"],
            "manager_key": key("User", one["ManagerId"]),
            "last_login_at": instant(one["LastLoginDate"]),
        },
    )
    assert {row["role"] for row in made.values()} == {None, *names.values()}
    with org.harness.account() as account:
        _, shown = account.preview("User", 200)
    assert {row["Id"]: row["UserRole.Name"] for row in shown} == {
        record: row["role"] for record, row in made.items()
    }


def test_stages(org: Org) -> None:
    """Stages of deals and statuses of leads each stand in a pipeline, under what people call them."""
    for obj, pipeline in {"OpportunityStage": "default", "LeadStatus": "leads"}.items():
        compare(
            org,
            "stages",
            obj,
            lambda one, name=pipeline: {
                "name": one["ApiName"],
                "label": one["MasterLabel"],
                "position": one["SortOrder"],
                "pipeline_key": f"demo:Pipeline:{name}",
            },
        )
    pipelines = org.made("pipelines").values()
    assert {(one["pipeline_key"], one["for_table"]) for one in pipelines} == {
        ("demo:Pipeline:default", "deals"),
        ("demo:Pipeline:leads", "leads"),
    }


def test_rates(org: Org) -> None:
    """A dated rate holds from its first day to the day before the next one's; one without dates always."""
    compare(
        org,
        "exchange_rates",
        "DatedConversionRate",
        lambda one: {
            "currency": one["IsoCode"],
            "rate": exact(one["ConversionRate"]),
            "starts_on": day(one["StartDate"]),
            "ends_on": day(one["NextStartDate"]),
        },
    )
    made = compare(
        org,
        "exchange_rates",
        "CurrencyType",
        lambda one: {
            "currency": one["IsoCode"],
            "rate": exact(one["ConversionRate"]),
            "is_main": one["IsCorporate"],
            "starts_on": None,
        },
    )
    assert [row["currency"] for row in made.values() if row["is_main"]] == ["USD"]
    used = {row["currency"] for row in org.made("deals").values()}
    assert len(used) > 1
    assert used <= {row["currency"] for row in made.values()}
