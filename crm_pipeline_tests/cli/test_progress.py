"""Progress in a terminal: seen while Dagster captures what a step writes."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dagster._core.execution.compute_logs import redirect_to_file

from crm_pipeline.cli import progress as module
from crm_pipeline.cli.progress import progress

PATIENCE_S = 10


class Terminal:
    """A terminal that this process writes to as its stderr."""

    def __init__(self, master: int) -> None:
        self._master = master
        self.seen = ""

    def shows(self, text: str) -> bool:
        """Read what arrives until a text is there; only what came since the last call counts."""
        new, until = "", time.monotonic() + PATIENCE_S
        while text not in new and time.monotonic() < until:
            if select.select([self._master], [], [], 0.05)[0]:
                new += os.read(self._master, 65_536).decode()
        self.seen += new
        return text in new


@contextmanager
def a_terminal() -> Iterator[Terminal]:
    # Not as a fixture: between the phases of a test pytest puts its own stderr there.
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stderr, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", "100")
        yield Terminal(master)
    os.close(master)


def test_bars_move_while_a_step_is_captured(tmp_path: Path) -> None:
    """Within a step Dagster puts a file in the place of stderr: bars go on in the terminal, and are not in the file."""
    log = tmp_path / "step.err"
    with a_terminal() as terminal, progress("backfill") as on_step:
        with redirect_to_file(sys.stderr, str(log)):
            on_step("land Contact", 0, 2_000)
            assert terminal.shows("land Contact")
            on_step("land Contact", 1_234, 2_000)
            assert terminal.shows("1,234")
            sys.stderr.write("a warning of the step\n")
            sys.stderr.flush()
        on_step("land Account", 7, None)
        assert terminal.shows("2 steps")
    assert log.read_text() == "a warning of the step\n"


def test_other_lines_stand_above_the_bars() -> None:
    """What this process and its programs write beside the bars is kept as lines, and none is lost at the end."""
    with a_terminal() as terminal:
        with progress("backfill") as on_step:
            on_step("land Contact", 5, 10)
            sys.stderr.write("from here: [bold]\n")
            sys.stderr.flush()
            assert terminal.shows("from here: [bold]")
            subprocess.run(["sh", "-c", "echo from a program >&2"], stderr=sys.stderr, check=True)
            assert terminal.shows("from a program")
            sys.stderr.write("the last\n")
        assert terminal.shows("the last")
        assert os.isatty(sys.stderr.fileno())


def test_a_long_step_is_not_silent(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where there are lines instead of bars, a step that takes long says that it goes on."""
    monkeypatch.setattr(module, "_SAY_EVERY_S", 0.05)
    with progress("publish") as on_step:
        on_step("publish", 0, None)
        time.sleep(0.2)
    assert "publish: 0 s so far" in capfd.readouterr().err
