"""How fast JSON pages are landed, against dlt on the same pages of the same sandbox."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.hubspot import raise_ceilings
from benchmarks.json_cases import OURS
from benchmarks.json_peers import CASES
from benchmarks.measuring import Figures, alone, machine, medians, table
from benchmarks.sandbox import running_sandbox

ORDER = (*OURS, *CASES)
FIRST = "land_list"


def report(contacts: int = 100_000, rounds: int = 3) -> str:
    """Measure all cases in turn and return a table in Markdown."""
    with running_sandbox(contacts) as url:
        raise_ceilings(url)
        # Once before it counts: the sandbox then answers from what it has, to everybody.
        _rounds(url, 1, [*OURS, "peer_dlt_arrow"])
        results = _rounds(url, rounds, ORDER)
    columns = ("case", "rows", "seconds", "rows/s", "CPU s", "peak MB above idle", f"`{FIRST}` is")
    rows = (_row(case, runs, results[FIRST]) for case, runs in results.items())
    head = f"{contacts:,} contacts of a HubSpot portal, median of {rounds} rounds; {machine()}"
    return f"{head}\n\n{table(columns, rows)}"


def _rounds(url: str, rounds: int, cases: Sequence[str]) -> dict[str, list[Figures]]:
    results: dict[str, list[Figures]] = {case: [] for case in cases}
    for number in range(rounds):
        for case in cases:
            with tempfile.TemporaryDirectory(prefix="crm-") as folder:
                results[case].append(alone("benchmarks.json_cases", case, url, str(Path(folder))))
                print(f"round {number + 1} {case}: {results[case][-1]}", file=sys.stderr)
    return results


def _row(case: str, runs: Sequence[Figures], ours: Sequence[Figures]) -> tuple[str, ...]:
    told = medians(runs)
    ratios = [{"x": run["seconds"] / our["seconds"]} for run, our in zip(runs, ours, strict=True)]
    return (
        case,
        f"{told['rows']:,.0f}",
        f"{told['seconds']:.2f}",
        f"{told['rows'] / told['seconds']:,.0f}",
        f"{told['cpu_s']:.1f}",
        f"{told['peak_mb']:,.0f}",
        f"{medians(ratios)['x']:.2f} times as fast",
    )


if __name__ == "__main__":
    print(report())
