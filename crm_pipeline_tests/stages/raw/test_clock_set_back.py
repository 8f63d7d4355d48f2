from datetime import UTC, timedelta

import pytest

from crm_pipeline_tests.harness import Harness
from crm_pipeline_tests.stages.raw.test_extract import ids, landed

BACK_S = 3 * 86_400


@pytest.mark.parametrize("route", ["rest", "bulk"])
def test_a_clock_that_is_set_back_loses_nothing(harness: Harness, route: str) -> None:
    """The machine's clock may suddenly be days behind: the vendor's records are newer than it, and so it is the
    one that is wrong. The window ends at the newest of them, and that the clock is wrong is told."""
    before = harness.extract(route=route)
    harness.advance(3600)
    first, second, *_ = sorted(row["Id"] for row in harness.org.rows("Contact"))
    harness.org.edit("Contact", first, Title="Chief")
    harness.org.delete("Contact", second)
    harness.advance()
    harness.clock.advance(
        -BACK_S
    )  # this machine's alone; `advance` would move the vendor's as well
    done = harness.extract(mode="refresh", route=route)
    rows = landed(harness)
    assert set(rows) == ids(harness)
    assert (rows[first]["Title"], rows[second]["_deleted"]) == ("Chief", True)
    assert before.watermark is not None
    assert done.watermark is not None
    assert done.watermark > before.watermark
    newest = max(row["SystemModstamp"] for row in harness.org.rows("Contact", include_deleted=True))
    assert done.watermark == newest.replace(tzinfo=UTC) + timedelta(seconds=1)
    [warning] = done.warnings
    assert "Set this machine's clock right" in warning


def test_the_last_commit_stays_the_last(harness: Harness) -> None:
    """Commits keep the order in which they were made: the last whole read counts."""
    first = harness.extract("OpportunityStage")
    harness.advance()
    harness.org.edit("OpportunityStage", harness.org.rows("OpportunityStage")[0]["Id"])
    harness.advance()
    harness.clock.advance(-BACK_S)
    second = harness.extract("OpportunityStage", mode="refresh")
    assert [window.window_id for window in harness.landing.windows("demo", "OpportunityStage")] == [
        first.window_id,
        second.window_id,
    ]


def test_the_last_read_stays_the_newest(harness: Harness) -> None:
    """Of two versions with the same modification time the one that was read last counts, whatever the clock."""
    harness.extract("Contact")
    first = harness.org.rows("Contact")[0]["Id"]
    harness.org.formula_change("Contact", first, Title="No stamp moved")
    harness.clock.advance(-BACK_S)
    harness.extract("Contact")
    assert landed(harness)[first]["Title"] == "No stamp moved"
