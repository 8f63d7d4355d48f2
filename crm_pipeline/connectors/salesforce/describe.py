"""Salesforce's describe responses as schemas, and the fields that are read.

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
# Bodies of files: a query with such a field returns one record at a time, and Bulk refuses it.
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
_CURSOR_FIELDS = ("SystemModstamp", "LastModifiedDate", "CreatedDate", "LoginTime")
_MUST_HAVE = (ID, "IsDeleted", *_CURSOR_FIELDS)


class Relation(NamedTuple):
    """A relation, by which fields of the referenced record are read: the reference itself holds its id only.

    Attributes:
        reference: the field with the id.
        name: of the relation in queries.
        object: the referenced object; a login that may not see it reads nothing through the relation.
        fields: name, label and type of each.
    """

    reference: str
    name: str
    object: str
    fields: tuple[tuple[str, str, str], ...]

    @property
    def read(self) -> Iterator[Field]:
        """The fields, with their names in queries and Bulk results."""
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
"""The relations by the object that has the references."""


class Choice(TypedDict, total=False):
    """A value of a pick list; inactive ones are listed too, with `active: false`."""

    value: Required[str]
    label: str | None


class FieldAnswer(TypedDict, total=False):
    """A field of a describe response."""

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
    """Return the readable fields of a describe response, in the vendor's order.

    Args:
        body: of the response.
        obj: the requested object.
        owner: the connection, named in error texts.

    Raises:
        MalformedResponse: no field can be read, or the field of ids, deletions or changes cannot.
    """
    description = entries(
        body,
        _Description,
        FieldAnswer,
        list_name="fields",
        owner=owner,
        what=f"the description of {obj}",
        must_have=_MUST_HAVE,
    )
    name, label = description.envelope.name, description.envelope.label
    if not any(field["name"] == ID for field in description.rows):
        defect = msgspec.DecodeError(f"it has no entry {ID}")
        raise malformed(body, defect, owner=owner, what=f"the description of {obj}")
    fields = tuple(
        _field(row)
        for row in description.rows
        if row["type"] not in _COMPOUND and row["type"] not in _FILES
    )
    left_out = tuple(_field(row) for row in description.rows if row["type"] in _FILES)
    return Schema(name, label if isinstance(label, str) else name, fields, left_out)


def with_related(schema: Schema, listed: Collection[str]) -> Schema:
    """Return a schema with the fields that are read through relations.

    Args:
        schema: of the object.
        listed: the objects that the login may see.
    """
    related = [
        field
        for relation in RELATIONS.get(schema.object, ())
        if relation.object in listed and relation.reference in schema.by_name
        for field in relation.read
    ]
    return replace(schema, fields=(*schema.fields, *related)) if related else schema


def keys_of(schema: Schema, further: Collection[str] = ()) -> Schema:
    """Return a schema with the fields that hold id, modification time and deletion mark, and some further ones."""
    names = {ID, "IsDeleted", cursor_field(schema), *further}
    return replace(schema, fields=tuple(field for field in schema.fields if field.name in names))


def cursor_field(schema: Schema) -> str | None:
    """Return the best field with the time of a record's last change; None where there is none."""
    return next((name for name in _CURSOR_FIELDS if name in schema.by_name), None)


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
    """Return the values whose label differs; lists of countries have hundreds whose label is the same."""
    labels = ((choice["value"], choice.get("label") or choice["value"]) for choice in choices)
    return tuple((value, label) for value, label in labels if label != value)


def _common_type(raw: FieldAnswer) -> CommonType:
    # A Number(18, 0) has more digits than a double holds.
    kind = raw["type"]
    if kind == "double" and not raw.get("scale") and whole(raw.get("precision")) > 15:
        return "decimal"
    return _TYPES.get(kind, "string")
