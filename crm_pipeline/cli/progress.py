"""Progress of a run: a bar per object in a terminal, a line per object elsewhere.

For each step Dagster puts a file in the place of file descriptor 2, to capture what the step writes. Bars that
were drawn there would stand still and end up in that file, so they have a descriptor of their own.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

_LAST_LINES_S = 0.5
_SAY_EVERY_S = 10.0


class StepCallback(Protocol):
    """A function that a run calls with `(step, records so far, records expected)`."""

    def __call__(self, step: str, records: int, expected: int | None) -> None:
        """Show the progress of a step."""


@contextmanager
def progress(title: str, *, unit: str = "records") -> Iterator[StepCallback]:
    """Show the progress of the steps of a run; yield the callback for the run.

    Args:
        title: of the run.
        unit: of the counts.
    """
    from crm_pipeline.cli.console import notes

    console = notes()
    if console.is_terminal:
        with _own_screen() as own, _bars(own, title) as on_step:
            yield on_step
        return
    lines = _Lines(console, title, unit)
    over = threading.Event()
    ticker = threading.Thread(target=_tick, args=(lines, over), daemon=True)
    ticker.start()
    try:
        yield lines
    finally:
        over.set()
        ticker.join()
    lines.end()


def _tick(lines: "_Lines", over: threading.Event) -> None:
    while not over.wait(_SAY_EVERY_S):
        lines.say_if_silent()


@contextmanager
def _own_screen() -> Iterator["Console"]:
    """Yield a console on the terminal of stderr; whatever else is written to stderr is printed above the bars.

    That comes through a pipe, from this process, from its programs, and from those that repeat what Dagster captures.
    """
    from crm_pipeline.cli.console import screen

    descriptor = sys.stderr.fileno()
    terminal = os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="replace")
    reading, writing = os.pipe()
    console = screen(terminal)
    lines = threading.Thread(target=_print_lines, args=(reading, console), daemon=True)
    sys.stderr.flush()
    os.dup2(writing, descriptor)
    os.close(writing)
    lines.start()
    try:
        yield console
    finally:
        sys.stderr.flush()
        os.dup2(terminal.fileno(), descriptor)
        # A program that outlives the run may hold the pipe; nobody waits for that one.
        lines.join(_LAST_LINES_S)
        if not lines.is_alive():
            terminal.close()


def _print_lines(reading: int, console: "Console") -> None:
    with os.fdopen(reading, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            console.print(line.rstrip("\n"), markup=False, soft_wrap=True)


@contextmanager
def _bars(console: "Console", title: str) -> Iterator[StepCallback]:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed

    tasks: dict[str, TaskID] = {}
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:>9,.0f}"),
        Elapsed(),
    )
    # rich would send to its console what is meant for stdout as well, which may be a file.
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as shown:
        whole = shown.add_task(title, total=None)

        def on_step(step: str, records: int, expected: int | None) -> None:
            if step not in tasks:
                for done in tasks.values():
                    shown.stop_task(done)
                tasks[step] = shown.add_task(step, total=expected)
            shown.update(tasks[step], completed=records, total=expected)
            shown.update(whole, description=f"{title}: {len(tasks)} steps")

        yield on_step


class _Lines:
    """One line for each step, written when the next one begins."""

    def __init__(self, console: "Console", title: str, unit: str) -> None:
        self._console = console
        self._unit = unit
        self._started_s = time.monotonic()
        self._step = ""
        self._records = 0
        self._said_s = self._started_s
        console.print(f"{title} ...")

    def __call__(self, step: str, records: int, expected: int | None) -> None:  # noqa: ARG002
        if step != self._step:
            self.end()
        self._step, self._records = step, records

    def end(self) -> None:
        """Write the line of the step that has just ended."""
        if self._step:
            elapsed_s = time.monotonic() - self._started_s
            records = f"{self._records:,} {self._unit}, " if self._records else ""
            self._console.print(f"  {self._step}: {records}{elapsed_s:.1f} s")
            self._said_s = time.monotonic()
        self._step = ""

    def say_if_silent(self) -> None:
        """Say that the step still runs, if nothing was written for a while."""
        now_s = time.monotonic()
        if now_s - self._said_s < _SAY_EVERY_S:
            return
        self._said_s = now_s
        records = f"{self._records:,} {self._unit}, " if self._records else ""
        step = f"{self._step}: " if self._step else ""
        self._console.print(f"  {step}{records}{now_s - self._started_s:.0f} s so far")
