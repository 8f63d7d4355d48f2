import pytest

from crm_pipeline_tests.scenes import Scene
from crm_pipeline_tests.stages.raw.test_extract import ids, landed

BACK_S = 3 * 86_400


@pytest.mark.parametrize("route", ["rest", "bulk"])
def test_a_clock_that_is_set_back_loses_nothing(scene: Scene, route: str) -> None:
    """The vendor's clock decides what a window is: the machine's may be days behind it, suddenly."""
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
    assert done.watermark == scene.sandbox.clock.now().replace(microsecond=0)


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
