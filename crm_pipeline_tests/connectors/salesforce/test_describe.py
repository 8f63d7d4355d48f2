"""Descriptions of objects: one broken attribute costs that attribute, and never the object."""

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests

from crm_pipeline.connectors.salesforce import checkup, describe
from crm_pipeline.connectors.salesforce.api import Api
from crm_pipeline.kernel.errors import MalformedResponse
from crm_pipeline.model.schema import Schema
from crm_pipeline.model.tables import column_type

CUT = "Cut \ud83d"
KEYS = ({"name": "Id", "type": "id"}, {"name": "SystemModstamp", "type": "datetime"})


def schema(*fields: Mapping[str, Any], label: Any = "Contact") -> Schema:
    body = {"name": "Contact", "label": label, "fields": [*KEYS, *fields]}
    return describe.schema_of(json.dumps(body).encode(), "Contact", "acme")


@pytest.mark.parametrize(
    ("attributes", "attribute", "read_as"),
    [
        ({"label": CUT}, "label", "Cut \ufffd"),
        ({"label": 5}, "label", "A__c"),
        ({"length": 80.0}, "length", 80),
        ({"length": "80"}, "length", 0),
        ({"picklistValues": [{"value": "ok"}, {"value": None}, None]}, "values", ("ok",)),
        ({"referenceTo": ["User", None]}, "reference_to", ("User",)),
    ],
)
def test_a_broken_attribute_costs_no_field(
    attributes: Mapping[str, Any], attribute: str, read_as: object
) -> None:
    """The field stays, with what can be read of it."""
    found = schema({"name": "A__c", "type": "string", **attributes})
    assert [one.name for one in found.fields] == ["Id", "SystemModstamp", "A__c"]
    assert getattr(found.by_name["A__c"], attribute) == read_as


@pytest.mark.parametrize(
    ("label", "read_as"), [(CUT, "Cut \ufffd"), (5, "Contact"), (None, "Contact")]
)
def test_the_label_of_an_object(label: Any, read_as: str) -> None:
    """What an object is called decides nothing."""
    assert schema(label=label).label == read_as


@pytest.mark.parametrize("name", ["Id", "IsDeleted", "SystemModstamp"])
def test_what_tells_records_apart_must_be_there(name: str) -> None:
    """Without its stamp an object would be read otherwise, and without a word."""
    with pytest.raises(MalformedResponse, match=f"its entry {name} cannot be read"):
        schema({"name": name, "type": None})


def test_a_description_without_an_id_is_none() -> None:
    """The whole entry can be missing from the list; then nothing could be read."""
    body = json.dumps({"name": "X__c", "fields": [{"name": "A__c", "type": "string"}]}).encode()
    with pytest.raises(
        MalformedResponse,
        match="description of X__c is not what the vendor documents: it has no entry Id",
    ):
        describe.schema_of(body, "X__c", "acme")


def test_one_object_costs_no_other() -> None:
    """Every description looks at the list of objects first."""
    response = requests.Response()
    listed = [{"name": "Account"}, {"name": "X__c", "label": CUT}, {"name": None}, None]
    response._content = json.dumps({"sobjects": listed}).encode()
    api = SimpleNamespace(
        base="", connection=SimpleNamespace(name="acme"), asked=lambda _, read: read(response)
    )
    assert checkup.listed(cast("Api", api)) == [
        {"name": "Account"},
        {"name": "X__c", "label": "Cut \ufffd"},
    ]


def choices(*entries: tuple[str, str | None, bool]) -> list[dict[str, Any]]:
    return [{"value": value, "label": label, "active": active} for value, label, active in entries]


def test_labels_of_pick_lists() -> None:
    """Values that people see under another name have a label, in use or not; all values are listed."""
    listed = choices(
        ("WEB", "Website", True),
        ("Phone", "Phone", True),
        ("FAX", "Telefax", False),
        ("x", None, True),
    )
    found = schema(
        {"name": "Source", "type": "picklist", "picklistValues": listed},
        {"name": "Kinds__c", "type": "multipicklist", "picklistValues": listed},
        {"name": "Free", "type": "combobox", "picklistValues": None},
    ).by_name
    assert found["Source"].options == (("WEB", "Website"), ("FAX", "Telefax"))
    assert found["Source"].values == ("WEB", "Phone", "FAX", "x")
    assert [found[name].multiple for name in ("Source", "Kinds__c", "Free")] == ["", ";", ""]


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"type": "double", "precision": 18, "scale": 8}, "DOUBLE"),
        ({"type": "double", "precision": 18, "scale": 0}, "DECIMAL(24,6)"),
        ({"type": "percent", "precision": 5, "scale": 2}, "DOUBLE"),
        ({"type": "currency", "precision": 18, "scale": 2}, "DECIMAL(24,6)"),
        ({"type": "currency", "precision": 18, "scale": 8}, "DECIMAL(38,8)"),
        ({"type": "int", "digits": 9}, "BIGINT"),
    ],
)
def test_numbers_keep_their_places(attributes: Mapping[str, Any], kind: str) -> None:
    """Places behind the point are those of the description; whole numbers of 18 digits stay exact."""
    field = schema({"name": "A__c", **attributes}).by_name["A__c"]
    assert field.scale == attributes.get("scale", 0)
    assert column_type(field) == kind


def test_what_is_described_and_not_read() -> None:
    """Bodies of files are named beside the fields; compound fields are read by their parts."""
    found = schema({"name": "Body", "type": "base64"}, {"name": "Address", "type": "address"})
    assert found.names == ("Id", "SystemModstamp")
    assert [field.name for field in found.left_out] == ["Body"]
    assert Schema.from_json(found.to_json()) == found
    assert "left_out" not in schema().to_dict()
