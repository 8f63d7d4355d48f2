"""One project at the beginning of each stage, and the checks after a fault in a stage.

Belongs here: a stage with one fault (at a failpoint, or by `strace` at a system call) and the run that follows. The
tests take a sample of the faults, `benchmarks/crashes.py` all of them.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crm_pipeline_tests.drill.drill import (
    OBJECTS,
    Drill,
    assert_readable,
    assert_whole,
    fetched_again,
)
from crm_pipeline_tests.drill.syscalls import Injection, injected, seen, watching
from crm_pipeline_tests.drill.worker import STAGES

DOWNLOADS = 4
"""Threads that download pages; a kill may cost each of them one."""


@dataclass
class Rehearsal:
    """See the module.

    Attributes:
        before: the project at the beginning of each stage.
        points: the failpoints that each stage comes to.
    """

    drill: Drill
    before: dict[str, Path]
    points: dict[str, list[str]]

    def stage_of(self, point: str) -> str:
        """Return the first stage that comes to a failpoint."""
        return next(stage for stage in STAGES if point in self.points[stage])

    def calls(self, stage: str, folder: Path) -> dict[str, list[int]]:
        """Return the calls of a stage that write to the project, and at which uses they do."""
        root = self.drill.project(str(folder / "watched"), self.before[stage])
        log = folder / "calls.log"
        done = self.drill.order(root, stages=[stage], strace=watching(log))
        assert done["outcome"] == "done", done
        return seen(log, root)

    def inject(self, stage: str, injection: Injection, folder: Path) -> bool:
        """Let `strace` inject a fault into a stage; return whether it did. The runs are checked.

        A call that fails is one sentence of ours or does not matter; `kill` leaves nothing to say.
        """
        log = folder / "injected.log"
        outcome, root = self._struck(stage, folder, strace=injection.options(log))
        is_met = outcome["outcome"] == "killed" or injected(log)
        if injection.effect == "kill":
            assert outcome["outcome"] == ("killed" if is_met else "done"), outcome
        else:
            assert outcome["outcome"] in (
                {"done", "StoreError", "DiskFull"} if is_met else {"done"}
            ), outcome
        self._goes_on(stage, root)
        return is_met

    def kill(self, point: str, folder: Path) -> int:
        """Kill a stage at a failpoint; return how many result pages were fetched again."""
        stage = self.stage_of(point)
        journal = self.drill.sandbox.journal
        sequence = journal.count()
        outcome, root = self._struck(stage, folder, failpoint=f"{point}:1:kill")
        assert outcome == {"outcome": "killed"}
        self._goes_on(stage, root)
        if stage != "land":
            return 0
        entries = [entry for entry in journal.entries() if entry.sequence > sequence]
        return fetched_again(entries)

    def fail(self, point: str, action: str, folder: Path) -> dict[str, Any]:
        """Let the disk fail at a failpoint; return what was said."""
        stage = self.stage_of(point)
        outcome, root = self._struck(stage, folder, failpoint=f"{point}:1:{action}")
        self._goes_on(stage, root)
        return outcome

    def _struck(self, stage: str, folder: Path, **blow: Any) -> tuple[dict[str, Any], Path]:
        root = self.drill.project(str(folder / "project"), self.before[stage])
        outcome = self.drill.order(root, stages=[stage], **blow)
        assert_readable(root / "data")
        return outcome, root

    def _goes_on(self, stage: str, root: Path) -> None:
        rest: Sequence[str] = STAGES[STAGES.index(stage) :]
        done = self.drill.order(root, stages=rest)
        assert done["outcome"] == "done", done
        assert_whole(self.drill.sandbox, root / "data", self.drill.now)
        shutil.rmtree(root)


def rehearsed(drill: Drill) -> Rehearsal:
    """Run all stages once undisturbed, keeping the project as each begins."""
    # A first release without contacts, so that there is something to replace and to collect.
    root = drill.project("begun")
    first = drill.order(root, objects=OBJECTS[:1])
    assert first["outcome"] == "done", first
    before, points = {}, {}
    for stage in STAGES:
        before[stage] = root
        root = drill.project(f"after-{stage}", root)
        done = drill.order(root, stages=[stage])
        assert done["outcome"] == "done", done
        points[stage] = done["points"]
    assert_whole(drill.sandbox, root / "data", drill.now)
    return Rehearsal(drill, before, points)
