"""Fixtures: one embedded PostgreSQL for the session, and a database of its own for each test."""

import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from crm_pipeline.kernel.identity import sortable_id
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.postgres.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder for servers. Not pytest's: every session of pytest closes that one to others again,
    and a server that root runs as another user then dies."""
    with tempfile.TemporaryDirectory(prefix="crm-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres_url(server_folder: Path) -> Iterator[str]:
    server = EmbeddedServer(server_folder / "shared")
    url = server.start()
    with Database(url) as template:
        template.migrate()
    with closing(_connected(url)) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET fsync = off")  # no power cut is part of a test
        cursor.execute("SELECT pg_reload_conf()")
    _LENDERS[url] = Databases(url)
    yield url
    _LENDERS.pop(url).close()
    server.stop()


def _connected(url: str, database: str = "") -> Any:
    """Connect by a URL of SQLAlchemy's, to its database or to another one; each statement is a transaction."""
    plain = url.replace("+psycopg2", "")
    connection = psycopg2.connect(plain.replace("/crm?", f"/{database}?") if database else plain)
    connection.autocommit = True
    return connection


_MIGRATIONS = "crm_state.migrations"
# Numbers of tables are kept by a copy, so one that was made anew is another.
_RELATIONS = """
SELECT c.oid::regclass::text, c.oid, c.relkind, c.relnatts, c.relchecks, c.relhasindex, c.relhastriggers
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relkind <> 'i' ORDER BY 1
"""
_END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = %s AND backend_type = 'client backend'
"""


def _state(cursor: Any) -> tuple[list[Any], list[Any]]:
    """Return the tables of a database, and which migrations it has had."""
    cursor.execute(_RELATIONS)
    relations = cursor.fetchall()
    if not any(name == _MIGRATIONS for name, *_ in relations):
        return relations, []
    cursor.execute(f"SELECT * FROM {_MIGRATIONS} ORDER BY name")
    return relations, cursor.fetchall()


class Databases:
    """Migrated databases of one server, lent to one test after another.

    Making one costs the server forty times as much as emptying one. Whoever gets one gets a name that
    nobody has had: what an earlier borrower left behind (a thread, a program) cannot reach it. One that
    comes back with another schema, or that somebody still works in, is not lent again.

    Args:
        url: of the server; its database `crm` is migrated, and what each new one is made from.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._server = _connected(url, "postgres")
        self._free: deque[str] = deque()
        with closing(_connected(url)) as connection, connection.cursor() as cursor:
            self._relations, self._migrations = _state(cursor)

    @contextmanager
    def borrowed(self) -> Iterator[str]:
        """Lend an empty database and yield its URL."""
        name = f"t{sortable_id()}"
        # The one that came back last may still have sessions that end.
        if len(self._free) < 2 or not self._renew(self._free.popleft(), name):
            self._do(f"CREATE DATABASE {name} TEMPLATE crm")
        yield self._url.replace("/crm?", f"/{name}?")
        self._do(_END_SESSIONS, name)
        self._free.append(name)

    def close(self) -> None:
        self._server.close()

    def _do(self, statement: str, *values: Any) -> None:
        with self._server.cursor() as cursor:
            cursor.execute(statement, values)

    def _renew(self, former: str, name: str) -> bool:
        """Rename a database and empty it; drop it where it is not what it was when it was made."""
        try:
            self._do(f"ALTER DATABASE {former} RENAME TO {name}")
        except psycopg2.Error:  # it was dropped, or somebody holds on to it
            self._do(f"DROP DATABASE IF EXISTS {former} WITH (FORCE)")
            return False
        with closing(_connected(self._url, name)) as connection, connection.cursor() as cursor:
            is_same = _state(cursor) == (self._relations, self._migrations)
            if is_same:
                tables = [
                    name
                    for name, _, kind, *_ in self._relations
                    if kind == "r" and name != _MIGRATIONS
                ]
                cursor.execute("; ".join(f"DELETE FROM {name}" for name in tables))
        if not is_same:
            self._do(f"DROP DATABASE {name} WITH (FORCE)")
        return is_same


_LENDERS: dict[str, Databases] = {}


@contextmanager
def database_of_its_own(postgres_url: str) -> Iterator[str]:
    """A migrated, empty database for some tests, on the server that `postgres_url` gave."""
    with _LENDERS[postgres_url].borrowed() as url:
        yield url


@pytest.fixture
def fresh_url(postgres_url: str) -> Iterator[str]:
    with database_of_its_own(postgres_url) as url:
        yield url


@pytest.fixture
def database(fresh_url: str) -> Iterator[Database]:
    """A database of this test alone, migrated."""
    with Database(fresh_url) as database:
        yield database
