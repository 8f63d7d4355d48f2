"""The published file equals what the vendors' own responses mean, row by row for every account."""

from typing import Any

import pytest

from crm_pipeline_tests.meaning.answers import DEMO
from crm_pipeline_tests.meaning.comparison import Comparison
from crm_pipeline_tests.meaning.pending import PENDING, pending
from crm_pipeline_tests.meaning.prepared import Prepared
from crm_pipeline_tests.meaning.truths import TABLES

CASES = [(name, table) for name, login in DEMO.items() for table in TABLES[login.vendor]]


@pytest.fixture(scope="session")
def comparison(world: Prepared) -> Comparison:
    return Comparison(world)


@pytest.fixture(scope="session")
def other_comparison(other_world: Prepared) -> Comparison:
    return Comparison(other_world)


@pytest.mark.parametrize(("connection", "table"), CASES)
def test_the_file_says_what_the_vendor_says(
    comparison: Comparison, connection: str, table: str
) -> None:
    """Every derived column of every row equals what follows from the vendor's JSON."""
    passed_over = pending(connection, table)
    wrong = [d for d in comparison.differences(connection, table) if d.column not in passed_over]
    assert not wrong, "\n".join(map(str, wrong))


def test_nothing_is_passed_over_that_is_right(
    comparison: Comparison, other_comparison: Comparison
) -> None:
    """A column that is right in the file must not be in PENDING."""
    differ = {
        (connection, table, found.column)
        for one in (comparison, other_comparison)
        for connection, table in one.cases
        for found in one.differences(connection, table)
    }
    assert sorted(PENDING - differ) == []


@pytest.mark.parametrize("table", TABLES["zoho"])
def test_stages_of_ones_own(other_comparison: Comparison, table: str) -> None:
    """The same holds for another seed, with an org of another zone and currency and with custom stages."""
    passed_over = pending("zoho_other", table)
    wrong = [
        d for d in other_comparison.differences("zoho_other", table) if d.column not in passed_over
    ]
    assert not wrong, "\n".join(map(str, wrong))


def test_every_kind_of_fact_is_there(comparison: Comparison) -> None:
    """The world has rows for each table of facts: no comparison passes because both sides are empty."""
    empty = [
        (connection, table)
        for connection, table in comparison.cases
        if not comparison.truth(connection)[table]
    ]
    # Of the sandbox's accounts only Zoho's tell rates.
    assert set(empty) <= {(name, "exchange_rates") for name in DEMO if name != "zoho_demo"}


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Kolkata"])
def test_the_file_reads_the_same_in_every_zone(world: Prepared, zone: str) -> None:
    """No table and no view depends on the time zone of the session."""
    relations = [
        f'"{row["table_schema"]}"."{row["table_name"]}"'
        for row in world.query("SELECT * FROM information_schema.tables")
        if row["table_schema"].startswith("crm")
    ]
    assert len(relations) > 70
    differ = [name for name in relations if _sum(world, name, "UTC") != _sum(world, name, zone)]
    assert differ == []


def _sum(world: Prepared, relation: str, zone: str) -> Any:
    """The number of rows, and a sum over them that any other value would change."""
    sql = f"SELECT count(*), bit_xor(hash(t)) FROM {relation} t"
    return world.session(zone).execute(sql).fetchone()


def test_a_day_of_the_session_would_be_seen(world: Prepared) -> None:
    """The sums of two zones differ where a day depends on the session."""
    relation = "(SELECT CAST(created_at AS DATE) FROM crm.contacts)"
    assert _sum(world, relation, "UTC") != _sum(world, relation, "Asia/Kolkata")
