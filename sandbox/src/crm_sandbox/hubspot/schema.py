"""Object types, properties, and the catalogue of one portal.

Every value is text or null, so a property is a column of text; what is computed from the record
itself (its id, its stamps) is SQL.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from crm_sandbox.hubspot.errors import ApiError, invalid, not_found
from crm_sandbox.hubspot.instants import iso_sql

_FIELD_TYPES = {
    "string": "text",
    "number": "number",
    "date": "date",
    "datetime": "date",
    "enumeration": "select",
    "bool": "booleancheckbox",
    "phone_number": "phonenumber",
}
_YES_NO = (("true", "Yes"), ("false", "No"))


@dataclass(frozen=True)
class Property:
    """One property of an object type.

    Attributes:
        name: its internal name.
        type: `string`, `number`, `date`, `datetime`, `enumeration`, `bool` or `phone_number`.
        sql: how its value is made from the staged columns of a population; empty for null.
        reads: SQL over the stored row, for what no column holds.
        options: value and label of each choice.
        column: the column that holds the values, which outlives a change of the name.
        since_ms: when it was made, in milliseconds since 1970.
        hides: whether the token may not see it.
        sensitivity: `non_sensitive`, or the kind of scope that its values need.
        more: keys of the definition that differ from the usual.
    """

    name: str
    type: str = "string"
    sql: str = ""
    field_type: str = ""
    label: str = ""
    group: str = ""
    options: tuple[tuple[str, str], ...] = ()
    reads: str = ""
    column: str = ""
    calculated: bool = False
    read_only: bool = False
    unique: bool = False
    custom: bool = False
    hides: bool = False
    sensitivity: str = "non_sensitive"
    archived: bool = False
    archived_ms: int = 0
    since_ms: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.column:
            object.__setattr__(self, "column", self.name)
        if not self.field_type:
            object.__setattr__(self, "field_type", _FIELD_TYPES.get(self.type, "text"))
        if not self.label:
            words = self.name.removeprefix("hs_").replace("_", " ")
            object.__setattr__(self, "label", words[:1].upper() + words[1:])
        if self.type == "bool" and not self.options:
            object.__setattr__(self, "options", _YES_NO)

    @property
    def is_virtual(self) -> bool:
        """Whether no column holds it."""
        return bool(self.reads)

    @property
    def is_multiple(self) -> bool:
        """Whether a value is a list of choices with semicolons."""
        return self.field_type == "checkbox"

    @property
    def expression(self) -> str:
        """SQL that reads its value."""
        return self.reads or f'"{self.column}"'

    def changed(self, **values: Any) -> "Property":
        """Return the property with other attributes."""
        return replace(self, **values)


def system_properties(modified: str) -> tuple[Property, ...]:
    """Return what every object has: its id and its two stamps."""
    shared: dict[str, Any] = {"read_only": True, "more": {"hidden": False}}
    made = [
        Property("hs_object_id", "number", reads="_id::VARCHAR", label="Record ID", **shared),
        Property("createdate", "datetime", reads=iso_sql("_created"), **shared),
        Property("hs_createdate", "datetime", reads=iso_sql("_created"), **shared),
        Property("hs_lastmodifieddate", "datetime", reads=iso_sql("_updated"), **shared),
    ]
    if modified != "hs_lastmodifieddate":
        # On contacts the usual name exists but lags; https://developers.hubspot.com: use this one.
        made.append(Property(modified, "datetime", reads=iso_sql("_updated"), **shared))
    return tuple(made)


@dataclass(frozen=True)
class ObjectType:
    """One object type of a portal.

    Attributes:
        id: the objectTypeId.
        name: the plural that stands in addresses; also the name of the table.
        scope: what a token needs before `.read` and `.write`.
        defaults: properties of an answer for which none were asked.
        searched: the properties that `query` of a search looks into.
        required: what a create has to have.
    """

    id: str
    name: str
    singular: str
    scope: str
    properties: dict[str, Property]
    defaults: tuple[str, ...]
    searched: tuple[str, ...]
    required: tuple[str, ...] = ()
    modified: str = "hs_lastmodifieddate"
    primary: str = ""
    pipeline: str = ""
    stage: str = ""
    label: str = ""
    mergeable: bool = False
    custom: bool = False
    hidden: bool = False
    full_name: str = ""

    def find(self, name: str) -> Property | None:
        """Return a property that exists, is not archived and may be seen."""
        found = self.properties.get(name)
        return None if found is None or found.archived or found.hides else found

    @property
    def stored(self) -> tuple[Property, ...]:
        """The properties that have a column."""
        return tuple(one for one in self.properties.values() if not one.is_virtual)

    @property
    def visible(self) -> tuple[Property, ...]:
        """The properties that a client can ask for."""
        return tuple(p for p in self.properties.values() if not p.archived and not p.hides)

    @property
    def plural(self) -> str:
        """What people call many of its records."""
        return f"{self.label}s" if self.custom else self.name.replace("_", " ").capitalize()

    @property
    def table(self) -> str:
        """The name of its table."""
        return self.name

    def with_property(self, one: Property, instead_of: str = "") -> "ObjectType":
        """Return the type with one property more, or another one in an old one's place."""
        kept = {key: value for key, value in self.properties.items() if key != instead_of}
        return replace(self, properties=kept | {one.name: one})


class Catalog:
    """The object types of one portal, found by any of their names."""

    def __init__(self, types: Iterable[ObjectType]) -> None:
        self._lock = threading.RLock()
        self._types: dict[str, ObjectType] = {}
        self._names: dict[str, str] = {}
        for one in types:
            self.put(one)

    @property
    def types(self) -> tuple[ObjectType, ...]:
        """Every object type."""
        return tuple(self._types.values())

    def put(self, one: ObjectType) -> None:
        """Add an object type or replace it."""
        with self._lock:
            self._types[one.name] = one
            names = {one.name, one.singular, one.id, one.full_name, f"p_{one.singular}"}
            if one.name == one.singular + "s" or one.id.startswith("0-"):
                names.add(one.singular.replace("_", ""))
            self._names |= {name.lower(): one.name for name in names if name}

    def remove(self, one: ObjectType) -> None:
        """Forget an object type."""
        with self._lock:
            self._types.pop(one.name, None)
            self._names = {key: name for key, name in self._names.items() if name != one.name}

    def named(self, name: str) -> ObjectType | None:
        """Return an object type by its plural, singular, id or full name."""
        return self._types.get(self._names.get(name.lower(), ""))

    def known(self, name: str) -> ObjectType:
        """Return an object type for the admin.

        Raises:
            ValueError: there is none.
        """
        found = self.named(name)
        if found is None:
            raise ValueError(f"unknown object '{name}'; known: {', '.join(self._types)}")
        return found

    def asked(self, name: str) -> ObjectType:
        """Return an object type for a client.

        Raises:
            ApiError: there is none.
        """
        found = self.named(name)
        if found is None:
            raise invalid(f"Unable to infer object type from: {name}")
        return found

    def property_of(self, one: ObjectType, name: str) -> Property:
        """Return a property for a client.

        Raises:
            ApiError: there is none.
        """
        found = one.find(name)
        if found is None:
            raise not_found(f"Property '{name}' does not exist", context={"propertyName": [name]})
        return found


def refuse_scope(scopes: Iterable[str]) -> ApiError:
    """Return the error for a token that lacks scopes."""
    listed = sorted(scopes)
    message = (
        "This app hasn't been granted all required scopes to make this call. Read more about "
        "required scopes here: https://developers.hubspot.com/scopes."
    )
    error = {
        "message": "One or more of the following scopes are required.",
        "context": {"requiredGranularScopes": listed},
    }
    return ApiError(403, "MISSING_SCOPES", message, errors=[error])
