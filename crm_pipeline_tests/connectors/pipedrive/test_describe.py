"""Schemas: hash keys under human names, options under labels, parts of values as fields of their own."""

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
    """A custom field lies below custom_fields; composite values have their parts as fields."""
    found = fields("persons", custom(kind))
    field = found[HASH]
    assert (field.label, field.type, field.common_type, field.custom) == (
        "Ours",
        kind,
        common,
        True,
    )
    assert field.keys == ("custom_fields", HASH, *end)
    for part, its_type in parts.items():
        extra = found[f"{HASH}_{part}"]
        assert extra.keys == ("custom_fields", HASH, part)
        assert extra.common_type == its_type
        assert extra.label.startswith("Ours: ")


def test_options() -> None:
    """Ids become labels, whether they are numbers or texts; several values are a JSON list."""
    options = [{"id": 7, "label": "Gold"}, {"id": "x", "label": "Silver"}, {"id": None}, "?"]
    one = fields("persons", custom("enum", options=options))[HASH]
    many = fields("persons", custom("set", options=options))[HASH]
    assert one.options == many.options == (("7", "Gold"), ("x", "Silver"))
    assert (one.values, one.multiple, many.multiple) == (("7", "x"), "", "json")


def test_metadata_of_v1() -> None:
    """Where v2's metadata are not permitted those of v1 say the same, and its parts are no fields twice."""
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
    found = fields("persons", *entries)
    assert found[f"{HASH}_currency"].keys == ("custom_fields", HASH, "currency")
    assert found[f"{HASH}_currency"].label == "Ours: currency"
    assert found["label_ids"].label == "Etikett"
    assert found["label_ids"].options == (("1", "A"),)
    assert "label" not in found


def test_leads_carry_the_custom_fields_of_deals_as_v1_writes_them() -> None:
    """At the top of the record, parts as siblings, several options as one text."""
    found = fields("leads", {"key": HASH, "name": "Ours", "field_type": "monetary"})
    assert found[HASH].keys == (HASH,)
    assert found[f"{HASH}_currency"].keys == (f"{HASH}_currency",)
    assert found["value"].keys == ("value", "amount")
    assert found["value_currency"].keys == ("value", "currency")
    several = fields("leads", {"key": HASH, "name": "Ours", "field_type": "set"})
    assert several[HASH].multiple == ","
    card = fields("leads", {"key": HASH, "name": "Ours", "field_type": "user"})
    assert (card[HASH].keys, card[HASH].reference_to) == ((HASH, "value"), ("users",))
    assert (card[f"{HASH}_object"].keys, card[f"{HASH}_object"].common_type) == ((HASH,), "json")
    own = fields("leads", {"key": "helper_id", "name": "Helper", "field_type": "user"})
    assert own["helper_id"].keys == ("helper_id",)
    assert "helper_id_object" not in own


def test_unknown_system_fields_are_taken_as_they_come() -> None:
    """What the vendor adds tomorrow is a field, too."""
    entry = {
        "field_name": "Mood",
        "field_code": "mood",
        "field_type": "emoji",
        "is_custom_field": False,
    }
    assert fields("deals", entry)["mood"].label == "Mood"


def test_optional_fields() -> None:
    """Asked for are the documented ones and those that the vendor describes as optional."""
    entry = {"field_code": "mood", "is_optional_response_field": True}
    assert {"products_count", "mood"} <= set(optional_of(ITEMS["deals"], [entry]))
    assert optional_of(ITEMS["products"], [entry]) == ()


def test_names_are_unique_whatever_their_case(still: Harness) -> None:
    """Views and casts know a field by its name alone."""
    with still.account() as account:
        for obj in ITEMS:
            names = [name.lower() for name in account.describe(obj).names]
            assert len(names) == len(set(names)), obj


@pytest.mark.parametrize(
    "obj", ["deals", "persons", "organizations", "activities", "products", "leads"]
)
def test_every_value_of_a_record_has_a_field(still: Harness, obj: str) -> None:
    """No key of any landed record, however deep, is left without a field."""
    found = still.extract(obj)
    known = {field.keys for field in found.schema.fields}
    lists = {field.keys for field in found.schema.fields if field.common_type == "json"}
    for text in still.landed(found)["record"].to_pylist():
        for keys in _leaves(json.loads(text)):
            assert keys in known or any(keys[: len(one)] == one for one in lists), keys


def _leaves(value: Any, keys: tuple[str, ...] = ()) -> Any:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(part, (*keys, key))
    elif value is not None and value != {}:
        yield keys


def test_custom_fields_of_the_company(still: Harness) -> None:
    """All custom fields that the company has are there, by the names that it gave them."""
    with still.account() as account:
        schema = account.describe("persons")
    wanted = {one["code"]: one["name"] for one in still.company.fields("persons")}
    assert wanted
    assert {f.name: f.label for f in schema.fields if f.name in wanted} == wanted
    [tier] = [one for one in still.company.fields("persons") if one["name"] == "Tier"]
    labels = {str(number): label for number, label in tier["options"].items()}
    assert dict(schema.by_name[tier["code"]].options) == labels


@pytest.mark.parametrize("entry", [one for one in MAPPING if one.object != ANY_OBJECT])
def test_the_mapping_names_fields_that_there_are(entry: Any) -> None:
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
    """It stands below a key of its own: both are kept, and mappings mean the system field."""
    found = fields(
        "deals", custom("varchar", field_code="title"), custom("monetary", field_code="id")
    )
    assert found["title"].keys == ("title",)
    assert found["title (custom_fields)"].keys == ("custom_fields", "title")
    assert found["id (custom_fields.id)"].keys == ("custom_fields", "id", "value")
    assert found["id"].keys == ("id",)


def test_a_custom_field_at_the_root_is_the_field_of_its_name() -> None:
    """v1 writes custom fields beside the system fields: one key there is one field."""
    found = schema_of(ITEMS["notes"], [custom("varchar", field_code="content")])
    assert [field.name for field in found.fields if field.name.startswith("content")] == ["content"]
