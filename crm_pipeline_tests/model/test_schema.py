import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.model.schema import Field, Schema

TEXTS = st.text(alphabet='aB_0 "\\\n\0é漢😀', max_size=8)
FIELDS = st.builds(
    Field,
    name=TEXTS,
    label=TEXTS,
    type=TEXTS,
    common_type=st.sampled_from(["string", "decimal", "timestamp"]),
    nullable=st.booleans(),
    custom=st.booleans(),
    calculated=st.booleans(),
    length=st.integers(0, 300),
    precision=st.integers(0, 18),
    scale=st.integers(0, 9),
    reference_to=st.lists(TEXTS, max_size=2).map(tuple),
    values=st.lists(TEXTS, max_size=2).map(tuple),
    path=st.lists(TEXTS, max_size=2).map(tuple),
    options=st.lists(st.tuples(TEXTS, TEXTS), max_size=2).map(tuple),
    multiple=st.sampled_from(["", ";", ",", "json"]),
    form=st.sampled_from(["", "epoch_ms", "date_epoch_ms", "local", "clock"]),
)
SCHEMAS = st.builds(
    Schema, object=TEXTS, label=TEXTS, fields=st.lists(FIELDS, max_size=4).map(tuple)
)
NAME = Field("Name", "Full Name", "string")
STAGE = Field("StageName", "Stage", "picklist", values=("Won", "Lost"))
BASE = Schema("Opportunity", "Opportunity", (NAME, STAGE))


@given(SCHEMAS)
def test_a_schema_survives_its_file(schema: Schema) -> None:
    """A stored schema is read back equal, including its fingerprint."""
    back = Schema.from_json(schema.to_json())
    assert back == schema
    assert back.fingerprint == schema.fingerprint


@given(SCHEMAS, SCHEMAS)
def test_equal_fingerprints_mean_equal_schemas(one: Schema, other: Schema) -> None:
    """Landing keeps one schema per fingerprint, so two that differ must not share one."""
    assert (one.fingerprint == other.fingerprint) == (one == other)


@pytest.mark.parametrize(
    "change",
    [
        {"label": "Whole Name"},
        {"type": "textarea"},
        {"common_type": "json"},
        {"nullable": False},
        {"calculated": True},
        {"length": 80},
        {"precision": 18},
        {"scale": 2},
        {"reference_to": ("User",)},
        {"values": ("a",)},
        {"path": ("properties", "Name")},
        {"options": (("a", "A"),)},
        {"multiple": ";"},
        {"form": "local"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_fingerprint_moves_with_every_property(change: dict[str, object]) -> None:
    """A schema that is described anew in any respect is stored anew."""
    changed = Schema("Opportunity", "Opportunity", (replace(NAME, **change), STAGE))
    assert changed.fingerprint != BASE.fingerprint


def test_a_schema_that_was_stored_before_is_the_same() -> None:
    """Schemas from before paths, options, lists and forms keep their text and their fingerprint."""
    assert BASE.fingerprint == "ed2805be8efc0fdc"
    stored = json.loads(BASE.to_json())["fields"][0]
    assert list(stored) == [
        "name",
        "label",
        "type",
        "common_type",
        "nullable",
        "custom",
        "calculated",
        "length",
        "precision",
        "scale",
        "reference_to",
        "values",
    ]


def test_names_keep_the_vendors_order() -> None:
    """Fields are listed in the order in which the vendor describes them."""
    assert BASE.names == ("Name", "StageName")
    assert BASE.by_name["StageName"] is STAGE


def test_a_field_that_comes_twice_is_kept_once() -> None:
    """Vendors repeat entries of their metadata: the first one stays."""
    again = Schema("Opportunity", "Opportunity", (NAME, STAGE, replace(NAME, label="Again")))
    assert again.fields == (NAME, STAGE)


def test_one_name_in_two_places_is_two_fields() -> None:
    """The later of two fields with one name is marked with its path, whatever names exist; no field is dropped."""
    inside = Field("archived", "Archived", "string", path=("properties", "archived"))
    beside = Field("archived", "Archived", "bool")
    marked = Field("archived (record)", "Mine", "string", path=("properties", "archived (record)"))
    made = Schema("contacts", "Contacts", (inside, marked, beside))
    assert made.names == ("archived", "archived (record)", "archived (record 2)")
    assert made.fields[2].keys == ("archived",)
    assert Schema.from_json(made.to_json()) == made


def test_names_may_differ_in_case_only() -> None:
    """Two fields are two, as the vendor has them."""
    both = (Field("EMAIL", "", "x"), Field("email", "", "x"))
    assert Schema("contacts", "", both).fields == both


def test_half_a_surrogate_pair_can_be_stored() -> None:
    """Labels may have half a surrogate pair, which is replaced."""
    label = json.loads('"Emoji \\ud83d"')
    made = Schema("o", label, (Field(label, label, label, options=((label, label),)),))
    made.to_json().encode()
    field = made.fields[0]
    assert {made.label, field.name, field.label, *field.options[0]} == {"Emoji \ufffd"}
    assert Schema.from_json(made.to_json()).fingerprint == made.fingerprint
