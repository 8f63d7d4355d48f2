"""Dagster's tables in PostgreSQL, created all together or not at all.

Dagster creates them one by one, each committed by itself, and takes the first one as proof that all are there
(`PostgresEventLogStorage.__init__` of dagster-postgres 0.29). A process that is killed in between would leave a
database that no later start can use.
"""

import dagster as dg
from dagster._core.storage.event_log import SqlEventLogStorageMetadata
from dagster._core.storage.event_log.migration import (
    ASSET_DATA_MIGRATIONS,
    EVENT_LOG_DATA_MIGRATIONS,
)
from dagster._core.storage.runs import RunStorageSqlMetadata
from dagster._core.storage.runs.migration import (
    OPTIONAL_DATA_MIGRATIONS,
    REQUIRED_DATA_MIGRATIONS,
)
from dagster._core.storage.runs.schema import SecondaryIndexMigrationTable
from dagster._core.storage.schedules import ScheduleStorageSqlMetadata
from dagster._core.storage.sql import check_alembic_revision, stamp_alembic_rev
from dagster_postgres.run_storage import run_storage
from dagster_postgres.utils import pg_alembic_config
from sqlalchemy import Connection, MetaData, create_engine, inspect, select, text
from sqlalchemy.pool import NullPool

_SCHEMAS: tuple[MetaData, ...] = (
    RunStorageSqlMetadata,
    SqlEventLogStorageMetadata,
    ScheduleStorageSqlMetadata,
)
_DATA_MIGRATIONS = frozenset(
    (
        *REQUIRED_DATA_MIGRATIONS,
        *OPTIONAL_DATA_MIGRATIONS,
        *EVENT_LOG_DATA_MIGRATIONS,
        *ASSET_DATA_MIGRATIONS,
    )
)
# Any number, the same in all our processes: two that start together create the tables one after the other.
_LOCK = 4_203_137


def create_tables(database_url: str) -> None:
    """Create the tables of Dagster that the database lacks, in one transaction.

    A database of another version of Dagster is left as it is: `dagster instance migrate` is for that.
    """
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.begin() as connection:
        if not _missing(connection):
            return
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        alembic = pg_alembic_config(run_storage.__file__)
        revision, head = check_alembic_revision(alembic, connection)
        if revision not in (None, head):
            return
        for schema in _SCHEMAS:
            schema.create_all(connection)
            for table in schema.tables.values():
                for index in table.indexes:
                    index.create(connection, checkfirst=True)
        if revision is None:
            stamp_alembic_rev(alembic, connection)


def finish(instance: dg.DagsterInstance) -> None:
    """Do the steps that Dagster does after it has created its tables, as far as they are not done."""
    runs, events = instance.run_storage, instance.event_log_storage
    with runs.connect() as connection:  # type: ignore[attr-defined]
        table = SecondaryIndexMigrationTable
        done = connection.scalars(
            select(table.c.name).where(table.c.migration_completed.is_not(None))
        ).all()
    if set(done) >= _DATA_MIGRATIONS:
        return
    runs.migrate()
    runs.optimize()
    events.reindex_events()
    events.reindex_assets()


def _missing(connection: Connection) -> frozenset[str]:
    """Return the names of tables that the database lacks."""
    expected = frozenset(name for schema in _SCHEMAS for name in schema.tables)
    return expected.difference(inspect(connection).get_table_names())
