"""What a connector has read, in the common model, for the tests of any vendor."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import duckdb

from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.clock import Clock
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.stages.normalized import Normalized, normalize, tables_for
from crm_pipeline.stages.published import publish
from crm_pipeline.stages.raw import Extraction, Mode, extract, note_account
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine


class Harness(Protocol):
    """A pipeline with one connection."""

    @property
    def settings(self) -> Settings: ...

    @property
    def landing(self) -> Landing: ...

    def extract(self, obj: str) -> Extraction: ...


def connection_of(harness: Harness) -> Connection:
    """Return the only connection."""
    [connection] = harness.settings.connections.values()
    return connection


def build(harness: Harness, temp: Path, only: Sequence[str] = ()) -> dict[str, Normalized]:
    """Normalize every table of the connection, or those that are named."""
    connection = connection_of(harness)
    maps = connector(connection.vendor).mapping
    tables = Tables(harness.settings.data)
    done = {}
    for table in only or tables_for(connection, maps):
        with Engine(temp, threads=1) as engine:
            done[table] = normalize(connection, table, harness.landing, tables, maps, engine)
    return done


def read_and_published(settings: Settings, clock: Clock, mode: Mode) -> None:
    """Read every object of the only connection, build its tables and publish, as a run does, but without Dagster.

    What Dagster adds is the same for every vendor, and takes as long as the rest.
    """
    [connection] = settings.connections.values()
    crm = Workspace(settings, clock=clock)
    maps = connector(connection.vendor).mapping
    with crm.account(connection.name) as account:
        note_account(account, crm.landing)
        for obj in connection.objects:
            done = extract(account, obj, None, mode=mode, landing=crm.landing)
            if mode == "refresh":
                crm.fill_new_fields(account, obj, done.schema)
    with Engine(settings.data / "tmp", threads=1) as engine:
        for table in tables_for(connection, maps):
            normalize(connection, table, crm.landing, crm.tables, maps, engine)
        publish(crm.landing, crm.tables, engine)


def rows(harness: Harness, table: str, columns: str) -> list[tuple[Any, ...]]:
    """Return columns of a normalized table."""
    tables = Tables(harness.settings.data)
    version = tables.version(f"normalized/{connection_of(harness).name}/{table}")
    assert version is not None
    return in_memory().execute(f"SELECT {columns} FROM {Tables.relation(version)}").fetchall()


@cache
def in_memory() -> duckdb.DuckDBPyConnection:
    """Return a database for queries over files; it is shared, because opening one takes longer than a query."""
    return duckdb.connect()


def assert_fits(harness: Harness, objects: Sequence[str], temp: Path) -> None:
    """Read objects and find that each makes its table, every value fits, and references lead to rows."""
    for obj in objects:
        harness.extract(obj)
    done = build(harness, temp)
    unconverted: Mapping[str, Any] = {
        name: dict(one.unconverted) for name, one in done.items() if one.unconverted
    }
    assert unconverted == {}
    assert {name for name, one in done.items() if not one.rows} == set()
    keys = {
        row[0]
        for table in ("companies", "contacts", "users", "stages", "pipelines")
        for row in rows(harness, table, f"{_singular(table)}_key")
    }
    deals = rows(harness, "deals", "company_key, primary_contact_key, owner_key, pipeline_key")
    wanted = {key for row in deals for key in row if key is not None}
    assert wanted
    assert wanted - keys == set()


def _singular(table: str) -> str:
    return {"companies": "company"}.get(table, table.removesuffix("s"))
