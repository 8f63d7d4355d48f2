"""The fields that records may have, from all schemas."""

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
        ({"options": (("new", "New"),)}, STAGES),
        ({"options": (("new", "Fresh"),)}, (("new", "Fresh"), ("won", "Won"))),
        # Listed, and called as it is stored.
        ({"options": (("new", "New"),), "values": ("new", "won")}, (("new", "New"),)),
        ({"options": (), "type": "string"}, ()),
    ],
)
def test_shorter_lists_of_choices_take_no_labels_away(changed: Any, options: Any) -> None:
    """Records keep values that left the list, which keep the labels that they had; a field that became something
    else has none of them."""
    described = [schema(), schema(**changed), schema(**changed)]
    by_name = {field.name: field for field in all_fields(described)}
    assert by_name["stage"].options == options
    assert by_name["stage"].label == changed.get("label", "Stage")


def test_fields_that_are_gone_stay() -> None:
    """Fields of the newest schema come first, those of older schemas only follow."""
    older = Schema("deals", "Deals", (Field("old", "Old", "string"), Field("id", "Key", "id")))
    assert [(f.name, f.label) for f in all_fields([older, schema()])] == [
        ("id", "ID"),
        ("stage", "Stage"),
        ("old", "Old"),
    ]
