"""Translate other libraries' errors about a lost database or a full disk into ours.

Dagster keeps its runs in the same PostgreSQL and passes on the errors of SQLAlchemy and psycopg2, with whole
statements and their parameters. DuckDB and the operating system report a full disk in their own ways.
"""

from collections.abc import Iterator
from pathlib import Path

import psycopg2

from crm_pipeline.kernel.errors import DatabaseUnavailable, DiskFull, StoreError
from crm_pipeline.kernel.secret import redacted
from crm_pipeline.store.files.disk import disk_full, is_full, mentioned

_DEEPEST = 20
_GONE = ("08", "57P")  # connection exceptions, and a server that shuts down or recovers


def foreseen(error: BaseException, state: Path | None = None) -> StoreError | None:
    """Return our error for one that a lost database or a full disk caused; None for any other error.

    Args:
        error: of any library, with its causes.
        state: the folder of the embedded server, to name its disk; None with another server.
    """
    for cause in _causes(error):
        if isinstance(cause, StoreError):
            return cause
        if isinstance(cause, psycopg2.OperationalError | psycopg2.InterfaceError):
            return _of_postgres(cause, state)
        if is_full(cause):
            return _of_disk(cause, state)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    for _ in range(_DEEPEST):
        yield error
        # `orig` is the driver's error in SQLAlchemy's.
        cause = getattr(error, "orig", None) or error.__cause__
        if not isinstance(cause, BaseException):
            return
        error = cause


def _of_postgres(error: psycopg2.Error, state: Path | None) -> StoreError:
    reason = " ".join(redacted(str(error)).split()).partition(" Is the server running")[0]
    if is_full(error):
        failure = f"PostgreSQL could not write: {reason.rstrip('.')}"
        after = "run it again: PostgreSQL goes on by itself"
        if state is not None:
            return disk_full(failure, state, after)
        return DiskFull(
            f"{failure}.", cure=f"Free some space on the disk of that server and {after}."
        )
    if error.pgcode and not error.pgcode.startswith(_GONE):
        return StoreError(
            f"PostgreSQL could not do its work: {reason.rstrip('.')}.",
            cure="Run it again; if it persists, the server's log says more.",
        )
    return DatabaseUnavailable(
        f"PostgreSQL went away while it was needed: {reason.rstrip('.')}.",
        cure="What was committed stands. Run it again. The embedded server is started by each command that "
        "needs it, by `up` within seconds, and for `dagster dev` by `crm-pipeline db start`; see to your "
        "own one (CRM_DATABASE_URL) first.",
    )


def _of_disk(error: BaseException, state: Path | None) -> StoreError:
    named = getattr(error, "filename", None)
    file = Path(named) if isinstance(named, str) else mentioned(str(error))
    if file is None and state is not None:
        file = state.parent
    if file is None:
        return DiskFull("a disk is full.", cure="Free some space on it and start again.")
    return disk_full(f"cannot write {file}", file)
