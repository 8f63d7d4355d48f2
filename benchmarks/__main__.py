"""Run the benchmarks and print tables in Markdown: `make bench`, `make bench ARGS='--contacts 800000'`.

All cases read the same bytes from one sandbox, whose clock stands still, so that everybody's query has
been run once before the first round that counts: what is compared is the clients' work, not that of
the emulated vendor on the same cores. Each case is a process of its own. Cases alternate and the
median of several rounds counts, because a machine's speed drifts.

`make campaign` takes all long figures of docs/benchmarks.md, one section after the other; about an hour.
`make campaign ARGS='--only limiter'` takes those whose name holds the word.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import (
    api_clock,
    audits,
    changed,
    contracts,
    crashes,
    drift,
    four_crms,
    fuzz,
    history,
    json_pages,
    landing_memory,
    limiter,
    meaning,
    mutations,
    purchases,
    quiet_refresh,
    rot,
    schedules,
    search_wall,
    small_windows,
    startup,
    states,
    tables,
    through_dagster,
    tokens,
    verification,
    verified,
)
from benchmarks.measuring import Figures, alone, machine, medians, table
from benchmarks.sandbox import running_sandbox

ORDER = ("land", "peer_pandas", "peer_duckdb", "normalise", "publish")
LARGE = 800_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--campaign", action="store_true", help="all long figures")
    parser.add_argument("--only", default="", help="sections of the campaign whose name holds this")
    options = parser.parse_args()
    if not options.campaign:
        print(report(options.contacts, options.rounds))
        return
    for name, section in CAMPAIGN.items():
        if options.only in name:
            print(f"## {name}\n\n{section()}\n", flush=True)


def report(contacts: int, rounds: int) -> str:
    """Measure landing, its peers, and the tables, and return a table in Markdown."""
    with running_sandbox(contacts) as url:
        _rounds(url, 1, [case for case in ORDER if case not in {"normalise", "publish"}])
        results = _rounds(url, rounds, ORDER)
    columns = ("case", "rows", "seconds", "CPU s", "peak MB above idle", "against `land`")
    rows = (_row(case, runs, results["land"]) for case, runs in results.items())
    head = f"{contacts:,} contacts, median of {rounds} rounds; {machine()}"
    return f"{head}\n\n{table(columns, rows)}"


def _rounds(url: str, rounds: int, cases: Sequence[str]) -> dict[str, list[Figures]]:
    results: dict[str, list[Figures]] = {case: [] for case in cases}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for case in cases:
                ours = Path(folder) / ("peer" if case.startswith("peer") else "ours")
                ours.mkdir(exist_ok=True)
                results[case].append(alone("benchmarks.cases", case, url, str(ours)))
                print(f"round {number + 1} {case}: {results[case][-1]}", file=sys.stderr)
    return results


def _row(case: str, runs: Sequence[Figures], land: Sequence[Figures]) -> tuple[str, ...]:
    told = medians(runs)
    ratios = [{"x": run["seconds"] / ours["seconds"]} for run, ours in zip(runs, land, strict=True)]
    times = (f"{told['seconds']:.2f}", f"{told['cpu_s']:.2f}")
    return (
        case,
        f"{told['rows']:,.0f}",
        *times,
        f"{told['peak_mb']:,.0f}",
        f"{medians(ratios)['x']:.2f}",
    )


def _tables(copies: int) -> str:
    with tempfile.TemporaryDirectory(prefix="crm-") as folder:
        return tables.report(Path(folder), LARGE, copies, rounds=3 if copies == 1 else 1)


CAMPAIGN: Mapping[str, Callable[[], str]] = {
    "Stages by themselves": lambda: report(LARGE, 3),
    "Through Dagster": lambda: through_dagster.report(LARGE),
    "Tables and peers": lambda: _tables(1),
    "Landing memory": landing_memory.report,
    "Tables at 8 million": lambda: _tables(10),
    "A refresh where nothing changed": quiet_refresh.report,
    "Small windows": small_windows.report,
    "Histories": lambda: history.report(history.FOLDER, LARGE),
    "JSON pages": json_pages.report,
    "API clock": api_clock.report,
    "Four CRMs": four_crms.report,
    "Search wall": search_wall.report,
    "Limiter": limiter.report,
    "Tokens": tokens.report,
    "Crashes": crashes.report,
    "Rot": rot.report,
    "Schedules": schedules.report,
    "Mutations": mutations.report,
    "Meaning": meaning.report,
    "Fuzz": fuzz.report,
    "Verification": verification.report,
    "Verified": verified.report,
    "Changed": changed.report,
    "Drift": drift.report,
    "Audits": audits.report,
    "Purchases": purchases.report,
    "Contracts": contracts.report,
    "Start-up": startup.report,
    "States": states.report,
}

if __name__ == "__main__":
    main()
