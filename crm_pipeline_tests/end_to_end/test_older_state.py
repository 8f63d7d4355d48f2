"""State that older versions wrote is read by this one, with equal results.

`crm_pipeline_tests/state` holds what about every fiftieth commit wrote below `data/` in two runs of `demo` over 40
emulated contacts, with its connections.yaml, and what it published. README.md there says how to add one.
"""

import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pytest

from crm_pipeline.connectors.registry import connector
from crm_pipeline.settings import Settings, load_settings
from crm_pipeline.stages.normalized import normalize, tables_for
from crm_pipeline.stages.published import publish
from crm_pipeline.store.engine import Engine
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.tables import Tables

INACTIVE = "connection = 'pipedrive_demo' AND NOT is_active"
MENDED = {
    # Users of Pipedrive who may not log in any more counted as deleted. A mended rule reaches what had
    # landed; what the vendor says stands in `custom` since then.
    "2026-11-25-8d2f127": {
        "users": "connection = 'pipedrive_demo'",
        "users_deleted": "connection = 'pipedrive_demo'",
    }
}
"""Rows that are right now and were wrong then, by state and table."""
STATES = sorted((Path(__file__).parent.parent / "state").glob("*.tar.xz"))


@pytest.fixture
def mended(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """What is not compared."""
    name: str = request.node.callspec.params["older"].name.removesuffix(".tar.xz")
    return MENDED.get(name, {})


@pytest.fixture(params=STATES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A project as an older version left it."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return load_settings(tmp_path, environ={})


def test_what_an_older_version_wrote_gives_the_same_tables(
    older: Settings, mended: Mapping[str, str]
) -> None:
    """Every row that it published comes out again: from its own tables, and built anew from its landing."""
    expected = [path.rename(path.with_suffix(".expected")) for path in published(older)]
    publish_from(older)
    assert changed(older, expected, mended) == {}
    shutil.rmtree(older.data / "tables")
    build(older)
    publish_from(older)
    assert changed(older, expected, mended) == {}
    if "pipedrive_demo" in older.connections:
        assert inactive_users(older)


def inactive_users(older: Settings) -> list[tuple[object, ...]]:
    with duckdb.connect() as database:
        users = older.data / "published" / "users.parquet"
        return database.execute(f"FROM '{users}' WHERE {INACTIVE}").fetchall()


def published(older: Settings) -> list[Path]:
    return sorted((older.data / "published").glob("*.parquet"))


def publish_from(older: Settings) -> None:
    with Engine(older.data / "tmp") as engine:
        publish(Landing(older.data), Tables(older.data), engine)


def build(older: Settings) -> None:
    landing, tables = Landing(older.data), Tables(older.data)
    with Engine(older.data / "tmp") as engine:
        for connection in older.connections.values():
            vendor = connector(connection.vendor)
            keys = getattr(vendor, "keys", None)
            for table in tables_for(connection, vendor.mapping):
                normalize(connection, table, landing, tables, vendor.mapping, engine, keys)


def changed(
    older: Settings, expected: list[Path], mended: Mapping[str, str]
) -> dict[str, list[tuple[object, ...]]]:
    """Return the tables whose rows differ, with some of those rows."""
    with duckdb.connect() as database:
        found = {
            path.stem: differences(
                database, path, path.with_suffix(".parquet"), mended.get(path.stem, "false")
            )
            for path in expected
        }
    return {name: rows for name, rows in found.items() if rows}


def differences(
    database: duckdb.DuckDBPyConnection, before: Path, after: Path, mended: str
) -> list[tuple[object, ...]]:
    """Return rows that are not in both files, by the columns that the older one has."""
    old, new = (f"read_parquet('{path}')" for path in (before, after))
    columns = ", ".join(
        f'"{row[0]}"' for row in database.execute(f"DESCRIBE FROM {old}").fetchall()
    )
    one, other = (
        f"SELECT {columns} FROM {source} WHERE ({mended}) IS NOT TRUE" for source in (old, new)
    )
    return database.execute(
        f"(FROM ({one} EXCEPT ALL {other}) LIMIT 3) UNION ALL (FROM ({other} EXCEPT ALL {one}) LIMIT 3)"
    ).fetchall()
