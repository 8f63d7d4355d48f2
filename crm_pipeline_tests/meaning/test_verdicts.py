"""Verdicts on all addresses and numbers of the vendors' records, against libraries that are asked one by one."""

import pytest

from crm_pipeline_tests.meaning.facts import Tables
from crm_pipeline_tests.meaning.prepared import Prepared
from crm_pipeline_tests.meaning.verdict_facts import TABLES, compared, expected, shown

ZONES = ("UTC", "America/Los_Angeles", "Asia/Kolkata")


def _right(world: Prepared) -> Tables:
    rows = world.plain_rows()
    return expected(rows, rows.published_at)


@pytest.fixture(scope="module")
def right(world: Prepared) -> Tables:
    return _right(world)


@pytest.mark.parametrize("zone", ZONES)
def test_every_verdict_is_that_of_the_libraries(
    world: Prepared, right: Tables, zone: str
) -> None:
    """All rows of the stage, the columns beside records and whom one may write to, for all vendors, in any session."""
    assert "\n".join(map(str, compared(right, shown(world, zone=zone)))) == ""


@pytest.mark.parametrize("zone", ZONES[1:])
def test_verdicts_of_another_world(other_world: Prepared, zone: str) -> None:
    """The same holds for another seed and another org."""
    assert "\n".join(map(str, compared(_right(other_world), shown(other_world, zone=zone)))) == ""


def test_every_kind_of_verdict_is_there(right: Tables) -> None:
    """The world has rows in each table, each verdict that is said offline, and most reasons."""
    assert [name for name in TABLES if not right[name]] == []
