"""Columns that tables get from others when they are published."""

from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import duckdb
import pytest

from crm_pipeline.model.account import AccountFacts
from crm_pipeline.model.tables import TABLES
from crm_pipeline.stages.published.finished import FINISHES
from crm_pipeline.store.landing.account_facts import note_facts
from crm_pipeline_tests.stages.published.conftest import WORLD, land

DEALS = """
    1 currency=EUR amount=10
    2 currency=USD amount=100 close_date=2026-01-31
    3 currency=USD amount=100 close_date=2026-02-01
    4 currency=USD amount=100 close_date=2026-03-01
    5 currency=USD amount=100 close_date=2025-12-31
    6 currency=USD amount=100
    7 currency=GBP amount=100
    8 amount=100.5
    9 currency=USD amount=100 amount_main=7 rate_on=2020-01-01
    10 currency=USD amount=123456789012345678.123456
    11 currency=USD amount=-0.000001 close_date=2026-01-02
    12 currency=USD
    13 currency=CHF amount=5
    14 currency=SEK amount=8 close_date=2026-01-16
    15 currency=SEK amount=8 close_date=2026-01-20
    16 currency=SEK amount=8 close_date=2026-02-10
    17 currency=SEK amount=8 close_date=2026-03-04
    18 currency=SEK amount=8 close_date=2026-03-05
    19 currency=NOK amount=8 close_date=2026-01-31
    20 currency=NOK amount=8 close_date=2026-02-01
"""
PLAIN, JANUARY, FEBRUARY = Decimal("1.25"), Decimal("1.6"), Decimal("1.1")


def worth(amount: str, rate: Decimal) -> Decimal:
    return (Decimal(amount) / rate).quantize(Decimal("0.000001"), ROUND_HALF_UP)


@pytest.fixture(scope="module")
def money(tmp_path_factory, new_org):
    """Deals in several currencies of an account with rates, and of one that has only a main currency."""
    org = new_org(tmp_path_factory.mktemp("money") / "data")
    note_facts(org.landing, "plain", AccountFacts("Europe/Paris", "USD", "https://x.example"))
    for connection in ("acme", "plain"):
        land(org, "deals", DEALS, connection=connection)
        org.normalize("deals", connection)
    land(org, "exchange_rates", WORLD["exchange_rates"])
    org.normalize("exchange_rates")
    # It tells another currency than the one that its rates are against.
    land(org, "exchange_rates", "1 currency=EUR rate=1\n2 currency=USD rate=2", connection="other")
    org.normalize("exchange_rates", "other")
    land(org, "deals", DEALS, connection="other")
    org.normalize("deals", "other")
    note_facts(org.landing, "other", AccountFacts("", "USD", ""))
    org.publish()
    return org


def test_amounts_are_worth_what_the_rate_of_their_day_says(money):
    """Amounts are converted exactly, at the dated rate of the close day, else at the one without dates; NULL without a rate."""
    sql = "SELECT source_id::INT, amount_main, rate_on FROM crm.deals WHERE connection = 'acme'"
    assert {n: (a, on) for n, a, on in money.query(sql)} == {
        1: (Decimal(10), None),
        2: (worth("100", JANUARY), date(2026, 1, 1)),
        3: (worth("100", FEBRUARY), date(2026, 2, 1)),
        4: (worth("100", PLAIN), None),
        5: (worth("100", PLAIN), None),
        6: (worth("100", PLAIN), None),
        7: (None, None),
        8: (Decimal("100.5"), None),
        9: (Decimal(7), date(2020, 1, 1)),
        10: (Decimal("98765431209876542.498765"), None),
        11: (worth("-0.000001", JANUARY), date(2026, 1, 1)),
        12: (None, None),
        13: (None, None),
        # Of rates that overlap, the one that began last and still held; of two that began together none.
        14: (Decimal(2), date(2026, 1, 15)),
        15: (Decimal(4), date(2026, 1, 1)),
        16: (Decimal("0.8"), None),
        17: (None, None),
        18: (Decimal("1.6"), date(2026, 3, 1)),
        19: (Decimal(4), date(2026, 1, 1)),
        20: (Decimal(2), date(2026, 2, 1)),
    }


def test_an_account_without_rates_tells_its_currency(money):
    """Amounts in the main currency, or in none, stay as they are; the file of the table has the same."""
    known = {1: None, 2: Decimal(100), 7: None, 8: Decimal("100.5"), 12: None}
    sql = "SELECT source_id::INT, amount_main FROM {} WHERE connection = 'plain'"
    assert known.items() <= dict(money.query(sql.format("crm.deals"))).items()
    with duckdb.connect() as other:
        file = money.data / "published" / "deals.parquet"
        assert known.items() <= dict(other.execute(sql.format(f"'{file}'")).fetchall()).items()
        kinds = dict(
            other.execute(
                f"SELECT name, type FROM (DESCRIBE FROM '{file}') t(name, type, a, b, c, d)"
            ).fetchall()
        )
    assert kinds["amount_main"] == "DECIMAL(24,6)"


def test_rates_against_another_currency_convert_nothing(money):
    """If rates are against another currency, amounts in the account's currency stay as they are; others are NULL."""
    sql = "SELECT source_id::INT, amount_main FROM crm.deals WHERE connection = 'other' AND amount IS NOT NULL"
    worth_of = dict(money.query(sql))
    assert (worth_of[1], worth_of[2], worth_of[7]) == (None, Decimal(100), None)


def test_what_accounts_are_is_published(money):
    """Zone, currency and address come from the account; the currency comes from its rates if the account has none."""
    columns = "connection, vendor, is_emulated, time_zone, currency, web_address"
    assert money.query(f"SELECT {columns} FROM ops.connections") == [
        ("acme", None, None, None, "EUR", None),
        ("other", None, None, None, "USD", None),
        ("plain", None, None, "Europe/Paris", "USD", "https://x.example"),
    ]
    assert not money.publish(connections=()).changed
    assert money.publish(connections=[money.connection()]).changed
    sql = "SELECT vendor, is_emulated FROM ops.connections WHERE connection = 'acme'"
    assert money.query(sql) == [("salesforce", False)]


def test_stages_close_what_says_nothing_itself(related):
    """Closing is looked up by pipeline and name, without a pipeline if all stages of the name agree; the record's own value counts first."""
    sql = "SELECT source_id::INT, is_closed, is_won FROM crm.deals ORDER BY 1"
    assert related.query(sql) == [
        (1, True, True),
        (2, False, False),
        (3, True, False),
        (4, None, None),
        (5, False, False),
        (6, None, None),
        (7, True, False),
        (8, False, False),
        # Its pipeline has no such stage, or is not known: all stages of that name are lost.
        (9, True, False),
        (10, False, False),
        (11, True, False),
    ]


def test_every_label_is_made_when_its_table_is_published():
    """Every column that is a label is filled by a finish."""
    labels = {(t.name, c.name) for t in TABLES.values() for c in t.columns if c.is_label}
    assert labels == {(name, finish.label) for name, finish in FINISHES.items() if finish.by}


def test_labels_are_those_of_the_kind_and_the_pipeline(related):
    """A deal's stage does not get a ticket's label; a live stage counts before a deleted one; pick lists are the fallback."""
    deals = "SELECT source_id::INT, stage_label FROM crm.deals ORDER BY 1"
    assert [label for _, label in related.query(deals)] == [
        *("Won!", "Almost", "Lost!", "done", "Won!", "Odd!", "Lost!", "Beginning"),
        *("Lost!", "Beginning", "Lost!"),
    ]
    leads = "SELECT source_id::INT, status_label FROM crm.leads ORDER BY 1"
    assert related.query(leads) == [(1, "Fresh!"), (2, "Begun!"), (3, "Picked!")]


def test_histories_have_the_pipeline_of_their_stage(related):
    """The pipeline is the only one with the stage's name, else the deal's if it has the stage, else none."""
    sql = (
        "SELECT source_id::INT, pipeline_source_id, pipeline_key, stage_label "
        "FROM crm.deal_stage_history ORDER BY 1"
    )
    expected = [
        ("P1", "Lost!"),
        ("P2", "Almost"),
        (None, "done"),
        ("P1", "Won!"),
        ("P1", "Beginning"),
    ]
    found = related.query(sql)
    assert [(pipeline, label) for _, pipeline, _, label in found] == [*expected, ("P1", "odd")]
    assert [key for _, pipeline, key, _ in found] == [
        pipeline and f"acme:pipelines:{pipeline}" for _, pipeline, _, _ in found
    ]


def test_a_stage_that_closes_nothing_opens_nothing(tmp_path, new_org):
    """If a CRM closes no deals by stage, its stages do not say whether a deal is closed."""
    org = new_org(tmp_path / "data")
    land(org, "stages", "1 name=begin is_closed=false is_won=false")
    land(org, "deals", "1 stage=begin")
    for table in ("stages", "deals"):
        org.normalize(table)
    org.publish()
    assert org.query("SELECT is_closed, is_won FROM crm.deals") == [(None, None)]
