"""What the connector reads, in the common model: its schemas and the mapping fit each other."""

import json
from pathlib import Path
from typing import Any

import duckdb

from crm_pipeline.connectors.registry import connector
from crm_pipeline.stages.normalized import Normalized, normalize, tables_for
from crm_pipeline.store.engine import Engine
from crm_pipeline.store.tables import Tables
from crm_pipeline_tests.connectors.pipedrive.conftest import Scene, SceneMaker

OBJECTS = (
    "deals",
    "persons",
    "organizations",
    "activities",
    "notes",
    "leads",
    "products",
    "deal_products",
    "deal_changes",
    "users",
    "pipelines",
    "stages",
)


def build(scene: Scene, temp: Path) -> dict[str, Normalized]:
    """Normalize every table of the connection."""
    maps = connector("pipedrive").mapping
    connection = scene.settings.connection("pipe")
    tables = Tables(scene.settings.data)
    done = {}
    for table in tables_for(connection, maps):
        with Engine(temp, threads=1) as engine:
            done[table] = normalize(connection, table, scene.landing, tables, maps, engine)
    return done


def rows(scene: Scene, table: str, columns: str) -> list[tuple[Any, ...]]:
    tables = Tables(scene.settings.data)
    version = tables.version(f"normalized/pipe/{table}")
    assert version is not None
    with duckdb.connect() as database:
        sql = f"SELECT {columns} FROM {Tables.relation(version)}"
        return database.execute(sql).fetchall()


def test_everything_that_is_read_fits_the_model(make_scene: SceneMaker, tmp_path: Path) -> None:
    """Each object makes its table, no value is left unconverted, and references lead to rows."""
    with make_scene(contacts=60, objects=json.dumps(OBJECTS)) as scene:
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
        people = rows(scene, "contacts", "email, emails, phone, phones")
        assert any(len(emails) > 1 for _, emails, _, _ in people)
        for email, emails, phone, phones in people:
            assert (email, phone) == (_first(emails), _first(phones))


def _singular(table: str) -> str:
    return {"companies": "company"}.get(table, table.removesuffix("s"))


def _first(points: list[dict[str, Any]]) -> str | None:
    return points[0]["value"] if points else None
