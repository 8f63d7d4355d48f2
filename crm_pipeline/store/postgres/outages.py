"""What other libraries raise when a database goes away or a disk fills: our errors for theirs.

Dagster keeps its runs in the same PostgreSQL and hands on what SQLAlchemy and psycopg2 say, with whole
statements and their parameters; DuckDB and the system say in their ways that a disk is full.
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
    """Return what an error comes from, where that is the surroundings; None for anything else.

    Args:
        error: of any library, with what it came from.
        state: the folder of the embedded server, to name its disk; None where the server is another.
    """
    for one in _origins(error):
        if isinstance(one, StoreError):
            return one
        if isinstance(one, psycopg2.OperationalError | psycopg2.InterfaceError):
            return _of_postgres(one, state)
        if is_full(one):
            return _of_disk(one, state)
    return None


def _origins(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from, as far as it says so itself."""
    for _ in range(_DEEPEST):
        yield error
        # SQLAlchemy names the driver's error so.
        origin = getattr(error, "orig", None) or error.__cause__
        if not isinstance(origin, BaseException):
            return
        error = origin


def _of_postgres(error: psycopg2.Error, state: Path | None) -> StoreError:
    words = " ".join(redacted(str(error)).split()).partition(" Is the server running")[0]
    if is_full(error):
        what = f"PostgreSQL could not write: {words.rstrip('.')}"
        after = "run it again: PostgreSQL goes on by itself"
        if state is not None:
            return disk_full(what, state, after)
        return DiskFull(f"{what}.", cure=f"Free some space on the disk of that server and {after}.")
    if error.pgcode and not error.pgcode.startswith(_GONE):
        return StoreError(
            f"PostgreSQL could not do its work: {words.rstrip('.')}.",
            cure="Run it again; if it persists, the server's log says more.",
        )
    return DatabaseUnavailable(
        f"PostgreSQL went away while it was needed: {words.rstrip('.')}.",
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
