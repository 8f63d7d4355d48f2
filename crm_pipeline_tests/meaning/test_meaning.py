"""What the published file says of every account is what the vendors' own answers mean, row by row."""

from typing import Any

import pytest

from crm_pipeline_tests.meaning.answers import DEMO
from crm_pipeline_tests.meaning.judged import Judged
from crm_pipeline_tests.meaning.pending import PENDING, pending
from crm_pipeline_tests.meaning.prepared import Prepared
from crm_pipeline_tests.meaning.truths import TABLES

CASES = [(name, table) for name, login in DEMO.items() for table in TABLES[login.vendor]]


@pytest.fixture(scope="session")
def judged(world: Prepared) -> Judged:
    return Judged(world)


@pytest.fixture(scope="session")
def judged_other(other_world: Prepared) -> Judged:
    return Judged(other_world)


@pytest.mark.parametrize(("connection", "table"), CASES)
def test_the_file_says_what_the_vendor_says(judged: Judged, connection: str, table: str) -> None:
    """Every derived column of every row equals what follows from the vendor's JSON."""
    passed_over = pending(connection, table)
    wrong = [d for d in judged.differences(connection, table) if d.column not in passed_over]
    assert not wrong, "\n".join(map(str, wrong))


def test_nothing_is_passed_over_that_is_right(judged: Judged, judged_other: Judged) -> None:
    """A column that the file answers rightly is struck out of PENDING."""
    differ = {
        (connection, table, found.column)
        for one in (judged, judged_other)
        for connection, table in one.cases
        for found in one.differences(connection, table)
    }
    assert sorted(PENDING - differ) == []


@pytest.mark.parametrize("table", TABLES["zoho"])
def test_stages_of_ones_own(judged_other: Judged, table: str) -> None:
    """The same holds for another seed and an org of another zone and currency, whose stages are its own."""
    passed_over = pending("zoho_other", table)
    wrong = [
        d for d in judged_other.differences("zoho_other", table) if d.column not in passed_over
    ]
    assert not wrong, "\n".join(map(str, wrong))


def test_every_kind_of_fact_is_there(judged: Judged) -> None:
    """The world has something to say about each table of facts: nothing is equal because it is empty."""
    empty = [
        (connection, table)
        for connection, table in judged.cases
        if not judged.truth(connection)[table]
    ]
    # Of the sandbox's accounts only Zoho's tell rates.
    assert set(empty) <= {(name, "exchange_rates") for name in DEMO if name != "zoho_demo"}


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Kolkata"])
def test_the_file_reads_the_same_in_every_zone(world: Prepared, zone: str) -> None:
    """No table and no view answers otherwise for the time zone of the session that asks."""
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
