"""`plan` shows what the next read would do, and reads nothing."""

import json

import pytest
from typer.testing import CliRunner, Result

from crm_pipeline.cli.app import app
from crm_pipeline_tests.harness import ENVIRON, Harness


@pytest.fixture
def planned(harness: Harness) -> "Planned":
    return Planned(harness)


class Planned:
    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        url = harness.settings.environ["CRM_DATABASE_URL"]
        self.environ = {**ENVIRON, "CRM_HOME": str(harness.settings.root), "CRM_DATABASE_URL": url}

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["plan", "demo", *arguments], env=self.environ)


def test_the_chosen_strategy_comes_first(planned: Planned) -> None:
    """Every read strategy of the vendor is shown with its figures, the chosen one with an arrow."""
    result = planned("--object", "Contact")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines() if line.strip()]
    title, heads, _, taken, other = lines[:5]
    assert title[:1] == ["Contact:"]
    count = planned.harness.org.count("Contact", include_deleted=True)
    assert title[-2:] == [str(count), "records"]
    assert heads == ["route", "calls", "cost", "seconds", "how"]
    assert (taken[:3], other[0]) == (["->", "rest", "4"], "bulk")
    assert planned.harness.paths("landing/**/*.parquet") == []


def test_all_objects_are_added_up(planned: Planned) -> None:
    """Without --object every configured one is planned; the last line has the sum and the budget."""
    result = planned()
    assert result.exit_code == 0, result.output
    automation, total = result.stdout.splitlines()[-2:]
    assert total.startswith("all 6 objects: ")
    assert "left of our share of today" in total
    # Five objects are asked about each minute, six are read each quarter of an hour.
    assert automation.startswith(
        "automation: about 10,000 calls a day where nothing changes, 10.0%"
    )
    assert "the defaults (60 s, 15 min) would make it 10,656 (11%)" in automation
    assert "It is off (`CRM_AUTOMATION` is not `on`)" in automation


def test_a_refresh_plans_its_own_window(planned: Planned) -> None:
    """After a read only the look-back is due; --backfill and --from plan the whole or a range."""
    planned.harness.extract("Contact")
    options = ("--object", "Contact", "--json")
    [refresh] = json.loads(planned(*options).stdout)
    [whole] = json.loads(planned(*options, "--backfill").stdout)
    [months] = json.loads(planned(*options, "--from", "2026-08", "--to", "2026-09").stdout)
    assert (refresh["from"], refresh["records"]) == ("2026-11-23T09:50:00Z", 0)
    assert (whole["from"], whole["records"]) == (
        None,
        planned.harness.org.count("Contact", include_deleted=True),
    )
    assert (months["from"], months["to"]) == ("2026-08-01T00:00:00Z", "2026-10-01T00:00:00Z")
    assert {strategy["route"] for strategy in whole["routes"]} == {"rest", "bulk"}
    assert (whole["automation"]["probe"], whole["automation"]["refresh"]) == (1, 6)


def test_new_fields_are_planned(planned: Planned) -> None:
    """A field that came after records were read is named, with the records that lack it and what filling them costs, before
    any refresh has seen it; nothing is read by ids."""
    harness = planned.harness
    harness.extract("Contact")
    options = ("--object", "Contact")
    [before] = json.loads(planned(*options, "--json").stdout)
    assert before["new_fields"] is None
    harness.org.add_field("Contact", "Shoe_Size__c", value="forty-two")
    records = len(harness.org.rows("Contact"))
    [after] = json.loads(planned(*options, "--json").stdout)
    assert after["new_fields"] == {
        "fields": ["Shoe_Size__c"],
        "records": records,
        "cost": 1,
        "unit": "calls",
        "impediment": None,
    }
    said = " ".join(planned(*options).stdout.split())
    assert f"{records} records of Contact were read without Shoe_Size__c" in said
    assert "for 1 call." in said
    assert not any(window.is_point for window in harness.landing.windows("demo", "Contact"))


def test_an_unknown_object_is_named(planned: Planned) -> None:
    """The error lists the configured objects."""
    result = planned("--object", "Contcat")
    assert result.exit_code != 0
    assert "Contact" in result.stderr
