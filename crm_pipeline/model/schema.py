"""Schemas: a vendor's description of an object, with its fields, their labels and their types.

A schema is read from the vendor before each extraction and stored beside the records, because names and types
change while records stay.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, Self

from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.names import encodable

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
KeptOut = Literal["", "excluded", "hashed"]


@dataclass(frozen=True)
class Field:
    """One field of a vendor's object.

    A name may be any text. Names are unique within an object (`Schema` makes them so), but two may differ in
    case only. Parts of a composite value are fields of their own: `<name>_currency` with the path
    `(..., "currency")`.

    Attributes:
        type: the vendor's own type name.
        common_type: the type that the normalized stage casts to.
        calculated: a formula; its value may change while the record's modification time stays.
        reference_to: objects that the value refers to, for references.
        values: the allowed values of a pick list.
        path: keys from the root of a JSON record to the value; empty means `(name,)`. A CSV column has
            the field's name, whatever the path.
        options: stored value and label of each entry of a pick list; a value that is not listed is shown
            as stored.
        multiple: the form of a pick list with several values: "" has one value, ";" is text separated by
            semicolons (empty parts are no values), "json" a JSON array (semicolons in CSV), "," text
            separated by commas, which is converted to a JSON array.
        form: the form of a date, an instant or a duration that is not ISO 8601 with a zone: "epoch_ms"
            (milliseconds since 1970, or ISO), "date_epoch_ms" (milliseconds at 00:00 UTC, or ISO), "local"
            (without a zone, in UTC), "clock" (HH:MM[:SS], as whole minutes).
        is_id: the value is an id, whatever the vendor's type: it is shown as text, never as a number.
        nothing: texts that mean no value in this field, such as 1970-01-01T00:00:00Z. Impossible days such
            as 0000-00-00 need not be listed.
        kept_out: what connections.yaml does to the values: "excluded" stores none, "hashed" stores keyed hashes.
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
    is_id: bool = False
    nothing: tuple[str, ...] = ()
    kept_out: KeptOut = ""

    def __post_init__(self) -> None:
        # JSON responses may have half a surrogate pair, which cannot be encoded.
        for name, value in vars(self).items():
            # Empty properties are skipped, because there are hundreds of fields.
            if value and (encoded := _encodable(value)) is not value:
                object.__setattr__(self, name, encoded)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys from the root of a JSON record to the value."""
        return self.path or (self.name,)

    def to_dict(self) -> dict[str, Any]:
        """Return the stored form; properties that were added later are left out if they have their default.

        So schemas that were stored before they existed keep their fingerprints.
        """
        # Not `asdict`, which copies every text of every option; an extraction does this for all fields.
        return {
            k: v
            for k, v in vars(self).items()
            if k not in _LATER_PROPERTIES or v != _LATER_PROPERTIES[k]
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """Return the field of a stored form."""
        lists = {
            k: tuple(raw[k]) for k in ("reference_to", "values", "path", "nothing") if k in raw
        }
        options = tuple((value, label) for value, label in raw.get("options", ()))
        return cls(**{**raw, **lists, "options": options})


_LATER_PROPERTIES = {
    f.name: f.default
    for f in fields(Field)
    if f.name in {"path", "options", "multiple", "form", "is_id", "nothing", "kept_out"}
}


@dataclass(frozen=True)
class Schema:
    """The fields of one object at one moment, in the vendor's order.

    A field that occurs twice is kept once. If two fields with one name have different paths, the later one is
    marked with its path, as in `archived (record)`.

    Attributes:
        left_out: fields that the vendor describes and that are not read: contents of files, which the connector
            leaves out, and the fields that connections.yaml excludes.
    """

    object: str
    label: str
    fields: tuple[Field, ...]
    left_out: tuple[Field, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", encodable(self.label))
        if len(set(self.names)) < len(self.fields):
            object.__setattr__(self, "fields", tuple(_distinct(self.fields)))

    @property
    def names(self) -> tuple[str, ...]:
        """The fields' API names."""
        return tuple(field.name for field in self.fields)

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """The fields by API name."""
        return {field.name: field for field in self.fields}

    @cached_property
    def excluded(self) -> frozenset[str]:
        """The names of the fields that connections.yaml excludes."""
        return frozenset(field.name for field in self.left_out if field.kept_out == "excluded")

    @cached_property
    def hashed(self) -> frozenset[str]:
        """The names of the fields of which connections.yaml has keyed hashes stored."""
        return frozenset(field.name for field in self.fields if field.kept_out == "hashed")

    @cached_property
    def fingerprint(self) -> str:
        """A short text that changes with anything in the schema.

        Landing keeps one schema per fingerprint: changes of anything that is left out here would not be stored.
        """
        return fingerprint(self.to_dict())

    def to_json(self) -> str:
        """Return the schema as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the schema of a JSON text."""
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Return the schema of a stored form."""
        fields, left_out = (
            tuple(map(Field.from_dict, stored.get(key, ()))) for key in ("fields", "left_out")
        )
        return cls(stored["object"], stored["label"], fields, left_out)

    def to_dict(self) -> dict[str, Any]:
        """Return the stored form."""
        listed = [field.to_dict() for field in self.fields]
        stored = {"object": self.object, "label": self.label, "fields": listed}
        # Left out where empty, so that schemas that were stored before keep their fingerprints.
        left_out = [field.to_dict() for field in self.left_out]
        return stored | ({"left_out": left_out} if left_out else {})


def is_fingerprint(name: str, stored: Mapping[str, Any]) -> bool:
    """Say whether a fingerprint is that of a stored form, as computed now or by early versions.

    The stored form itself is compared, so properties of fields that were added later do not matter.
    """
    if name == fingerprint(stored):
        return True
    early_keys = ("name", "label", "type", "scale", "calculated")
    return name == fingerprint([[field[key] for key in early_keys] for field in stored["fields"]])


def free_name(field: Field, taken: Collection[str]) -> str:
    """Return a field's name, marked with its path in the record where another field has the name."""
    if field.name not in taken:
        return field.name
    parent = ".".join(field.keys[:-1]) or "record"
    marks = (parent, *(f"{parent} {number}" for number in range(2, len(taken) + 3)))
    return next(name for mark in marks if (name := f"{field.name} ({mark})") not in taken)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, tuple):
        encoded = tuple(map(_encodable, value))
        return value if encoded == value else encoded
    return value


def _distinct(listed: Iterable[Field]) -> Iterable[Field]:
    seen: set[tuple[str, tuple[str, ...]]] = set()
    taken: set[str] = set()
    for field in listed:
        if (field.name, field.keys) in seen:
            continue
        seen.add((field.name, field.keys))
        name = free_name(field, taken)
        taken.add(name)
        # A renamed field needs an explicit path, because its name no longer gives it.
        yield field if name == field.name else replace(field, name=name, path=field.keys)
