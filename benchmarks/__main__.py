"""Run the benchmarks and print a table in Markdown: `make bench`, `make bench ARGS='--contacts 800000'`.

All cases read the same bytes from one sandbox, whose clock stands still, so that everybody's query has
been run once before the first round that counts: what is compared is the clients' work, not that of
the emulated vendor on the same cores. Each case is a process of its own. Cases alternate and the
median of several rounds counts, because a machine's speed drifts.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.sandbox import running_sandbox

ORDER = ("land", "peer_pandas", "peer_duckdb", "normalise", "publish")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--contacts", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--campaign", action="store_true", help="800,000 contacts")
    options = parser.parse_args()
    contacts = options.contacts or (800_000 if options.campaign else 100_000)
    with running_sandbox(contacts) as url:
        _rounds(url, 1, [case for case in ORDER if case not in {"normalise", "publish"}])
        results = _rounds(url, options.rounds, ORDER)
    print(_report(results, contacts, options.rounds))


def _rounds(url: str, rounds: int, cases: Sequence[str]) -> dict[str, list[dict[str, float]]]:
    results: dict[str, list[dict[str, float]]] = {case: [] for case in cases}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for case in cases:
                ours = Path(folder) / ("peer" if case.startswith("peer") else "ours")
                ours.mkdir(exist_ok=True)
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.cases", case, url, str(ours)],
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                results[case].append(json.loads(done.stdout.splitlines()[-1]))
                print(f"round {number + 1} {case}: {results[case][-1]}", file=sys.stderr)
    return results


def _report(results: dict[str, list[dict[str, float]]], contacts: int, rounds: int) -> str:
    machine = f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GB"
    python = platform.python_version()
    lines = [
        f"{contacts:,} contacts, median of {rounds} rounds; {machine}, Python {python}",
        "",
        "| case | rows | seconds | CPU s | peak MB above idle | against `land` |",
        "|---|---|---|---|---|---|",
    ]
    land_s = [round_["seconds"] for round_ in results["land"]]
    for case, runs in results.items():
        ratio = statistics.median(r["seconds"] / land for r, land in zip(runs, land_s, strict=True))
        values = {key: statistics.median(r[key] for r in runs) for key in runs[0]}
        lines.append(
            f"| {case} | {values['rows']:,.0f} | {values['seconds']:.2f} | {values['cpu_s']:.2f} | "
            f"{values['peak_mb']:.0f} | {ratio:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
