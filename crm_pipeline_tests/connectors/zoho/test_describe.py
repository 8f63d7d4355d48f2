"""Metadata of modules: one defective attribute costs that attribute, and never the module."""

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests

from crm_pipeline.connectors.zoho import describe
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.describe import Module
from crm_pipeline.connectors.zoho.documents import Layout
from crm_pipeline.kernel.errors import MalformedResponse
from crm_pipeline.model.schema import Field

CUT = "Cut \ud83d"
KEYS = (
    {"api_name": "id", "data_type": "bigint"},
    {"api_name": "Modified_Time", "data_type": "datetime"},
)


def answering(body: object) -> Api:
    """Return an API with one fixed response."""
    response = requests.Response()
    response.status_code = 200
    response._content = json.dumps(body).encode()
    api = object.__new__(Api)
    api.connection = cast("Any", SimpleNamespace(name="acme"))
    api.ask = lambda path, operation, reader, *_: reader(response)  # type: ignore[method-assign]
    return api


def field(attributes: Mapping[str, Any]) -> Field:
    api = answering({"fields": [*KEYS, {"api_name": "A", "data_type": "picklist", **attributes}]})
    listed = describe.fields(api, "Leads")
    return describe.schema_of(Module("Leads", "Leads", "default"), listed).by_name["A"]


@pytest.mark.parametrize(
    ("attributes", "attribute", "read_as"),
    [
        ({"field_label": CUT}, "label", "Cut \ufffd"),
        ({"length": 255.0}, "length", 255),
        ({"length": "80"}, "length", 0),
        ({"decimal_place": "2"}, "scale", 0),
        ({"decimal_place": 9}, "scale", 9),
        ({"decimal_place": None, "currency": {"precision": 9}}, "scale", 9),
        ({"decimal_place": 4, "currency": {"precision": "2"}}, "scale", 4),
        (
            {
                "pick_list_values": [
                    {"actual_value": "a", "display_value": "A"},
                    {"actual_value": None},
                ]
            },
            "options",
            (("a", "A"),),
        ),
        ({"pick_list_values": [{"actual_value": "a", "display_value": None}]}, "values", ("a",)),
        ({"data_type": "lookup", "lookup": {"module": "Accounts"}}, "reference_to", ()),
    ],
)
def test_a_broken_attribute_costs_no_field(
    attributes: Mapping[str, Any], attribute: str, read_as: object
) -> None:
    """The field stays, with its readable attributes."""
    assert getattr(field(attributes), attribute) == read_as


@pytest.mark.parametrize("name", ["id", "Modified_Time", "Converted__s"])
def test_key_fields_must_be_readable(name: str) -> None:
    """Without its time of change a module would silently be read by another strategy."""
    fields = [KEYS[0], {"api_name": name, "data_type": None}]
    with pytest.raises(MalformedResponse, match=f"its entry {name} cannot be read"):
        describe.fields(answering({"fields": fields}), "Leads")


def test_one_module_costs_no_other() -> None:
    """A defective module in the list of modules costs only itself."""
    listed = [
        {"api_name": "Leads", "api_supported": True},
        {"api_name": "C1", "api_supported": True, "plural_label": CUT},
        {"api_name": None, "api_supported": True},
        None,
    ]
    modules = describe.modules(answering({"modules": listed}))
    assert [(module.name, module.label) for module in modules] == [
        ("Leads", "Leads"),
        ("C1", "Cut \ufffd"),
    ]


def test_an_unused_label() -> None:
    """A defective name of a layout is ignored, as it is not used."""
    api = answering({"layouts": [{"id": "1", "name": CUT}]})
    read = api.listed("layouts", Layout)
    assert [layout.id for layout in api.ask("/settings/layouts", cast("Any", None), read)] == ["1"]
