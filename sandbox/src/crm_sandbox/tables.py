"""The tables behind one emulated account: one cursor per thread, one writer.

What the rows mean is the vendor's. A revision moves with every change, so that answers can be kept.
An account reads the prepared tables of its population and takes a copy of its own before its first change.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from crm_sandbox.populations import EMPTY, Database, Population

_BATCH = "written_batch"


class Tables:
    """One account's tables, filled when they are first asked for.

    Args:
        population: what they begin with.

    Attributes:
        revision: another one, another answer to the same question.
        lock: held while a thread writes.
    """

    def __init__(self, population: Population = EMPTY) -> None:
        self.revision = 0
        self.lock = threading.RLock()
        self._population = population
        self._database: Database | None = None
        self._local = threading.local()
        self._in_transaction = False
        self._closed = False

    @property
    def is_filled(self) -> bool:
        """Whether somebody has asked for the tables."""
        return self._database is not None

    def fill(self) -> None:
        """Fill the tables now, where what they are made of may change later."""
        _ = self._database or self._opened()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return this thread's cursor, for reading: what it changed would change for all accounts of the population."""
        database = self._database or self._opened()
        found: duckdb.DuckDBPyConnection | None = getattr(self._local, "cursor", None)
        if found is None or self._local.catalog != database.catalog:
            found = self._local.cursor = found or database.prepared.connection.cursor()
            found.execute(f"USE {database.catalog}")
            self._local.catalog = database.catalog
        return found

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give the one writer's cursor inside a transaction; an inner block joins the outer one."""
        with self.lock:
            if self._in_transaction:
                yield self.cursor()
                return
            self._database = (self._database or self._opened()).own()
            cursor = self.cursor()
            cursor.execute("BEGIN")
            self._in_transaction = True
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            else:
                cursor.execute("COMMIT")
                self.revision += 1
            finally:
                self._in_transaction = False

    def bump(self) -> None:
        """Say that answers are other ones now, for changes that are not in tables."""
        with self.lock:
            self.revision += 1

    def load(self, name: str, source: pa.Table) -> None:
        """Make a table of Arrow columns."""
        with self.writing() as cursor, _registered(cursor, source):
            cursor.execute(f'CREATE TABLE "{name}" AS SELECT * FROM {_BATCH}')

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return the rows of a query as dictionaries."""
        result = self.cursor().execute(sql, list(params))
        names = [entry[0] for entry in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def value(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """Return the first column of the first row; None where there is no row."""
        # Fetched to the end: a result that is still open keeps the cursor from other work.
        found = self.cursor().execute(sql, list(params)).fetchall()
        return found[0][0] if found else None

    def insert(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows; columns that a row does not name are null."""
        if not rows:
            return
        with self.writing() as cursor, _registered(cursor, self._typed(name, rows)):
            cursor.execute(f'INSERT INTO "{name}" BY NAME SELECT * FROM {_BATCH}')

    def update(self, name: str, key: str, changes: Mapping[Any, Mapping[str, Any]]) -> None:
        """Change rows, given as new values by column, by the value of the column `key`."""
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for one, values in changes.items():
            groups.setdefault(tuple(sorted(values)), []).append({**values, key: one})
        with self.writing() as cursor:
            for columns, rows in groups.items():
                if not columns:
                    continue
                sets = ", ".join(f'"{column}" = b."{column}"' for column in columns)
                with _registered(cursor, self._typed(name, rows)):
                    cursor.execute(
                        f'UPDATE "{name}" SET {sets} FROM {_BATCH} b '
                        f'WHERE "{name}"."{key}" = b."{key}"'
                    )

    def remove(self, name: str, key: str, values: Sequence[Any]) -> None:
        """Take away the rows whose column `key` has one of these values."""
        with (
            self.writing() as cursor,
            _registered(cursor, self._typed(name, [{key: v} for v in values])),
        ):
            cursor.execute(f'DELETE FROM "{name}" WHERE "{key}" IN (SELECT "{key}" FROM {_BATCH})')

    def close(self) -> None:
        """Give the memory back; whoever asks now gets an error."""
        with self.lock:
            self._closed = True
            if self._database is not None:
                self._database.close()

    def _opened(self) -> Database:
        """Fill the tables, unless somebody else did meanwhile."""
        with self.lock:
            if self._closed:
                raise duckdb.ConnectionException("these tables are closed")
            if self._database is None:
                self._database = self._population.open()
            return self._database

    def _typed(self, name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        """Return rows as Arrow columns of the table's own types."""
        empty: pa.Table = self.cursor().sql(f'FROM "{name}" LIMIT 0').to_arrow_table()
        schema = empty.schema
        names = list(dict.fromkeys(column for row in rows for column in row))
        if unknown := set(names) - set(schema.names):
            raise ValueError(f"'{name}' has no column {sorted(unknown)}")
        return pa.table(
            {
                column: pa.array([row.get(column) for row in rows], schema.field(column).type)
                for column in names
            }
        )


@contextmanager
def _registered(cursor: duckdb.DuckDBPyConnection, source: pa.Table) -> Iterator[None]:
    cursor.register(_BATCH, source)
    try:
        yield
    finally:
        cursor.unregister(_BATCH)
