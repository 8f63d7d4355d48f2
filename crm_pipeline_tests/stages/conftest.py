import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from crm_pipeline.connectors.base import RecordKeys
from crm_pipeline.connectors.salesforce.mapping import MAPPING
from crm_pipeline.contracts.files import ContractFolder
from crm_pipeline.kernel.clock import FrozenClock, Month, Window, parse_instant
from crm_pipeline.model.mapping import ObjectMap
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.settings import AuthSettings, Connection, ObjectSettings
from crm_pipeline.stages.normalized import DriftGuard, Normalized, normalize, tables_for
from crm_pipeline.stages.published import Publication, publish
from crm_pipeline.stages.raw import note_changes
from crm_pipeline.store.drift import Register
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.published import open_published

STAMP = pa.timestamp("us", "UTC")
TYPES = {
    "boolean": "boolean",
    "int": "integer",
    "double": "double",
    "currency": "decimal",
    "percent": "double",
    "date": "date",
    "datetime": "timestamp",
    "address": "json",
}


def field(spec: str) -> Field:
    """Read `Name`, `Name:type`, `Name:type:Label` or `Name:reference:Label:Target`."""
    name, kind, label, target = [*spec.split(":"), "", "", ""][:4]
    common: Any = TYPES.get(kind, "string")
    refers = (target,) if target else ()
    return Field(name, label or name, kind or "string", common, reference_to=refers)


def schema(obj: str, *specs: str) -> Schema:
    """Make a schema; every object has an id, stamps and a deletion mark."""
    base = ("Id:id:Record ID", "IsDeleted:boolean:Deleted", "CreatedDate:datetime:Created Date")
    last = "SystemModstamp:datetime:System Modstamp"
    return Schema(obj, obj, tuple(field(spec) for spec in (*base, *specs, last)))


@cache
def in_utc() -> duckdb.DuckDBPyConnection:
    """Return a database for queries over files; it is shared, because opening one takes longer than a query."""
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    return database


class Org:
    """A CRM whose records are landed by hand, and the stages that work on them."""

    def __init__(self, data: Path) -> None:
        self.clock = FrozenClock("2026-11-23T10:00Z")
        self.landing = Landing(data, self.clock)
        self.tables = Tables(data)
        self.data = data
        self.mappings: dict[str, dict[str, str | None]] = {}
        self.objects: dict[str, set[str]] = {}
        self.maps: tuple[ObjectMap, ...] = MAPPING
        self.guard = DriftGuard(Register(data, self.clock))
        self.contracts = ContractFolder(data.parent)
        self._reader: duckdb.DuckDBPyConnection | None = None
        self._read_from: list[tuple[Path, int, int]] = []

    def connection(self, name: str = "acme") -> Connection:
        names = sorted(self.objects.get(name, ()))
        return Connection(
            name=name,
            vendor="salesforce",
            login_url="https://acme.my.salesforce.com",
            auth=AuthSettings("client_credentials", {}),
            objects=tuple(ObjectSettings(obj) for obj in names),
            start=Month(2018, 1),
            cadence="*/15 * * * *",
            probe_every_s=60,
            lookback_s=600,
            share=0.9,
            limit_group=name,
            api_version=None,
            sandbox=False,
            mapping=self.mappings,
        )

    def land(
        self,
        object_schema: Schema,
        rows: Sequence[Mapping[str, Any]],
        *,
        shape: str = "csv",
        connection: str = "acme",
        complete: bool = False,
        columns: Sequence[str] | None = None,
    ) -> None:
        """Land one window with one batch, a minute after the one before."""
        before = self.landing.latest_schema(connection, object_schema.object)
        self.clock.advance(60)
        self.objects.setdefault(connection, set()).add(object_schema.object)
        window = Window(None, self.clock.now())
        writer = self.landing.begin(connection, object_schema.object, window, object_schema)
        with writer:
            if rows:
                names = list(columns or object_schema.names)
                writer.write(
                    [_batch(names, rows, shape)],
                    shape=shape,
                    route="bulk" if shape == "csv" else "rest",
                    extracted_at=self.clock.now(),
                )
            writer.commit(Counts(complete=complete))
        self.note_changes(connection, object_schema.object, before)

    def note_changes(self, connection: str, obj: str, before: Schema | None) -> None:
        """Note what the last read changed in the description of its object, as the raw assets do."""
        register, policies = self.guard.register, self.guard.policies
        note_changes(self.landing, register, policies, connection, obj, before=before)

    def land_records(
        self,
        object_schema: Schema,
        records: Sequence[Mapping[str, Any]],
        *,
        key: str = "id",
        stamp: str = "updatedAt",
        deleted: str = "archived",
        connection: str = "acme",
        complete: bool = False,
    ) -> None:
        """Land one window with one batch of records as a vendor's JSON shows them, ids as text."""
        self.clock.advance(60)
        self.objects.setdefault(connection, set()).add(object_schema.object)
        window = Window(None, self.clock.now())
        stamps = [record.get(stamp) for record in records]
        batch = {
            "_source_id": pa.array([str(record[key]) for record in records], pa.string()),
            "_modified_at": pa.array([parse_instant(s) if s else None for s in stamps], STAMP),
            "_deleted": pa.array([record.get(deleted) is True for record in records], pa.bool_()),
            "record": pa.array([json.dumps(r, ensure_ascii=False) for r in records], pa.string()),
        }
        with self.landing.begin(connection, object_schema.object, window, object_schema) as writer:
            if records:
                writer.write(
                    [pa.RecordBatch.from_pydict(batch)],
                    shape="json",
                    route="rest",
                    extracted_at=self.clock.now(),
                )
            writer.commit(Counts(complete=complete))

    def engine(self) -> Engine:
        return Engine(self.data / "tmp", memory_limit="512MB", threads=1)

    def normalize(
        self, table: str, connection: str = "acme", keys: RecordKeys | None = None
    ) -> Normalized:
        with self.engine() as engine:
            return normalize(
                self.connection(connection),
                table,
                self.landing,
                self.tables,
                self.maps,
                engine=engine,
                keys=keys,
                guard=self.guard,
                contracts=self.contracts,
            )

    def relation(self, table: str, prefix: str = "normalized", connection: str = "acme") -> str:
        """Return SQL for all rows of a table's current version."""
        version = self.tables.version(f"{prefix}/{connection}/{table}")
        assert version is not None
        return self.tables.relation(version)

    def rows(
        self,
        table: str,
        columns: str,
        connection: str = "acme",
        *,
        prefix: str = "normalized",
        where: str = "true",
    ) -> list[tuple[Any, ...]]:
        relation = self.relation(table, prefix, connection)
        return (
            in_utc()
            .execute(f"SELECT {columns} FROM {relation} WHERE {where} ORDER BY ALL")
            .fetchall()
        )

    def table_names(self, connection: str = "acme") -> list[str]:
        return list(tables_for(self.connection(connection), self.maps))

    def publish(self, **options: Any) -> Publication:
        with self.engine() as engine:
            return publish(self.landing, self.tables, engine, **options)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self._published().execute(sql).fetchall()

    def _published(self) -> duckdb.DuckDBPyConnection:
        """Return what is published, opened once for each file: opening takes longer than a query."""
        links = (self.data / "crm.duckdb", self.data / "ops.duckdb")
        paths = [link.resolve() for link in links if link.exists()]
        stats = [(path, path.stat()) for path in paths]
        files = [(path, stat.st_mtime_ns, stat.st_size) for path, stat in stats]
        if self._reader is None or files != self._read_from:
            if self._reader is not None:
                self._reader.close()
            self._reader, self._read_from = open_published(self.data), files
        return self._reader


def _batch(names: list[str], rows: Sequence[Mapping[str, Any]], shape: str) -> pa.RecordBatch:
    full = [{"IsDeleted": "false", "SystemModstamp": "2026-01-01T00:00:00.000Z", **r} for r in rows]
    keys = {
        "_source_id": pa.array([row.get("Id", "") for row in full], pa.string()),
        "_modified_at": pa.array([_stamp(row) for row in full], STAMP),
        "_deleted": pa.array([str(row["IsDeleted"]).lower() == "true" for row in full], pa.bool_()),
    }
    if shape == "csv":
        raw = {
            name: pa.array([_cell(row.get(name)) for row in full], pa.string()) for name in names
        }
    else:
        texts = [json.dumps({n: row.get(n) for n in names if n in row}) for row in full]
        raw = {"record": pa.array(texts, pa.string())}
    return pa.RecordBatch.from_pydict({**keys, **raw})


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _stamp(row: Mapping[str, Any]) -> datetime | None:
    text = row["SystemModstamp"]
    return parse_instant(text) if text else None


@pytest.fixture
def org(tmp_path: Path) -> Org:
    return Org(tmp_path / "data")


@pytest.fixture(scope="session")
def new_org() -> Any:
    """Make further orgs, each in a folder of its own."""
    return Org


@pytest.fixture(scope="session")
def make_schema() -> Any:
    """Make schemas in fixtures that live longer than a test."""
    return schema


@pytest.fixture
def schema_of() -> Any:
    """Return a function that makes schemas: `schema_of("Contact", "Email:email:Email")`."""
    return schema
