import sys

import pytest

from crm_pipeline.cli.echoes import without_echoes


def test_echoes_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Dagster's lines about its storage are dropped, other lines are kept, and stderr is restored."""
    before = sys.stderr
    with without_echoes():
        sys.stderr.write("Exception while storing event batch: gone\n")
        sys.stderr.write("Falling back to storing multiple single-event storage requests...\n")
        sys.stderr.write("Exception while writing logger call to event log: gone\n")
        sys.stderr.write("a line\n")
        sys.stderr.flush()
        assert sys.stderr.isatty() == before.isatty()
    assert sys.stderr is before
    assert capsys.readouterr().err == "a line\n"


def test_a_stderr_that_was_replaced_meanwhile_stays(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C silences the threads that still work for good."""
    before = sys.stderr
    try:
        with without_echoes():
            sys.stderr = silent = open("/dev/null", "w")  # noqa: SIM115, PTH123 - as `interruptible` does
        assert sys.stderr is silent
    finally:
        silent.close()
        sys.stderr = before
