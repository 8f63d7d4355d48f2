"""Whole backfills as Dagster runs them, killed at any moment, and what the next one must make of it.

`python -m crm_pipeline_tests.drill.backfill` is their worker: an order is one backfill, on the path of
`crm-pipeline backfill`, in a process of its own.
"""

import random
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from crm_pipeline.store.landing import Landing
from crm_pipeline_tests.drill.drill import (
    CONNECTION,
    Drill,
    assert_readable,
    assert_whole,
    drill,
    fetched_again,
)
from crm_pipeline_tests.drill.worker import Run, serve
from crm_sandbox.journal import JournalEntry

PROGRAM = (sys.executable, "-m", "crm_pipeline_tests.drill.backfill")
_BULK = "Contact"


@dataclass(frozen=True)
class Killed:
    """What was seen of one backfill that was killed, and of the next.

    Attributes:
        after_s: when it was killed.
        was_killed: False where it was over by then.
        landed: its windows had committed; the next run then reads them again, as it is asked to.
        again: result pages that were fetched twice.
    """

    after_s: float
    was_killed: bool
    landed: bool
    again: int


@contextmanager
def backfills(root: Path, database_url: str, contacts: int) -> Iterator[Drill]:
    """Set up what can be backfilled and killed; the clock stands at the present month."""
    with drill(root, database_url, contacts, timedelta(0), program=PROGRAM) as drilled:
        yield drilled


def undisturbed(drilled: Drill) -> float:
    """Run one backfill to its end, compare, and return its seconds."""
    root = drilled.project("undisturbed")
    started_s = time.monotonic()
    _finish(drilled, root)
    took_s = time.monotonic() - started_s
    _compare(drilled, root)
    return took_s


def killed(drilled: Drill, name: str, after_s: float) -> Killed:
    """Kill one backfill, look at what it left, let the next one finish, and compare."""
    root = drilled.project(name)
    journal = drilled.sandbox.journal
    sequence = journal.count()
    outcome = drilled.order(root, kill_after_s=after_s)
    assert outcome["outcome"] in {"killed", "done"}, outcome
    assert_readable(root / "data")
    before = _since(drilled, sequence)
    landed = bool(Landing(root / "data").windows(CONNECTION, _BULK))
    _finish(drilled, root)
    if _has_pages(before) and not landed:
        # What the vendor had made for the killed run was gone on with.
        assert _jobs(_since(drilled, sequence)) == 1
    again = fetched_again(_since(drilled, sequence))
    _compare(drilled, root)
    return Killed(after_s, outcome["outcome"] == "killed", landed, again)


def moments(count: int, within_s: float, seed: int) -> list[float]:
    """Return random moments of a run, none of them before its first step or behind its end."""
    chosen = random.Random(seed)
    return [chosen.uniform(0.02, 0.98) * within_s for _ in range(count)]


def _finish(drilled: Drill, root: Path) -> None:
    outcome = drilled.order(root)
    assert outcome["outcome"] == "done", outcome
    assert (outcome["failed"], outcome["ghosts"], outcome["held"]) == ([], [], []), outcome


def _compare(drilled: Drill, root: Path) -> None:
    assert_whole(drilled.sandbox, root / "data", drilled.now + timedelta(days=10))
    shutil.rmtree(root)


def _since(drilled: Drill, sequence: int) -> list[JournalEntry]:
    return [entry for entry in drilled.sandbox.journal.entries() if entry.sequence > sequence]


def _has_pages(entries: list[JournalEntry]) -> bool:
    return any(entry.path.endswith("/results") and entry.status == 200 for entry in entries)


def _jobs(entries: list[JournalEntry]) -> int:
    return sum(entry.method == "POST" and entry.path.endswith("/jobs/query") for entry in entries)


def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    """Run one backfill; return what failed, which runs are ghosts, and who holds places in pools."""
    import dagster as dg

    from crm_pipeline.cli.runs import instance_of
    from crm_pipeline.orchestration.runs import run_backfill
    from crm_pipeline.supervisor.reconcile import ACTIVE

    run = Run(order)
    with instance_of(run.settings) as instance:
        done = run_backfill(run.settings, CONNECTION, None, None, instance, clock=run.clock)
        ghosts = instance.get_runs(dg.RunsFilter(statuses=ACTIVE))
        return {
            "failed": [failed.message for failed in done.failed],
            "ghosts": [ghost.run_id for ghost in ghosts],
            "held": sorted(instance.event_log_storage.get_concurrency_run_ids()),
        }


def main() -> None:
    import crm_pipeline.definitions  # noqa: F401 - so that no child has to

    serve(carry_out)


if __name__ == "__main__":
    main()
