"""The published file under names and labels of any kind; the build itself is tried in `stages/test_hostile.py`."""

import json
import re
from collections import Counter
from types import SimpleNamespace

import pytest

from crm_pipeline.model import tables as model_tables
from crm_pipeline.model.mapping import ANY_OBJECT, ObjectMap, beside
from crm_pipeline.model.names import quoted
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.model.tables import TABLES
from crm_pipeline.stages.published.views import view_of
from crm_pipeline_tests.stages.hostile import LABELS, NAMES

COMMON = ObjectMap("thing", "contacts", beside("id=source_id"))
OWN = ObjectMap(ANY_OBJECT, "", beside("id=source_id"))
OPTIONS = (("", "Empty"), ("a\0", 'NUL "and" \ud83d'), ("A", "big"), ("a", "small"))


def labelled(places: int) -> list[str]:
    return [LABELS[place % len(LABELS)] for place in range(places)]


@pytest.mark.parametrize("one", [COMMON, OWN], ids=["in custom", "in columns"])
def test_every_field_is_found_under_its_name(org, one):
    """ops.fields names the column of each field, the column has its value, and everything has a comment."""
    org.maps = (one,)
    listed = [
        Field(name, label, "x", path=("p", name))
        for name, label in zip(NAMES, labelled(len(NAMES)), strict=True)
    ]
    values = {name: f"v{place}" for place, name in enumerate(NAMES)}
    org.land_records(Schema("thing", "Half \ud83d\x1b", tuple(listed)), [{"id": "1", "p": values}])
    table = one.table or "thing"
    org.normalize(table)
    org.publish()
    fields = org.query("SELECT field, label, column_name, view_column FROM ops.fields")
    assert [field for field, *_ in fields] == list(NAMES)
    [shown] = org.query("SELECT * FROM crm_acme.thing")
    assert list(shown[:-1]) == list(values.values())
    columns = org.query(
        "SELECT column_name, comment FROM duckdb_columns() WHERE schema_name = 'crm_acme' "
        "ORDER BY column_index"
    )
    assert [name for name, _ in columns] == [*(view for *_, view in fields), "crm_key"]
    assert max(Counter(name.lower() for name, _ in columns).values()) == 1
    assert all(
        comment and not re.search(r"[\x00-\x1f\x7f-\x9f]", comment) for _, comment in columns
    )
    columns = ", ".join(quoted(column) if column else "NULL" for *_, column, _ in fields)
    [row] = org.query(f"SELECT {columns} FROM crm.{table}")
    [(custom,)] = org.query(f"SELECT custom FROM crm.{table}")
    assert {**json.loads(custom), **{n: v for n, v in zip(NAMES, row, strict=True) if v}} == values


def test_labels_of_options_are_data(org):
    """Stored values of a pick list may be empty, hold NUL or differ in case only."""
    org.maps = (COMMON,)
    kind = Field("kind", "Kind", "enum", options=OPTIONS)
    many = Field("many", "Many", "enum", options=OPTIONS, multiple=";")
    records = [{"id": "1", "kind": "a\0", "many": "A;a"}, {"id": "2", "kind": "A", "many": "x;a\0"}]
    org.land_records(Schema("thing", "", (kind, many)), records)
    org.normalize("contacts")
    org.publish()
    assert org.query('SELECT "Kind", "Many" FROM crm_acme.thing ORDER BY crm_key') == [
        ('NUL "and" \ufffd', ["big", "small"]),
        ("big", ["x", 'NUL "and" \ufffd']),
    ]


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ([("a", "One"), ("b", "Two")], ["One", "Two"]),
        ([("a", "Same"), ("b", "SAME")], ["Same (a)", "SAME (b)"]),
        ([("a", ""), ("", ""), (" ", "\n")], ["a", "(no name)", "(no name) 2"]),
        ([("a", "Same"), ("A", "Same")], ["Same (a)", "A"]),
        ([("a", "Same"), ("A", "Same"), ("x", "A")], ["Same (a)", "A", "A (x)"]),
        ([("k", "crm_key"), ("b", "CRM_KEY (k)")], ["crm_key (k)", "CRM_KEY (k) (b)"]),
        ([("a\0", "x"), ("a\x01", "x")], ["x (a\ufffd)", "a\ufffd"]),
        ([("a\0", "x"), ("a\x01", "x"), ("a\x02", "X")], ["x (a\ufffd)", "a\ufffd", "a\ufffd 2"]),
    ],
)
def test_columns_of_views_have_names_apart(fields, names):
    """Columns are named by label, with the API name where labels are equal, and a number as the last resort."""
    listed = [[name, label, "x", "string", None, 0] for name, label in fields]
    schema_of = {"object": "thing", "label": "Things", "view": "thing", "fields": listed}
    view = view_of("acme", "contacts", "contact_key", schema_of, {})
    assert [column.name for column in view.columns] == names


def test_connections_that_spell_a_column_differently_share_it(org):
    """To DuckDB `Region` and `region` are one column: the table has it once, with both values."""
    org.maps = (OWN,)
    for connection, column, value in (("acme", "Region", "north"), ("beta", "region", "south")):
        org.mappings = {"thing": {"r": column}}
        schema = Schema("thing", "Things", (Field("r", "Region", "string"),))
        org.land_records(schema, [{"id": "1", "r": value}], connection=connection)
        org.normalize("thing", connection)
    org.publish()
    assert org.query("SELECT region FROM crm.thing ORDER BY ALL") == [("north",), ("south",)]
    assert org.query('SELECT "Region" FROM crm_beta.thing') == [("south",)]


def test_fields_that_are_not_read_are_listed(org, schema_of, monkeypatch):
    """A field that is described but not read has a row with the reason."""
    schema = schema_of("Attachment", "Name")
    org.land(schema, [{"Id": "00P", "Name": "plan.pdf"}])
    org.normalize("attachment")
    body = Field("Body", "File Content", "base64", "binary")
    schema_with_rest = SimpleNamespace(left_out=(body,))
    monkeypatch.setattr(org.landing, "latest_schema", lambda *_: schema_with_rest)
    org.publish()
    listed_fields = org.query(
        "SELECT field, label, type, view_column, note IS NULL FROM ops.fields ORDER BY 1"
    )
    assert ("Body", "File Content", "base64", None, False) in listed_fields
    assert {row[0] for row in listed_fields if row[4]} == {*schema.names}


def test_objects_called_like_later_tables_keep_their_rows(org, schema_of, monkeypatch):
    """Tables that an earlier version built under common names are published under new names until they are built again."""
    later = {
        "deal_contacts": "Deal_Contacts__c",
        "contact_points": "Contact_Points__c",
        "product_prices": "Product_Prices__c",
    }
    objects = {table: schema_of(name, "Name") for table, name in later.items()}
    with monkeypatch.context() as patch:
        patch.setattr(model_tables, "_reserved", frozenset)
        patch.setattr(model_tables, "_distinct", model_tables._distinct.__wrapped__)
        for module in ("model.tables", "stages.normalized.feed", "stages.normalized.sources"):
            before = {name: known for name, known in TABLES.items() if name not in later}
            patch.setattr(f"crm_pipeline.{module}.TABLES", before)
        for table, obj in objects.items():
            org.land(obj, [{"Id": "a1", "Name": "before"}])
            org.normalize(table)
    org.publish()
    for table in later:
        assert org.query(f"SELECT name FROM crm.{table}_c") == [("before",)]
        assert org.query(f"SELECT count(*) FROM crm.{table}") == [(0,)]
    for table, obj in objects.items():
        org.land(obj, [{"Id": "a1", "Name": "after"}])
        org.normalize(f"{table}_c")
    org.publish()
    for table in later:
        assert org.query(f"SELECT name FROM crm.{table}_c") == [("after",)]
