"""How long `crm-sandbox serve` takes until it answers, and how long a reset takes.

`python -m benchmarks.sandbox_start [--rounds 5]`: medians in seconds; four vendors of 2,000 contacts for
the start, one vendor of 200 contacts, each time after a change, for the reset.
"""

import argparse
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import requests

from crm_sandbox import SandboxServer

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
CHANGES: dict[str, tuple[str, dict[str, str]]] = {
    "salesforce": ("Contact", {"LastName": "Noether"}),
    "hubspot": ("contacts", {"lastname": "Noether"}),
    "pipedrive": ("persons", {"name": "Noether"}),
    "zoho": ("Contacts", {"Last_Name": "Noether"}),
}


def start_s() -> tuple[float, ...]:
    """Return the seconds until the server answers, and until each vendor has shown its records."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "crm_sandbox", "serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        requests.get(f"{url}/_admin", timeout=60).raise_for_status()
        seconds = [time.perf_counter() - began]
        for vendor, (name, _) in CHANGES.items():
            asked = time.perf_counter()
            requests.get(f"{url}/_admin/{vendor}/count/{name}", timeout=60).raise_for_status()
            seconds.append(time.perf_counter() - asked)
        return tuple(seconds)
    finally:
        server.terminate()
        server.wait()


def reset_s(server: SandboxServer, vendor: str) -> tuple[float, float, float]:
    """Return the seconds of a reset, of the first answer after it, and of the first change."""
    name, values = CHANGES[vendor]
    emulation: Any = server.emulations[vendor]
    emulation.create(name, **values)
    moments = [time.perf_counter()]
    server.reset()
    moments.append(time.perf_counter())
    emulation = server.emulations[vendor]
    emulation.count(name)
    moments.append(time.perf_counter())
    emulation.create(name, **values)
    moments.append(time.perf_counter())
    reset, answer, change = (b - a for a, b in itertools.pairwise(moments))
    return reset, answer, change


def report(rounds: int) -> str:
    """Measure and return tables in Markdown."""
    heads = ["until it answers", *(f"first answer of {vendor}" for vendor in CHANGES)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines.append(_medians([start_s() for _ in range(rounds)]))
    lines += ["", "| vendor | reset | first answer | first change |", "|---|---|---|---|"]
    for vendor in CHANGES:
        with SandboxServer(contacts=200, now=NOW, vendors=[vendor]) as server:
            runs = [reset_s(server, vendor) for _ in range(rounds)]
        lines.append(f"| {vendor} {_medians(runs)}")
    return "\n".join(lines)


def _medians(runs: Sequence[Sequence[float]]) -> str:
    middle = (statistics.median(values) for values in zip(*runs, strict=True))
    return "| " + " | ".join(f"{value:.3f}" for value in middle) + " |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sandbox_start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    print(report(parser.parse_args(arguments).rounds))


if __name__ == "__main__":
    main()
