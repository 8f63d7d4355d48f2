import re

import duckdb
import pytest

from crm_pipeline.contracts import Subject
from crm_pipeline.contracts.model_contract import model_rules
from crm_pipeline.contracts.scan import counts_sql
from crm_pipeline.model.contracts import arrow_type
from crm_pipeline.model.names import quoted
from crm_pipeline.model.schema import Field
from crm_pipeline.model.tables import (
    TABLES,
    column_type,
    custom_columns,
    custom_table,
    custom_table_name,
    snake,
    view_name,
)
from crm_pipeline_tests.stages.hostile import NAMES

ALL = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


@ALL
def test_names_are_plain_and_unique(table):
    """Names need no quoting anywhere."""
    names = [column.name for column in table.columns]
    assert len(names) == len(set(names))
    assert [name for name in names if not NAME.match(name)] == []


@ALL
def test_every_column_is_described(table):
    """Descriptions are sentences."""
    assert [c.name for c in table.columns if not c.description.endswith(".")] == []
    assert table.description.endswith(".")


@ALL
def test_every_key_column_has_its_source_id(table):
    """A reference is the vendor's id and our key, side by side."""
    names = set(table.by_name)
    keys = [n for n in names if n.endswith("_key") and n != table.key]
    assert [key for key in keys if f"{key.removesuffix('_key')}_source_id" not in names] == []


@ALL
def test_references_name_tables(table):
    """Every key column refers to an existing table."""
    assert {c.refers_to for c in table.columns if c.refers_to} <= set(TABLES)


@ALL
def test_rules_speak_of_columns(table):
    """Every rule can be counted by SQL and has a name of its own."""
    names = [rule.name for rule in table.rules]
    assert len(names) == len(set(names))
    empty = ", ".join(f"CAST(NULL AS {c.type}) AS {c.name}" for c in table.columns)
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        types = {column.name: arrow_type(column.type) for column in table.columns}
        subject = Subject(f"(SELECT {empty} WHERE false)", table.key)
        sql = counts_sql(subject, subject.relation, model_rules(table, types))
        assert database.execute(sql).fetchall() == [(0,) * (1 + len(table.rules))]
        for column in table.columns:
            made = database.sql(f"SELECT CAST(NULL AS {column.type}) AS x").to_arrow_table()
            assert made.schema.field("x").type == arrow_type(column.type)


@pytest.mark.parametrize(
    ("api_name", "plain"),
    [
        ("Invoice__c", "invoice"),
        ("Invoice_Line__c", "invoice_line"),
        ("OpportunityLineItem", "opportunity_line_item"),
        ("ns__Plan__c", "ns_plan"),
        ("CreatedById", "created_by_id"),
        ("Product2", "product2"),
        ("2nd__c", "_2nd"),
        ("Straße__c", "stra_e"),
    ],
)
def test_plain_names(api_name, plain):
    """API names become lower snake case without the vendor's endings."""
    assert snake(api_name) == plain


def test_custom_tables_yield_to_common_ones():
    """A custom object never takes the name of a common table, nor of another object."""
    assert custom_table_name("Invoice__c") == "invoice"
    assert custom_table_name("Contacts__c") == "contacts_c"
    assert custom_table_name("Contacts_Deleted__c") == "contacts_deleted_c"
    both = ["Invoice", "Invoice__c"]
    assert [custom_table_name(obj, both) for obj in both] == ["invoice_object", "invoice_c"]
    assert [view_name(obj, both) for obj in both] == ["invoice", "invoice_c"]


def test_columns_of_custom_objects_do_not_clash():
    """Fields named like our own columns, or like each other, keep apart."""
    names = ["Connection__c", "Custom__c", "Total__c", "Total", "Account__c", "Created_At__c"]
    fields = [
        Field(n, n, "string", reference_to=("Account",) if n == "Account__c" else ()) for n in names
    ]
    columns = custom_columns("invoice", fields)
    assert {field.name: column for column, field in columns.items()} == {
        "Connection__c": "connection_c",
        "Custom__c": "custom_c",
        "Total__c": "total",
        "Total": "total_2",
        "Account__c": "account_source_id",
        "Created_At__c": "created_at_c",
    }
    assert "account_key" in custom_table("invoice", "Invoice", columns).by_name


def test_types_of_source_fields():
    """Money keeps its digits; rates with many decimals get room for them."""
    kinds = {
        "decimal": "DECIMAL(24,6)",
        "integer": "BIGINT",
        "timestamp": "TIMESTAMPTZ",
        "json": "VARCHAR",
    }
    for common, expected in kinds.items():
        assert column_type(Field("x", "x", "t", common)) == expected
    assert column_type(Field("x", "x", "t", "decimal", scale=9)) == "DECIMAL(38,9)"


def test_columns_of_custom_objects_for_any_names():
    """A thousand names without a Latin letter, and names of every kind, get columns that DuckDB tells apart."""
    named = [*NAMES, *(chr(0x4E00 + n) for n in range(1100))]
    fields = [Field(n, n, "x", reference_to=("A",) if i % 3 else ()) for i, n in enumerate(named)]
    asked = {"a.b": "Custom", "#": 'wei"rd', "*": "a\0b", "-": "", "é": 'WEI"RD'}
    columns = custom_columns("thing", fields, asked)
    table = custom_table("thing", "Thing", columns)
    assert len(columns) == len(named)
    made = [column.name.lower() for column in table.columns]
    assert len(made) == len(set(made))
    with duckdb.connect() as database:
        listed = ", ".join(f"{quoted(c.name)} {c.type}" for c in table.columns)
        database.execute(f"CREATE TABLE t ({listed})")


def test_objects_with_names_alike_have_tables_and_views_apart():
    """No two objects share a table or a view, whatever their names become."""
    objects = [
        "Foo-Bar",
        "Foo_Bar",
        "foo.bar",
        "FooBar",
        "foo_bar__c",
        "Contacts",
        "contacts.",
        "a",
        "A",
    ]
    for made in (custom_table_name, view_name):
        names = [made(obj, objects) for obj in objects]
        assert len(set(names)) == len(names)
        assert [name for name in names if not re.match(r"[a-z_][a-z0-9_]*\Z", name)] == []
