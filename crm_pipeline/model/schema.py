"""What a vendor says about an object: its fields, their human names and their types.

A schema is read from the vendor before each extraction and stored beside the records, because
names and types change while records stay.
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


@dataclass(frozen=True)
class Field:
    """One field of a vendor's object.

    Names are any text, and unique within an object (`Schema` sees to it), though two may differ in case
    only. Parts of a composite value are fields of their own: `<name>_currency` with the path
    `(..., "currency")`.

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
        is_id: the value is an id, whatever the vendor's type: it is shown as text, never as a number.
        nothing: texts that stand for no value in this field, such as the instant at which computers begin
            to count. What can be no day at all, such as 0000-00-00, need not be named.
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

    def __post_init__(self) -> None:
        # Half a surrogate pair is in no text that can be written; JSON answers may hold one all the same.
        for name, value in vars(self).items():
            # Most properties of most fields say nothing, and there are hundreds of fields.
            if value and (encoded := _encodable(value)) is not value:
                object.__setattr__(self, name, encoded)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys from the root of a JSON record to the value."""
        return self.path or (self.name,)

    def to_dict(self) -> dict[str, Any]:
        """Return what is stored; later properties only where they say something.

        Schemas that were stored before those existed so keep their fingerprints.
        """
        # Not `asdict`, which copies every text of every option: an extraction does this for all fields.
        return {k: v for k, v in vars(self).items() if k not in _LATER or v != _LATER[k]}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        lists = {
            k: tuple(raw[k]) for k in ("reference_to", "values", "path", "nothing") if k in raw
        }
        options = tuple((value, label) for value, label in raw.get("options", ()))
        return cls(**{**raw, **lists, "options": options})


_LATER = {
    f.name: f.default
    for f in fields(Field)
    if f.name in {"path", "options", "multiple", "form", "is_id", "nothing"}
}


@dataclass(frozen=True)
class Schema:
    """The fields of one object at one moment, in the vendor's order.

    A field that comes twice is kept once. One that stands elsewhere in the record than another of its
    name is marked with the place, as in `archived (record)`.

    Attributes:
        left_out: fields that the vendor describes and the connector does not read, such as bodies of files.
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
    def fingerprint(self) -> str:
        """A short text that changes with anything in the schema.

        Landing keeps one schema per fingerprint: what is left out here would be kept as it was at
        first, however often it was described anew.
        """
        return fingerprint(self.to_dict())

    def to_json(self) -> str:
        """Write the schema as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned."""
        fields, left_out = (
            tuple(map(Field.from_dict, stored.get(key, ()))) for key in ("fields", "left_out")
        )
        return cls(stored["object"], stored["label"], fields, left_out)

    def to_dict(self) -> dict[str, Any]:
        """Return what is stored."""
        listed = [field.to_dict() for field in self.fields]
        stored = {"object": self.object, "label": self.label, "fields": listed}
        # Only where there are some: schemas that were stored before keep their fingerprints.
        left_out = [field.to_dict() for field in self.left_out]
        return stored | ({"left_out": left_out} if left_out else {})


def is_fingerprint(name: str, stored: Mapping[str, Any]) -> bool:
    """Say whether a fingerprint is that of what `Schema.to_dict` returned, now or in early versions.

    What is stored is compared, not what is read from it: later properties of fields change nothing.
    """
    if name == fingerprint(stored):
        return True
    told = ("name", "label", "type", "scale", "calculated")
    return name == fingerprint([[field[key] for key in told] for field in stored["fields"]])


def free_name(field: Field, taken: Collection[str]) -> str:
    """Return a field's name, marked with its place in the record where another field is called so."""
    if field.name not in taken:
        return field.name
    place = ".".join(field.keys[:-1]) or "record"
    marks = (place, *(f"{place} {number}" for number in range(2, len(taken) + 3)))
    return next(name for mark in marks if (name := f"{field.name} ({mark})") not in taken)


def changes(old: Schema, new: Schema) -> list[str]:
    """Say in words how the fields differ, one sentence for each; empty where they do not."""
    respelled = _respelled(old, new)
    said = [
        f"{new.object}.{name} is gone ('{old.by_name[name].label}', {old.by_name[name].type})"
        for name in old.names
        if name not in new.by_name and name not in respelled.values()
    ]
    for field in new.fields:
        before = old.by_name.get(field.name)
        if field.name in respelled:
            said.append(f"{new.object}.{respelled[field.name]} is now spelled {field.name}")
        elif before is None:
            said.append(f"{new.object}.{field.name} is new ('{field.label}', {field.type})")
        elif before.type != field.type:
            said.append(f"{new.object}.{field.name} was {before.type} and is now {field.type}")
        elif before.label != field.label:
            said.append(f"{new.object}.{field.name} is now called '{field.label}'")
    return said


def _respelled(old: Schema, new: Schema) -> dict[str, str]:
    """Return the fields whose names changed in case only, each with its former name."""
    gone = {name.lower(): name for name in old.names if name not in new.by_name}
    return {
        name: gone[name.lower()]
        for name in new.names
        if name not in old.by_name and name.lower() in gone
    }


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, tuple):
        encoded = tuple(map(_encodable, value))
        return value if encoded == value else encoded
    return value


def _distinct(listed: Iterable[Field]) -> Iterable[Field]:
    places: set[tuple[str, tuple[str, ...]]] = set()
    taken: set[str] = set()
    for field in listed:
        if (field.name, field.keys) in places:
            continue
        places.add((field.name, field.keys))
        name = free_name(field, taken)
        taken.add(name)
        # The place stands in the path, which a field of another name would no longer tell by itself.
        yield field if name == field.name else replace(field, name=name, path=field.keys)
