"""What a vendor says about an object: its fields, their human names and their types.

A schema is read from the vendor before each extraction and stored beside the records, because
names and types change while records stay.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
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
Multiple = Literal["", ";", ",", "json"]
Form = Literal["", "epoch_ms", "date_epoch_ms", "local", "clock"]


@dataclass(frozen=True)
class Field:
    """One field of a vendor's object.

    Names are unique within an object, whatever their case. Parts of a composite value are fields of their
    own: `<name>_currency` with the path `(..., "currency")`.

    Attributes:
        type: the vendor's own type name.
        common_type: the type that the normalized stage casts to.
        calculated: a formula; its value changes without any stamp of the record moving.
        reference_to: objects that the value points to, for references.
        values: the allowed values of a pick list.
        path: keys from the root of a JSON record to the value; empty means `(name,)`. A CSV column has
            the field's name, whatever the path.
        options: stored value and human label of each entry of a pick list; what is not listed is
            shown as stored.
        multiple: how a pick list of several values is written: "" holds one, ";" is text separated
            by semicolons (empty parts are no values), "json" a JSON array (semicolons in CSV), "," text
            separated by commas, which stands for a JSON array and is read as one.
        form: how a date, an instant or a duration is written, where it is not ISO 8601 with a zone:
            "epoch_ms" (milliseconds since 1970, or ISO), "date_epoch_ms" (milliseconds at 00:00 UTC, or
            ISO), "local" (no zone is named and UTC is meant), "clock" (HH:MM[:SS], as whole minutes).
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
    path: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    multiple: Multiple = ""
    form: Form = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys from the root of a JSON record to the value."""
        return self.path or (self.name,)

    def to_dict(self) -> dict[str, Any]:
        """Return what is stored; later properties only where they say something.

        Schemas that were stored before those existed so keep their fingerprints.
        """
        stored = asdict(self)
        return {k: v for k, v in stored.items() if k not in _LATER or v != _LATER[k]}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        lists = {k: tuple(raw[k]) for k in ("reference_to", "values", "path") if k in raw}
        options = tuple((value, label) for value, label in raw.get("options", ()))
        return cls(**{**raw, **lists, "options": options})


_LATER = {
    f.name: f.default for f in fields(Field) if f.name in {"path", "options", "multiple", "form"}
}


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
        return fingerprint(self._to_dict())

    def to_json(self) -> str:
        """Write the schema as JSON text."""
        return json.dumps(self._to_dict(), ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        raw: dict[str, Any] = json.loads(text)
        listed = tuple(Field.from_dict(field) for field in raw["fields"])
        return cls(object=raw["object"], label=raw["label"], fields=listed)

    def _to_dict(self) -> dict[str, Any]:
        listed = [field.to_dict() for field in self.fields]
        return {"object": self.object, "label": self.label, "fields": listed}


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
