"""Meaning: the published file of all accounts against what follows from the vendors' JSON, and planted faults.

`python -m benchmarks.meaning [--contacts 2000] [--only faults]`. Three parts: the demo's five accounts in the demo's
world; the sandbox's other accounts in a world of another seed; and faults in mappings and in verdicts, each planted
alone, with the columns that caught it. What the sandbox cannot vary stands in `crm_pipeline_tests/meaning/answers.py`.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import structlog

from benchmarks.database import migrated_server
from benchmarks.measuring import machine, table
from crm_pipeline_tests.meaning.answers import DEMO, OTHERS, Login
from crm_pipeline_tests.meaning.compare import Difference
from crm_pipeline_tests.meaning.comparison import Comparison
from crm_pipeline_tests.meaning.faults import FAULTS, caught
from crm_pipeline_tests.meaning.pending import PENDING
from crm_pipeline_tests.meaning.prepared import Prepared, kept, make
from crm_pipeline_tests.meaning.verdict_facts import TABLES, compared, expected, shown
from crm_pipeline_tests.meaning.verdict_faults import (
    ADDED_FAULTS,
    CONTACTABLE_FAULTS,
    STAGE_FAULTS,
    caught_in_added,
    caught_in_contactable,
    caught_in_stage,
)

WORLDS: Mapping[str, tuple[int, Mapping[str, Login]]] = {"demo": (7, DEMO), "other": (29, OTHERS)}


def report(contacts: int = 2_000, only: str = "") -> str:
    """Compare both worlds and plant the faults; return tables in Markdown with every difference below."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    parts = []
    started_s = time.perf_counter()
    for name, (seed, logins) in WORLDS.items():
        if only in name:
            # Tokens in a database belong to one world.
            with migrated_server() as (folder, url):
                make(folder / name, url, seed=seed, contacts=contacts, logins=logins)
                parts.append(_compared(Comparison(kept(folder / name, logins))))
                parts.append(_judged(kept(folder / name, logins)))
    if only in "faults":
        with migrated_server() as (folder, url):
            make(folder / "faults", url, seed=13, contacts=200, logins=DEMO)
            parts.append(_planted(Comparison(kept(folder / "faults"))))
            parts.append(_planted_in_verdicts(kept(folder / "faults")))
    head = f"{time.perf_counter() - started_s:,.0f} s; {machine()}"
    return "\n\n".join([head, *parts])


def _compared(comparison: Comparison) -> str:
    rows, wrong = [], []
    for connection, facts in comparison.cases:
        expected = comparison.truth(connection)[facts]
        found = comparison.differences(connection, facts)
        late = [d for d in found if (connection, facts, d.column) in PENDING]
        wrong += [d for d in found if d not in late]
        columns = {column for row in expected.values() for column in row}
        tally = (f"{len(expected):,}", str(len(columns)), str(len(found) - len(late)))
        rows.append((connection, facts, *tally, str(len(late))))
        print(
            rows[-1], *wrong[-len(found) :] if found else (), sep="\n", file=sys.stderr, flush=True
        )
    comparison.world.close()
    listed = "\n".join(f"* {one}" for one in wrong)
    names = ("connection", "facts", "rows", "columns", "columns that differ", "of them pending")
    return f"{table(names, rows)}\n\n{listed}"


def _judged(world: Prepared) -> str:
    """Compare all verdicts, the columns beside records and whom one may write to."""
    rows, wrong = world.plain_rows(), []
    right, seen = expected(rows, rows.published_at), shown(world, zone="Asia/Kolkata")
    lines = []
    for name in TABLES:
        found = compared(right, seen, (name,))
        columns = {column for row in right[name].values() for column in row}
        lines.append((name, f"{len(right[name]):,}", str(len(columns)), str(len(found))))
        wrong += found
    world.close()
    listed = "\n".join(f"* {one}" for one in wrong)
    return f"{table(('table', 'rows', 'columns', 'columns that differ'), lines)}\n\n{listed}"


def _planted_in_verdicts(world: Prepared) -> str:
    rows = world.plain_rows()
    right = expected(rows, rows.published_at)
    lines = []
    for name, fault in STAGE_FAULTS.items():
        with tempfile.TemporaryDirectory(prefix="crm-") as folder:
            found = caught_in_stage(fault, world, right, Path(folder) / "spoilt")
        lines.append((name, ", ".join(map(_short, found)) or "**nobody**"))
    for faults, caught_by in (
        (CONTACTABLE_FAULTS, caught_in_contactable),
        (ADDED_FAULTS, caught_in_added),
    ):
        for name, change in faults.items():
            found = caught_by(change, world, right)
            lines.append((name, ", ".join(map(_short, found)) or "**nobody**"))
    world.close()
    return table(("fault in verdicts", "caught by (rows of all)"), lines)


def _planted(comparison: Comparison) -> str:
    rows = []
    for name, fault in FAULTS.items():
        with tempfile.TemporaryDirectory(prefix="crm-") as folder:
            found = caught(fault, comparison, Path(folder) / "spoilt")
        rows.append((name, fault.connection, ", ".join(map(_short, found)) or "**nobody**"))
        print(rows[-1], file=sys.stderr, flush=True)
    comparison.world.close()
    return table(("fault", "planted in", "caught by (rows of all)"), rows)


def _short(found: Difference) -> str:
    return f"{found.table}.{found.column} ({found.count} of {found.of})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.meaning", description=__doc__)
    parser.add_argument("--contacts", type=int, default=2_000)
    parser.add_argument("--only", default="", help="demo, other or faults")
    options = parser.parse_args()
    print(report(options.contacts, options.only))


if __name__ == "__main__":
    main()
