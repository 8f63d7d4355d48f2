"""Fixtures: one embedded PostgreSQL for the session, and a database of its own for each test."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    yield url
    server.stop()


def _run_in_postgres(url: str, statement: str) -> None:
    plain = url.replace("+psycopg2", "").replace("/crm?", "/postgres?")
    connection = psycopg2.connect(plain)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


@contextmanager
def database_of_its_own(postgres_url: str) -> Iterator[str]:
    """A migrated database for some tests: what is written to `postgres_url` is in every new one."""
    name = f"t{sortable_id()}"
    _run_in_postgres(postgres_url, f"CREATE DATABASE {name} TEMPLATE crm")
    yield postgres_url.replace("/crm?", f"/{name}?")
    _run_in_postgres(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def fresh_url(postgres_url: str) -> Iterator[str]:
    with database_of_its_own(postgres_url) as url:
        yield url


@pytest.fixture
def database(fresh_url: str) -> Iterator[Database]:
    """A database of this test alone, migrated."""
    with Database(fresh_url) as database:
        yield database
