"""Mutations: one answer of a vendor is changed, and what comes of the read; for each route of each vendor.

`python -m benchmarks.mutations [--trials 5000] [--seed 0] [--only zoho]`. A trial is a first read or a refresh
through a proxy that changes one answer, chosen by chance, and sometimes all later ones to the same path. What may come
of it stands in `crm_pipeline_tests/connectors/mutated_reads.py`. What does not hold is listed with its number, by which
it is repeated: `--only ROUTE --number N`.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest
import structlog

from benchmarks.database import migrated_server
from benchmarks.measuring import machine, table
from crm_pipeline.store.postgres.database import Database
from crm_pipeline_tests.connectors.conformance import WAYS, Way
from crm_pipeline_tests.connectors.conftest import narrowed
from crm_pipeline_tests.connectors.mutated_reads import Outcome, Result, ground_of, trials

OUTCOMES: tuple[Outcome, ...] = (
    "right", "refused", "quarantined", "unnoticed", "not applied", "WRONG",
)  # fmt: skip


def report(count: int = 5000, seed: int = 0, only: str = "", number: int | None = None) -> str:
    """Carry the trials out and return a table in Markdown, with what does not hold below it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    ways = [way for way in WAYS if only in str(way)]
    each = -(-count // len(ways))
    numbers = range(seed, seed + each) if number is None else range(number, number + 1)
    started_s = time.perf_counter()
    outcomes: dict[str, Counter[str]] = {}
    unnoticed: dict[str, int] = defaultdict(int)
    faults: list[str] = []
    with mock.patch("os.fsync"), migrated_server() as (_, url), Database(url) as database:
        for way in ways:
            tally = outcomes[str(way)] = Counter()
            for result in _results(way, database, url, numbers):
                tally[result.outcome] += 1
                unnoticed[result.trial.mutation] += result.outcome == "unnoticed"
                if result.outcome == "WRONG":
                    faults.append(f"{result.trial}: {result.detail}")
            print(way, dict(tally), file=sys.stderr, flush=True)
    return _told(outcomes, unnoticed, faults, time.perf_counter() - started_s)


def _results(way: Way, database: Database, url: str, numbers: range) -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        narrowed(way.case, patch)
        with ground_of(way, Path(folder), database, url) as ground:
            for trial in trials(way, ground.answers, numbers):
                yield ground.run(trial)


def _told(
    outcomes: dict[str, Counter[str]],
    unnoticed: dict[str, int],
    faults: Sequence[str],
    took_s: float,
) -> str:
    whole: Counter[str] = sum(outcomes.values(), Counter())
    rows = [
        (name, f"{tally.total():,}", *(f"{tally[outcome]:,}" for outcome in OUTCOMES))
        for name, tally in (*outcomes.items(), ("all", whole))
    ]
    head = f"{whole.total():,} trials in {took_s:,.0f} s; {machine()}"
    named = ", ".join(f"{name} ({n})" for name, n in sorted(unnoticed.items()) if n)
    lines = [
        head,
        "",
        table(("route", "trials", *OUTCOMES), rows),
        "",
        f"Unnoticed: {named or 'none'}.",
    ]
    return "\n".join([*lines, "", *(f"* {fault}" for fault in faults)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutations", description=__doc__)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", default="", help="routes whose name holds this, such as zoho-coql"
    )
    parser.add_argument("--number", type=int, help="one trial")
    options = parser.parse_args()
    print(report(options.trials, options.seed, options.only, options.number))


if __name__ == "__main__":
    main()
