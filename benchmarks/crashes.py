"""Kills and failing disks: every failpoint, every system call that writes, backfills at random, `up`.

`python -m benchmarks.crashes [--kills 50] [--every 1] [--only syscalls]`. After each blow everything that
readers may open is whole, and the next run ends by itself with what the emulated org holds, each
record once. Pages that were fetched twice are counted in the sandbox's journal. What does not hold is
listed. The project is small: what matters is where a blow falls, not how much there is.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.database import migrated_server
from benchmarks.measuring import machine, table
from crm_pipeline.kernel.failpoint import POINTS
from crm_pipeline_tests.drill.backfill import backfills, killed, moments, undisturbed
from crm_pipeline_tests.drill.drill import drill
from crm_pipeline_tests.drill.rehearsal import Rehearsal, rehearsed
from crm_pipeline_tests.drill.syscalls import EFFECTS, Injection, unusable
from crm_pipeline_tests.drill.worker import STAGES
from crm_pipeline_tests.end_to_end.killed_up import Project

CONTACTS = 240
_MANY = 40  # uses of one call; of more, as many are taken, evenly spread


@dataclass
class Tally:
    """What a series of blows came to.

    Attributes:
        missed: blows that fell on nothing, because the run took another way or was over.
        again: the most result pages that one of them made be fetched twice.
        faults: what did not hold.
    """

    name: str
    blows: int = 0
    missed: int = 0
    again: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def strike(self, what: str, blow: Callable[[], tuple[bool, int]]) -> None:
        """Let one blow fall; it says whether it was met, and how many pages came twice."""
        started_s = time.perf_counter()
        self.blows += 1
        try:
            is_met, again = blow()
        except AssertionError as error:
            line = traceback.extract_tb(error.__traceback__)[-1]
            self.faults.append(f"{what}: {error} ({line.name}: {line.line})")
            print(f"{self.name} {self.faults[-1]}", file=sys.stderr, flush=True)
        else:
            self.missed += not is_met
            self.again = max(self.again, again)
        self.seconds += time.perf_counter() - started_s

    def row(self) -> tuple[str, ...]:
        told = (self.blows, self.missed, len(self.faults), self.again)
        return (self.name, *(f"{number:,}" for number in told), f"{self.seconds:.0f}")


def failpoints(root: Path, url: str) -> list[Tally]:
    """Kill at every failpoint once."""
    tally = Tally("`kill -9` at every failpoint")
    with drill(root, url, CONTACTS) as made:
        rehearsal = rehearsed(made)
        for number, point in enumerate(sorted(POINTS)):
            folder = _made(root / f"point-{number}")
            tally.strike(point, lambda p=point, f=folder: (True, rehearsal.kill(p, f)))
    return [tally]


def syscalls(root: Path, url: str, every: int = 1) -> list[Tally]:
    """Let every use of a call that writes fail, and be the last."""
    if reason := unusable():
        return [Tally(f"system calls: not run, {reason}")]
    tallies = {
        "kill": Tally("`kill -9` at a system call that writes"),
        "full": Tally("no space left (ENOSPC)"),
        "broken": Tally("the disk fails (EIO)"),
    }
    with drill(root, url, CONTACTS // 4) as made:
        rehearsal = rehearsed(made)
        for number, (stage, call, use) in enumerate(_uses(rehearsal, root, every)):
            for effect in EFFECTS:
                folder = _made(root / f"call-{number}-{effect}")
                blow = Injection(call, use, effect)
                tallies[effect].strike(
                    f"{stage} {blow}",
                    lambda s=stage, b=blow, f=folder: (rehearsal.inject(s, b, f), 0),
                )
    return list(tallies.values())


def _uses(rehearsal: Rehearsal, root: Path, every: int) -> Iterator[tuple[str, str, int]]:
    for stage in STAGES:
        for call, uses in rehearsal.calls(stage, _made(root / f"calls-{stage}")).items():
            for use in uses[:: max(every, len(uses) // _MANY)]:
                yield stage, call, use


def at_random(root: Path, url: str, kills: int, seed: int = 3) -> list[Tally]:
    """Kill backfills that Dagster runs at random moments."""
    tally = Tally("backfills through Dagster, `kill -9` at a random moment")
    landed = 0

    def blow(name: str, after_s: float) -> tuple[bool, int]:
        nonlocal landed
        found = killed(made, name, after_s)
        landed += found.landed
        return found.was_killed, found.again

    with backfills(root, url, CONTACTS) as made:
        undisturbed(made)  # nobody pays for what is done once only
        took_s = undisturbed(made)
        for number, after_s in enumerate(moments(kills, took_s, seed)):
            name = f"killed-{number}"
            tally.strike(f"{after_s:.2f} s", lambda n=name, a=after_s: blow(n, a))
    tally.name += f" ({tally.blows - landed} of them while landing)"
    return [tally]


def killed_up(root: Path, _: str) -> list[Tally]:
    """Kill `crm-pipeline up` in a run: alone, with the run and PostgreSQL, with all its programs."""
    tally = Tally("`up` killed in a run, and started again")
    for victims in ("up", "some", "everything"):
        project = Project.at(root / victims)

        def blow(project: Project = project, victims: str = victims) -> tuple[bool, int]:
            with project.running() as program:
                left = project.killed_in_a_run(program, victims)
            project.taken_over(left)
            return True, 0

        tally.strike(victims, blow)
    return [tally]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def report(kills: int = 50, every: int = 1, only: str = "") -> str:
    """Let all blows fall and return a table in Markdown, with what did not hold below it."""
    series: dict[str, Callable[[Path, str], list[Tally]]] = {
        "failpoints": failpoints,
        "syscalls": lambda root, url: syscalls(root, url, every),
        "backfills": lambda root, url: at_random(root, url, kills),
        "up": killed_up,
    }
    tallies: list[Tally] = []
    for name, run in series.items():
        if only in name:
            with migrated_server() as (root, url):
                tallies += run(root, url)
    columns = ("blow", "times", "fell on nothing", "did not hold", "pages again, at most", "s")
    lines = [machine(), "", table(columns, [tally.row() for tally in tallies])]
    lines += [f"\n{tally.name}, {fault}" for tally in tallies for fault in tally.faults]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crashes", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--every", type=int, default=1, help="take every n-th use of a system call")
    parser.add_argument("--only", default="", help="failpoints, syscalls, backfills, up")
    options = parser.parse_args(arguments)
    print(report(options.kills, options.every, options.only))


if __name__ == "__main__":
    main()
