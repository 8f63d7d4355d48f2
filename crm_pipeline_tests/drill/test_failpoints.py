from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crm_pipeline.kernel.failpoint import POINTS
from crm_pipeline_tests.drill.drill import (
    OBJECTS,
    Drill,
    assert_readable,
    assert_whole,
    drill,
    fetched_again,
)
from crm_pipeline_tests.drill.worker import STAGES

CONTACTS = 60


@dataclass
class Scenes:
    """One project at the beginning of each stage, and the points that each stage comes to."""

    drill: Drill
    before: dict[str, Path]
    points: dict[str, list[str]]


@pytest.fixture(scope="module")
def scenes(module_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    with drill(tmp_path_factory.mktemp("drill"), module_url, CONTACTS) as made:
        # A first release without contacts, so that there is something to replace and to collect.
        root = made.project("begun")
        assert made.order(root, objects=OBJECTS[:1])["outcome"] == "done"
        before, points = {}, {}
        for stage in STAGES:
            before[stage] = root
            root = made.project(f"after-{stage}", root)
            done = made.order(root, stages=[stage])
            assert done["outcome"] == "done", done
            points[stage] = done["points"]
        assert_whole(made.sandbox, root / "data")
        yield Scenes(made, before, points)


def test_every_failpoint_is_on_the_way(scenes: Scenes) -> None:
    """No point is dead: landing, building and publishing come to each; and to none that is not listed."""
    reached = {name for points in scenes.points.values() for name in points}
    assert reached == POINTS


def sampled() -> list[str]:
    """One step of every write in turn, and all steps of the three that make others see something."""
    chosen = []
    for number, what in enumerate(sorted({name.partition(".")[0] for name in POINTS})):
        steps = sorted(name for name in POINTS if name.partition(".")[0] == what)
        is_telling = what in {"commit", "release", "link"}
        chosen += steps if is_telling else [steps[number % len(steps)]]
    return chosen


@pytest.mark.parametrize("point", sampled())
def test_a_kill_loses_nothing_and_needs_nobody(scenes: Scenes, tmp_path: Path, point: str) -> None:
    """After `kill -9` all is readable, and the next run ends with what the org holds, once."""
    [stage, *_] = [one for one in STAGES if point in scenes.points[one]]
    root = tmp_path / "project"
    scenes.drill.project(str(root), scenes.before[stage])
    journal = scenes.drill.sandbox.journal
    asked = journal.count()
    assert scenes.drill.order(root, f"{point}:1:kill", stages=[stage]) == {"outcome": "killed"}
    assert_readable(root / "data")
    rest = STAGES[STAGES.index(stage) :]
    assert scenes.drill.order(root, stages=rest)["outcome"] == "done"
    assert_whole(scenes.drill.sandbox, root / "data")
    if stage == "land":
        entries = [entry for entry in journal.entries() if entry.sequence > asked]
        assert fetched_again(entries, CONTACTS, scenes.drill.page_records) <= 4


@pytest.mark.parametrize(
    ("point", "action", "words"),
    [
        ("batch.written", "full", "The disk is full"),
        ("commit.flushed", "broken", "error"),
        ("part.begin", "broken", "error"),
        ("snapshot.written", "full", "The disk is full"),
    ],
)
def test_a_failing_disk_is_said_and_survived(
    scenes: Scenes, tmp_path: Path, point: str, action: str, words: str
) -> None:
    """A disk that is full or fails is one sentence with a cure; with room, the next run ends well."""
    [stage, *_] = [one for one in STAGES if point in scenes.points[one]]
    root = tmp_path / "project"
    scenes.drill.project(str(root), scenes.before[stage])
    failed = scenes.drill.order(root, f"{point}:1:{action}", stages=[stage])
    assert failed["outcome"] == "StoreError", failed
    assert words in failed["message"]
    assert "othing was overwritten" in failed["message"]
    assert_readable(root / "data")
    assert scenes.drill.order(root, stages=STAGES[STAGES.index(stage) :])["outcome"] == "done"
    assert_whole(scenes.drill.sandbox, root / "data")
