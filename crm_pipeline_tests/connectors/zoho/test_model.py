"""What the connector reads, in the common model: its schemas and the mapping fit each other."""

from pathlib import Path
from typing import Any

import duckdb

from crm_pipeline.connectors.registry import connector
from crm_pipeline.stages.normalized import Normalized, normalize, tables_for
from crm_pipeline.store.engine import Engine
from crm_pipeline.store.tables import Tables
from crm_pipeline_tests.connectors.zoho.conftest import (
    ZohoScene as Scene,
)
from crm_pipeline_tests.connectors.zoho.conftest import (
    ZohoSceneMaker as SceneMaker,
)

OBJECTS = (
    "Accounts",
    "Contacts",
    "Leads",
    "Deals",
    "DealHistory",
    "Products",
    "Campaigns",
    "CampaignMembers",
    "Cases",
    "Tasks",
    "Events",
    "Calls",
    "Notes",
    "Users",
    "Pipelines",
    "Currencies",
)


def build(scene: Scene, temp: Path) -> dict[str, Normalized]:
    """Normalize every table of the connection."""
    maps = connector("zoho").mapping
    connection = scene.settings.connection("demo")
    tables = Tables(scene.settings.data)
    done = {}
    for table in tables_for(connection, maps):
        with Engine(temp, threads=1) as engine:
            done[table] = normalize(connection, table, scene.landing, tables, maps, engine)
    return done


def rows(scene: Scene, table: str, columns: str) -> list[tuple[Any, ...]]:
    tables = Tables(scene.settings.data)
    version = tables.version(f"normalized/demo/{table}")
    assert version is not None
    with duckdb.connect() as database:
        sql = f"SELECT {columns} FROM {Tables.relation(version)}"
        return database.execute(sql).fetchall()


def test_everything_that_is_read_fits_the_model(make_scene: SceneMaker, tmp_path: Path) -> None:
    """Each object makes its table, no value is left unconverted, and references lead to rows."""
    with make_scene(contacts=60, objects=OBJECTS) as scene:
        for obj in OBJECTS:
            scene.extract(obj)
        done = build(scene, tmp_path / "engine")
        assert {name: dict(one.unconverted) for name, one in done.items() if one.unconverted} == {}
        assert {name for name, one in done.items() if not one.rows} == set()
        keys = {
            row[0]
            for table in ("companies", "contacts", "users", "stages", "pipelines")
            for row in rows(scene, table, f"{_singular(table)}_key")
        }
        deals = rows(scene, "deals", "company_key, primary_contact_key, owner_key, pipeline_key")
        wanted = {key for row in deals for key in row if key is not None}
        assert wanted
        assert wanted - keys == set()


def _singular(table: str) -> str:
    return {"companies": "company"}.get(table, table.removesuffix("s"))
