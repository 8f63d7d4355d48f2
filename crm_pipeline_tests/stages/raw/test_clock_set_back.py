from datetime import UTC, timedelta

import pytest

from crm_pipeline_tests.scenes import Scene
from crm_pipeline_tests.stages.raw.test_extract import ids, landed

BACK_S = 3 * 86_400


@pytest.mark.parametrize("route", ["rest", "bulk"])
def test_a_clock_that_is_set_back_loses_nothing(scene: Scene, route: str) -> None:
    """The machine's clock may be days behind, suddenly: the vendor's records are newer than it, and so it is the
    one that is wrong. The window ends at the newest of them, and that the clock is wrong is told."""
    before = scene.extract(route=route)
    scene.advance(3600)
    first, second, *_ = sorted(row["Id"] for row in scene.org.rows("Contact"))
    scene.org.edit("Contact", first, Title="Chief")
    scene.org.delete("Contact", second)
    scene.advance()
    scene.clock.advance(-BACK_S)  # this machine's alone; `advance` would move the vendor's as well
    done = scene.extract(mode="refresh", route=route)
    rows = landed(scene)
    assert set(rows) == ids(scene)
    assert (rows[first]["Title"], rows[second]["_deleted"]) == ("Chief", True)
    assert before.watermark is not None
    assert done.watermark is not None
    assert done.watermark > before.watermark
    newest = max(row["SystemModstamp"] for row in scene.org.rows("Contact", include_deleted=True))
    assert done.watermark == newest.replace(tzinfo=UTC) + timedelta(seconds=1)
    [told] = done.warnings
    assert "Set this machine's clock right" in told


def test_the_last_commit_stays_the_last(scene: Scene) -> None:
    """Commits are in the order in which they were made: the last whole read says what is there."""
    first = scene.extract("OpportunityStage")
    scene.advance()
    scene.org.edit("OpportunityStage", scene.org.rows("OpportunityStage")[0]["Id"])
    scene.advance()
    scene.clock.advance(-BACK_S)
    second = scene.extract("OpportunityStage", mode="refresh")
    assert [one.window_id for one in scene.landing.windows("demo", "OpportunityStage")] == [
        first.window_id,
        second.window_id,
    ]


def test_the_last_read_stays_the_newest(scene: Scene) -> None:
    """Of two versions that share a stamp the one that was read last counts, by whatever clock."""
    scene.extract("Contact")
    first = scene.org.rows("Contact")[0]["Id"]
    scene.org.formula_change("Contact", first, Title="No stamp moved")
    scene.clock.advance(-BACK_S)
    scene.extract("Contact")
    assert landed(scene)[first]["Title"] == "No stamp moved"
