"""Fuzz: every operation that the vendors describe, sent to the sandbox with what does not fit.

`python -m benchmarks.fuzz [--draws 60] [--seed 1] [--only zoho]`. Each operation is sent a number of times: with wrong
types, missing parts, huge numbers, odd query strings and headers, and bodies that are no JSON. No answer may
be an exception of the sandbox, and a refusal has the vendor's form. Needs the vendors' descriptions
beside the repository; what is found is listed with the request, which can be sent again by hand.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measuring import machine, table

COLUMNS = ("vendor", "operations", "requests", "2xx", "4xx", "faults", "seconds")
_NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
# The fuzzer is part of the sandbox's own tests, a distribution of its own beside ours.
_TESTS = Path(__file__).parents[1] / "sandbox"


def report(draws: int = 60, seed: str = "1", only: str = "") -> str:
    """Send the requests and return a table in Markdown, with the faults below it."""
    sys.path.append(str(_TESTS))
    from crm_sandbox_tests.contracts import FOLDER
    from crm_sandbox_tests.fuzzing.run import summary
    from crm_sandbox_tests.fuzzing.vendors import TARGETS

    if not FOLDER.is_dir():
        return "skipped: the vendors' descriptions are not beside this repository"
    rows, faults = [], []
    for vendor in [name for name in TARGETS if only in name]:
        row, found = _fuzzed(vendor, draws, seed)
        rows.append(row)
        faults += found
    head = f"{draws} draws for each operation, seed {seed}; {machine()}"
    return "\n".join([head, "", table(COLUMNS, rows), *([summary(faults)] if faults else [])])


def _fuzzed(vendor: str, draws: int, seed: str) -> tuple[tuple[str, ...], list[str]]:
    from crm_sandbox import SandboxServer
    from crm_sandbox.clock import SandboxClock
    from crm_sandbox_tests.fuzzing.descriptions import operations
    from crm_sandbox_tests.fuzzing.run import fuzz
    from crm_sandbox_tests.fuzzing.vendors import TARGETS

    target = TARGETS[vendor]
    drawn = [*operations(vendor), *target.more()]
    started_s = time.perf_counter()
    with SandboxServer(
        contacts=60, seed=3, now=_NOW, clock=SandboxClock(_NOW), vendors=(vendor,)
    ) as running:
        found = fuzz(running, target, drawn, draws, f"{seed} {vendor}")
    seconds = time.perf_counter() - started_s
    print(f"{vendor}: {found.sent} requests, {len(found.faults)} faults", file=sys.stderr)
    hundreds = [
        sum(count for status, count in found.statuses.items() if status // 100 == first)
        for first in (2, 4)
    ]
    numbers = (len(drawn), found.sent, *hundreds, len(found.faults))
    return (vendor, *(f"{number:,}" for number in numbers), f"{seconds:.0f}"), found.faults


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", default="", help="the vendors whose name holds this")
    options = parser.parse_args(arguments)
    print(report(options.draws, options.seed, options.only))


if __name__ == "__main__":
    main()
