"""After a refresh, the tables of every CRM equal those that are built from all that has landed."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.settings import Connection
from crm_pipeline.stages.normalized import from_parent, normalize, table_build, tables_for
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.tables import Tables, replacement
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline_tests.meaning.prepared import Prepared

_TABLES = ("contacts", "deals", "activities")
_LATER = FrozenClock("2027-01-01T00:00:00Z")
_OTHERWISE = ("_extracted_at", "_batch_id", "_record_hash")


def land_again(landing: Landing, connection: str, obj: str) -> None:
    """Land three records of an object again, later; one of them was deleted, the texts of the others are exchanged."""
    batches = [b for b in landing.batches(connection, obj) if b.records > 2]
    schema = landing.latest_schema(connection, obj)
    if not batches or schema is None:
        return
    batch = batches[0]
    rows = pq.read_table(batch.path).slice(0, 3)
    now = _LATER.now()
    rows = rows.drop_columns([name for name in _OTHERWISE if name in rows.column_names])
    stamps = pa.array(
        [now, now, None if connection.startswith("zoho") else now], pa.timestamp("us", "UTC")
    )
    rows = rows.set_column(rows.column_names.index("_modified_at"), "_modified_at", stamps)
    gone = pa.array([False, False, True])
    rows = rows.set_column(rows.column_names.index("_deleted"), "_deleted", gone)
    with landing.begin(connection, obj, Window(None, now), schema, reader=batch.reader) as writer:
        writer.write(
            rows.combine_chunks().to_batches(),
            shape=batch.shape,
            route=batch.route,
            origin=batch.origin,
            extracted_at=now,
        )
        writer.commit(Counts())


def built(data: Path, tables: Tables, connection: Connection) -> Iterator[tuple[str, Any]]:
    """Build some tables of a connection, and yield their names and versions."""
    vendor = connector(connection.vendor)
    for table in _TABLES:
        if table in tables_for(connection, vendor.mapping):
            with Engine(data / "tmp", threads=1) as engine:
                done = normalize(
                    connection,
                    table,
                    Landing(data, _LATER),
                    tables,
                    vendor.mapping,
                    engine,
                    keys=vendor.keys,
                )
            yield table, done.version


def rows_of(version: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        return database.execute(f"FROM {Tables.relation(version)} ORDER BY ALL").fetchall()


def test_a_refresh_of_every_crm_equals_whole_builds(
    world: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records of all objects change; contacts, deals and activities are made from the versions before, and whole."""
    data, whole = tmp_path / "data", tmp_path / "whole"
    for name in ("landing", "quarantine", "tables"):
        if (world.data / name).exists():
            shutil.copytree(world.data / name, data / name)
    shutil.copytree(world.data / "tables", whole / "tables")
    landing = Landing(data, _LATER)
    connections = world.workspace.settings.connections.values()
    for connection in connections:
        for obj in landing.objects(connection.name):
            land_again(landing, connection.name, obj)
    monkeypatch.setattr(from_parent, "FEW_RECORDS", 0)
    monkeypatch.setattr(from_parent, "MERGED_ABOVE", 100)
    monkeypatch.setattr(replacement, "MERGED_ABOVE", 100)
    because: dict[str, str] = {}
    for connection in connections:
        ours = dict(built(data, Tables(data), connection))
        with monkeypatch.context() as patch:
            patch.setattr(table_build, "why_whole", lambda *_: "it is asked for")
            theirs = dict(built(data, Tables(whole), connection))
        for table, version in ours.items():
            assert rows_of(version) == rows_of(theirs[table]), (connection.name, table)
            for name in ("live", "landed", "superseded", "unconverted", "reasons"):
                assert version.meta[name] == theirs[table].meta[name]
            because[f"{connection.name}.{table}"] = version.meta["built"]["because"]
    assert len([reason for reason in because.values() if not reason]) >= 10, because
