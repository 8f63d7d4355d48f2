"""What a vendor says about an object: its fields, their human names and their types.

A schema is read from the vendor before each extraction and stored beside the records, because
names and types change while records stay.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, Self

from crm_pipeline.kernel.identity import fingerprint

CommonType = Literal[
    "string",
    "boolean",
    "integer",
    "decimal",
    "double",
    "date",
    "time",
    "timestamp",
    "json",
    "binary",
]


@dataclass(frozen=True)
class Field:
    """One field of a vendor's object.

    Attributes:
        type: the vendor's own type name.
        common_type: the type that the normalized stage casts to.
        calculated: a formula; its value changes without any stamp of the record moving.
        reference_to: objects that the value points to, for references.
        values: the allowed values of a pick list.
    """

    name: str
    label: str
    type: str
    common_type: CommonType = "string"
    nullable: bool = True
    custom: bool = False
    calculated: bool = False
    length: int = 0
    precision: int = 0
    scale: int = 0
    reference_to: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schema:
    """The fields of one object at one moment, in the vendor's order."""

    object: str
    label: str
    fields: tuple[Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The fields' API names."""
        return tuple(field.name for field in self.fields)

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """The fields by API name."""
        return {field.name: field for field in self.fields}

    @cached_property
    def fingerprint(self) -> str:
        """A short text that changes with anything in the schema.

        Landing keeps one schema per fingerprint: what is left out here would be kept as it was at
        first, however often it was described anew.
        """
        return fingerprint(asdict(self))

    def to_json(self) -> str:
        """Write the schema as JSON text."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        raw: dict[str, Any] = json.loads(text)
        fields = tuple(
            Field(
                **{
                    **field,
                    "reference_to": tuple(field["reference_to"]),
                    "values": tuple(field["values"]),
                }
            )
            for field in raw["fields"]
        )
        return cls(object=raw["object"], label=raw["label"], fields=fields)


def changes(old: Schema, new: Schema) -> list[str]:
    """Say in words how the fields differ, one sentence for each; empty where they do not."""
    said = [
        f"{new.object}.{name} is gone ('{old.by_name[name].label}', {old.by_name[name].type})"
        for name in old.names
        if name not in new.by_name
    ]
    for field in new.fields:
        before = old.by_name.get(field.name)
        if before is None:
            said.append(f"{new.object}.{field.name} is new ('{field.label}', {field.type})")
        elif before.type != field.type:
            said.append(f"{new.object}.{field.name} was {before.type} and is now {field.type}")
        elif before.label != field.label:
            said.append(f"{new.object}.{field.name} is now called '{field.label}'")
    return said
