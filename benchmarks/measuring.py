"""Time, processor seconds and memory of a piece of work, and tables of them in Markdown."""

import contextlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import psutil

Figures = dict[str, float]
_SAMPLED_S = 0.05
_LOOKED_S = 1.0


def measured(run: Callable[[], int]) -> Figures:
    """Return rows, seconds, CPU s and the peak of memory above what was held before.

    Memory is that of this process and all below it, PostgreSQL's included.
    """
    with sampled() as memory:
        before, started_s = os.times(), time.perf_counter()
        rows = run()
        seconds, after = time.perf_counter() - started_s, os.times()
    return {
        "rows": rows,
        "seconds": seconds,
        "cpu_s": sum(after[:4]) - sum(before[:4]),
        "peak_mb": max(mb for _, mb in memory) - memory[0][1],
    }


@contextmanager
def sampled() -> Iterator[list[tuple[float, float]]]:
    """Yield a list that fills with (Unix time, MB) of this process and all below it."""
    process = psutil.Process()
    family = _Family(process)
    samples = [(time.time(), family.megabytes())]
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(_SAMPLED_S):
            samples.append((time.time(), family.megabytes()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield samples
    finally:
        finished.set()
        watcher.join()


class _Family:
    """A process and all below it, who are looked for once a second: that takes longer than asking them."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._children: list[psutil.Process] = []
        self._looked_at = -math.inf

    def megabytes(self) -> float:
        now = time.monotonic()
        if now - self._looked_at > _LOOKED_S:
            self._children, self._looked_at = self._process.children(recursive=True), now
        total = 0
        for one in [self._process, *self._children]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += one.memory_info().rss
        return total / 2**20


def alone(module: str, *arguments: str) -> Figures:
    """Run a module in a process of its own and return the JSON object on its last line."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def medians(runs: Sequence[Figures]) -> Figures:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    ruled = [list(columns), ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in ruled)


def machine() -> str:
    size = psutil.virtual_memory().total / 2**30
    return f"{psutil.cpu_count()} cores, {size:.0f} GB, Python {platform.python_version()}"
