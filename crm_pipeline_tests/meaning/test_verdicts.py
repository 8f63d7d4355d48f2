"""Verdicts on all addresses and numbers of the vendors' records, against libraries that are asked one by one."""

from pathlib import Path

import pytest

from crm_pipeline.connectors.registry import connector
from crm_pipeline_tests.meaning.compare import Difference
from crm_pipeline_tests.meaning.facts import Tables
from crm_pipeline_tests.meaning.faults import FAULTS
from crm_pipeline_tests.meaning.prepared import Prepared
from crm_pipeline_tests.meaning.verdict_facts import STAGE, TABLES, compared, expected, shown
from crm_pipeline_tests.meaning.verdict_faults import (
    ADDED_FAULTS,
    CONTACTABLE_FAULTS,
    STAGE_FAULTS,
    caught_in_added,
    caught_in_contactable,
    caught_in_stage,
    stage_tables,
    tables_again,
)

ZONES = ("America/Los_Angeles", "Asia/Kolkata")
PLANTED = (
    "deleted records are judged",
    "the second of several addresses counts",
    "an unknown country is the United States",
    "shared is not applied",
    "slips are corrected silently",
)
"""Those of the stage that are planted here; `make campaign ARGS='--only Meaning'` plants all."""


def right_of(world: Prepared) -> Tables:
    rows = world.plain_rows()
    return expected(rows, rows.published_at)


@pytest.fixture(scope="module")
def right(world: Prepared) -> Tables:
    return right_of(world)


def lines(differences: list[Difference]) -> str:
    return "\n".join(map(str, differences))


@pytest.mark.parametrize("zone", ZONES)
def test_every_verdict_is_that_of_the_libraries(world: Prepared, right: Tables, zone: str) -> None:
    """All rows of the stage, the columns beside records and whom one may write to, for all vendors, in any session."""
    assert lines(compared(right, shown(world, zone=zone))) == ""


def test_verdicts_of_another_world(other_world: Prepared) -> None:
    """The same holds for another seed and another org."""
    assert lines(compared(right_of(other_world), shown(other_world, zone=ZONES[0]))) == ""


def test_every_kind_of_verdict_is_there(right: Tables) -> None:
    """The world has rows in each table, all verdicts and nearly all reasons that need no network."""
    assert [name for name in TABLES if not right[name]] == []
    points = right["contact_points"].values()
    said = {
        (point["kind"], word) for point in points for word in (point["verdict"], *point["reasons"])
    }
    emails = "undeliverable risky unknown bad_syntax damaged special_use placeholder typo disposable role "
    emails += "homograph unknown_tld free_provider not_checked"
    phones = "invalid risky unknown not_a_number no_region unknown_country_code no_area_code too_short too_long "
    phones += "invalid_for_region placeholder fiction letters shared premium_rate other_country not_checked"
    assert {("email", word) for word in emails.split()} - said == set()
    assert {("phone", word) for word in phones.split()} - said == set()


def test_changes_are_judged_as_all_would_be(
    world: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the contacts of an org changed, the other values keep their verdicts, and all are right."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    changed = tables_again(world, tmp_path / "changed", with_landing=True)
    swapped = FAULTS["two fields swapped"].change(connector("salesforce").mapping)
    changed.build({"salesforce": swapped}, ("salesforce_demo",), ("contacts",))
    done = changed.verify()
    changed.answers.change(
        "salesforce_demo",
        "Contact",
        lambda record: {"Email": record["Phone"], "Phone": record["Email"]},
    )
    right = right_of(changed)
    assert lines(compared(right, stage_tables(changed.workspace.tables), tuple(STAGE))) == ""
    assert 0 < done.judged["email"] < len(right["email_verdicts"]) / 2


@pytest.mark.parametrize("name", PLANTED)
def test_a_fault_of_the_stage_is_caught(
    world: Prepared, right: Tables, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted fault makes the named columns differ from what the vendors' records mean."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    caught = caught_in_stage(STAGE_FAULTS[name], world, right, tmp_path / "spoilt")
    assert set(STAGE_FAULTS[name].caught_by) <= {f"{one.table}.{one.column}" for one in caught}


@pytest.mark.parametrize("name", CONTACTABLE_FAULTS)
def test_a_fault_of_contactable_is_caught(world: Prepared, right: Tables, name: str) -> None:
    """`crm.contactable` with a planted fault is not what the vendors' records mean."""
    assert caught_in_contactable(CONTACTABLE_FAULTS[name], world, right)


@pytest.mark.parametrize("name", ADDED_FAULTS)
def test_a_fault_of_added_columns_is_caught(world: Prepared, right: Tables, name: str) -> None:
    """What stands beside changed addresses and numbers is seen to be wrong with a planted fault, and only then."""
    assert caught_in_added(ADDED_FAULTS[name], world, right)
    assert caught_in_added(("LEFT JOIN", "LEFT JOIN"), world, right) == []
