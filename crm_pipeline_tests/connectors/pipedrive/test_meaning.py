"""The columns' meaning, compared with plain Python over the company's responses: two companies, two zones.

Nothing here is asked of our own code but the rows: lists are read from the API, days are made with `zoneinfo`,
histories are replayed from the changelogs.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests

from crm_pipeline.stages.raw import note_account
from crm_pipeline.store.landing.account_facts import account_facts
from crm_pipeline.store.postgres.database import Database
from crm_pipeline_tests.connectors.modelled import build, rows
from crm_pipeline_tests.connectors.pipedrive.conftest import Harness, harness_in
from crm_pipeline_tests.servers import database_of_its_own
from crm_sandbox.pipedrive import credentials

OBJECTS = (
    *("deals", "persons", "organizations", "activities", "notes", "leads", "products"),
    *("deal_changes", "deal_participants", "users", "pipelines", "stages"),
)
ZONES = {"main": "Europe/Tallinn", "second": "America/Los_Angeles"}
CURRENCIES = {"main": "EUR", "second": "USD"}
Record = dict[str, Any]


@dataclass
class Answers:
    """A company that has been read, with a client of its API."""

    harness: Harness
    account: str
    known: dict[str, list[Record]] = field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(ZONES[self.account])

    @cached_property
    def address(self) -> str:
        return f"https://{credentials.ACCOUNTS[self.account].domain}.pipedrive.com"

    def ask(self, path: str, **params: str) -> Any:
        headers = {"x-api-token": credentials.ACCOUNTS[self.account].api_token}
        url = f"{self.harness.sandbox.url}/pipedrive{path}"
        return requests.get(url, params, headers=headers, timeout=30).json()

    def every(self, path: str, **params: str) -> list[Record]:
        """Read a list to its end, of v2 or v1."""
        key = f"{path} {params}"
        if key not in self.known:
            self.known[key] = list(self._pages(path, params))
        return self.known[key]

    def _pages(self, path: str, params: dict[str, str]) -> Iterator[Record]:
        more: dict[str, str] = {}
        while True:
            body = self.ask(path, **params, **more)
            yield from body["data"] or []
            behind = body.get("additional_data") or {}
            if behind.get("next_cursor"):
                more = {"cursor": behind["next_cursor"]}
            elif (behind.get("pagination") or {}).get("more_items_in_collection"):
                more = {"start": str(behind["pagination"]["next_start"])}
            else:
                return

    def labels(self, path: str, field_code: str) -> dict[Any, str]:
        fields = {record["field_code"]: record for record in self.every(path, limit="500")}
        return {str(option["id"]): option["label"] for option in fields[field_code]["options"]}

    @property
    def deals(self) -> list[Record]:
        return [*self.every("/api/v2/deals"), *self.every("/api/v2/deals/archived")]

    def day(self, text: str) -> date:
        """Return the day of an instant in the company's time zone."""
        return moment(text).astimezone(self.zone).date()

    def live(self, table: str, columns: str, obj: str) -> dict[str, tuple[Any, ...]]:
        """Return the live rows of a table that came from an object, by id."""
        read = rows(self.harness, table, f"source_id, object, is_deleted, {columns}")
        return {row[0]: row[3:] for row in read if row[1] == obj and not row[2]}


def moment(text: str) -> datetime:
    """Return an instant: v1 writes UTC without an offset."""
    return datetime.fromisoformat(text if text[-1] == "Z" else f"{text}+00:00")


def seconds(text: str | None) -> float | None:
    return moment(text).timestamp() if text else None


def text_of(value: Any) -> str | None:
    return None if value in (None, "") else str(value)


def money(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def assert_same(
    actual: Mapping[str, tuple[Any, ...]],
    records: list[Record],
    expected: Callable[[Record], tuple[Any, ...]],
    varying: int,
) -> None:
    """Assert that every record is a row with the expected values, and that `varying` columns have several values."""
    wanted = {str(record["id"]): expected(record) for record in records}
    assert dict(actual) == wanted
    columns = list(zip(*wanted.values(), strict=True))
    assert sum(len(set(map(str, column))) > 1 for column in columns) >= varying


@pytest.fixture(scope="module", params=ZONES)
def company(
    request: pytest.FixtureRequest, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Answers]:
    folder = tmp_path_factory.mktemp(request.param)
    objects = json.dumps(OBJECTS)
    with (
        database_of_its_own(postgres_url) as url,
        Database(url) as database,
        harness_in(
            folder, database, url, contacts=240, objects=objects, account=request.param
        ) as harness,
    ):
        with harness.account() as account:
            note_account(account, harness.landing)
        for obj in OBJECTS:
            harness.extract(obj)
        build(harness, folder / "engine")
        yield Answers(harness, request.param)


def test_facts(company: Answers) -> None:
    """Zone, currency and address are those of the login's user and of the company's domain."""
    facts = account_facts(company.harness.landing, "pipe")
    me = company.ask("/v1/users/me")["data"]
    assert (facts.time_zone, facts.currency) == (me["timezone_name"], me["default_currency"])
    assert (facts.time_zone, facts.currency) == (
        ZONES[company.account],
        CURRENCIES[company.account],
    )
    assert facts.web_address == company.address


def test_deals(company: Answers) -> None:
    """Status, day and moment of closing, reason, creator, channel, address, archived or not."""
    channels = company.labels("/api/v2/dealFields", "channel")

    def expected(deal: Record) -> tuple[Any, ...]:
        closed = deal["status"] in {"won", "lost"}
        due = deal["expected_close_date"]
        return (
            closed,
            deal["status"] == "won",
            company.day(deal["close_time"]) if closed else date.fromisoformat(due),
            seconds(deal["close_time"]) if closed else None,
            deal["lost_reason"],
            deal["is_archived"],
            channels.get(str(deal["channel"])),
            str(deal["creator_user_id"]),
            f"{company.address}/deal/{deal['id']}",
            money(deal["value"]),
            deal["currency"],
            text_of(deal["person_id"]),
        )

    actual = company.live(
        "deals",
        "is_closed, is_won, close_date, epoch(closed_at), lost_reason, is_archived, source, "
        "created_by_source_id, url, amount, currency, primary_contact_source_id",
        "deals",
    )
    assert_same(actual, company.deals, expected, varying=12)
    # A day of UTC would be another one for some.
    assert any(
        d["close_time"] and d["close_time"][:10] != d["local_close_date"] for d in company.deals
    )


def test_leads(company: Answers) -> None:
    """Value with its currency, where it came from, who made it; archived ones are among them."""
    channels = company.labels("/api/v2/dealFields", "channel")

    def expected(lead: Record) -> tuple[Any, ...]:
        value = lead["value"] or {"amount": None, "currency": None}
        return (
            money(value["amount"]),
            value["currency"],
            channels.get(str(lead["channel"]), lead["source_name"]),
            lead["is_archived"],
            str(lead["creator_id"]),
            f"{company.address}/leads/inbox/{lead['id']}",
        )

    actual = company.live(
        "leads", "amount, currency, source, is_archived, created_by_source_id, url", "leads"
    )
    leads = [*company.every("/v1/leads"), *company.every("/v1/leads/archived")]
    assert_same(actual, leads, expected, varying=6)


def test_activities(company: Answers) -> None:
    """A time is UTC and makes the day one of the company's zone; without one there is only a day."""

    def expected(activity: Record) -> tuple[Any, ...]:
        day, time = activity["due_date"], activity["due_time"]
        hours, minutes, *_ = map(int, (activity["duration"] or "0:0").split(":"))
        length = timedelta(hours=hours, minutes=minutes)
        creator = str(activity["creator_user_id"])
        url = f"{company.address}/activities/list/user/everyone?selected={activity['id']}"
        if not time:
            return date.fromisoformat(day), None, None, None, creator, url
        at = moment(f"{day}T{time}Z")
        end = (at + length).timestamp() if activity["duration"] else None
        local = at.astimezone(company.zone).date()
        return local, at.timestamp(), at.timestamp(), end, creator, url

    columns = "due_on, epoch(due_at), epoch(starts_at), epoch(ends_at), created_by_source_id, url"
    activities = company.every("/api/v2/activities")
    assert_same(company.live("activities", columns, "activities"), activities, expected, varying=6)
    days = {str(record["id"]): record["due_date"] for record in activities}
    moved = [
        key
        for key, (day, *_) in company.live("activities", columns, "activities").items()
        if str(day) != days[key]
    ]
    assert moved


def test_notes(company: Answers) -> None:
    """A note took place when it was written, by its author, on the day of the company's zone."""

    def expected(note: Record) -> tuple[Any, ...]:
        added = note["add_time"]
        return company.day(added), seconds(added), None, str(note["user_id"])

    columns = "due_on, epoch(due_at), starts_at, created_by_source_id"
    notes = company.every("/v1/notes")
    assert_same(company.live("activities", columns, "notes"), notes, expected, varying=3)
    assert any(str(company.day(note["add_time"])) != note["add_time"][:10] for note in notes)


def test_products(company: Answers) -> None:
    """The price in the main currency, or the first one, with its currency; the category by its label."""
    main = CURRENCIES[company.account]
    labels = company.labels("/api/v2/productFields", "category")

    def expected(product: Record) -> tuple[Any, ...]:
        prices = {price["currency"]: price["price"] for price in reversed(product["prices"])}
        code = main if main in prices else product["prices"][0]["currency"]
        return money(prices[code]), code, labels.get(str(product["category"]))

    products = company.every("/api/v2/products")
    actual = company.live("products", "price, currency, family", "products")
    assert_same(actual, products, expected, varying=3)
    # In some the main currency comes second, in some it is not there at all.
    codes = [[price["currency"] for price in record["prices"]] for record in products]
    assert any(main in listed[1:] for listed in codes)
    assert any(main not in listed for listed in codes)


def test_parties(company: Answers) -> None:
    """Persons have their names, first address and consent, organizations the label of their industry."""
    opt_outs = {"subscribed": False, "unsubscribed": True}

    def person(record: Record) -> tuple[Any, ...]:
        emails = sorted(record["emails"], key=lambda point: not point["primary"])
        email = emails[0]["value"] if emails else None
        status = opt_outs.get(record["marketing_status"])
        return text_of(record["name"]), email, status, f"{company.address}/person/{record['id']}"

    people = company.every("/api/v2/persons", include_fields="marketing_status")
    actual = company.live("contacts", "full_name, email, email_opt_out, url", "persons")
    assert_same(actual, people, person, varying=4)
    labels = company.labels("/api/v2/organizationFields", "industry")

    def organization(record: Record) -> tuple[Any, ...]:
        return labels.get(str(record["industry"])), f"{company.address}/organization/{record['id']}"

    organizations = company.every("/api/v2/organizations")
    actual = company.live("companies", "industry, url", "organizations")
    assert_same(actual, organizations, organization, varying=2)


def test_users(company: Answers) -> None:
    """Roles and teams by their names; who never logged in has no login, and leavers stay."""
    roles = {record["id"]: record["name"] for record in company.every("/v1/roles")}
    teams = [record for record in company.every("/v1/legacyTeams") if record["active_flag"]]

    def expected(user: Record) -> tuple[Any, ...]:
        own = [team["name"] for team in teams if user["id"] in team["users"]]
        login = user["last_login"]
        at = None if login.startswith("0000") else seconds(login)
        return user["name"], user["active_flag"], roles[user["role_id"]], own or None, at

    users = company.every("/v1/users")
    actual = company.live(
        "users", "full_name, is_active, role, teams, epoch(last_login_at)", "users"
    )
    assert_same(actual, users, expected, varying=5)
    assert any(user["last_login"].startswith("0000") for user in users)


def replayed(company: Answers, deal: Record) -> list[tuple[Any, ...]]:
    """The states of a deal, from its present one back to its first: newest changes come first."""
    stages = {
        str(record["id"]): record["pipeline_id"] for record in company.every("/api/v2/stages")
    }
    log = company.every(f"/v1/deals/{deal['id']}/changelog", limit="500")
    keys = ("stage_id", "value", "currency")
    state = {key: text_of(deal[key]) for key in keys}
    states: list[tuple[Any, ...]] = []

    def add_state(time: str) -> None:
        stage = state["stage_id"] or ""
        pipeline = str(stages[stage])
        states.append((seconds(time), stage, pipeline, money(state["value"]), state["currency"]))

    for change in (entry for entry in log if entry["field_key"] in keys):
        add_state(change["time"])
        state[change["field_key"]] = change["old_value"]
    add_state(deal["add_time"])
    return states[::-1]


def test_stage_history(company: Answers) -> None:
    """Each state of each deal, from its first day on; the last one is what the deal says of itself."""
    columns = (
        "deal_source_id, epoch(changed_at), stage, pipeline_source_id, amount, currency, "
        "epoch(entered_at), epoch(left_at), custom ->> 'number'"
    )
    actual: dict[str, list[tuple[Any, ...]]] = {}
    for deal, *row in sorted(rows(company.harness, "deal_stage_history", columns), key=_by_number):
        actual.setdefault(deal, []).append(tuple(row[:-1]))
    assert actual.keys() == {str(deal["id"]) for deal in company.deals}
    for deal in company.deals:
        history = actual[str(deal["id"])]
        assert [row[:5] for row in history] == replayed(company, deal)
        entered, left = [row[5] for row in history], [row[6] for row in history]
        moves = [k for k, row in enumerate(history) if k == 0 or row[1] != history[k - 1][1]]
        for begin, end in zip(moves, [*moves[1:], len(history)], strict=True):
            until = history[end][0] if end < len(history) else None
            assert set(entered[begin:end]) == {history[begin][0]}
            assert set(left[begin:end]) == {until}
        last = (str(deal["stage_id"]), str(deal["pipeline_id"]), money(deal["value"]), entered[-1])
        assert last == (*history[-1][1:4], seconds(deal["stage_change_time"]))
    assert any(len({row[3] for row in history}) > 1 for history in actual.values())


def _by_number(row: tuple[Any, ...]) -> tuple[str, int]:
    return row[0], int(row[-1])


def test_participants(company: Answers) -> None:
    """All people of each deal, marked for the main contact, with the time of their entry."""
    wanted = {
        (str(deal["id"]), str(record["person_id"]["value"])): (
            record["person_id"]["value"] == deal["person_id"],
            seconds(record["add_time"]),
        )
        for deal in company.deals
        for record in company.every(f"/v1/deals/{deal['id']}/participants")
    }
    columns = (
        "from_table, to_table, from_source_id, to_source_id, from_key, to_key, is_primary, "
        "epoch(created_at)"
    )
    actual = [row for row in rows(company.harness, "associations", columns) if row[0] == "deals"]
    assert {row[2:4]: row[6:] for row in actual} == wanted
    assert len(actual) == len(wanted)
    assert sum(not is_main for is_main, _ in wanted.values()) > 10
    for from_table, to_table, deal, person, from_key, to_key, *_ in actual:
        assert (from_table, to_table) == ("deals", "contacts")
        assert (from_key, to_key) == (f"pipe:deals:{deal}", f"pipe:persons:{person}")


def test_people_of_activities(company: Answers) -> None:
    """All participants of each activity, the first one marked."""
    wanted = {
        (str(activity["id"]), str(participant["person_id"])): participant["primary"]
        for activity in company.every("/api/v2/activities")
        for participant in activity["participants"]
    }
    columns = "from_table, to_table, is_deleted, from_source_id, to_source_id, is_primary, to_key"
    actual = [
        row for row in rows(company.harness, "associations", columns) if row[0] == "activities"
    ]
    live = [row for row in actual if not row[2]]
    assert {row[3:5]: row[5] for row in live} == wanted
    assert len(live) == len(wanted)
    assert {row[1] for row in live} == {"contacts"}
    assert all(row[6] == f"pipe:persons:{row[4]}" for row in live)
