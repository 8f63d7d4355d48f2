"""Run SQL over Parquet with DuckDB: in memory, bounded, one engine for one piece of work.

Belongs here: opening DuckDB with limits, naming the steps of a query, writing Parquet.
Does not belong here: the tables and their SQL; names in SQL (`model.names`).
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import duckdb
import psutil
import pyarrow as pa

from crm_pipeline.kernel.errors import StoreError, UnfitValue
from crm_pipeline.kernel.identity import sortable_id
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.store import files
from crm_pipeline.store.files.disk import disk_full, mentioned, named, tells_full

ROW_GROUP_ROWS = 20_480
"""A thread holds a row group in memory for reading and for writing, so this bounds a stage's memory."""
_NARROW_ROW_GROUP_ROWS = 4_096
_FEW_ROWS = 100_000
"""A row group of DuckDB's: fewer rows are read by one thread anyway."""
_PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE_BYTES '64MB'"
T = TypeVar("T")


def parquet_files(paths: Sequence[Path], options: str = "") -> str:
    """Return SQL that reads Parquet files by column name."""
    listed = ", ".join(literal(str(path)) for path in paths)
    return f"read_parquet([{listed}], union_by_name = true{options})"


def private_temp(folder: Path) -> Path:
    """Return a path below a folder for one DuckDB's temporary files; leftovers of dead processes are removed."""
    return folder / f"engine-{os.getpid()}-{sortable_id()}"


class Engine:
    """A DuckDB in memory with limits; use it as a context manager.

    Args:
        temp: folder for data that does not fit into memory; a subfolder is made there.
        memory_limit: as DuckDB writes it. A statement that does not fit with several threads is run by one.
    """

    def __init__(self, temp: Path, *, memory_limit: str = "640MB", threads: int = 2) -> None:
        self.temp = private_temp(temp)
        self.memory_limit = memory_limit
        self.threads = self._most_threads = threads
        self._has_few_rows = False
        self._connection: duckdb.DuckDBPyConnection | None = None

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The DuckDB connection, opened at first use."""
        if self._connection is None:
            _remove_leftovers(self.temp.parent)
            files.make_folder(self.temp)
            self._connection = duckdb.connect(
                ":memory:",
                config={
                    "memory_limit": self.memory_limit,
                    "threads": self.threads,
                    "temp_directory": str(self.temp),
                    "preserve_insertion_order": False,
                    "autoinstall_known_extensions": False,
                },
            )
            self._connection.execute("SET TimeZone = 'UTC'")
        return self._connection

    def suit(self, rows: int) -> None:
        """Use one thread from now on for few rows, and all threads for more.

        A second thread has nothing to do there, and makes each of the many small statements of a build dearer.
        """
        threads = 1 if rows < _FEW_ROWS else self._most_threads
        self._has_few_rows = rows <= ROW_GROUP_ROWS
        if threads != self.threads and self._connection is not None:
            self.run(f"SET threads = {threads}")
        self.threads = threads

    def run(self, sql: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> None:
        """Execute one statement.

        Raises:
            StoreError: DuckDB refuses it, or memory or disk are not enough.
        """
        self._executed(sql, params)

    def rows(
        self, sql: str, params: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Execute one statement and return all its rows; for small results only."""
        return self._executed(sql, params)

    def row(
        self, sql: str, params: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> tuple[Any, ...]:
        """Execute a statement that yields one row and return the row."""
        [row] = self._executed(sql, params)
        return tuple(row)

    def arrow(self, sql: str) -> pa.Table:
        """Execute one statement and return its rows as an Arrow table; for bounded results only."""
        with self._explained(sql):
            return self.connection.sql(sql).to_arrow_table()

    def batches(self, sql: str, rows: int) -> Iterator[pa.RecordBatch]:
        """Execute one statement and yield its rows in record batches; nothing else may run meanwhile."""
        with self._explained(sql):
            yield from self.connection.sql(sql).to_arrow_reader(rows)

    def view(self, name: str, sql: str) -> str:
        """Name a query, so that the next step and a debugger can select from it; return the quoted name."""
        self.run(f"CREATE OR REPLACE TEMP VIEW {quoted(name)} AS {sql}")
        return quoted(name)

    def table(self, name: str, sql: str) -> str:
        """Compute a query once and name its result; return the quoted name."""
        self.run(f"CREATE OR REPLACE TEMP TABLE {quoted(name)} AS {sql}")
        return quoted(name)

    def step(self, name: str, sql: str) -> str:
        """Name a query that several statements read; return the quoted name.

        Few rows, see `suit`, are computed once: planning a statement with many columns takes longer than running it.
        """
        return self.table(name, sql) if self._has_few_rows else self.view(name, sql)

    def load(self, name: str, rows: pa.Table) -> str:
        """Load rows made in Python into a named table; return the quoted name."""
        with self.registered(rows) as loaded:
            return self.table(name, f"SELECT * FROM {loaded}")

    def function(self, name: str, call: Callable[[str], str]) -> None:
        """Let statements call a function of Python on single texts; it is slow, so for few rows only."""
        known = self.rows("SELECT 1 FROM duckdb_functions() WHERE function_name = ?", [name])
        if not known:
            self.connection.create_function(name, call, ["VARCHAR"], "VARCHAR")

    @contextmanager
    def registered(self, rows: pa.Table) -> Iterator[str]:
        """Let statements select from rows made in Python, by the name that is yielded."""
        self.connection.register("_loaded", rows)
        try:
            yield "_loaded"
        finally:
            self.connection.unregister("_loaded")

    def columns(self, relation: str) -> dict[str, str]:
        """Return the columns of a relation and their types, in order."""
        columns = self.rows(f"DESCRIBE SELECT * FROM {relation}")
        return {name: kind for name, kind, *_ in columns}

    def copy_to(self, sql: str, path: Path, *, metadata: Mapping[str, str] | None = None) -> int:
        """Write the rows of a query to a Parquet file and return how many there were."""
        entries = ", ".join(
            f"{quoted(key)}: {literal(text)}" for key, text in (metadata or {}).items()
        )
        extra = f", KV_METADATA {{{entries}}}" if entries else ""

        def copied(row_group: int) -> int:
            form = f"{_PARQUET}, ROW_GROUP_SIZE {row_group}{extra}"
            copy = f"COPY ({sql}) TO {literal(str(path))} ({form})"
            [row] = self.connection.execute(copy).fetchall()
            return int(row[0])

        with self._explained(sql):
            return self._frugally(
                lambda: copied(ROW_GROUP_ROWS), lambda: copied(_NARROW_ROW_GROUP_ROWS)
            )

    def rollback(self) -> None:
        """Roll back the open transaction, if there is one."""
        with suppress(duckdb.Error):
            self.connection.rollback()

    def close(self) -> None:
        """Close DuckDB and remove its temporary files."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        shutil.rmtree(self.temp, ignore_errors=True)

    def _executed(
        self, sql: str, params: Sequence[Any] | Mapping[str, Any] | None
    ) -> list[tuple[Any, ...]]:
        """Execute a statement and fetch all rows: an open result blocks `load`, and may still need memory."""

        def once() -> list[tuple[Any, ...]]:
            return self.connection.execute(sql, params).fetchall()

        with self._explained(sql):
            return self._frugally(once, once)

    def _frugally(self, attempt: Callable[[], T], again: Callable[[], T]) -> T:
        """Return the result of `attempt`, or, where memory is not enough, of `again` with one thread.

        Each thread holds a row group of its own, unpacked into all its fields. For records with hundreds of fields
        two row groups may be too much.
        """
        try:
            return attempt()
        except duckdb.OutOfMemoryException as error:
            if self.threads == 1:
                raise
            too_much = error
        try:
            self.connection.execute("SET threads = 1")
            return again()
        except duckdb.TransactionException:
            # The first attempt has aborted its transaction, so its error is the one to report.
            raise too_much from None
        finally:
            with suppress(duckdb.TransactionException):
                self.connection.execute(f"SET threads = {self.threads}")

    @contextmanager
    def _explained(self, sql: str) -> Iterator[None]:
        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise self._too_little(str(error)) from error
        except (duckdb.DataError, duckdb.InvalidInputException) as error:
            # Its text quotes the value that did not fit, which may be personal data.
            raise UnfitValue(
                f"DuckDB: a value does not fit ({type(error).__name__}).",
                cure=f"The statement began: {sql[:200]}",
            ) from None
        except duckdb.Error as error:
            if tells_full(str(error)):
                file = mentioned(str(error)) or self.temp
                raise disk_full(f"DuckDB cannot write {file}", file) from error
            raise StoreError(
                f"DuckDB: {error}", cure=f"The statement began: {sql[:200]}"
            ) from error

    def _too_little(self, text: str) -> StoreError:
        """Return the error about too little memory; DuckDB's own text is a page long."""
        need = f"DuckDB needs more than {self.memory_limit} of memory"
        if "max_temp_directory_size" in text:  # nine tenths of the free space at the start
            failure = f"{need}, and {self.temp.parent} has no room for what it moves out"
            return disk_full(failure, self.temp, "start again, or set CRM_MEMORY_MB higher")
        return StoreError(
            f"{need}: {text.partition(chr(10))[0]}",
            cure=f"Set CRM_MEMORY_MB higher, or make room on {named(self.temp)}.",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files of killed processes."""
    for left in folder.glob("engine-*-*"):
        pid = left.name.split("-")[1]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
