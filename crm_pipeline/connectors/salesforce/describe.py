"""Salesforce's describe answers as our schemas, and which fields and objects can be read how.

Types: SOAP API Developer Guide, `DescribeSObjectResult` and `FieldType`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Required, TypedDict

import msgspec

from crm_pipeline.connectors.description import Whole, entries, whole
from crm_pipeline.model.schema import CommonType, Field, Multiple, Schema
from crm_pipeline.wire.decoding import malformed

ID = "Id"

# Compound fields repeat their parts and are refused by Bulk queries.
_COMPOUND = frozenset({"address", "location"})
# Bodies of files: a query answers with one record each, and Bulk refuses them.
_FILES = frozenset({"base64"})
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
_MULTIPLE: Mapping[str, Multiple] = {"multipicklist": ";"}
_STAMPS = ("SystemModstamp", "LastModifiedDate", "CreatedDate", "LoginTime")


_MUST_HAVE = (ID, "IsDeleted", *_STAMPS)


class Relation(NamedTuple):
    """What is read of the record that a reference points to: the reference itself holds its id only.

    Attributes:
        reference: the field with the id.
        name: of the relation, as queries write it.
        object: that it leads to; a login that may not see it reads nothing through the relation.
        fields: name, label and type of each.
    """

    reference: str
    name: str
    object: str
    fields: tuple[tuple[str, str, str], ...]

    @property
    def read(self) -> Iterator[Field]:
        """The fields under the names that queries and Bulk results give them."""
        for field, label, kind in self.fields:
            yield Field(
                f"{self.name}.{field}",
                label,
                kind,
                _TYPES.get(kind, "string"),
                path=(self.name, field),
            )


RELATIONS: Mapping[str, tuple[Relation, ...]] = {
    "User": (Relation("UserRoleId", "UserRole", "UserRole", (("Name", "Role Name", "string"),)),),
    "PricebookEntry": (
        Relation(
            "Pricebook2Id",
            "Pricebook2",
            "Pricebook2",
            (
                ("Name", "Price Book Name", "string"),
                ("IsStandard", "Is Standard Price Book", "boolean"),
            ),
        ),
    ),
}
"""By the object whose records are read."""


class Choice(TypedDict, total=False):
    """One value of a pick list; one that is out of use is listed too, with `active: false`."""

    value: Required[str]
    label: str | None


class FieldAnswer(TypedDict, total=False):
    """One field of a describe answer."""

    name: Required[str]
    type: Required[str]
    label: str | None
    nillable: bool | None
    custom: bool | None
    calculated: bool | None
    length: Whole
    precision: Whole
    digits: Whole
    scale: Whole
    referenceTo: list[str] | None
    picklistValues: list[Choice] | None


class _Description(msgspec.Struct):
    name: str
    fields: list[msgspec.Raw]
    label: Any = None


def schema_of(body: bytes, obj: str, owner: str) -> Schema:
    """Return the readable fields of a describe answer, in the vendor's order.

    Args:
        body: of the answer.
        obj: the object that was asked for.
        owner: whose answer it is, for error texts.

    Raises:
        MalformedAnswer: no field can be read, or not one that tells records and their changes apart.
    """
    found = entries(
        body,
        _Description,
        FieldAnswer,
        list_name="fields",
        owner=owner,
        what=f"the description of {obj}",
        must_have=_MUST_HAVE,
    )
    name, label = found.envelope.name, found.envelope.label
    if not any(field["name"] == ID for field in found.rows):
        defect = msgspec.DecodeError(f"it has no entry {ID}")
        raise malformed(body, defect, owner=owner, what=f"the description of {obj}")
    fields = tuple(
        _field(row)
        for row in found.rows
        if row["type"] not in _COMPOUND and row["type"] not in _FILES
    )
    left_out = tuple(_field(row) for row in found.rows if row["type"] in _FILES)
    return Schema(name, label if isinstance(label, str) else name, fields, left_out)


def with_related(schema: Schema, listed: Collection[str]) -> Schema:
    """Return a schema with what is read through relations.

    Args:
        schema: of an object.
        listed: the objects that the login may see.
    """
    related = [
        field
        for relation in RELATIONS.get(schema.object, ())
        if relation.object in listed and relation.reference in schema.by_name
        for field in relation.read
    ]
    return replace(schema, fields=(*schema.fields, *related)) if related else schema


def cursor_field(schema: Schema) -> str | None:
    """Return the field that says when a record changed, best first; None where there is none."""
    return next((name for name in _STAMPS if name in schema.by_name), None)


def _field(raw: FieldAnswer) -> Field:
    choices = raw.get("picklistValues") or ()
    return Field(
        name=raw["name"],
        label=raw.get("label") or raw["name"],
        type=raw["type"],
        common_type=_common_type(raw),
        nullable=raw.get("nillable") is not False,
        custom=bool(raw.get("custom")),
        calculated=bool(raw.get("calculated")),
        length=whole(raw.get("length")),
        precision=whole(raw.get("precision")) or whole(raw.get("digits")),
        scale=whole(raw.get("scale")),
        reference_to=tuple(raw.get("referenceTo") or ()),
        values=tuple(choice["value"] for choice in choices),
        options=_options(choices),
        multiple=_MULTIPLE.get(raw["type"], ""),
    )


def _options(choices: Sequence[Choice]) -> tuple[tuple[str, str], ...]:
    """Return the values that people see under another name; lists of countries have hundreds that are the same."""
    labels = ((choice["value"], choice.get("label") or choice["value"]) for choice in choices)
    return tuple((value, label) for value, label in labels if label != value)


def _common_type(raw: FieldAnswer) -> CommonType:
    # A Number(18, 0) holds more digits than a double keeps.
    kind = raw["type"]
    if kind == "double" and not raw.get("scale") and whole(raw.get("precision")) > 15:
        return "decimal"
    return _TYPES.get(kind, "string")
