import subprocess
import sys

import pytest
from typer.main import get_command

from crm_pipeline.cli.app import app
from crm_pipeline_tests.cli.conftest import Run

COMMANDS = [
    "init",
    "demo",
    "up",
    "add",
    "login",
    "check",
    "discover",
    "preview",
    "plan",
    "backfill",
    "refresh",
    "read",
    "sweep",
    "accept-shrink",
    "query",
    "history",
    "audit",
    "status",
    "verify",
    "enrich",
    "credits",
    "scrub",
    "erase",
    "backup",
    "restore",
    "sandbox",
    "version",
    "budget",
    "drift",
    "contract",
    "quarantine",
    "db",
]


def test_commands_are_these(run: Run) -> None:
    """The commands are the documented ones, in the order in which one needs them."""
    assert list(get_command(app).commands) == COMMANDS  # type: ignore[attr-defined]
    assert run("--help").exit_code == 0


GROUPS = {"budget", "drift", "contract", "quarantine", "db"}


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in {"version", *GROUPS}])
def test_help_teaches_by_example(run: Run, command: str) -> None:
    """The help of each command says what it does and shows how it is called."""
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"crm-pipeline {command}" in result.stdout


def test_nothing_heavy_is_imported_for_help() -> None:
    """The command line can be asked for help without loading what the commands work with."""
    heavy = "{'dagster', 'duckdb', 'pyarrow', 'pandas', 'pydantic', 'psycopg2', 'requests', 'yaml'}"
    code = f"import sys, crm_pipeline.cli.app; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_version(run: Run) -> None:
    """`version` names this package and those that results depend on."""
    text = run("version").stdout
    assert "crm-pipeline 0." in text
    assert "dagster 1." in text


def test_wrong_command_is_a_usage_error(run: Run) -> None:
    """A misspelt command has exit code 2 and a guess."""
    result = run("stauts")
    assert result.exit_code == 2
    assert "status" in result.stderr


def test_sigterm_ends_a_command_like_an_interrupt() -> None:
    """What service managers and `timeout` send ends a command tidily, its cleaning up included."""
    code = """
import signal, sys
from crm_pipeline.cli import app as module, main
@module.app.command()
def linger():
    try:
        print("ready", flush=True)  # inside, for the signal may come at once
        signal.pause()
    finally:
        print("cleaned up", flush=True)
sys.argv = ["crm-pipeline", "linger"]
main()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.terminate()
    output, errors = child.communicate(timeout=30)
    assert (output, errors, child.returncode) == ("cleaned up\n", "", 130)
