"""State that older versions wrote is read by this one, with equal results.

`crm_pipeline_tests/state` holds what about every fiftieth commit wrote below `data/` in two runs of `demo` over 40
emulated contacts, with its connections.yaml, and what it published. README.md there says how to add one. The tests read
the oldest state and the newest; `CRM_STATES=all` reads each, as `make campaign ARGS='--only States'` does.
"""

import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors.registry import connector
from crm_pipeline.settings import Settings
from crm_pipeline.stages.normalized import normalize, tables_for
from crm_pipeline.stages.published import publish
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine

INACTIVE = "connection = 'pipedrive_demo' AND NOT is_active"
_OTHER_MEANING: Mapping[str, frozenset[str]] = {
    # Pipedrive's times of the day were not read; states and directions of calls were the vendors' own words.
    "activities": frozenset(
        {"starts_at", "ends_at", "is_closed", "duration_minutes", "call_direction", "call_result"}
    ),
    "companies": frozenset({"industry"}),  # Pipedrive's option has its label
    "contacts": frozenset(
        {"full_name", "email_opt_out"}
    ),  # composed; all subscriptions and channels count
    "deal_stage_history": frozenset({"changed_at", "changed_by_source_id", "changed_by_key"}),
    "deals": frozenset({"source"}),  # Pipedrive's channel, not how the deal was made
    "leads": frozenset({"full_name", "currency"}),
    "products": frozenset({"family", "currency"}),
    "users": frozenset({"full_name"}),
}
"""Columns that have more or other values when this version builds the landed records."""
_CAME = {"associations": "role = 'participant'", "users": "NOT is_active"}
_LEFT = {"users_deleted": "true"}
"""Tables with more or fewer rows in this version: participants of activities; users who left are live."""
STATES = sorted((Path(__file__).parent.parent / "state").glob("*.tar.xz"))
READ = STATES if os.environ.get("CRM_STATES") == "all" else [STATES[0], STATES[-1]]


@pytest.fixture(params=READ, ids=lambda path: path.name.removesuffix(".tar.xz"))
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A project as an older version left it."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return load_settings(tmp_path, environ={})


def test_what_an_older_version_wrote_gives_the_same_tables(older: Settings) -> None:
    """Every row that it published is published again from its own tables; built again, except for columns that have changed their meaning."""
    expected = [path.rename(path.with_suffix(".expected")) for path in published(older)]
    publish_from(older)
    assert changed(expected) == {}
    shutil.rmtree(older.data / "tables")
    build(older)
    publish_from(older)
    assert changed(expected, is_built=True) == {}
    if "pipedrive_demo" in older.connections:
        assert inactive_users(older)


def inactive_users(older: Settings) -> list[tuple[object, ...]]:
    users = older.data / "published" / "users.parquet"
    with duckdb.connect() as database:
        return database.execute(f"FROM '{users}' WHERE {INACTIVE}").fetchall()


def published(older: Settings) -> list[Path]:
    return sorted((older.data / "published").glob("*.parquet"))


@contextmanager
def engine_of(older: Settings) -> Iterator[Engine]:
    """Open an engine that plans quickly: optimising takes longer than work on 40 contacts.

    Optimised, the same SQL runs in all other tests.
    """
    with Engine(older.data / "tmp", threads=1) as engine:
        engine.run("PRAGMA disable_optimizer")
        yield engine


def publish_from(older: Settings) -> None:
    with engine_of(older) as engine:
        publish(Landing(older.data), Tables(older.data), engine)


def build(older: Settings) -> None:
    landing, tables = Landing(older.data), Tables(older.data)
    with engine_of(older) as engine:
        for connection in older.connections.values():
            vendor = connector(connection.vendor)
            keys = getattr(vendor, "keys", None)
            for table in tables_for(connection, vendor.mapping):
                normalize(connection, table, landing, tables, vendor.mapping, engine, keys)


def changed(expected: list[Path], *, is_built: bool = False) -> dict[str, list[str]]:
    """Return what differs, by table."""
    with duckdb.connect() as database:  # one: opening it takes longer than reading a file
        by_table = {
            path.stem: list(differences(database, path, is_built=is_built)) for path in expected
        }
    return {name: differing for name, differing in by_table.items() if differing}


def differences(
    database: duckdb.DuckDBPyConnection, before: Path, *, is_built: bool
) -> Iterator[str]:
    """Yield what differs of a table, by the columns that the older one has."""
    name = before.stem
    after = before.with_suffix(".parquet")
    key = database.execute(f"DESCRIBE FROM read_parquet('{before}')").fetchall()[3][0]
    old = rows(database, before, key, _LEFT.get(name, "false") if is_built else "false")
    new = rows(database, after, key, _CAME.get(name, "false") if is_built else "false")
    if is_built and name == "users":
        live = rows(database, after, key, "false")
        new |= {one: row for one, row in live.items() if one in old}
    for one in old.keys() ^ new.keys():
        yield f"{one} is {'gone' if one in old else 'new'}"
    merges = before.with_name("merges.parquet")
    sql = f"SELECT old_key, new_key FROM read_parquet('{merges}')"
    survivors = dict(database.execute(sql).fetchall()) if merges.exists() else {}
    passed_over = _OTHER_MEANING.get(name.removesuffix("_deleted"), frozenset()) if is_built else ()
    for one in old.keys() & new.keys():
        for column, value in old[one].items():
            pair = value, new[one][column]
            was, now = shared(*pair) if column == "custom" and is_built else pair
            # References lead to the survivors of merges since.
            is_followed = column.endswith("_key") and now == survivors.get(was)
            if was != now and column not in passed_over and not is_followed:
                yield f"{one}: {column} was {was!r} and is {now!r}"


def rows(
    database: duckdb.DuckDBPyConnection, path: Path, key: str, without: str
) -> dict[str, dict[str, Any]]:
    """Return the rows of a file by their key, but those of a condition."""
    cursor = database.execute(f"FROM read_parquet('{path}') WHERE ({without}) IS NOT TRUE")
    names = [column[0] for column in cursor.description]
    listed = (dict(zip(names, row, strict=True)) for row in cursor.fetchall())
    return {row[key]: row for row in listed}


def shared(value: str, other: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return two texts of `custom` by the fields that both have: some have columns by now."""
    one, two = json.loads(value), json.loads(other)
    names = one.keys() & two.keys()
    return {name: one[name] for name in names}, {name: two[name] for name in names}
