"""Rot: single bits flipped in every kind of file of a small data folder.

`python -m benchmarks.rot [--flips 1000] [--seed 5]`. Of each flip two things are asked. Does `scrub` name
the file? And, in a copy of the folder, what becomes of it in each use that comes to such a file: a query of
what is published now and was before, a refresh that finds nothing new, and one that reads what is new,
goes on with what was begun, builds and publishes? It must be refused in words, or end in exactly what the
whole folder ends in. What does not hold is listed. All in one process, and nothing is flushed: no power
cut is part of this.
"""

import argparse
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import structlog

from benchmarks.measuring import machine, table
from crm_pipeline_tests.rot.flips import KINDS, USES, Flip, copied, flipped, flips, is_named, used
from crm_pipeline_tests.rot.world import START, World

COLUMNS = ("kind", "flips", "named by `scrub`", "uses", "refused", "as if whole", "did not hold")


@dataclass
class Tally:
    """What became of the flips in one kind of file; `faults` are named or used in silence."""

    flips: int = 0
    named: int = 0
    refused: int = 0
    equal: int = 0
    faults: list[str] = field(default_factory=list)

    def row(self, kind: str) -> tuple[str, ...]:
        uses = self.refused + self.equal
        numbers = (self.flips, self.named, uses, self.refused, self.equal, len(self.faults))
        return (kind, *(f"{number:,}" for number in numbers))

    def add(self, other: "Tally") -> None:
        for name in ("flips", "named", "refused", "equal", "faults"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def report(count: int = 1000, seed: int = 5) -> str:
    """Flip the bits and return a table in Markdown, with what does not hold below it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    started_s = time.perf_counter()
    kinds = {kind: Tally() for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="rot-") as folder, mock.patch("os.fsync"):
        for number, (flip, found) in enumerate(_judged(Path(folder), count, seed), 1):
            kinds[flip.kind].add(found)
            for fault in found.faults:
                print(fault, file=sys.stderr, flush=True)
            if number % 50 == 0:
                print(f"{number} flips", file=sys.stderr, flush=True)
    total = Tally()
    for found in kinds.values():
        total.add(found)
    rows = [found.row(kind) for kind, found in {**kinds, "all": total}.items()]
    seconds = time.perf_counter() - started_s
    head = f"{count:,} flips, seed {seed}, {seconds:.0f} s; {machine()}"
    return "\n".join([head, "", table(COLUMNS, rows), *(f"\n{fault}" for fault in total.faults)])


def _judged(folder: Path, count: int, seed: int) -> Iterator[tuple[Flip, Tally]]:
    """Yield for each flip how `scrub` took it, and how each use did."""
    data = folder / "data"
    World(data, START).fill()
    expected = {use: run(World(copied(data, folder / f"whole {use}"))) for use, run in USES.items()}
    for flip in flips(data, count, seed):
        found = Tally(flips=1, named=int(is_named(data, flip)))
        if not found.named:
            found.faults.append(f"not named: {flip}")
        for use in KINDS[flip.kind][1]:
            with flipped(data, flip):
                copy = copied(data, folder / "copy")
            verdict = used(copy, flip, use, expected[use])
            shutil.rmtree(copy)
            found.refused += verdict == "refused"
            found.equal += verdict == "equal"
            if verdict not in {"refused", "equal"}:
                found.faults.append(f"{use}: {verdict}; {flip}")
        yield flip, found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rot", description=__doc__)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args(arguments)
    print(report(options.flips, options.seed))


if __name__ == "__main__":
    os.environ.pop("CRM_FAILPOINT", None)
    main()
