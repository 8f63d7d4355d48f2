"""From the org to the published file through Dagster: what analysts read is what is in the org."""

from contextlib import closing
from typing import Any

import dagster as dg

from crm_pipeline.orchestration.runs import run_backfill, run_refresh
from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.connectors.zoho.conftest import ZohoScene, ZohoSceneMaker

OBJECTS = ("Contacts", "Accounts", "Deals", "Users", "Pipelines")
TABLES = {
    "Contacts": (
        "contacts",
        {"last_name": "Last_Name", "email": "Email", "owner_source_id": "Owner"},
    ),
    "Accounts": ("companies", {"name": "Account_Name", "website": "Website"}),
    "Deals": (
        "deals",
        {"name": "Deal_Name", "stage": "Stage", "company_source_id": "Account_Name"},
    ),
}


def published(scene: ZohoScene, table: str, columns: list[str]) -> dict[str, tuple[Any, ...]]:
    text = f"SELECT source_id, {', '.join(columns)} FROM crm.{table} WHERE NOT is_deleted"
    with closing(open_published(scene.settings.data)) as connection:
        return {row[0]: row[1:] for row in connection.execute(text).fetchall()}


def assert_equal(scene: ZohoScene) -> None:
    for module, (table, fields) in TABLES.items():
        truth = {
            row["id"]: tuple(row[field] for field in fields.values())
            for row in scene.twin.rows(module)
        }
        assert published(scene, table, list(fields)) == truth, module


def test_published_equals_the_org(make_scene: ZohoSceneMaker) -> None:
    """After a backfill, and after edits, deletions, merges and restored records that a refresh read."""
    with (
        make_scene(contacts=40, objects=OBJECTS) as scene,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        done = run_backfill(scene.settings, "demo", None, None, instance, clock=scene.clock)
        assert done.is_success, done.failed
        assert_equal(scene)
        assert len(published(scene, "users", ["email"])) > 1
        pipelines = published(scene, "pipelines", ["name"])
        stages = published(scene, "stages", ["pipeline_source_id"])
        deals = published(scene, "deals", ["pipeline_source_id"])
        assert {row[0] for row in stages.values()} == set(pipelines)
        assert {row[0] for row in deals.values()} <= set(pipelines)
        scene.advance(60)
        keys = [row["id"] for row in scene.twin.rows("Contacts")[:5]]
        scene.twin.edit("Contacts", keys[0], Last_Name="01234", Email="new@acme.example")
        scene.twin.delete("Contacts", keys[1])
        scene.twin.merge("Contacts", keys[2], keys[3])
        scene.twin.delete("Contacts", keys[4])
        scene.advance(60)
        scene.twin.restore("Contacts", keys[4])
        scene.advance(60)
        again = run_refresh(scene.settings, "demo", instance, clock=scene.clock)
        assert again.is_success, again.failed
        assert_equal(scene)
