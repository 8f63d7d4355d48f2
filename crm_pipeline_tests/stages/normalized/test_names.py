"""Fields whose names collide: with each other except for case, and with facts beside them in a record."""

import importlib
import json
from typing import Any

import pytest

from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.model.mapping import ANY_OBJECT, ObjectMap, same
from crm_pipeline.model.schema import Field, Schema

MAPPING = importlib.import_module("crm_pipeline.connectors.hubspot.mapping").MAPPING
describe = importlib.import_module("crm_pipeline.connectors.hubspot.describe")
AFTER = "2026-02-01T00:00:00.000Z"


def contact(number: int, **more: Any) -> dict[str, Any]:
    return {"Id": f"003{number}", "LastName": "Ng", **more}


@pytest.fixture
def respelled(org, schema_of):
    """An admin spells `Ext_id__c` as `Ext_Id__c` between two windows, of CSV and of JSON."""

    def land(first: str, second: str):
        org.land(
            schema_of("Contact", "LastName", "Ext_id__c"), [contact(1, Ext_id__c="a")], shape=first
        )
        row = contact(2, Ext_Id__c="b")
        org.land(schema_of("Contact", "LastName", "Ext_Id__c"), [row], shape=second)
        return org

    return land


SHAPES = pytest.mark.parametrize(
    ("first", "second"), [("csv", "csv"), ("csv", "json"), ("json", "csv"), ("json", "json")]
)


@SHAPES
def test_a_name_spelled_anew_is_one_field(respelled, first, second):
    """Salesforce ignores case: both values are under the present name."""
    org = respelled(first, second)
    org.normalize("contacts")
    assert org.rows("contacts", "custom") == [('{"Ext_Id__c":"a"}',), ('{"Ext_Id__c":"b"}',)]


@pytest.mark.parametrize("spelled", ["Ext_id__c", "Ext_Id__c", "EXT_ID__C"])
def test_a_mapping_finds_a_name_in_any_case(respelled, spelled):
    """A user's mapping stays valid, whatever the case in the CRM or in the mapping."""
    org = respelled("csv", "json")
    org.mappings = {"Contact": {spelled: "department"}}
    org.normalize("contacts")
    assert org.rows("contacts", "department, custom") == [("a", "{}"), ("b", "{}")]


def test_a_mapped_field_is_not_gone_when_it_is_spelled_anew(org, schema_of):
    """The contract about mapped fields does not mistake another spelling for a field that vanished."""
    org.land(schema_of("Contact", "LastName", "Email"), [contact(1, Email="a@b.co")], shape="json")
    row = contact(2, EMail="c@d.co")
    org.land(schema_of("Contact", "LastName", "EMail"), [row], shape="json")
    org.normalize("contacts")
    assert org.rows("contacts", "email") == [("a@b.co",), ("c@d.co",)]
    org.land(schema_of("Contact", "LastName"), [contact(3)])
    with pytest.raises(ContractError, match=r"Contact\.EMail .* is gone"):
        org.normalize("contacts")


@pytest.mark.parametrize("shape", ["csv", "json"])
def test_names_that_differ_in_case_only_are_two_fields(org, schema_of, shape):
    """If case counts for the vendor they are two fields: two columns, two keys, each with its value."""
    org.maps = (
        ObjectMap("Contact", "contacts", same("LastName=last_name")),
        ObjectMap(ANY_OBJECT, "", ()),
    )
    row = {**contact(1), "Abc": "1", "aBC": "2", "EMAIL": "3"}
    for obj in ("Contact", "Thing"):
        described_so = schema_of(obj, "LastName", "Abc", "aBC", "EMAIL")
        org.land(described_so, [row], shape=shape)
        org.land(schema_of(obj, "LastName", "email"), [contact(2) | {"email": "4"}], shape=shape)
    for table in ("contacts", "thing"):
        org.normalize(table)
    org.publish()
    names = ("Abc", "aBC", "EMAIL", "email")
    for obj in ("Contact", "Thing"):
        columns = f"SELECT field, view_column FROM ops.fields WHERE object = '{obj}'"
        fields = dict(org.query(columns))
        listed = ", ".join(f'"{fields[name]}"' for name in names)
        assert org.query(f'SELECT {listed} FROM crm_acme."{obj}" ORDER BY "Record ID"') == [
            ("1", "2", "3", None),
            (None, None, None, "4"),
        ]
    customs = [json.loads(text) for (text,) in org.rows("contacts", "custom")]
    assert [[custom[name] for name in names] for custom in customs] == [
        ["1", "2", "3", None],
        [None, None, None, "4"],
    ]


RECORD = {
    "id": "51",
    "properties": {
        "archived": "true",
        "id": "CUST-0042",
        "createdat": "long ago",
        "email": "a@b.co",
    },
    "createdAt": "2025-06-01T08:00Z",
    "updatedAt": "2025-06-02T08:00:00Z",
    "archived": False,
}
OURS = ("archived", "id", "createdat")


def portal_schema(obj: str, *names: str) -> Schema:
    listed = [{"name": name, "label": name.title(), "type": "string"} for name in names]
    return describe.schema_of(obj, "Contacts", listed)


def as_stored_before(schema: Schema) -> Schema:
    """Return an older schema, in which a property replaced the fact with its name."""
    kept = [
        f for f in schema.fields if f.path or f.name.lower() not in {*OURS, "archived (record)"}
    ]
    return Schema(schema.object, schema.label, tuple(kept))


@pytest.mark.parametrize("is_old", [False, True], ids=["described now", "described before"])
def test_properties_called_as_what_stands_beside_them(org, is_old):
    """Facts of the record keep their columns; the account's own three properties have their own names."""
    org.maps = MAPPING
    tables = {"contacts": "contacts", "2-77": "_2_77"}
    for obj, table in tables.items():
        schema = portal_schema(obj, "email", *OURS)
        org.land_records(as_stored_before(schema) if is_old else schema, [RECORD])
        org.normalize(table)
        facts = "source_id, is_deleted, created_at::VARCHAR, modified_at::VARCHAR"
        assert org.rows(table, facts) == [
            ("51", False, "2025-06-01 08:00:00+00", "2025-06-02 08:00:00+00")
        ]
    org.publish()
    for obj, table in tables.items():
        named = f"SELECT field, column_name, view_column FROM ops.fields WHERE object = '{obj}'"
        fields = {field: (column, shown) for field, column, shown in org.query(named)}
        for name in OURS:
            column, shown = fields[name]
            value = RECORD["properties"][name]
            expression = f'"{column}"' if column else f"custom ->> '{name}'"
            assert org.query(f"SELECT {expression} FROM crm.{table}") == [(value,)]
            assert org.query(f'SELECT "{shown}" FROM crm_acme."{table}"') == [(value,)]
        assert org.query(f"SELECT count(*) FROM crm.{table}_deleted") == [(0,)]


def test_a_property_that_comes_later_is_no_fact_of_older_records(org):
    """Older records say `archived: false` beside their properties; that is not the new property's value."""
    org.maps = MAPPING
    plain = {**RECORD, "id": "50", "properties": {"email": "c@d.co"}}
    org.land_records(portal_schema("contacts", "email"), [plain])
    org.land_records(portal_schema("contacts", "email", *OURS), [RECORD])
    org.normalize("contacts")
    rows = org.rows("contacts", "source_id, is_deleted, custom")
    customs = {key: json.loads(text) for key, _, text in rows}
    assert [is_deleted for _, is_deleted, _ in rows] == [False, False]
    assert [[customs[key][name] for name in OURS] for key in ("50", "51")] == [
        [None, None, None],
        ["true", "CUST-0042", "long ago"],
    ]


def test_a_property_called_associations_is_no_list_of_links(org):
    """Links are read from beside the properties, not from a property of that name."""
    org.maps = MAPPING
    link = {"to_object": "contacts", "to_id": 7, "label": None}
    properties = {"associations": "many", "dealname": "Big"}
    record = {**RECORD, "properties": properties, "associations": [link]}
    org.land_records(portal_schema("deals", "dealname", "associations"), [record])
    org.normalize("deals")
    [(key, custom)] = org.rows("deals", "primary_contact_key, custom")
    assert (key, json.loads(custom)["associations"]) == ("acme:contacts:7", "many")


def test_the_user_takes_a_property_and_not_the_fact_beside_it(org):
    """`archived: lawful_basis` in connections.yaml means the property; records stay as live as they are."""
    org.maps = MAPPING
    org.mappings = {"contacts": {"archived": "lawful_basis"}}
    gone = {**RECORD, "id": "52", "archived": True}
    org.land_records(portal_schema("contacts", *OURS), [RECORD, gone], deleted="never")
    org.normalize("contacts")
    assert org.rows("contacts", "is_deleted, lawful_basis") == [(False, "true"), (True, "true")]


def test_a_field_of_the_root_that_is_called_like_ours(org):
    """A field may have the name of our columns or of landing's; its value is where fields' values are."""
    names = (
        "custom",
        "connection",
        "source_id",
        "crm_key",
        "_modified_at",
        "_row",
        "record",
        "r",
        "src.x",
    )
    org.maps = (ObjectMap(ANY_OBJECT, "", ()),)
    schema = Schema("thing", "", tuple(Field(name, name, "x") for name in names))
    record = {"id": "1", **{name: f"is {name}" for name in names}}
    org.land_records(schema, [record])
    org.normalize("thing")
    org.publish()
    shown = org.query("SELECT * FROM crm_acme.thing")[0]
    assert shown == (*(f"is {name}" for name in names), "acme:thing:1")
