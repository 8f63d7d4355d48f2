"""Objects and fields as the org knows them; the source of describe, of tables and of queries.

A field says with `sql` how its first value is made from the staging relation of its object
(see `population.py`); without it every row starts with null.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any

COLUMN_TYPES = {
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "double": "DOUBLE",
    "currency": "DOUBLE",
    "percent": "DOUBLE",
    "date": "DATE",
    "datetime": "TIMESTAMP",
}
TEXT_TYPES = frozenset(
    {"string", "textarea", "email", "phone", "url", "picklist", "multipicklist", "combobox"}
)
ID_TYPES = frozenset({"id", "reference"})
CURRENCIES = ("USD", "EUR", "GBP", "JPY", "BRL", "PLN", "TRY", "UAH", "AED", "CNY")
COMPOUND_TYPES = frozenset({"address", "location"})


@dataclass(frozen=True)
class Field:
    """One field of an object.

    Attributes:
        name: the API name, which the admin may change.
        type: the describe type.
        sql: how the first value is made.
        column: the name of the stored column, which never changes.
        parts: for a compound field, the names of its components by key.
        labels: of a pick list, the values that people see under another name.
        unused: values that an admin took out of use, though records still have them.
    """

    name: str
    type: str
    sql: str = ""
    label: str = ""
    length: int = 0
    precision: int = 0
    scale: int = 0
    nillable: bool = True
    custom: bool = False
    createable: bool = True
    updateable: bool = True
    calculated: bool = False
    formula: str = ""
    external_id: bool = False
    unique: bool = False
    name_field: bool = False
    reference_to: tuple[str, ...] = ()
    relationship: str = ""
    compound: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    values: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    unused: frozenset[str] = frozenset()
    column: str = ""
    hidden: bool = False

    @property
    def stored(self) -> str:
        """The name of the column in the table."""
        return self.column or self.name

    @property
    def column_type(self) -> str:
        """The DuckDB type of the column."""
        return COLUMN_TYPES.get(self.type, "VARCHAR")

    @property
    def is_compound(self) -> bool:
        """Whether the value is put together from other fields and not stored."""
        return self.type in COMPOUND_TYPES

    def changed(self, **changes: Any) -> "Field":
        """Return the field with other properties, still stored in the same column."""
        return replace(self, column=self.stored, **changes)


@dataclass(frozen=True)
class SObject:
    """One object: its fields in describe order and what may be done with it."""

    name: str
    prefix: str
    plural: str
    fields: tuple[Field, ...]
    custom: bool = False
    createable: bool = True
    mergeable: bool = False
    hidden: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def visible_fields(self) -> list[Field]:
        """The fields that the integration user may see."""
        return [one for one in self.fields if not one.hidden]

    def find(self, name: str) -> Field | None:
        """Return a visible field by its name in any case."""
        wanted = name.lower()
        return next((one for one in self.visible_fields if one.name.lower() == wanted), None)

    def relation(self, name: str) -> Field | None:
        """Return the visible reference field behind a relationship name."""
        wanted = name.lower()
        return next(
            (one for one in self.visible_fields if one.relationship.lower() == wanted), None
        )

    @property
    def has_deleted(self) -> bool:
        """Whether rows of this object go through a recycle bin."""
        return any(one.stored == "IsDeleted" for one in self.fields)

    @property
    def name_field(self) -> Field | None:
        """The field that names a record to people."""
        return next((one for one in self.fields if one.name_field), None)

    def with_field(self, changed: Field) -> "SObject":
        """Return the object with one field replaced, found by its stored column."""
        swapped = tuple(changed if one.stored == changed.stored else one for one in self.fields)
        return replace(self, fields=swapped)


def label_of(name: str) -> str:
    """Return a label for an API name: words apart, without suffixes."""
    bare = re.sub(r"(__c|Id)$", "", name) or name
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", bare).replace("_", " ")


def _make(name: str, kind: str, sql: str, **more: Any) -> Field:
    custom = name.endswith("__c")
    label = more.pop("label", "") or label_of(name)
    return Field(name, kind, sql, custom=custom, label=label, **more)


def text(name: str, length: int = 80, sql: str = "", **more: Any) -> Field:
    """A string field."""
    return _make(name, "string", sql, length=length, **more)


def area(name: str, length: int = 32_000, sql: str = "", **more: Any) -> Field:
    """A text area."""
    return _make(name, "textarea", sql, length=length, **more)


def contact_point(name: str, kind: str, sql: str = "", **more: Any) -> Field:
    """A field of type phone, email or url."""
    length = {"phone": 40, "email": 80, "url": 255}[kind]
    return _make(name, kind, sql, length=length, **more)


def flag(name: str, sql: str = "false", **more: Any) -> Field:
    """A checkbox, never null."""
    return _make(name, "boolean", sql, nillable=False, **more)


def number(name: str, kind: str, sql: str = "", scale: int = 0, **more: Any) -> Field:
    """A field of type int, double, currency or percent."""
    if kind == "int":
        return _make(name, kind, sql, **more)
    return _make(name, kind, sql, precision=18, scale=scale, **more)


def money(name: str, sql: str = "", **more: Any) -> Field:
    """A currency field with two decimals."""
    return number(name, "currency", sql, scale=2, **more)


def day(name: str, sql: str = "", **more: Any) -> Field:
    """A date field."""
    return _make(name, "date", sql, **more)


def moment(name: str, sql: str = "", **more: Any) -> Field:
    """A datetime field."""
    return _make(name, "datetime", sql, **more)


def choice(name: str, values: tuple[str, ...], sql: str = "", **more: Any) -> Field:
    """A picklist; by default one of the values at random, taken from noise column r1."""
    kind = more.pop("kind", "picklist")
    length = 4099 if kind == "multipicklist" else 255
    return _make(name, kind, sql or picked(values, "r1"), length=length, values=values, **more)


def reference(name: str, to: str | tuple[str, ...], sql: str = "", **more: Any) -> Field:
    """A lookup to one object or to several."""
    targets = (to,) if isinstance(to, str) else to
    relationship = more.pop("relationship", "")
    if not relationship:
        relationship = name[:-3] + "__r" if name.endswith("__c") else name.removesuffix("Id")
    return _make(
        name, "reference", sql, length=18, reference_to=targets, relationship=relationship, **more
    )


def picked(values: tuple[str, ...], noise: str) -> str:
    """Return SQL that picks one of some values by a noise column."""
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"[{quoted}][1 + {noise} % {len(values)}]"


def address_fields(
    prefix: str, *, sql: bool = True, label: str = "", with_code: bool = False
) -> tuple[Field, ...]:
    """Return a compound address and its components.

    Args:
        prefix: for instance `Mailing` or `Billing`, or empty.
        sql: whether the staging relation carries an address.
        label: what the compound field is called without `Address`.
        with_code: whether the staging relation's two-letter country goes into its own field.
    """
    compound = f"{prefix}Address"
    source = {
        "Street": ("street", 255, "textarea"),
        "City": ("city", 40, "string"),
        "State": ("region", 80, "string"),
        "PostalCode": ("postal_code", 20, "string"),
        "Country": ("country", 80, "string"),
    }
    made = [
        _make(f"{prefix}{key}", kind, column if sql else "", length=length, compound=compound)
        for key, (column, length, kind) in source.items()
    ]
    if with_code:
        made.append(
            text(f"{prefix}CountryCode", 10, "country_code" if sql else "", compound=compound)
        )
    made += [
        number(f"{prefix}{key}", "double", "", scale=15, compound=compound)
        for key in ("Latitude", "Longitude")
    ]
    made.append(_make(f"{prefix}GeocodeAccuracy", "picklist", "", length=40, compound=compound))
    parts = tuple((one.name[len(prefix) :], one.name) for one in made)
    whole = _make(
        compound,
        "address",
        "",
        label=f"{label or label_of(prefix)} Address".strip(),
        parts=parts,
        createable=False,
        updateable=False,
    )
    return (*made, whole)


def audit_fields(*, modified: bool = True, deleted: bool = True) -> tuple[Field, ...]:
    """Return the fields that every record has, without the id."""
    fixed: dict[str, Any] = {"createable": False, "updateable": False, "nillable": False}
    made = [flag("IsDeleted", "deleted", createable=False, updateable=False)] if deleted else []
    made.append(moment("CreatedDate", "created", **fixed))
    made.append(reference("CreatedById", "User", "owner_id", **fixed))
    if modified:
        made.append(moment("LastModifiedDate", "modified", **fixed))
        made.append(reference("LastModifiedById", "User", "owner_id", **fixed))
    made.append(moment("SystemModstamp", "touched", **fixed))
    return tuple(made)


def viewed_fields() -> tuple[Field, ...]:
    """Return the fields about the user's own last look."""
    fixed: dict[str, Any] = {"createable": False, "updateable": False}
    return (moment("LastViewedDate", **fixed), moment("LastReferencedDate", **fixed))


def record_id() -> Field:
    """Return the id field."""
    return Field(
        "Id", "id", "id", "Record ID", 18, nillable=False, createable=False, updateable=False
    )


def owner() -> Field:
    """Return the owner field of a record."""
    return reference("OwnerId", "User", "owner_id", nillable=False)


def currency() -> Field:
    """Return the currency field of a multi-currency org."""
    return choice("CurrencyIsoCode", CURRENCIES, "currency")
