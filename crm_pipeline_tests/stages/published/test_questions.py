"""The queries of docs/analysts against a small org whose answers are computed by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crm_pipeline.store.freshness import Freshness

FOLDER = Path(__file__).parents[3] / "docs" / "analysts"
QUERIES = sorted(path.name for path in FOLDER.glob("*.sql"))
D = Decimal

ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    # Bob: 1 open x 3000 x 1.0 / 20 days; Ann: 1 open x 1000 x 0.5 / 30 days.
    "01_pipeline_velocity.sql": [
        ("Bob", "EUR", 1, 3000.0, 1.0, 20.0, 150.0),
        ("Ann", "EUR", 1, 1000.0, 0.5, 30.0, 16.67),
    ],
    # All five reached Prospecting, D1, D3 and D5 (which skipped Proposal) went on.
    "02_stage_conversion.sql": [
        ("acme", "Prospecting", 5, 3, 0.6),
        ("acme", "Proposal", 3, 2, 0.667),
    ],
    # D4 has no probability of its own: its stage's 10 % count. It should have closed already.
    "03_forecast_by_stage.sql": [
        ("2026-11", "Prospect", "EUR", 1, D(300), 30.0, 1),
        ("2026-12", "Proposal", "EUR", 1, D(2000), 1000.0, 0),
    ],
    # D1 (1000) is Fair's alone; D5 (3000) is shared by Fair and Mail; Late answered after closing.
    "04_campaign_attribution.sql": [
        ("Fair", "EUR", 2, 2500.0, D(500), 5.0),
        ("Mail", "EUR", 1, 1500.0, D(0), None),
    ],
    # 6 h, 48 h and never: the median of the touched is 27 h. A was converted after 10 days.
    "05_lead_response.sql": [("Web", 3, 2, 27.0, 0.333, 1, 10.0)],
    "06_win_rate_by_owner.sql": [
        ("Ann", "EUR", 2, 1, 0.5, 0.667),
        ("Bob", "EUR", 1, 1, 1.0, 1.0),
    ],
    "07_duplicate_candidates.sql": [
        ("ann@x.co", 2, 1, ["acme:Contact:003A", "acme:Contact:003C"]),
    ],
    # D3 was last worked on 44 days before the publication; D4 is 13 days old.
    "08_stale_deals.sql": [
        ("acme:Opportunity:006D3", "Deal 3", "Proposal", D(2000), "EUR", "Ann", 44),
    ],
    "09_email_quality.sql": [("acme", 5, 1, 1, 1, 1, 0, 1)],
    "10_activity_per_deal.sql": [
        ("lost", 1, 0.0, 0.0, 0.0, 1),
        ("open", 2, 0.5, 0.0, 0.0, 1),
        ("won", 2, 1.0, 0.5, 0.5, 1),
    ],
    # Prospect was left after 10, 10, 4 and 20 days, Proposal after 20.
    "11_time_in_stage.sql": [
        ("acme", "Prospect", 5, 4, 10.0),
        ("acme", "Proposal", 2, 1, 20.0),
    ],
    "12_deals_by_source.sql": [
        ("Event", "EUR", 1, 0, D(3000), None, 20.0),
        ("Web", "EUR", 1, 1, D(1000), D(500), 20.0),
    ],
    "13_can_i_trust_it.sql": [
        ("failing", "acme", "Event", "gone"),
        ("failing", "acme", "Task", "1.5 h behind: hidden"),
        ("history", "acme", "Contact", "nothing from before 2026-09-01 has been read"),
        ("late", "acme", "Lead", "26.0 h behind"),
        ("remark", "acme", "User", "2 records are missing."),
        ("unread", "acme", "Case", "nothing has been read"),
        ("warning", "acme", "contacts", "email matches: 1 of 5 rows"),
    ],
    # D1 (1000) at 0.8, as no dated rate is of January; D5 (3000) at 0.5, the rate of March.
    "14_one_currency.sql": [("acme", "USD", 2, 0, 7250.0)],
}


def table(text: str) -> list[dict[str, str]]:
    """Read rows written as lines of cells between bars; the first line names the fields."""
    head, *lines = (
        [cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()
    )
    base = {"SystemModstamp": "2026-11-20T00:00:00.000Z", "CurrencyIsoCode": "EUR"}
    return [{**base, **dict(zip(head, line, strict=True))} for line in lines]


DATA = {
    "User": """Id | Name
        005A | Ann
        005B | Bob""",
    "OpportunityStage": """Id | ApiName | MasterLabel | SortOrder:int | DefaultProbability:percent | IsClosed:boolean | IsWon:boolean
        01J1 | Prospect | Prospecting | 1 | 10  | false | false
        01J2 | Proposal | Proposal    | 2 | 50  | false | false
        01J3 | Won      | Closed Won  | 3 | 100 | true  | true
        01J4 | Lost     | Closed Lost | 4 | 0   | true  | false""",
    "Opportunity": """Id | Name | OwnerId | StageName | Amount:currency | CurrencyIsoCode | Probability:percent | CreatedDate | CloseDate:date | IsClosed:boolean | IsWon:boolean | LeadSource | IsDeleted
        006D1 | Deal 1 | 005A | Won      | 1000 | EUR | 100 | 2026-01-01T00:00:00Z | 2026-01-31 | true  | true  | Web   | false
        006D2 | Deal 2 | 005A | Lost     | 500  | EUR | 0   | 2026-02-01T00:00:00Z | 2026-02-11 | true  | false | Web   | false
        006D3 | Deal 3 | 005A | Proposal | 2000 | EUR | 50  | 2026-10-01T00:00:00Z | 2026-12-15 | false | false | Web   | false
        006D4 | Deal 4 | 005B | Prospect | 300  | EUR |     | 2026-11-10T00:00:00Z | 2026-11-01 | false | false | Event | false
        006D5 | Deal 5 | 005B | Won      | 3000 | EUR | 100 | 2026-03-01T00:00:00Z | 2026-03-21 | true  | true  | Event | false
        006D6 | Gone   | 005A | Proposal | 9000 | EUR | 50  | 2026-03-01T00:00:00Z | 2026-12-21 | false | false | Event | true""",
    "OpportunityHistory": """Id | OpportunityId | StageName | CreatedDate
        008A | 006D1 | Prospect | 2026-01-01T00:00:00Z
        008B | 006D1 | Proposal | 2026-01-11T00:00:00Z
        008C | 006D1 | Won      | 2026-01-31T00:00:00Z
        008D | 006D2 | Prospect | 2026-02-01T00:00:00Z
        008E | 006D2 | Lost     | 2026-02-11T00:00:00Z
        008F | 006D3 | Prospect | 2026-10-01T00:00:00Z
        008G | 006D3 | Proposal | 2026-10-05T00:00:00Z
        008H | 006D4 | Prospect | 2026-11-10T00:00:00Z
        008I | 006D5 | Prospect | 2026-03-01T00:00:00Z
        008J | 006D5 | Won      | 2026-03-21T00:00:00Z""",
    "CurrencyType": """Id | IsoCode | ConversionRate:double | IsCorporate:boolean
        01LA | USD | 1.0 | true
        01LB | EUR | 0.8 | false""",
    "DatedConversionRate": """Id | IsoCode | ConversionRate:double | StartDate:date | NextStartDate:date
        04wA | EUR | 0.5 | 2026-03-01 | 2026-04-01
        04wB | EUR | 0.1 | 2026-04-01 | 9999-12-31""",
    "Contact": """Id | LastName | Email | HasOptedOutOfEmail:boolean | EmailBouncedDate:datetime
        003A | A | Ann@x.co    | false |
        003B | B | bad address | false |
        003C | C | ann@X.co    | true  |
        003D | D |             | false |
        003E | E | b@x.co      | false | 2026-05-01T00:00:00Z""",
    "OpportunityContactRole": """Id | OpportunityId | ContactId | Role
        00KA | 006D1 | 003A | Decision Maker
        00KB | 006D5 | 003A | Decision Maker
        00KC | 006D5 | 003B | User""",
    "Campaign": """Id | Name | ActualCost:currency
        701A | Fair | 500
        701B | Mail | 0
        701C | Late | 10""",
    "CampaignMember": """Id | CampaignId | ContactId | HasResponded:boolean | FirstRespondedDate:date
        00vA | 701A | 003A | true  | 2026-01-05
        00vB | 701B | 003B | true  | 2026-03-01
        00vC | 701C | 003B | true  | 2026-05-01
        00vD | 701C | 003A | false |""",
    "Lead": """Id | LastName | Status | LeadSource | CreatedDate | IsConverted:boolean | ConvertedDate:date
        00QA | A | Done | Web | 2026-11-01T00:00:00Z | true  | 2026-11-11
        00QB | B | Open | Web | 2026-11-02T00:00:00Z | false |
        00QC | C | Open | Web | 2026-11-03T00:00:00Z | false |""",
    "Task": """Id | TaskSubtype | WhoId | WhatId | CreatedDate
        00TA | Call | 00QA | | 2026-11-01T06:00:00Z
        00TB | Call | | 006D1 | 2026-01-10T00:00:00Z
        00TC | Task | | 006D3 | 2026-10-10T00:00:00Z""",
    "Event": """Id | WhoId | WhatId | StartDateTime:datetime | CreatedDate
        00UA | 00QB | | 2026-11-04T00:00:00Z | 2026-11-01T00:00:00Z
        00UB | | 006D1 | 2026-01-15T00:00:00Z | 2026-01-11T00:00:00Z""",
}


def fresh(org: Any, obj: str, **values: Any) -> Freshness:
    """One object that was read to the present, but for what is said of it."""
    now = org.clock.now()
    current = Freshness(
        connection="acme",
        object=obj,
        state="current",
        is_whole=True,
        read_to=now,
        history_from=None,
        current_at=now,
        looked_at=now,
        good_at=now,
        error="",
        failing_since=None,
        next_try_at=None,
        refresh_every_s=900.0,
        due_at=now - timedelta(hours=1),
    )
    return replace(current, **values)


def freshness_of(org: Any) -> list[Freshness]:
    """An object in each state that analysts have to know of, and one that is as it should be."""
    now = org.clock.now()
    begun = datetime(2026, 9, 1, tzinfo=UTC)
    failing = {"state": "failing", "error": "hidden", "current_at": now - timedelta(minutes=90)}
    return [
        fresh(org, "User", remarks=("2 records are missing.",)),
        fresh(org, "Note"),
        fresh(org, "Task", **failing),
        fresh(org, "Contact", is_whole=False, history_from=begun),
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


def test_every_query_has_an_answer():
    """No query of the documentation goes untested, and the documentation links each."""
    assert sorted(ANSWERS) == QUERIES
    page = (FOLDER.parent / "analysts.md").read_text(encoding="utf-8")
    assert [name for name in QUERIES if f"(analysts/{name})" not in page] == []


@pytest.mark.parametrize("name", QUERIES)
def test_query(published, name):
    """The query gives the answer that was computed by hand."""
    sql = (FOLDER / name).read_text(encoding="utf-8")
    assert published.query(sql) == ANSWERS[name]


def test_stages_are_called_as_people_call_them(published):
    """The label stands beside the CRM's own name, in tables and in Parquet; live and deleted alike."""
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
