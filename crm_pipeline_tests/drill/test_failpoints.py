from pathlib import Path

import pytest

from crm_pipeline.kernel.failpoint import POINTS
from crm_pipeline_tests.drill.rehearsal import DOWNLOADS, Rehearsal


def test_every_failpoint_is_on_the_way(rehearsal: Rehearsal) -> None:
    """No point is dead: landing, building and publishing come to each; and to none that is not listed."""
    reached = {name for points in rehearsal.points.values() for name in points}
    assert reached == {name for name in POINTS if name.partition(".")[0] not in _AT_NIGHT}


_AT_NIGHT = frozenset({"retired", "retired_manifest", "retired_commit"})
"""Writes of the retention of landing: `stages/normalized/test_history.py` kills them at every step."""
_AT_EVERY_STEP = frozenset(
    {"replaced", "merged", "merged_manifest", "origins", "merged_commit", "replaced_files"}
)
"""Writes of merges: `store/landing/test_merging.py` kills them at every step, `make campaign` with `kill -9`."""


def sampled() -> list[str]:
    """One step of every write in turn, and all steps of the three that make others see something.

    Of a merge it is the moment when the new commit and some of the old ones exist.
    """
    chosen = []
    for number, kind in enumerate(sorted({name.partition(".")[0] for name in POINTS})):
        steps = sorted(name for name in POINTS if name.partition(".")[0] == kind)
        if kind in _AT_EVERY_STEP | _AT_NIGHT:
            continue
        is_telling = kind in {"commit", "release", "link"}
        chosen += steps if is_telling else [steps[number % len(steps)]]
    return chosen


@pytest.mark.parametrize("point", sampled())
def test_a_kill_loses_nothing_and_needs_nobody(
    rehearsal: Rehearsal, tmp_path: Path, point: str
) -> None:
    """After `kill -9` all is readable, and the next run ends with what the org holds, once."""
    assert rehearsal.kill(point, tmp_path) <= DOWNLOADS


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
    rehearsal: Rehearsal, tmp_path: Path, point: str, action: str, words: str
) -> None:
    """A disk that is full or fails is one sentence with a cure; with room, the next run ends well."""
    failed = rehearsal.fail(point, action, tmp_path)
    assert failed["outcome"] in {"StoreError", "DiskFull"}, failed
    assert words in failed["message"]
    assert "othing was overwritten" in failed["message"]
