"""Dagster's tables are whole, wherever a process was killed that created them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.runs.migration import REQUIRED_DATA_MIGRATIONS
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import create_engine, event, inspect, text
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from crm_pipeline.orchestration.instance import opened_instance
from crm_pipeline.orchestration.schema import create_tables
from crm_pipeline.settings import Settings
from crm_pipeline_tests.servers import database_of_its_own


class Killed(BaseException):
    """Stands for the end of the process."""


def described(url: str) -> dict[str, object]:
    """Return columns and indexes of each table."""
    looked = inspect(create_engine(url, poolclass=NullPool))
    return {
        name: (
            {column["name"] for column in looked.get_columns(name)},
            {index["name"] for index in looked.get_indexes(name)},
        )
        for name in looked.get_table_names()
    }


@contextmanager
def killed_after(statements: int) -> Iterator[None]:
    """End whatever talks to PostgreSQL after so many statements that create something."""
    left = statements

    def count(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        nonlocal left
        if statement.lstrip().startswith("CREATE"):
            left -= 1
            if left < 0:
                raise Killed

    event.listen(Engine, "before_cursor_execute", count)
    try:
        with pytest.raises(Killed):
            yield
    finally:
        event.remove(Engine, "before_cursor_execute", count)


@pytest.mark.parametrize("statements", [1, 30, 48])
def test_tables_that_a_killed_process_left_are_completed(
    server_settings: Settings, postgres_url: str, instance: dg.DagsterInstance, statements: int
) -> None:
    """Dagster on its own would take them for whole."""
    with database_of_its_own(postgres_url) as url:
        with killed_after(statements):
            DagsterPostgresStorage(url, should_autocreate_tables=True)
        before = described(url)
        with opened_instance(server_settings, url) as opened:
            assert opened.get_run_records() == []
            storage: Any = opened.run_storage
            assert all(storage.has_built_index(name) for name in REQUIRED_DATA_MIGRATIONS)
        assert before != described(url) == described(str(instance.run_storage.postgres_url))  # type: ignore[attr-defined]


def test_a_killed_process_of_ours_leaves_no_tables(postgres_url: str) -> None:
    """The next start creates them."""
    with database_of_its_own(postgres_url) as url:
        with killed_after(45):
            create_tables(url)
        assert described(url) == {}
        create_tables(url)
        assert described(url)


def test_a_database_of_another_version_is_left_as_it_is(postgres_url: str) -> None:
    """To migrate it is for its owner to decide."""
    with database_of_its_own(postgres_url) as url:
        create_tables(url)
        with create_engine(url, poolclass=NullPool).begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '8ccbed5060b8'"))
            connection.execute(text("DROP TABLE pending_steps"))
        create_tables(url)
        assert "pending_steps" not in described(url)
