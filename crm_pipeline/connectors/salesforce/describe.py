"""Salesforce's describe answers as our schemas, and which fields and objects can be read how.

Types: SOAP API Developer Guide, `DescribeSObjectResult` and `FieldType`.
"""

from collections.abc import Mapping

import msgspec

from crm_pipeline.connectors.entries import readable
from crm_pipeline.model.schema import CommonType, Field, Schema
from crm_pipeline.wire.decoding import UNREADABLE

# Compound fields repeat their parts and are refused by Bulk queries; base64 needs one call a record.
_LEFT_OUT = frozenset({"address", "location", "base64"})
_TYPES: Mapping[str, CommonType] = {
    "boolean": "boolean",
    "int": "integer",
    "long": "integer",
    "double": "double",
    "percent": "double",
    "currency": "decimal",
    "date": "date",
    "time": "time",
    "datetime": "timestamp",
    "complexvalue": "json",
    "json": "json",
}
_STAMPS = ("SystemModstamp", "LastModifiedDate", "CreatedDate", "LoginTime")


class Choice(msgspec.Struct):
    """One value of a pick list."""

    value: str


class FieldAnswer(msgspec.Struct, rename="camel"):
    """One field of a describe answer."""

    name: str
    type: str
    label: str | None = None
    nillable: bool | None = True
    custom: bool | None = False
    calculated: bool | None = False
    length: int | None = 0
    precision: int | None = 0
    digits: int | None = 0
    scale: int | None = 0
    reference_to: list[str] | None = None
    picklist_values: list[Choice] | None = None


class Description(msgspec.Struct):
    """A describe answer."""

    name: str
    label: str
    fields: list[msgspec.Raw]


class _Named(msgspec.Struct):
    name: str


def schema_of(description: Description, owner: str) -> Schema:
    """Return the readable fields of a describe answer, in the vendor's order.

    Raises:
        MalformedAnswer: no field can be read, or not one that tells records and their changes apart.
    """
    listed = readable(
        description.fields,
        FieldAnswer,
        owner=owner,
        what=f"the fields of {description.name}",
        may_lack=_may_lack,
    )
    fields = tuple(_field(field) for field in listed if field.type not in _LEFT_OUT)
    return Schema(object=description.name, label=description.label, fields=fields)


def _may_lack(entry: msgspec.Raw) -> bool:
    try:
        name = msgspec.json.decode(entry, type=_Named).name
    except UNREADABLE:
        return False
    return name not in {"Id", "IsDeleted", *_STAMPS}


def stamp_field(schema: Schema) -> str | None:
    """Return the field that says when a record changed, best first; None where there is none."""
    return next((name for name in _STAMPS if name in schema.by_name), None)


def _field(raw: FieldAnswer) -> Field:
    return Field(
        name=raw.name,
        label=raw.label or raw.name,
        type=raw.type,
        common_type=_common_type(raw),
        nullable=raw.nillable is not False,
        custom=bool(raw.custom),
        calculated=bool(raw.calculated),
        length=raw.length or 0,
        precision=raw.precision or raw.digits or 0,
        scale=raw.scale or 0,
        reference_to=tuple(raw.reference_to or ()),
        values=tuple(choice.value for choice in raw.picklist_values or ()),
    )


def _common_type(raw: FieldAnswer) -> CommonType:
    # A Number(18, 0) holds more digits than a double keeps.
    if raw.type == "double" and not raw.scale and (raw.precision or 0) > 15:
        return "decimal"
    return _TYPES.get(raw.type, "string")
