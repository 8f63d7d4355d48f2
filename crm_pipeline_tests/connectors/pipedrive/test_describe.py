"""Schemas: hash keys get names, options get labels, parts of values are fields of their own."""

import json
from typing import Any

import pytest

from crm_pipeline.connectors.pipedrive.catalog import ITEMS
from crm_pipeline.connectors.pipedrive.describe import optional_of, schema_of
from crm_pipeline.connectors.pipedrive.mapping import MAPPING
from crm_pipeline.connectors.pipedrive.system_fields import SYSTEM
from crm_pipeline.model.mapping import ANY_OBJECT, RECORD
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline_tests.connectors.pipedrive.conftest import Harness

HASH = "0123456789abcdef0123456789abcdef01234567"


def custom(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "field_name": "Ours",
        "field_code": HASH,
        "field_type": kind,
        "is_custom_field": True,
        "options": None,
        **more,
    }


def fields(obj: str, *entries: dict[str, Any]) -> dict[str, Field]:
    return dict(schema_of(ITEMS[obj], entries).by_name)


@pytest.mark.parametrize(
    ("kind", "common", "end", "parts"),
    [
        ("varchar", "string", (), {}),
        ("text", "string", (), {}),
        ("phone", "string", (), {}),
        ("double", "double", (), {}),
        ("date", "date", (), {}),
        ("user", "integer", (), {}),
        ("monetary", "decimal", ("value",), {"currency": "string"}),
        ("daterange", "date", ("value",), {"until": "date"}),
        ("time", "time", ("value",), {"timezone_id": "integer", "timezone_name": "string"}),
        ("timerange", "time", ("value",), {"until": "time", "timezone_name": "string"}),
        ("address", "string", ("value",), {"locality": "string", "postal_code": "string"}),
        ("something new", "string", (), {}),
    ],
)
def test_custom_fields(kind: str, common: str, end: tuple[str, ...], parts: dict[str, str]) -> None:
    """A custom field is below custom_fields; the parts of composite values are fields."""
    by_name = fields("persons", custom(kind))
    field = by_name[HASH]
    assert (field.label, field.type, field.common_type, field.custom) == (
        "Ours",
        kind,
        common,
        True,
    )
    assert field.keys == ("custom_fields", HASH, *end)
    for part, its_type in parts.items():
        extra = by_name[f"{HASH}_{part}"]
        assert extra.keys == ("custom_fields", HASH, part)
        assert extra.common_type == its_type
        assert extra.label.startswith("Ours: ")


def test_options() -> None:
    """Option ids, numbers or texts, have labels; several values are a JSON list."""
    options = [{"id": 7, "label": "Gold"}, {"id": "x", "label": "Silver"}, {"id": None}, "?"]
    single = fields("persons", custom("enum", options=options))[HASH]
    many = fields("persons", custom("set", options=options))[HASH]
    assert single.options == many.options == (("7", "Gold"), ("x", "Silver"))
    assert (single.values, single.multiple, many.multiple) == (("7", "x"), "", "json")


def test_metadata_of_v1() -> None:
    """Where v2's metadata are not permitted those of v1 give the same fields, without duplicates for parts."""
    entries = [
        {"key": f"{HASH}_currency", "name": "Currency of Ours", "field_type": "varchar"},
        {"key": HASH, "name": "Ours", "field_type": "monetary", "options": None},
        {
            "key": "label",
            "name": "Etikett",
            "field_type": "set",
            "options": [{"id": 1, "label": "A"}],
        },
    ]
    by_name = fields("persons", *entries)
    assert by_name[f"{HASH}_currency"].keys == ("custom_fields", HASH, "currency")
    assert by_name[f"{HASH}_currency"].label == "Ours: currency"
    assert by_name["label_ids"].label == "Etikett"
    assert by_name["label_ids"].options == (("1", "A"),)
    assert "label" not in by_name


def test_custom_fields_of_leads_have_the_form_of_v1() -> None:
    """They are at the top of the record, with parts as siblings and several options as one text."""
    by_name = fields("leads", {"key": HASH, "name": "Ours", "field_type": "monetary"})
    assert by_name[HASH].keys == (HASH,)
    assert by_name[f"{HASH}_currency"].keys == (f"{HASH}_currency",)
    assert by_name["value"].keys == ("value", "amount")
    assert by_name["value_currency"].keys == ("value", "currency")
    several = fields("leads", {"key": HASH, "name": "Ours", "field_type": "set"})
    assert several[HASH].multiple == ","
    card = fields("leads", {"key": HASH, "name": "Ours", "field_type": "user"})
    assert (card[HASH].keys, card[HASH].reference_to) == ((HASH, "value"), ("users",))
    assert (card[f"{HASH}_object"].keys, card[f"{HASH}_object"].common_type) == ((HASH,), "json")
    own = fields("leads", {"key": "helper_id", "name": "Helper", "field_type": "user"})
    assert own["helper_id"].keys == ("helper_id",)
    assert "helper_id_object" not in own


def test_unknown_system_fields_are_kept() -> None:
    """A system field that the vendor adds later is a field too."""
    entry = {
        "field_name": "Mood",
        "field_code": "mood",
        "field_type": "emoji",
        "is_custom_field": False,
    }
    assert fields("deals", entry)["mood"].label == "Mood"


def test_optional_fields() -> None:
    """The documented optional fields and those of the metadata are requested."""
    entry = {"field_code": "mood", "is_optional_response_field": True}
    assert {"products_count", "mood"} <= set(optional_of(ITEMS["deals"], [entry]))
    assert optional_of(ITEMS["products"], [entry]) == ()


def test_names_are_unique_whatever_their_case(still: Harness) -> None:
    """Views and casts identify fields by name, so names differ in more than case."""
    with still.account() as account:
        for obj in ITEMS:
            names = [name.lower() for name in account.describe(obj).names]
            assert len(names) == len(set(names)), obj


@pytest.mark.parametrize(
    "obj", ["deals", "persons", "organizations", "activities", "products", "leads"]
)
def test_every_value_of_a_record_has_a_field(still: Harness, obj: str) -> None:
    """Every key of every landed record, at any depth, has a field."""
    extraction = still.extract(obj)
    known = {field.keys for field in extraction.schema.fields}
    lists = {field.keys for field in extraction.schema.fields if field.common_type == "json"}
    for text in still.landed(extraction)["record"].to_pylist():
        for keys in _leaves(json.loads(text)):
            assert keys in known or any(keys[: len(path)] == path for path in lists), keys


def _leaves(value: Any, keys: tuple[str, ...] = ()) -> Any:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(part, (*keys, key))
    elif value is not None and value != {}:
        yield keys


def test_custom_fields_of_the_company(still: Harness) -> None:
    """Every custom field of the company is in the schema, with the company's name for it."""
    with still.account() as account:
        schema = account.describe("persons")
    wanted = {field["code"]: field["name"] for field in still.company.fields("persons")}
    assert wanted
    assert {f.name: f.label for f in schema.fields if f.name in wanted} == wanted
    [tier] = [field for field in still.company.fields("persons") if field["name"] == "Tier"]
    labels = {str(number): label for number, label in tier["options"].items()}
    assert dict(schema.by_name[tier["code"]].options) == labels


@pytest.mark.parametrize("entry", [mapping for mapping in MAPPING if mapping.object != ANY_OBJECT])
def test_the_mapping_names_existing_fields(entry: Any) -> None:
    """Each source of the mapping is a field of the object's schema."""
    schema: Schema = schema_of(ITEMS[entry.object], [])
    for mapped in entry.fields:
        for source in mapped.sources:
            if entry.each and not source.startswith(RECORD):
                continue  # a key of the list's elements
            plain = source.removeprefix(RECORD)
            assert plain in {*schema.by_name, "_source_id"}, (entry.object, source)


def test_all_objects_have_system_fields() -> None:
    """The catalog and the table of fields name the same objects."""
    assert set(SYSTEM) == set(ITEMS)


def test_a_custom_field_is_no_system_field_of_its_name() -> None:
    """A custom field with a system field's key is kept beside it; mappings use the system field."""
    by_name = fields(
        "deals", custom("varchar", field_code="title"), custom("monetary", field_code="id")
    )
    assert by_name["title"].keys == ("title",)
    assert by_name["title (custom_fields)"].keys == ("custom_fields", "title")
    assert by_name["id (custom_fields.id)"].keys == ("custom_fields", "id", "value")
    assert by_name["id"].keys == ("id",)


def test_a_custom_field_at_the_root_is_the_field_of_its_name() -> None:
    """v1 writes custom fields beside the system fields: one key there is one field."""
    schema = schema_of(ITEMS["notes"], [custom("varchar", field_code="content")])
    assert [field.name for field in schema.fields if field.name.startswith("content")] == [
        "content"
    ]
