"""From the org to the published file: published data equal the org's."""

from contextlib import closing
from typing import Any

from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.connectors.modelled import read_and_published
from crm_pipeline_tests.connectors.zoho.conftest import ZohoHarness, ZohoHarnessMaker

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


def published(harness: ZohoHarness, table: str, columns: list[str]) -> dict[str, tuple[Any, ...]]:
    text = f"SELECT source_id, {', '.join(columns)} FROM crm.{table} WHERE NOT is_deleted"
    with closing(open_published(harness.settings.data)) as connection:
        return {row[0]: row[1:] for row in connection.execute(text).fetchall()}


def assert_equal(harness: ZohoHarness) -> None:
    for module, (table, fields) in TABLES.items():
        truth = {
            row["id"]: tuple(row[field] for field in fields.values())
            for row in harness.emulator.rows(module)
        }
        assert published(harness, table, list(fields)) == truth, module


def test_published_equals_the_org(make_harness: ZohoHarnessMaker) -> None:
    """Published data are right after a backfill, and after a refresh with edits, deletions, merges, restores and a new
    field with values in all records."""
    with make_harness(contacts=40, objects=OBJECTS) as harness:
        read_and_published(harness.settings, harness.clock, "range")
        assert_equal(harness)
        assert len(published(harness, "users", ["email"])) > 1
        pipelines = published(harness, "pipelines", ["name"])
        stages = published(harness, "stages", ["pipeline_source_id"])
        deals = published(harness, "deals", ["pipeline_source_id"])
        assert {row[0] for row in stages.values()} == set(pipelines)
        assert {row[0] for row in deals.values()} <= set(pipelines)
        harness.advance(60)
        keys = [row["id"] for row in harness.emulator.rows("Contacts")[:5]]
        harness.emulator.edit("Contacts", keys[0], Last_Name="01234", Email="new@acme.example")
        harness.emulator.delete("Contacts", keys[1])
        harness.emulator.merge("Contacts", keys[2], keys[3])
        harness.emulator.delete("Contacts", keys[4])
        harness.advance(60)
        harness.emulator.restore("Contacts", keys[4])
        harness.emulator.add_field("Contacts", "Shoe_Size", value="forty-two")
        harness.advance(60)
        read_and_published(harness.settings, harness.clock, "refresh")
        assert_equal(harness)
        with closing(open_published(harness.settings.data)) as database:
            sizes = database.execute('SELECT DISTINCT "Shoe Size" FROM crm_demo.contacts')
            assert sizes.fetchall() == [("forty-two",)]
