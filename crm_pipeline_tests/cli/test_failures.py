import errno

import psycopg2
import pytest
import typer
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from crm_pipeline.cli import _debug_first
from crm_pipeline.cli.failures import ExplainingGroup
from crm_pipeline.kernel.errors import (
    AuthFailed,
    ConfigError,
    CrmError,
    DatabaseUnavailable,
    SecretMissing,
    StoreError,
    UnknownName,
)


def sqlalchemy_of(origin: Exception) -> Exception:
    """What Dagster's storage raises: an error with pages of SQL."""
    return OperationalError("SELECT\n  everything", {"event": "x" * 5_000}, origin)


FAILURES = [
    (ConfigError("a.", cure="b."), 2, "error: a. b."),
    (SecretMissing("ACME_SECRET", owner="acme"), 2, "ACME_SECRET"),
    (UnknownName("object", "Contcat", ["Contact"]), 2, "Did you mean 'Contact'?"),
    (StoreError("disk\n   full.", cure="Free some."), 1, "error: disk full. Free some."),
    (DatabaseUnavailable("no server."), 1, "error: no server."),
    (AuthFailed("refused: client_secret=hush-hush&x=1"), 1, "client_secret=***"),
    (sqlalchemy_of(psycopg2.OperationalError("server closed\nit")), 1, "What was committed stands"),
    (sqlalchemy_of(psycopg2.errors.DiskFull("No space left on device")), 1, " MB free)"),
    (
        OSError(errno.ENOSPC, "No space left on device", "/x/y"),
        1,
        "cannot write /x/y. The disk is full",
    ),
    (OSError(errno.EIO, "Input/output error"), 70, "--debug"),
    (ZeroDivisionError("x"), 70, "--debug"),
    (KeyboardInterrupt(), 130, ""),
]


def failing(error: BaseException) -> typer.Typer:
    app = typer.Typer(cls=ExplainingGroup, pretty_exceptions_enable=False)

    @app.callback()
    def options(debug: bool = False) -> None:
        pass

    @app.command()
    def work() -> None:
        raise error

    return app


@pytest.mark.parametrize(("error", "code", "text"), FAILURES)
def test_one_paragraph_and_a_code(error: BaseException, code: int, text: str) -> None:
    """Each error ends in its exit code and one line on stderr, with no traceback and no secret."""
    result = CliRunner().invoke(failing(error), ["work"])

    assert result.exit_code == code
    assert text in result.stderr
    assert result.stderr.count("\n") == (1 if text else 0)
    assert "Traceback" not in result.output
    assert "hush-hush" not in result.output
    assert "everything" not in result.output or code == 70
    assert result.stdout == ""


@pytest.mark.parametrize(("error", "code", "text"), FAILURES[:-1])
def test_debug_adds_the_traceback(error: BaseException, code: int, text: str) -> None:
    """With --debug the traceback precedes the same paragraph; secrets stay hidden in it, too."""
    result = CliRunner().invoke(failing(error), ["--debug", "work"])

    assert result.exit_code == code
    assert "Traceback (most recent call last)" in result.stderr
    assert text in result.stderr
    assert "hush-hush" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "understood"),
    [
        (["check"], ["check"]),
        (["check", "--debug"], ["--debug", "check"]),
        (["--debug", "check", "a"], ["--debug", "check", "a"]),
        (["query", "--", "--debug"], ["query", "--", "--debug"]),
    ],
)
def test_debug_may_stand_anywhere(arguments: list[str], understood: list[str]) -> None:
    """--debug counts wherever it stands, except behind `--`."""
    assert _debug_first(arguments) == understood


def test_exit_codes_of_commands_pass() -> None:
    """A command's own exit code is not touched."""
    assert CliRunner().invoke(failing(typer.Exit(3)), ["work"]).exit_code == 3
    assert CliRunner().invoke(failing(CrmError("x")), ["wrok"]).exit_code == 2
