from typing import Any

import duckdb
import pytest

from crm_pipeline.connectors.salesforce.mapping import MAPPING
from crm_pipeline.model.mapping import ANY_OBJECT, FieldMap, ObjectMap
from crm_pipeline.model.schema import Field, Schema

STAGES = (("new", "Neu"), ("won", "Gewonnen"), ("lost", "Neu"))
ODD = "Two's \"\n\\ €"


def prop(name: str, common: Any = "string", **more: Any) -> Field:
    return Field(name, name.title(), "enumeration", common, path=("properties", name), **more)


@pytest.fixture
def published(org):
    """A custom object and deals with pick lists, published."""
    org.maps = (
        ObjectMap("deals", "deals", (FieldMap("id", "source_id"), FieldMap("stage", "stage"))),
        ObjectMap(ANY_OBJECT, "", (FieldMap("id", "source_id"),)),
    )
    fields = (
        Field("id", "Record ID", "id"),
        prop("stage", options=STAGES),
        prop("kinds", options=STAGES, multiple=";"),
        prop("sets", options=(("1", "One"), ("2", ODD), ('"', "quote")), multiple="json"),
        prop("tags", multiple=";"),
        prop("closed", "boolean", options=(("true", "Yes"), ("false", "No"))),
        prop("at", "timestamp", form="local"),
    )
    full = {
        "stage": "won",
        "kinds": ";new;;other; won",
        "sets": [2, 1, 9, '"'],
        "tags": "x;y",
        "closed": "true",
        "at": "2026-01-01 00:00:00",
    }
    rows = [
        {"id": "1", "properties": full},
        {"id": "2", "properties": {"stage": "gone", "kinds": "", "sets": [], "tags": ";"}},
    ]
    for obj in ("deals", "car"):
        org.land_records(Schema(obj, obj, fields), rows)
        org.normalize(obj)
    org.publish()
    return org


COLUMNS = '"Stage", "Kinds", "Sets", "Tags", "Closed", epoch_ms("At")'


@pytest.mark.parametrize("view", ["deals", "car"])
def test_views_show_labels(published, view):
    """Pick lists show what people see, unknown values themselves; several values are a list."""
    assert published.query(f'SELECT {COLUMNS} FROM crm_acme.{view} ORDER BY "Record ID"') == [
        (
            "Gewonnen",
            ["Neu", "other", "Gewonnen"],
            [ODD, "One", "9", "quote"],
            ["x", "y"],
            True,
            1767225600000,
        ),
        ("gone", None, None, [], None, None),
    ]


def test_tables_keep_stored_values(published):
    """Columns of the common model, `custom` and tables of custom objects have the values that the CRM stores."""
    assert published.query(
        "SELECT stage, custom ->> 'kinds', custom ->> 'sets' FROM crm.deals"
    ) == [
        ("won", ";new;;other; won", '[2,1,9,"\\""]'),
        ("gone", None, None),
    ]
    assert published.query("SELECT stage, kinds FROM crm.car WHERE source_id = '1'") == [
        ("won", ";new;;other; won")
    ]


def test_instants_of_views_do_not_move_with_the_reader(published):
    """A zoneless text is UTC in every reader's time zone."""
    with duckdb.connect(str(published.data / "crm.duckdb"), read_only=True) as database:
        database.execute("SET TimeZone = 'Asia/Tokyo'")
        found = database.execute(
            "SELECT epoch_ms(\"At\") FROM crm_acme.car WHERE \"Tags\" = ['x', 'y']"
        )
        assert found.fetchall() == [(1767225600000,)]


def test_a_version_from_before_is_published(org, schema_of, monkeypatch):
    """Versions from before labels were stored still have their views."""
    org.maps = MAPPING
    org.land(schema_of("Contact", "LastName:string:Last Name"), [{"Id": "003A", "LastName": "Ng"}])
    org.normalize("contacts")
    version = org.tables.version("normalized/acme/contacts")
    assert {len(field) for field in version.meta["objects"][0]["fields"]} == {6}
    org.publish()
    assert org.query('SELECT "Last Name" FROM crm_acme.contact') == [("Ng",)]
