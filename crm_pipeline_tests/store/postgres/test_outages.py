"""Other libraries' errors about a database that is gone and a disk that is full become ours."""

import errno
from pathlib import Path

import duckdb
import psycopg2
import pytest
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import OperationalError, ProgrammingError

from crm_pipeline.kernel.errors import DatabaseUnavailable, DiskFull, StoreError
from crm_pipeline.store.postgres.outages import foreseen

GONE = psycopg2.OperationalError(
    "server closed the connection unexpectedly\n\tThis probably means the server\n"
)
FULL = psycopg2.errors.DiskFull(
    'could not extend file "base/1/2": No space left on device\nHINT: x\n'
)


def sql(origin: Exception) -> Exception:
    """SQLAlchemy's error for a driver's: with the statement and its parameters."""
    return OperationalError("SELECT secrets FROM page", {"event": "a page of it"}, origin)


def because(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (GONE, DatabaseUnavailable),
        (sql(GONE), DatabaseUnavailable),
        (because(DagsterPostgresException("too many retries"), sql(GONE)), DatabaseUnavailable),
        (psycopg2.InterfaceError("connection already closed"), DatabaseUnavailable),
        (FULL, DiskFull),
        (sql(FULL), DiskFull),
        (OSError(errno.ENOSPC, "No space left on device", "/data/dagster/x"), DiskFull),
        (because(RuntimeError("a step broke"), OSError(errno.EDQUOT, "quota")), DiskFull),
        (duckdb.IOException('Could not write file "/d/x": No space left on device'), DiskFull),
        (because(RuntimeError("a step broke"), StoreError("ours.")), StoreError),
    ],
)
def test_what_is_foreseen(error: Exception, kind: type[StoreError], tmp_path: Path) -> None:
    """Each becomes one of our errors, on one line, with a cure and without the statement."""
    found = foreseen(error, tmp_path / "postgres")
    assert type(found) is kind
    text = str(found)
    assert "\n" not in text
    assert "SELECT" not in text
    assert "a page of it" not in text
    if kind is DiskFull:
        assert " MB free" in text


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        OSError(errno.EIO, "broken"),
        psycopg2.errors.UndefinedTable("relation"),
        ProgrammingError("SELECT", {}, psycopg2.errors.SyntaxError("near")),
        because(KeyError("a bug"), ValueError("another")),
    ],
)
def test_what_is_a_bug(error: Exception) -> None:
    """Any other error is a bug of ours and stays as it is."""
    assert foreseen(error) is None


def test_what_happened_meanwhile_is_no_cause() -> None:
    """A bug in handling an outage stays a bug: only an error's explicit cause counts."""
    bug = KeyError("a bug")
    bug.__context__ = GONE
    assert foreseen(bug) is None
