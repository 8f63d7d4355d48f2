"""A whole backfill as Dagster runs it, against scripts that read the same bytes.

`python -m benchmarks.through_dagster --contacts 800000`: the job that the web interface launches, with its
rate limiter, manifests, checks, events and everything flushed to the disk. Seconds of a step are its own, from its
start event to its last; memory is that of the run's process, PostgreSQL included, above what it held with
Dagster and the instance loaded.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cases import settings_of
from benchmarks.measuring import Figures, alone, machine, medians, sampled, table
from benchmarks.sandbox import running_sandbox

PEERS = ("peer_pandas", "peer_duckdb")


def report(contacts: int, rounds: int = 3) -> str:
    """Measure and return two tables in Markdown: the steps, and the peers against the first step."""
    runs: dict[str, list[Figures]] = {}
    with running_sandbox(contacts) as url:
        # Nobody pays for the sandbox's first look at a query.
        for name in ("land", *PEERS):
            _round(url, name)
        for _ in range(rounds):
            for name in ("steps", *PEERS):
                runs.setdefault(name, []).append(_round(url, name))
    steps = medians(runs["steps"])
    lines = [f"{contacts:,} contacts, median of {rounds} rounds; {machine()}", ""]
    lines += [table(("step", "seconds", "peak MB above idle"), _step_rows(steps)), ""]
    rows = (_peer_row(name, runs[name], runs["steps"]) for name in PEERS)
    columns = ("peer", "seconds", "peak MB above idle", "seconds of our landing step x")
    return "\n".join([*lines, table(columns, rows)])


def _round(url: str, name: str) -> Figures:
    with tempfile.TemporaryDirectory(prefix="crm-") as folder:
        if name == "steps":
            figures = alone("benchmarks.through_dagster", "--run", url, folder)
        else:
            figures = alone("benchmarks.cases", name, url, folder)
    print(f"{name}: {figures}", file=sys.stderr)
    return figures


def _step_rows(steps: Figures) -> Iterator[tuple[str, str, str]]:
    names = [name.removesuffix(" s") for name in steps if name.endswith(" s")]
    for name in names:
        yield name, f"{steps[f'{name} s']:.2f}", f"{steps[f'{name} MB']:,.0f}"
    total_s = sum(steps[f"{name} s"] for name in names)
    yield "all steps", f"{total_s:.2f}", f"{max(steps[f'{name} MB'] for name in names):,.0f}"
    yield "the run, as waited for", f"{steps['run']:.2f}", ""


def _peer_row(name: str, runs: list[Figures], ours: list[Figures]) -> tuple[str, ...]:
    ratios = [{"x": run["seconds"] / our["landing s"]} for run, our in zip(runs, ours, strict=True)]
    told = medians(runs)
    return (
        name,
        f"{told['seconds']:.2f}",
        f"{told['peak_mb']:,.0f}",
        f"{medians(ratios)['x']:.2f}",
    )


def backfill(url: str, folder: Path) -> Figures:
    """Run the job once in this process and return seconds and peak MB of each step."""
    import pandas as pd  # noqa: F401 - what is loaded by now counts as idle
    import pandera.pandas as pandera  # noqa: F401

    import crm_pipeline.definitions  # noqa: F401
    from crm_pipeline.orchestration.instance import opened_instance
    from crm_pipeline.orchestration.runs import run_backfill
    from crm_pipeline.store.postgres.database import database_url, running_database

    settings = settings_of(url, folder)
    with running_database(settings):
        address = database_url(settings)
        assert address is not None
        with opened_instance(settings, address) as instance, sampled() as memory:
            started_s = time.perf_counter()
            done = run_backfill(settings, "bench", None, None, instance)
            run_s = time.perf_counter() - started_s
            if not done.is_success:
                raise SystemExit(f"the backfill failed: {done.failed}")
            stats = instance.get_run_step_stats(done.run_id)
    figures: Figures = {"run": run_s}
    idle = memory[0][1]
    for step in sorted(stats, key=lambda step: step.start_time):
        name = _short(step.step_key)
        within = [mb for at, mb in memory if step.start_time <= at <= step.end_time]
        figures[f"{name} s"] = step.end_time - step.start_time
        figures[f"{name} MB"] = max(within, default=idle) - idle
    return figures


def _short(step: str) -> str:
    return "landing" if step.endswith("__Contact") else step.replace("__", "/")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.through_dagster", description=__doc__
    )
    parser.add_argument("--contacts", type=int, default=800_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(backfill(options.run[0], Path(options.run[1]))))
    else:
        print(report(options.contacts, options.rounds))
