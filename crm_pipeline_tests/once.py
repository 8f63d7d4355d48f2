"""Fixtures that make what is the same for all tests once per session; nobody asks for them by name.

Publishing writes a comment on each of some 1,200 columns, which is four tenths of its time in a world of a
few records. The statements are gathered as always; where a database was made of the very same ones, it is
copied instead, and so are Parquet files without rows. Every build opens a DuckDB to run its SQL; opening takes longer than what a test lets it do.
"""

import hashlib
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crm_pipeline.model.names import literal
from crm_pipeline.stages.published.empty import EmptyTables
from crm_pipeline.store.files import make_folder
from crm_pipeline.store.tables.engine import Engine

Statements = list[str]
_NULL = r'(CAST\(NULL AS [^"]*\)|NULL::[^"]*) AS "[^"]*"'
_NO_ROWS = re.compile(rf"SELECT {_NULL}(, {_NULL})* WHERE false")


class _Listener:
    """An engine that gathers statements and carries out everything else."""

    def __init__(self, engine: Engine) -> None:
        self.statements: Statements = []
        self._engine = engine

    def run(self, sql: str) -> None:
        self.statements.append(sql)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def _remembering(folder: Path, make: Callable[..., None], *, at_once: bool) -> Callable[..., None]:
    """Keep the tables alone when they are first made, and all with its views at once or when made a second time."""

    def create(build: Any, *arguments: Any) -> None:
        listener = _Listener(build.engine)
        make(replace(build, engine=listener), *arguments)
        run = build.engine.run
        attach, *made, copy, detach = listener.statements
        memory = attach.removeprefix("ATTACH ':memory:' AS ")
        whole, seen = _place(folder, made), _place(folder, made).with_suffix(".seen")
        if whole.exists():
            _copy(run, whole, copy.removeprefix(f"COPY FROM DATABASE {memory} "))
            return
        at = [*(sql.startswith("CREATE VIEW") for sql in made), True].index(True)
        tables, views = made[:at], made[at:]
        run(attach)
        try:
            if _place(folder, tables).exists():
                _copy(run, _place(folder, tables), f"TO {memory} (SCHEMA)")
            else:
                for sql in tables:
                    run(sql)
                _keep(run, memory, _place(folder, tables))
            for sql in (*views, copy):
                run(sql)
            if at_once or seen.exists():
                _keep(run, memory, whole)
            seen.touch()
        finally:
            run(detach)

    return create


def _place(folder: Path, statements: Statements) -> Path:
    return folder / f"{hashlib.sha256('; '.join(statements).encode()).hexdigest()}.duckdb"


def _copy(run: Callable[[str], None], kept: Path, to: str) -> None:
    run(f"ATTACH '{kept}' AS kept (READ_ONLY)")
    try:
        run(f"COPY FROM DATABASE kept {to}")
    finally:
        run("DETACH kept")


def _keep(run: Callable[[str], None], memory: str, kept: Path) -> None:
    new = Path(f"{kept}.{os.getpid()}")  # whoever is killed here leaves it behind
    run(f"ATTACH '{new}' AS kept")
    run(f"COPY FROM DATABASE {memory} TO kept (SCHEMA)")
    run("DETACH kept")
    new.rename(kept)


def _copying(folder: Path, copy_to: Callable[..., int]) -> Callable[..., int]:
    """Write a Parquet file without rows once, and copy it."""

    def copied(
        engine: Engine, sql: str, path: Path, *, metadata: Mapping[str, str] | None = None
    ) -> int:
        if not _NO_ROWS.fullmatch(sql):
            return copy_to(engine, sql, path, metadata=metadata)
        kept = folder / f"{hashlib.sha256(f'{sql} {metadata}'.encode()).hexdigest()}.parquet"
        if not kept.exists():
            new = Path(f"{kept}.{os.getpid()}")
            copy_to(engine, sql, new, metadata=metadata)
            new.rename(kept)
        shutil.copyfile(kept, path)
        return 0

    return copied


@contextmanager
def empty_ones_kept_in(folder: Path, *, at_once: bool = False) -> Iterator[None]:
    """Keep empty databases and files in a folder and copy them; for programs that publish again and again, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            EmptyTables, "create", _remembering(folder, EmptyTables.create, at_once=at_once)
        )
        patch.setattr(Engine, "copy_to", _copying(folder, Engine.copy_to))
        yield


@pytest.fixture(scope="session", autouse=True)
def remembered_empty_ones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with empty_ones_kept_in(tmp_path_factory.mktemp("empty")):
        yield


_Database = duckdb.DuckDBPyConnection
_SEEN_FROM_OUTSIDE = """
SELECT (SELECT count(*) FROM duckdb_databases()), (SELECT count(*) FROM duckdb_tables()),
       (SELECT count(*) FROM duckdb_views() WHERE NOT internal), current_setting('threads')
"""
_TIGHT_MB = 256


class _Pool:
    """Opened DuckDBs, lent to one engine at a time.

    An engine works in a cursor, whose temporary tables and views end with it. A DuckDB that comes back with
    anything else (an attached file, data in its temporary folder) is closed; a changed number of threads is set
    back: `Engine.suit` changes it. Engines with little memory are tests of just that, and open their own.
    """

    def __init__(self) -> None:
        self._free: dict[tuple[str, int], list[_Database]] = defaultdict(list)
        self._lent: dict[int, tuple[_Database, tuple[str, int]]] = {}
        self._as_opened: dict[tuple[str, int], list[tuple[Any, ...]]] = {}

    def lend(self, engine: Engine, opened: Callable[[Engine], _Database]) -> _Database:
        """Return a cursor of a DuckDB with the engine's limits, or, with little memory, a DuckDB."""
        limits = (engine.memory_limit, engine.threads)
        if int(engine.memory_limit.removesuffix("MB")) < _TIGHT_MB:
            return opened(engine)
        if self._free[limits]:
            database = self._free[limits].pop()
            make_folder(engine.temp)
            database.execute(f"SET temp_directory = {literal(str(engine.temp))}")
        else:
            database = opened(engine)
            self._as_opened.setdefault(limits, database.execute(_SEEN_FROM_OUTSIDE).fetchall())
        self._lent[id(engine)] = database, limits
        cursor = database.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        return cursor

    def take_back(self, engine: Engine, closed: Callable[[Engine], None]) -> None:
        has_spilled = engine.temp.exists() and any(engine.temp.iterdir())
        closed(engine)
        if id(engine) not in self._lent:
            return
        database, limits = self._lent.pop(id(engine))
        if engine.threads != limits[1]:
            database.execute(f"SET threads = {limits[1]}")
        if (
            has_spilled
            or database.execute(_SEEN_FROM_OUTSIDE).fetchall() != self._as_opened[limits]
        ):
            database.close()
        else:
            self._free[limits].append(database)

    def close(self) -> None:
        for database in chain.from_iterable(self._free.values()):
            database.close()


@pytest.fixture(scope="session", autouse=True)
def engines_of_a_pool() -> Iterator[None]:
    """Engines borrow an opened DuckDB."""
    pool, opened, closed = _Pool(), Engine.connection.fget, Engine.close  # type: ignore[attr-defined]
    assert opened is not None

    def connection(engine: Engine) -> _Database:
        if engine._connection is None:
            engine._connection = pool.lend(engine, opened)
        return engine._connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "connection", property(connection))
        patch.setattr(Engine, "close", lambda engine: pool.take_back(engine, closed))
        yield
    pool.close()
