"""Engines that borrow an opened DuckDB find it as if it had been opened for them."""

from pathlib import Path

import pytest

from crm_pipeline.store.tables.engine import Engine

LEFT = """
SELECT table_name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal
UNION ALL SELECT database_name FROM duckdb_databases() WHERE NOT internal AND database_name <> 'memory'
"""
SETTINGS = (
    "SELECT current_setting('threads')::INT, current_setting('TimeZone'), "
    "current_setting('enable_optimizer')"
)


def engine(folder: Path) -> Engine:
    return Engine(folder / "tmp", memory_limit="257MB", threads=1)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TEMP TABLE a AS SELECT 1",
        "CREATE TEMP VIEW a AS SELECT 1",
        "CREATE TABLE a AS SELECT 1",
        "CREATE VIEW a AS SELECT 1",
        "ATTACH ':memory:' AS a",
        "SET threads = 2",
        "SET TimeZone = 'Asia/Tokyo'",
        "PRAGMA disable_optimizer",
    ],
)
def test_nothing_is_left_of_the_engine_before(tmp_path: Path, statement: str) -> None:
    """Neither tables, views and attached files, nor settings."""
    with engine(tmp_path) as one:
        one.run(statement)
    with engine(tmp_path) as other:
        assert other.rows(LEFT) == []
        assert other.row(SETTINGS) == (1, "UTC", True)


def test_engines_at_one_time_have_a_duckdb_each(tmp_path: Path) -> None:
    """What one attaches the other does not see; temporary files are in the folder of each."""
    with engine(tmp_path / "a") as one, engine(tmp_path / "b") as other:
        one.run("ATTACH ':memory:' AS a")
        assert other.rows(LEFT) == []
        for each in (one, other):
            assert each.row("SELECT current_setting('temp_directory')") == (str(each.temp),)


@pytest.mark.parametrize("rows", [None, 1], ids=["as it was", "suited to few rows"])
def test_a_duckdb_is_lent_again(tmp_path: Path, rows: int | None) -> None:
    """Its connections are counted on; a new one would count from the start. The threads are as many as before."""
    numbers = []
    for _ in range(3):
        with Engine(tmp_path / "tmp", memory_limit="258MB", threads=2) as one:
            number, threads = one.row(
                "SELECT current_connection_id(), current_setting('threads')::INT"
            )
            assert threads == 2
            numbers.append(number)
            if rows is not None:
                one.suit(rows)
    assert numbers == sorted(set(numbers))
