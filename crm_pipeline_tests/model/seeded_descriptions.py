"""Changes of a description, and the fact that has to be noticed each time."""

from collections.abc import Mapping
from dataclasses import replace

from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.model.schema_changes import changes

Fact = tuple[str, str, str, bool]
NAME = Field("Name", "Full Name", "string")
STAGES = Field("StageName", "Stage", "picklist", options=(("won", "Won"), ("lost", "Lost")))
AMOUNT = Field("Amount", "Amount", "currency", "decimal", precision=18, scale=2)


def facts(before: Schema, after: Schema) -> list[Fact]:
    """Return kind, fact before, fact now and whether it is a loss, of each change."""
    return [(each.kind, each.old, each.new, each.is_loss) for each in changes(before, after)]


def _of(*fields: Field) -> Schema:
    return Schema("Opportunity", "", fields)


DESCRIPTIONS: Mapping[str, tuple[Schema, Schema, Fact]] = {
    "a text became a number": (
        _of(NAME), _of(replace(NAME, type="double", common_type="double")), ("retyped", "string", "double", True)),
    "a number became a text": (
        _of(AMOUNT), _of(replace(AMOUNT, type="string", common_type="string")), ("retyped", "currency", "string", True)),
    "a text became a longer text": (
        _of(NAME), _of(replace(NAME, type="textarea")), ("retyped", "string", "textarea", False)),
    "a field came": (_of(NAME), _of(NAME, AMOUNT), ("added", "", "'Amount', currency", False)),
    "a field went": (_of(NAME, AMOUNT), _of(NAME), ("removed", "'Amount', currency", "", True)),
    "another label": (_of(NAME), _of(replace(NAME, label="Deal")), ("relabelled", "Full Name", "Deal", False)),
    "another spelling": (_of(NAME), _of(replace(NAME, name="NAME")), ("respelled", "Name", "NAME", False)),
    "a choice came": (
        _of(STAGES), _of(replace(STAGES, options=(*STAGES.options, ("open", "Open")))), ("choices_added", "", "'open'", False)),
    "a choice went": (_of(STAGES), _of(replace(STAGES, options=(("won", "Won"),))), ("choices_removed", "'lost'", "", True)),
    "all choices went": (_of(STAGES), _of(replace(STAGES, options=())), ("choices_removed", "'won', 'lost'", "", True)),
    "a choice in another language": (
        _of(STAGES), _of(replace(STAGES, options=(("won", "Gewonnen"), ("lost", "Lost")))),
        ("choices_relabelled", "'Won'", "'Gewonnen'", False)),
    "a shorter text": (_of(replace(NAME, length=255)), _of(replace(NAME, length=80)), ("length", "255", "80", True)),
    "a longer text": (_of(replace(NAME, length=80)), _of(replace(NAME, length=255)), ("length", "80", "255", False)),
    "fewer decimals": (_of(AMOUNT), _of(replace(AMOUNT, scale=0)), ("precision", "18.2", "18.0", True)),
    "required": (_of(AMOUNT), _of(replace(AMOUNT, nullable=False)), ("nullability", "optional", "required", False)),
    "a formula": (_of(AMOUNT), _of(replace(AMOUNT, calculated=True)), ("calculated", "entered", "calculated", True)),
}  # fmt: skip
