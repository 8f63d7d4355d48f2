"""The result of one SQL statement over the analysts' file, within limits, or why there is none."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.store.tables.bounds import Deadline
from crm_pipeline.store.tables.exact import exact
from crm_pipeline.store.tables.published import (
    Snapshots,
    damaged_file,
    open_published,
    open_snapshot,
)
from crm_pipeline.store.tables.reading import ReadLimits
from crm_pipeline.store.tables.statements import CURE, StatementRefused, require_reading

_ROWS_AT_ONCE = 10_000


class QueryFailed(StoreError):
    """DuckDB refuses the statement."""


@dataclass(frozen=True)
class QueryLimits:
    """How a statement is run.

    Attributes:
        memory_mb: DuckDB's limit.
        timeout_s: how long DuckDB may work; None for as long as it takes.
        unrestricted: it may do whatever this user may, without limits.
    """

    memory_mb: int = 640
    timeout_s: float | None = None
    unrestricted: bool = False


def run(data: Path, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return column names and rows of a statement over the analysts' file.

    Raises:
        StoreError: there is no file yet, or it cannot be opened.
        QueryFailed: DuckDB refuses the statement.
    """
    with result_of(data, statement, QueryLimits()) as result:
        return result.columns, [row for rows in result.chunks() for row in rows]


@contextmanager
def result_of(
    data: Path, statement: str, chosen: QueryLimits, snapshot: Path | None = None
) -> Iterator["QueryResult"]:
    """Run a statement over the analysts' file, or over a snapshot, and yield its result.

    Raises:
        StoreError: there is no file yet, or it cannot be opened.
        CorruptFile: what the statement reads of the file is damaged.
        StatementRefused: it would do more than read.
        QueryFailed: DuckDB refuses the statement, or it takes more than it may.
    """
    free = chosen.unrestricted
    limits = ReadLimits(chosen.memory_mb)
    opened = (
        open_snapshot(snapshot, limits, unrestricted=free)
        if snapshot
        else open_published(data, limits, unrestricted=free)
    )
    with closing(opened) as connection:
        deadline = Deadline(connection, None if free else chosen.timeout_s, _end_at_once(chosen))
        result = QueryResult(connection, deadline, chosen, snapshot or Snapshots(data).link)
        result.run(statement)
        yield result


@dataclass
class QueryResult:
    """The result of a statement, fetched in portions."""

    connection: duckdb.DuckDBPyConnection
    deadline: Deadline
    limits: QueryLimits
    file: Path

    def run(self, statement: str) -> None:
        """Run the statement, once."""
        with self.explained(), self.deadline.running():
            if not self.limits.unrestricted:
                require_reading(self.connection, statement)
            text, names = exact(self.connection, statement)
            self._result = self.connection.execute(text)
            # DuckDB returns nothing for a mere comment.
            description = getattr(self._result, "description", None) or ()
            self.columns = [*(names or (str(column[0]) for column in description))]

    def first(self, rows: int) -> list[tuple[Any, ...]]:
        """Return the first rows, or the next ones."""
        with self.explained(), self.deadline.running():
            return self._result.fetchmany(rows) if self.columns else []

    def chunks(self) -> Iterator[list[tuple[Any, ...]]]:
        """Yield its rows, some thousand at a time."""
        while rows := self.first(_ROWS_AT_ONCE):
            yield rows

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn DuckDB's errors into a sentence with a cure."""
        try:
            yield
        except (duckdb.OutOfMemoryException, MemoryError) as error:
            raise QueryFailed(
                f"the statement needs more than {self.limits.memory_mb} MB of memory.",
                cure="Narrow it with WHERE, fewer columns or LIMIT, or allow more with --memory-mb "
                "(CRM_MEMORY_MB).",
            ) from error
        except duckdb.InterruptException as error:
            if not self.deadline.is_over:
                raise
            raise _too_slow(self.limits) from error
        except duckdb.Error as error:
            raise damaged_file(self.file, error) or _refused(error) from error


def _refused(error: duckdb.Error) -> StoreError:
    text = f"DuckDB says: {str(error).strip().rstrip('.')}."
    if isinstance(error, duckdb.PermissionException):
        return StatementRefused(
            f"`query` reads tables of data/crm.duckdb and nothing else. {text}", cure=CURE
        )
    return QueryFailed(
        text, cure='`crm-pipeline query "SHOW ALL TABLES"` lists tables and columns.'
    )


def _too_slow(limits: QueryLimits) -> QueryFailed:
    return QueryFailed(
        f"the statement took longer than {limits.timeout_s:,.0f} s.",
        cure="Narrow it with WHERE, fewer columns or LIMIT, or allow more with --timeout SECONDS "
        "(CRM_QUERY_TIMEOUT_S).",
    )


def _end_at_once(limits: QueryLimits) -> Callable[[], None]:
    """Return a function that ends the program where DuckDB does not react to an interrupt."""

    def end() -> None:
        from crm_pipeline.cli.failures import FAILED, paragraph

        sys.stderr.write(paragraph(str(_too_slow(limits))) + "\n")
        sys.stderr.flush()
        os._exit(FAILED)

    return end
