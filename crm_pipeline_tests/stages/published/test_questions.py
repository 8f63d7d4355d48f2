"""The queries of docs/analysts: over a drawn world that four CRMs share, and over `ops` of a small org."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crm_pipeline.stages.published import OpsSources, publish_ops
from crm_pipeline.stages.published.contactable import contactable_view
from crm_pipeline.store.landing.freshness import Freshness
from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.docs.blocks import of
from crm_pipeline_tests.docs.commands import is_ours, simple_commands
from crm_pipeline_tests.freshness import looked_at
from crm_pipeline_tests.meaning.drawn import drawn
from crm_pipeline_tests.meaning.questions import ANSWERS as OF_CRMS
from crm_pipeline_tests.meaning.questions import OF_VERDICTS, differences
from crm_pipeline_tests.meaning.questions_verdicts import contactable
from crm_pipeline_tests.meaning.rows import Rows, write

FOLDER = Path(__file__).parents[3] / "docs" / "analysts"
QUERIES = sorted(path.name for path in FOLDER.glob("*.sql"))
ANSWERS = OF_CRMS | OF_VERDICTS
TRUST = "13_can_i_trust_it.sql"
CHANGED = "20_what_changed.sql"
OF_HISTORY = (
    "26_deals_on_a_past_day.sql",
    "27_pipeline_by_week.sql",
    "28_time_in_stage_by_versions.sql",
)
"""Answered by `test_history`."""
ZONES = ("UTC", "America/Los_Angeles", "Asia/Kolkata")
"""Time zones of analysts' sessions: one west of UTC, and one with half an hour."""

FAULTS = {
    "a leaver is no user": ("06", "FROM crm.users_deleted", "FROM crm.users_deleted WHERE false"),
    "only users are owners": ("01", "LEFT JOIN everyone AS u", "JOIN everyone AS u"),
    "the session cuts the day": (
        "12",
        "d.created_at AT TIME ZONE coalesce(c.time_zone, 'UTC')",
        "d.created_at",
    ),
    "the day is that of UTC": ("16", "coalesce(c.time_zone, 'UTC')", "'UTC'"),
    "today is that of UTC": ("03", "coalesce(c.time_zone, 'UTC')", "'UTC'"),
    "the past day ends in UTC": ("19", "AT TIME ZONE zone AS", "AT TIME ZONE 'UTC' AS"),
    "stages join by name alone": ("11", "s.pipeline_key = st.pipeline_key AND s.name", "s.name"),
    "stages of two pipelines are one": (
        "02",
        "stages.pipeline_key = steps.pipeline_key AND stages",
        "stages",
    ),
    "every row of the history is a stay": (
        "11",
        "d.is_closed, d.closed_at\n)",
        "d.is_closed, d.closed_at, h.source_id\n)",
    ),
    "the newest row of all is that of the past": ("19", "WHERE h.changed_at < m.ended_at", ""),
    "a deal counts once per contact": ("04", "SELECT DISTINCT won.deal_key", "SELECT won.deal_key"),
    "an activity has one deal only": (
        "10",
        "UNION\n    SELECT from_key",
        "EXCEPT\n    SELECT from_key",
    ),
    "archived deals are open": ("08", "d.is_archived IS NOT TRUE", "true"),
    "touches before a lead are answers": ("05", "t.touched_at >= l.created_at AND", ""),
    "amounts of currencies are added": ("14", "sum(d.amount_main)", "sum(d.amount)"),
    "calls from outside are answers": ("05", "('inbound', 'missed', 'internal')", "('')"),
    "missed calls are answers": ("05", "'inbound', 'missed', 'internal'", "'inbound'"),
    "e-mails from outside are answers": ("05", "<> 'inbound'", "<> ''"),
    "what came to nothing is an answer": ("05", "'canceled', 'rescheduled', 'no_show',", ""),
    "who was not reached was answered": ("05", "'no_answer'", "'no answer'"),
    "leads have activities of their own only": (
        "05",
        "JOIN crm.leads AS l ON l.contact_key = people.contact_key",
        "JOIN crm.leads AS l ON false",
    ),
    "an activity of one lead is one of its contact's others": (
        "05",
        "WHERE people.activity_key NOT IN (SELECT activity_key FROM named)",
        "",
    ),
    "what came to nothing is work on a deal": ("08", "'canceled', 'rescheduled', 'no_show',", ""),
    "deals without a rate make the mean": (
        "01",
        "count(*) FILTER (WHERE is_without_rate) = 0",
        "true",
    ),
    "a return of amounts that are not known": (
        "04",
        " AND count(*) FILTER (WHERE s.is_without_rate) = 0",
        "",
    ),
    "the quarantined get letters": ("09", "AND NOT is_quarantined", ""),
    "the quarantined are not refused": (
        "21",
        "AND w.email NOT IN (SELECT address FROM refused)",
        "",
    ),
    "deleted contacts are not quarantined": (
        "21",
        "FROM crm.contacts_deleted WHERE",
        "FROM crm.contacts_deleted WHERE false AND",
    ),
    "only main addresses are quarantined": ("21", "FROM quarantined)", "FROM quarantined LIMIT 0)"),
    "an address stands once per name": ("21", "GROUP BY w.email", "GROUP BY w.email, c.full_name"),
    "unknown consent is consent": ("09", "email_opt_out = false", "email_opt_out IS NOT TRUE"),
    "consent is asked of one CRM": (
        "21",
        "FROM crm.contactable AS w",
        "FROM (SELECT DISTINCT lower(email_normalized) AS email FROM crm.contacts) AS w",
    ),
    "unknown consent is written to": (
        "21",
        "c.email_opt_out = false",
        "c.email_opt_out IS NOT TRUE",
    ),
    "only main addresses are compared": (
        "07",
        "unnest(emails) AS entry FROM crm.contacts",
        "unnest(emails) AS entry FROM crm.contacts LIMIT 0",
    ),
    "open deals count as lost": ("17", "is_closed AND NOT is_won", "NOT is_won"),
    "deals without contacts are left out": (
        "18",
        "LEFT JOIN crm.deal_contacts",
        "JOIN crm.deal_contacts",
    ),
    "deleted people are quarantined in one spelling": (
        "21",
        "regexp_extract_all(value, ",
        "regexp_extract_all('', ",
    ),
    "other spellings are not quarantined": ("21", "v.email_normalized IS NOT NULL", "false"),
    "no bounces known is none": ("23", "CASE WHEN count(email_bounced) > 0", "CASE WHEN true"),
    "the unusable get letters": ("09", "AND email_verdict IS DISTINCT FROM 'undeliverable'", ""),
    "an address counts once per person": ("22", "count(DISTINCT c.email) AS", "count(c.email) AS"),
    "leads of contacts are people": ("22", "AND contact_key IS NULL", ""),
    "new addresses are judged": ("23", "WHERE email_verdict IS NOT NULL", ""),
    "every bad number is invalid": ("24", "p.verdict = 'invalid'", "len(p.reasons) > 1"),
    "capitals make another address": ("25", "lower(normalized)", "upper(normalized)"),
    "years without quarters": ("15", "quarter(d.close_date)", "1"),
}
"""What goes wrong in queries: the file's number, a part of it, and what somebody writes instead."""

OPS = """
CREATE TABLE ops.windows (connection VARCHAR, object VARCHAR, records BIGINT, known BIGINT, quarantined BIGINT,
    vendor_count BIGINT, uncounted BIGINT, differs_by BIGINT);
CREATE TABLE ops.publication (published_at TIMESTAMPTZ);
CREATE TABLE ops.freshness (connection VARCHAR, object VARCHAR, state VARCHAR, error VARCHAR, remarks VARCHAR,
    is_late BOOLEAN, current_at TIMESTAMPTZ, history_from TIMESTAMPTZ, held_back_since TIMESTAMPTZ);
CREATE TABLE ops.tables (connection VARCHAR, table_name VARCHAR, quarantined BIGINT);
CREATE TABLE ops.quarantine (connection VARCHAR, object VARCHAR, table_name VARCHAR, stage VARCHAR, reason VARCHAR,
    records BIGINT, is_dropped BOOLEAN, since TIMESTAMPTZ, last_seen TIMESTAMPTZ);
CREATE TABLE ops.quality (connection VARCHAR, table_name VARCHAR, rule VARCHAR, kind VARCHAR, severity VARCHAR, failures BIGINT,
    rows BIGINT);
"""


def table(text: str) -> list[dict[str, str]]:
    """Read rows written as lines of cells between bars; the first line names the fields."""
    head, *lines = (
        [cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()
    )
    base = {"SystemModstamp": "2026-11-20T00:00:00.000Z", "CurrencyIsoCode": "EUR"}
    return [{**base, **dict(zip(head, line, strict=True))} for line in lines]


DATA = {
    "OpportunityStage": """Id | ApiName | MasterLabel | SortOrder:int | DefaultProbability:percent | IsClosed:boolean | IsWon:boolean
        01J1 | Prospect | Prospecting | 1 | 10  | false | false
        01J2 | Proposal | Proposal    | 2 | 50  | false | false
        01J3 | Won      | Closed Won  | 3 | 100 | true  | true
        01J4 | Lost     | Closed Lost | 4 | 0   | true  | false""",
    "Opportunity": """Id | Name | StageName | CloseDate:date | IsClosed:boolean | IsWon:boolean | CreatedDate | IsDeleted
        006D1 | Deal 1 | Won      | 2026-01-31 | true  | true  | 2026-01-01T00:00:00Z | false
        006D2 | Deal 2 | Lost     | 2026-02-11 | true  | false | 2026-02-01T00:00:00Z | false
        006D3 | Deal 3 | Proposal | 2026-12-15 | false | false | 2026-10-01T00:00:00Z | false
        006D4 | Deal 4 | Prospect | 2026-11-01 | false | false | 2026-11-10T00:00:00Z | false
        006D6 | Gone   | Proposal | 2026-12-21 | false | false | 2026-03-01T00:00:00Z | true""",
    "OpportunityHistory": """Id | OpportunityId | StageName | CreatedDate
        008A | 006D1 | Prospect | 2026-01-01T00:00:00Z
        008B | 006D1 | Proposal | 2026-01-11T00:00:00Z
        008C | 006D1 | Won      | 2026-01-31T00:00:00Z
        008E | 006D2 | Lost     | 2026-02-11T00:00:00Z""",
    "Contact": """Id | LastName | Email
        003A | A | Ann@x.co
        003B | B | bad address""",
    "Lead": """Id | LastName | Status
        00QA | A | Done""",
}


def fresh(org: Any, obj: str, **values: Any) -> Freshness:
    """One object that was read to the present, with the given exceptions."""
    now = org.clock.now()
    current = looked_at(obj, now)
    return replace(current, **values)


def freshness_of(org: Any) -> list[Freshness]:
    """An object in each state that analysts have to know of, and one without findings."""
    now = org.clock.now()
    started = datetime(2026, 9, 1, tzinfo=UTC)
    failing = {"state": "failing", "error": "hidden", "current_at": now - timedelta(minutes=90)}
    return [
        fresh(org, "User", remarks=("2 records are missing.",)),
        fresh(org, "Note"),
        fresh(org, "Task", **failing),
        fresh(org, "Contact", is_whole=False, history_from=started),
        fresh(org, "Lead", current_at=now - timedelta(hours=26)),
        fresh(org, "Case", state="unread", is_whole=False, read_to=None, current_at=None),
        fresh(org, "Event", state="failing", error="gone", read_to=None, current_at=None),
    ]


@pytest.fixture(scope="module")
def published(tmp_path_factory, new_org, make_schema):
    """The small org, normalized and published."""
    org = new_org(tmp_path_factory.mktemp("org") / "data")
    known = {"Id", "IsDeleted", "CreatedDate", "SystemModstamp"}
    for obj, text in DATA.items():
        head, _, rest = text.partition("\n")
        specs = [spec.strip() for spec in head.split("|")]
        plain = " | ".join(spec.partition(":")[0] for spec in specs)
        currency = [] if "CurrencyIsoCode" in specs else ["CurrencyIsoCode"]
        own = [spec for spec in specs if spec not in known]
        org.land(make_schema(obj, *own, *currency), table(f"{plain}\n{rest}"))
    for name in org.table_names():
        org.normalize(name)
    org.publish(freshness=freshness_of(org))
    return org


@pytest.fixture(scope="module")
def world() -> Rows:
    """Four CRMs with records that make naive queries wrong."""
    return drawn()


@pytest.fixture(scope="module")
def ask(world: Rows) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Query the drawn world in SQL, in the time zone of a session."""
    with duckdb.connect() as file:
        write(world, file)

        def answer(sql: str, zone: str = "UTC") -> list[tuple[Any, ...]]:
            file.execute(f"SET TimeZone = '{zone}'")
            return file.execute(sql).fetchall()

        yield answer


def text_of(name: str) -> str:
    """Return the query of a file, by its number or whole name."""
    [path] = FOLDER.glob(f"{name.removesuffix('.sql')}*.sql")
    return path.read_text(encoding="utf-8")


def test_every_query_has_an_answer():
    """No query of the documentation goes untested, and the documentation links each."""
    assert sorted([*ANSWERS, TRUST, CHANGED, *OF_HISTORY]) == QUERIES
    page = (FOLDER.parent / "analysts.md").read_text(encoding="utf-8")
    assert [name for name in QUERIES if f"(analysts/{name})" not in page] == []


def test_sql_of_the_documentation_runs(published) -> None:
    """Each statement that a page shows, in a block or as an argument of `query`, runs on a published file."""
    statements = [(str(block), block.text) for block in of("sql")]
    statements += [
        (str(block), words[words.index("query") + 1])
        for block in of("sh")
        for words in simple_commands(block.text)
        if is_ours(words) and "query" in words and not {"-", "-f", "--file"} & set(words)
    ]
    assert len(statements) > 10
    with published.engine() as engine:
        publish_ops(published.landing, published.tables, engine, ["acme"], OpsSources())
    with open_published(published.data) as file:
        for where, sql in statements:
            try:
                file.execute(sql).fetchall()
            except duckdb.Error as error:
                pytest.fail(f"{where}: {error}")


@pytest.mark.parametrize("name", QUERIES)
def test_query_says_whose_money_and_whose_day(name):
    """A query says what currency and what days its answer has, and takes nothing from the session's zone."""
    text = text_of(name)
    assert "Money: " in text
    assert "Days: " in text
    code = re.sub(r"--.*", "", text).lower()
    assert (
        re.findall(
            r"::date|date_diff|date_sub|date_part|now\(|current_date|current_time|today\(|age\(",
            code,
        )
        == []
    )


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_query(world, ask, name):
    """The query gives the answer that plain Python gives, whatever the session's time zone."""
    expected = list(ANSWERS[name](world))
    assert len(expected) > 2
    for zone in ZONES:
        assert differences(ask(text_of(name), zone), expected) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_seen(world, ask, fault):
    """The usual mistakes in such queries give another result here."""
    number, part, instead = FAULTS[fault]
    sql = text_of(number)
    assert part in sql
    [name] = [name for name in ANSWERS if name.startswith(number)]
    expected = list(ANSWERS[name](world))
    wrong = sql.replace(part, instead)
    assert any(differences(ask(wrong, zone), expected) for zone in ZONES)


CONTACTABLE_FAULTS = {
    "who was deleted did not refuse": (
        "contacts_deleted",
        "contacts_deleted WHERE false UNION ALL SELECT email, emails, email_opt_out FROM crm.contacts",
    ),
    "leads do not refuse": ("FROM crm.leads WHERE", "FROM crm.leads WHERE false AND"),
    "only main addresses refuse": (
        "FROM refusing WHERE email_opt_out",
        "FROM refusing WHERE false",
    ),
    "texts are not taken apart": ("FROM refused_texts\n", "FROM refused_texts WHERE false\n"),
    "addresses differ by case": (
        "PARTITION BY lower(email_normalized)",
        "PARTITION BY email_normalized",
    ),
    "unusable addresses are written to": ("AND r.is_undeliverable IS NOT TRUE", ""),
    "converted leads are written to": ("is_converted IS NOT TRUE AND", ""),
    "leads of contacts are written to": ("AND contact_key IS NULL", ""),
    "a lead goes before a contact": ("DESC, table_name,", "DESC, table_name DESC,"),
    "the oldest record counts": ("modified_at DESC", "modified_at"),
    "the last key counts": ("NULLS LAST, record_key", "NULLS LAST, record_key DESC"),
    "the reasons are of any address": ('v."position" = 1', 'v."position" = 2'),
}
"""What would be wrong in the view `crm.contactable`: a part of it, and what stands there instead."""


def columns_of(sql: str) -> str:
    names = (
        "email, record_key, table_name, connection, full_name, company_key, country, lawful_basis"
    )
    return f"SELECT {names}, verdict, reasons, is_opt_out_known, records FROM {sql}"


def test_contactable(world, ask):
    """The view lists each address once that no CRM refuses, with the best record that has it, as plain Python finds it."""
    expected = [tuple(row.values()) for row in contactable(world).values()]
    assert len({row[2] for row in expected}) == 2
    assert len({row[-1] for row in expected}) > 1
    assert differences(ask(columns_of("crm.contactable")), expected) == []


@pytest.mark.parametrize("fault", CONTACTABLE_FAULTS)
def test_planted_fault_in_contactable_is_seen(world, ask, fault):
    """Each condition of the view decides about somebody."""
    part, instead = CONTACTABLE_FAULTS[fault]
    assert part in contactable_view(()).sql
    wrong = contactable_view(()).sql.replace(part, instead)
    expected = [tuple(row.values()) for row in contactable(world).values()]
    assert differences(ask(columns_of(f"({wrong})")), expected)


def test_only_what_differs_is_doubted():
    """Windows that are within the vendor's counts or have none are no finding, nor are notes."""
    windows = {"agrees": 0, "no counts": None, "MISSED": 1}
    with duckdb.connect() as file:
        file.execute("CREATE SCHEMA ops")
        file.execute(OPS)
        for name, differs_by in windows.items():
            values = [name, 4, 1, 0, 6, 0, differs_by]
            file.execute("INSERT INTO ops.windows VALUES ('acme', ?, ?, ?, ?, ?, ?, ?)", values)
        rules = {
            "contract": "email is not an address",
            "consistency": "owner_key is a record of users",
        }
        for severity, (kind, rule) in product(("note", "warning"), rules.items()):
            values = ["deals", rule, kind, severity, 1, 5]
            file.execute("INSERT INTO ops.quality VALUES ('acme', ?, ?, ?, ?, ?, ?)", values)
        rows = file.execute(text_of(TRUST)).fetchall()
    assert rows == [
        ("warning", "acme", "deals", "1 of 5 rows fail: owner_key is a record of users"),
        ("warning", "acme", "deals", "1 of 5 rows: email is not an address"),
        ("window", "acme", "MISSED", "landed 5 of 6"),
    ]


def test_changes_since_yesterday():
    """Changes are listed by table since yesterday's publish only, without unchanged tables."""
    with duckdb.connect() as file:
        file.execute("CREATE SCHEMA ops")
        file.execute(
            "CREATE TABLE ops.changes (since VARCHAR, since_at TIMESTAMPTZ, connection VARCHAR, table_name VARCHAR, "
            "new BIGINT, changed BIGINT, deleted BIGINT, restored BIGINT)"
        )
        at = datetime(2026, 11, 22, 18, tzinfo=UTC)
        for since, table_name, *numbers in (
            ("yesterday", "deals", 1, 2, 0, 0),
            ("yesterday", "leads", 0, 0, 0, 0),
            ("yesterday", "users", None, None, None, None),
            ("last publish", "deals", 0, 1, 0, 0),
        ):
            values = [since, at, "acme", table_name, *numbers]
            file.execute("INSERT INTO ops.changes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        for zone in ZONES:
            file.execute(f"SET TimeZone = '{zone}'")
            assert file.execute(text_of(CHANGED)).fetchall() == [
                ("acme", "deals", 1, 2, 0, 0, at.replace(tzinfo=None)),
                ("acme", "users", None, None, None, None, at.replace(tzinfo=None)),
            ]


def test_trust(published):
    """The trust query returns every finding about a file, and nothing else."""
    expected = [
        ("failing", "acme", "Event", "gone"),
        ("failing", "acme", "Task", "1.5 h behind: hidden"),
        ("history", "acme", "Contact", "nothing from before 2026-09-01 has been read"),
        ("late", "acme", "Lead", "26.0 h behind"),
        ("remark", "acme", "User", "2 records are missing."),
        ("unread", "acme", "Case", "nothing has been read"),
        ("warning", "acme", "contacts", "1 of 2 rows: email is not an address"),
    ]
    assert published.query(text_of(TRUST)) == expected


def test_stages_are_called_as_people_call_them(published):
    """The label is beside the stored value, in tables and in Parquet, for live and deleted rows."""
    expected = {("Prospect", "Prospecting"), ("Proposal", "Proposal"), ("Won", "Closed Won")}
    expected |= {("Lost", "Closed Lost")}
    for table in ("deals", "deal_stage_history"):
        file = published.data / "published" / f"{table}.parquet"
        assert set(published.query(f"SELECT stage, stage_label FROM crm.{table}")) == expected
        with duckdb.connect() as other:
            rows = other.execute(f"SELECT stage, stage_label FROM '{file}'").fetchall()
            assert set(rows) == expected
    [gone] = published.query("SELECT stage, stage_label FROM crm.deals_deleted")
    assert gone == ("Proposal", "Proposal")
    # No pipeline knows the status of a lead: it stands for itself.
    assert set(published.query("SELECT status = status_label FROM crm.leads")) == {(True,)}
