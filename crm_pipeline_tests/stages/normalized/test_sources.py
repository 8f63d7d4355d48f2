"""The fields that records may carry, from what was described over time."""

from typing import Any

import pytest

from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.stages.normalized.fields import Fields


def all_fields(schemas: list[Schema]) -> list[Field]:
    return [linked.field for linked in Fields(schemas).all]


STAGES = (("new", "New"), ("won", "Won"))


def schema(**changed: Any) -> Schema:
    stage = {"name": "stage", "label": "Stage", "type": "enumeration", "options": STAGES} | changed
    return Schema("deals", "Deals", (Field("id", "ID", "id"), Field(**stage)))


@pytest.mark.parametrize(
    ("changed", "options"),
    [
        ({"options": ()}, STAGES),
        ({"options": (), "label": "Phase"}, STAGES),
        ({"options": (("new", "New"),)}, (("new", "New"),)),
        ({"options": (), "type": "string"}, ()),
    ],
)
def test_an_empty_list_of_choices_takes_no_labels_away(changed: Any, options: Any) -> None:
    """A pick list that names no choices keeps those that it had; one that became something else, or has others,
    does not."""
    described = [schema(), schema(**changed), schema(**changed)]
    found = {field.name: field for field in all_fields(described)}
    assert found["stage"].options == options
    assert found["stage"].label == changed.get("label", "Stage")


def test_fields_that_are_gone_stay() -> None:
    """The newest description goes first, what only older ones have follows."""
    older = Schema("deals", "Deals", (Field("old", "Old", "string"), Field("id", "Key", "id")))
    assert [(f.name, f.label) for f in all_fields([older, schema()])] == [
        ("id", "ID"),
        ("stage", "Stage"),
        ("old", "Old"),
    ]
