"""Schema `crm_history`: what is published, and the questions that use it, against plain Python over drawn versions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from crm_pipeline.model.names import quoted
from crm_pipeline.model.tables import TABLES
from crm_pipeline.stages.normalized import build
from crm_pipeline.stages.published.history import (
    SHOWN_AFTER_CLOSING_DAYS,
    HistoryTable,
    late_views,
)
from crm_pipeline.stages.published.relations import PublishedTable
from crm_pipeline_tests.meaning.questions import differences
from crm_pipeline_tests.stages.published.conftest import land
from crm_pipeline_tests.stages.published.test_questions import ZONES, text_of

PUBLISHED_AT = datetime(2026, 7, 1, 3, 30, tzinfo=UTC)
ACCOUNTS = {"east": "Asia/Kolkata", "west": "America/Los_Angeles"}
"""At the time of the publish it is another day in each."""
STAGES = {"new": False, "talks": False, "won": True}
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Version:
    """A version of a deal, as the tests know it."""

    connection: str
    deal: str
    since: datetime
    until: datetime | None
    stage: str
    amount: Decimal | None
    is_deleted: bool

    @property
    def is_closed(self) -> bool:
        return STAGES[self.stage]

    @property
    def closed_at(self) -> datetime | None:
        return self.since if self.is_closed else None

    def day(self, moment: datetime) -> date:
        return moment.astimezone(ZoneInfo(ACCOUNTS[self.connection])).date()

    def is_valid_at_end_of(self, day: date) -> bool:
        zone = ZoneInfo(ACCOUNTS[self.connection])
        end = datetime.combine(day + DAY, datetime.min.time(), zone)
        return self.since < end and (self.until is None or self.until >= end)


def drawn() -> list[Version]:
    """Draw versions of deals, several on one day, closed ones and deleted ones among them."""
    random = Random(7)
    versions = []
    for connection in ACCOUNTS:
        for number in range(30):
            at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=random.randint(0, 120 * 1440))
            line = []
            for _ in range(random.randint(1, 5)):
                amount = random.choice((None, Decimal(random.randint(1, 900))))
                line.append((at, random.choice([*STAGES]), amount, random.random() < 0.1))
                minutes = random.choice((0, 45, 600, 1440 * random.randint(1, 40)))
                # Two versions of one instant have an order; three have none that a query could see.
                at += timedelta(minutes=minutes if minutes or len(line) == 1 else 1)
            ends = [*(one[0] for one in line[1:]), None]
            versions += [
                Version(connection, f"{connection}:Deal:{number}", since, until, *state)
                for (since, *state), until in zip(line, ends, strict=True)
            ]
    return versions


VERSIONS = drawn()


def deals_table() -> HistoryTable:
    columns = tuple((c.name, c.type, c.description) for c in TABLES["deals"].columns)
    return HistoryTable(PublishedTable("deals", "Deals.", columns, ()), ())


def write(file: duckdb.DuckDBPyConnection) -> None:
    """Write the drawn versions as they would be published: of deals with one version only their row."""
    table = deals_table()
    for schema in ("crm", "ops", "crm_history"):
        file.execute(f"CREATE SCHEMA {schema}")
    file.execute(
        "CREATE TABLE ops.connections (connection VARCHAR, time_zone VARCHAR, currency VARCHAR)"
    )
    for name, zone in ACCOUNTS.items():
        file.execute("INSERT INTO ops.connections VALUES (?, ?, 'EUR')", [name, zone])
    file.execute("CREATE TABLE ops.publication (published_at TIMESTAMPTZ)")
    file.execute("INSERT INTO ops.publication VALUES (?)", [PUBLISHED_AT])
    file.execute("CREATE TABLE crm.pipelines (pipeline_key VARCHAR, label VARCHAR)")
    file.execute("INSERT INTO crm.pipelines VALUES ('p', 'Sales')")
    file.execute(
        "CREATE TABLE crm.stages (pipeline_key VARCHAR, name VARCHAR, label VARCHAR, position INT, is_closed BOOLEAN)"
    )
    for position, (name, is_closed) in enumerate(STAGES.items()):
        stage = [name, name.title(), position, is_closed]
        file.execute("INSERT INTO crm.stages VALUES ('p', ?, ?, ?, ?)", stage)
    file.execute(
        "CREATE TABLE crm.deal_stage_history (connection VARCHAR, deal_key VARCHAR, pipeline_key VARCHAR, "
        "stage VARCHAR, entered_at TIMESTAMPTZ, left_at TIMESTAMPTZ)"
    )
    for deal in range(3):
        entered = datetime(2026, 3, 1, tzinfo=UTC)
        stay = ["east", f"{deal}", entered, entered + (deal + 1) * DAY]
        file.execute("INSERT INTO crm.deal_stage_history VALUES (?, ?, 'p', 'talks', ?, ?)", stay)
    own = ", ".join(f"{quoted(name)} {kind}" for name, kind, _ in table.columns)
    plain = ", ".join(f"{quoted(name)} {kind}" for name, kind, _ in table.table.columns)
    file.execute(f"CREATE TABLE crm_history.deals_versions ({own})")
    for name in ("deals", "deals_deleted"):
        file.execute(f"CREATE TABLE crm.{name} ({plain})")
    counts: dict[str, int] = {}
    for version in VERSIONS:
        counts[version.deal] = counts.get(version.deal, 0) + 1
    for version in VERSIONS:
        values: dict[str, Any] = {
            "connection": version.connection,
            "deal_key": version.deal,
            "name": version.deal,
            "pipeline_key": "p",
            "stage": version.stage,
            "amount": version.amount,
            "amount_main": version.amount,
            "currency": "EUR",
            "is_closed": version.is_closed,
            "closed_at": version.closed_at,
            "is_deleted": version.is_deleted,
            "modified_at": version.since,
        }
        target = f"crm.deals{'_deleted' if version.is_deleted else ''}"
        if counts[version.deal] > 1:
            target = "crm_history.deals_versions"
            values |= {"valid_from": version.since, "valid_to": version.until, "changed_fields": []}
        marks = ", ".join("?" * len(values))
        file.execute(
            f"INSERT INTO {target} ({', '.join(values)}) VALUES ({marks})", [*values.values()]
        )
    for view in (table.view, *late_views([table])):
        file.execute(f"CREATE VIEW {view.schema}.{view.name} AS {view.sql}")


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Query the drawn versions, in the time zone of a session."""
    with duckdb.connect() as file:
        write(file)

        def answer(sql: str, zone: str = "UTC") -> list[tuple[Any, ...]]:
            file.execute(f"SET TimeZone = '{zone}'")
            return file.execute(sql).fetchall()

        yield answer


def daily() -> dict[tuple[str, date], Version]:
    """Return the state of each deal at the end of each day, day by day."""
    found: dict[tuple[str, date], Version] = {}
    for version in VERSIONS:
        day, last = version.day(version.since), version.day(PUBLISHED_AT)
        if version.closed_at is not None:
            last = min(last, version.day(version.closed_at) + SHOWN_AFTER_CLOSING_DAYS * DAY)
        while day <= last:
            if version.is_valid_at_end_of(day) and not version.is_deleted:
                assert (version.deal, day) not in found
                found[version.deal, day] = version
            day += DAY
    return found


def past_deals() -> Iterator[tuple[Any, ...]]:
    now = {version.deal: version for version in VERSIONS if version.until is None}
    for version in VERSIONS:
        day = version.day(PUBLISHED_AT) - 90 * DAY
        if version.is_valid_at_end_of(day) and not version.is_deleted:
            last = now[version.deal]
            stage = "(deleted)" if last.is_deleted else last.stage
            head = (version.connection, day, version.deal, version.deal, version.stage)
            yield (*head, version.amount, "EUR", version.is_closed, stage, last.amount)


def pipeline_by_week() -> Iterator[tuple[Any, ...]]:
    weeks: dict[tuple[str, date], list[Decimal | None]] = {}
    for (_, day), version in daily().items():
        age = version.day(PUBLISHED_AT) - day
        if day.weekday() == 6 and DAY <= age <= 91 * DAY and not version.is_closed:
            weeks.setdefault((version.connection, day), []).append(version.amount)
    for (connection, day), amounts in weeks.items():
        known = [amount for amount in amounts if amount is not None]
        yield connection, day, "Sales", "EUR", len(amounts), sum(known) if known else None, 0


def time_in_stage() -> Iterator[tuple[Any, ...]]:
    stays: dict[tuple[str, str], list[timedelta | None]] = {}
    for deal in dict.fromkeys(version.deal for version in VERSIONS):
        line = [version for version in VERSIONS if version.deal == deal]
        runs: list[list[Version]] = []
        for version in line:
            last = runs[-1][-1] if runs else None
            if last and (last.stage, last.is_deleted) == (version.stage, version.is_deleted):
                runs[-1].append(version)
            else:
                runs.append([version])
        for run in runs[1:]:
            if not (run[0].is_deleted or run[0].is_closed):
                until = run[-1].until
                lasted = until - run[0].since if until else None
                stays.setdefault((run[0].connection, run[0].stage), []).append(lasted)
    for (connection, stage), lengths in stays.items():
        ended = [each / DAY for each in lengths if each is not None]
        crm = (3, 2.0) if (connection, stage) == ("east", "talks") else (None, None)
        middle = round(median(ended), 1) if ended else None
        yield connection, "Sales", stage.title(), len(lengths), len(ended), middle, *crm


QUESTIONS = {"26": past_deals, "27": pipeline_by_week, "28": time_in_stage}
FAULTS = {
    "the day ends in UTC": ("26", "AT TIME ZONE a.zone AS", "AT TIME ZONE 'UTC' AS"),
    "today is that of UTC": ("26", "coalesce(c.time_zone, 'UTC') AS DATE", "'UTC' AS DATE"),
    "a version holds on its last instant": (
        "26",
        "d.valid_from < m.ended_at",
        "d.valid_from < m.ended_at + INTERVAL 1 DAY",
    ),
    "every version that began counts": (
        "26",
        "AND (d.valid_to IS NULL OR d.valid_to >= m.ended_at)",
        "",
    ),
    "deleted deals are there": ("26", "AND d.is_deleted IS NOT TRUE", ""),
    "closed deals are in the pipeline": ("27", "d.is_closed IS NOT TRUE", "true"),
    "weeks end on Saturday": ("27", "isodow(d.day) = 7", "isodow(d.day) = 6"),
    "the first stay counts": ("28", "HAVING min(nth) > 1", ""),
    "stays with one stage are one": ("28", "pipeline_key, stage, stay", "pipeline_key, stage"),
    "a stay that goes on has ended": (
        "28",
        "CASE WHEN count(valid_to) = count(*) THEN max(valid_to) END",
        "max(valid_to)",
    ),
}


@pytest.mark.parametrize("zone", ZONES)
def test_deals_daily(ask: Callable[..., list[tuple[Any, ...]]], zone: str) -> None:
    """The view has each deal on each day as it was at the end of that day in its account's zone, and no other rows."""
    rows = ask("SELECT deal_key, day, stage, amount FROM crm_history.deals_daily", zone)
    expected = {(*key, version.stage, version.amount) for key, version in daily().items()}
    assert len(rows) == len(expected) > 1_000
    assert set(rows) == expected


@pytest.mark.parametrize("number", QUESTIONS)
def test_question(ask: Callable[..., list[tuple[Any, ...]]], number: str) -> None:
    """The query gives the answer that plain Python gives, whatever the session's time zone."""
    expected = list(QUESTIONS[number]())
    assert len(expected) > 2
    for zone in ZONES:
        assert differences(ask(text_of(number), zone), expected) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_seen(ask: Callable[..., list[tuple[Any, ...]]], fault: str) -> None:
    """The usual mistakes in such queries give another result here."""
    number, part, instead = FAULTS[fault]
    sql = text_of(number)
    assert part in sql
    assert differences(ask(sql.replace(part, instead)), list(QUESTIONS[number]()))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, new_org: Any) -> Any:
    """A small org in which a deal went through two stages, and a contact never changed."""
    org = new_org(tmp_path_factory.mktemp("history") / "data")
    land(org, "pipelines", "P name=sales label=Sales for_table=deals")
    land(org, "stages", "S1 name=one label=One pipeline=P\nS2 name=two label=Two pipeline=P")
    land(org, "deals", "1 name=A stage=one pipeline=P amount=5 updatedAt=2026-01-01T00:00:00Z")
    land(org, "deals", "1 name=A stage=two pipeline=P amount=5 updatedAt=2026-01-03T00:00:00Z")
    land(org, "contacts", "7 last_name=Roe updatedAt=2026-01-02T00:00:00Z")
    for table in ("pipelines", "stages", "deals", "contacts"):
        org.normalize(table)
    org.publish()
    return org


def test_versions_are_labelled_as_the_table_is(published: Any) -> None:
    """Past versions have the labels that are looked up when a table is published, and the present one equals its row."""
    rows = published.query(
        "SELECT stage_label, day(valid_from), day(valid_to), changed_fields FROM crm_history.deals ORDER BY valid_from"
    )
    assert rows == [("One", 1, 3, []), ("Two", 3, None, ["stage", "stage_label"])]
    names = "* EXCLUDE (valid_from, valid_to, changed_fields)"
    now = published.query(f"SELECT {names} FROM crm_history.deals WHERE valid_to IS NULL")
    assert now == published.query("SELECT * FROM crm.deals")


def test_a_record_that_never_changed_has_one_version(published: Any) -> None:
    """It is read from its table, valid from its modification time; the stored versions do not have it."""
    rows = published.query(
        "SELECT last_name, valid_from, valid_to, changed_fields FROM crm_history.contacts"
    )
    assert rows == [("Roe", datetime(2026, 1, 2, tzinfo=UTC), None, [])]
    assert published.query("SELECT * FROM crm_history.contacts_versions") == []


def test_a_record_without_any_time_is_so_since_it_was_read(
    tmp_path: Path, new_org: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a table has no stored versions, a record without a modification time is valid from when its batch was read."""
    monkeypatch.setattr(build, "has_history", lambda _: False)
    org = new_org(tmp_path / "data")
    land(org, "deals", "1 name=A updatedAt=\n2 name=B updatedAt=2026-01-02T00:00:00Z")
    org.normalize("deals")
    org.publish()
    [batch] = org.landing.batches("acme", "deals")
    rows = org.query("SELECT name, valid_from, valid_to FROM crm_history.deals ORDER BY name")
    assert rows == [("A", batch.started_at, None), ("B", datetime(2026, 1, 2, tzinfo=UTC), None)]
    assert org.query("SELECT count(*) FROM crm_history.deals_daily WHERE name = 'A'") == [(1,)]


def test_everything_in_the_schema_is_described(published: Any) -> None:
    """Each table, view and column has a comment."""
    bare = published.query(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'crm_history' AND comment IS NULL "
        "AND database_name = current_database() "
        "UNION ALL SELECT view_name, '' FROM duckdb_views() WHERE schema_name = 'crm_history' AND comment IS NULL"
    )
    assert bare == []


def test_the_file_stands_alone(published: Any, tmp_path: Path) -> None:
    """A copy of the file answers elsewhere, with access to everything else switched off."""
    copy = tmp_path / "laptop.duckdb"
    copy.write_bytes((published.data / "crm.duckdb").read_bytes())
    with duckdb.connect(
        str(copy), read_only=True, config={"enable_external_access": "false"}
    ) as file:
        days = file.execute(
            "SELECT count(*), min(day) FROM crm_history.deals_daily WHERE stage = 'one'"
        )
        assert days.fetchall() == [(2, date(2026, 1, 1))]
