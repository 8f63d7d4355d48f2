"""From the company to the published file: published data equal the company's."""

from contextlib import closing
from typing import Any

from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.connectors.modelled import read_and_published
from crm_pipeline_tests.connectors.pipedrive.conftest import Harness, HarnessMaker

OBJECTS = (
    "persons: {snapshot: true}, organizations: {}, deals: {}, leads: {}, notes: {}, users: {}, "
    "pipelines: {}, stages: {}, deal_products: {}, products: {}, activities: {}"
)
TABLES = {
    "persons": (
        "contacts",
        {"full_name": "name", "owner_source_id": "owner_id", "company_source_id": "org_id"},
    ),
    "organizations": ("companies", {"name": "name", "website": "website"}),
    "deals": ("deals", {"name": "title", "stage": "stage_id", "currency": "currency"}),
    "leads": ("leads", {"name": "title", "contact_source_id": "person_id"}),
    "products": ("products", {"name": "name", "product_code": "code"}),
    # Those who may not log in any more still own what they owned.
    "users": ("users", {"full_name": "name", "is_active": "active_flag"}),
}


def published(harness: Harness, text: str) -> list[tuple[Any, ...]]:
    with closing(open_published(harness.settings.data)) as connection:
        return connection.execute(text).fetchall()


def assert_equal(harness: Harness) -> None:
    for obj, (table, fields) in TABLES.items():
        wanted = {
            str(row["id"]): tuple(_plain(row[field]) for field in fields.values())
            for row in harness.company.rows(obj)
        }
        columns = ", ".join(fields)
        rows = published(
            harness, f"SELECT source_id, {columns} FROM crm.{table} WHERE NOT is_deleted"
        )
        assert {row[0]: tuple(row[1:]) for row in rows} == wanted, obj


def assert_options_equal(harness: Harness, obj: str, key: str) -> None:
    """The view of an object lists the labels of a field with several options."""
    name = "Products of interest"
    [field] = [entry for entry in harness.company.fields(obj) if entry["name"] == name]
    wanted = {
        f"pipe:{obj}:{row['id']}": [field["options"][number] for number in row[field["code"]] or []]
        for row in harness.company.rows(obj)
    }
    rows = published(harness, f'SELECT {key}, coalesce("{name}", []) FROM crm_pipe.{obj}')
    assert dict(rows) == wanted
    assert max(len(labels) for labels in wanted.values()) > 1


def _plain(value: Any) -> str | bool | None:
    return value if isinstance(value, bool) else None if value in (None, "") else str(value)


def test_published_equals_the_company(make_harness: HarnessMaker) -> None:
    """Published data are right after a backfill, and after a refresh with edits, deletions, a merge, an archived deal
    and a new field with values in all records."""
    with make_harness(contacts=40, objects=f"{{{OBJECTS}}}") as harness:
        read_and_published(harness.settings, harness.clock, "range")
        assert_equal(harness)
        shown = published(harness, 'SELECT DISTINCT "Tier" FROM crm_pipe.persons')
        assert {row[0] for row in shown} - {None} <= {"Gold", "Silver", "Bronze", "Übrige"}
        assert len(shown) > 2
        several = published(
            harness, 'SELECT "Interests" FROM crm_pipe.persons WHERE "Interests" <> []'
        )
        assert "Data; Governance" in {label for row in several for label in row[0]}
        for obj in ("deals", "leads"):
            assert_options_equal(harness, obj, "crm_key")
        money = published(harness, 'SELECT "Lifetime value: currency" FROM crm_pipe.persons')
        assert any(row[0] for row in money)
        harness.advance(60)
        persons = [row["id"] for row in harness.company.rows("persons")[:4]]
        deals = [row["id"] for row in harness.company.rows("deals")[:3]]
        harness.company.edit("persons", persons[0], name="01234")
        harness.company.delete("persons", persons[1])
        harness.company.merge("persons", persons[2], persons[3])
        harness.company.delete("deals", deals[0])
        harness.company.edit("deals", deals[1], is_archived=True)
        harness.company.edit("deals", deals[2], title="NA")
        harness.company.add_field("deals", "Shoe size", value="forty-two")
        harness.advance(60)
        read_and_published(harness.settings, harness.clock, "refresh")
        assert_equal(harness)
        assert published(harness, 'SELECT DISTINCT "Shoe size" FROM crm_pipe.deals') == [
            ("forty-two",)
        ]
