"""Salesforce's describe answers as our schemas, and which fields and objects can be read how.

Types: SOAP API Developer Guide, `DescribeSObjectResult` and `FieldType`.
"""

from collections.abc import Mapping
from typing import Any

from crm_pipeline.model.schema import CommonType, Field, Schema

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


def schema_of(description: Mapping[str, Any]) -> Schema:
    """Return the readable fields of a describe answer, in the vendor's order."""
    fields = tuple(
        _field(field) for field in description["fields"] if field["type"] not in _LEFT_OUT
    )
    return Schema(object=description["name"], label=description["label"], fields=fields)


def stamp_field(schema: Schema) -> str | None:
    """Return the field that says when a record changed, best first; None where there is none."""
    return next((name for name in _STAMPS if name in schema.by_name), None)


def _field(raw: Mapping[str, Any]) -> Field:
    return Field(
        name=raw["name"],
        label=raw.get("label") or raw["name"],
        type=raw["type"],
        common_type=_common_type(raw),
        nullable=bool(raw.get("nillable", True)),
        custom=bool(raw.get("custom")),
        calculated=bool(raw.get("calculated")),
        length=int(raw.get("length") or 0),
        precision=int(raw.get("precision") or raw.get("digits") or 0),
        scale=int(raw.get("scale") or 0),
        reference_to=tuple(raw.get("referenceTo") or ()),
        values=tuple(value["value"] for value in raw.get("picklistValues") or ()),
    )


def _common_type(raw: Mapping[str, Any]) -> CommonType:
    # A Number(18, 0) holds more digits than a double keeps.
    if raw["type"] == "double" and not raw.get("scale") and int(raw.get("precision") or 0) > 15:
        return "decimal"
    return _TYPES.get(raw["type"], "string")
