"""Modules and fields as an org knows them; the source of metadata, tables, queries and exports.

A field says with `sql` how its first value is made from the staging relation of its module (see
`population.py`); without it every row starts with null.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

COLUMN_TYPES = {
    "boolean": "BOOLEAN",
    "integer": "BIGINT",
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "currency": "DOUBLE",
    "percent": "DOUBLE",
    "date": "DATE",
    "datetime": "TIMESTAMP",
    "lookup": "BIGINT",
    "ownerlookup": "BIGINT",
    "userlookup": "BIGINT",
    "multiselectpicklist": "VARCHAR[]",
}
LOOKUPS = frozenset({"lookup", "ownerlookup", "userlookup"})
# Only a single record shows these: https://www.zoho.com/crm/developer/docs/api/v8/get-records.html
SINGLE_ONLY = frozenset({"subform", "multiselectlookup", "multiuserlookup"})
NUMBERS = frozenset({"integer", "bigint", "double", "currency", "percent"})
JSON_TYPES = {
    "boolean": "boolean",
    "integer": "integer",
    "double": "double",
    "currency": "double",
    "percent": "double",
    "lookup": "jsonobject",
    "ownerlookup": "jsonobject",
    "userlookup": "jsonobject",
    "consent_lookup": "jsonobject",
    "multiselectpicklist": "jsonarray",
    "subform": "jsonarray",
    "multiselectlookup": "jsonarray",
    "multiuserlookup": "jsonarray",
}


@dataclass(frozen=True)
class Field:
    """One field of a module.

    Attributes:
        name: the API name.
        type: the `data_type`.
        sql: how the first value is made.
        target: the module that a lookup points to; `se_module` where a column names it per row.
        rows: for what only a single record shows, the table with its rows.
        result: the type of a formula's result.
        rich: whether a text is rich, and cut in lists.
        structured: whether the column holds JSON text.
        coql: whether COQL takes the field.
        restricted: whether a privacy setting makes the API answer null.
        column: the name of the stored column, which never changes.
    """

    name: str
    type: str
    sql: str = ""
    label: str = ""
    length: int = 0
    custom: bool = False
    read_only: bool = False
    mandatory: bool = False
    unique: bool = False
    external: bool = False
    target: str = ""
    rows: str = ""
    values: tuple[str, ...] = ()
    result: str = ""
    rich: bool = False
    structured: bool = False
    coql: bool = True
    hidden: bool = False
    restricted: bool = False
    column: str = ""

    @property
    def stored(self) -> str:
        """The name of the column in the table."""
        return self.column or self.name

    @property
    def value_type(self) -> str:
        """The type of the value: a formula's is that of its result."""
        return self.result or self.type

    @property
    def column_type(self) -> str:
        """The DuckDB type of the column."""
        return COLUMN_TYPES.get(self.value_type, "VARCHAR")

    @property
    def is_stored(self) -> bool:
        """Whether the module's own table has a column for it."""
        return self.type not in SINGLE_ONLY

    @property
    def is_lookup(self) -> bool:
        """Whether the value is the id of one other record."""
        return self.type in LOOKUPS

    @property
    def json_type(self) -> str:
        """The `json_type` of metadata."""
        return JSON_TYPES.get(self.value_type, "jsonarray" if self.structured else "string")

    def changed(self, **changes: Any) -> "Field":
        """Return the field with other properties, still stored in the same column."""
        return replace(self, column=self.stored, **changes)


@dataclass(frozen=True)
class Module:
    """One module.

    Attributes:
        name: the API name.
        table: the table behind it, which never changes.
        kind: `generated_type`.
        title: the field that names a record to people.
        parent: the module that a subform's rows belong to.
        listed_only: whether it has no fields to show although it is listed.
    """

    name: str
    singular: str
    plural: str
    fields: tuple[Field, ...]
    table: str = ""
    kind: str = "default"
    title: str = "Name"
    parent: str = ""
    api_supported: bool = True
    creatable: bool = True
    mergeable: bool = False
    listed_only: bool = False
    hidden: bool = False

    @property
    def stored(self) -> str:
        """The name of the table."""
        return self.table or self.name

    @property
    def visible_fields(self) -> list[Field]:
        """The fields that the integration user may see."""
        return [one for one in self.fields if not one.hidden]

    @property
    def columns(self) -> list[Field]:
        """The fields with a column in the table, hidden ones too."""
        return [one for one in self.fields if one.is_stored]

    def find(self, name: str) -> Field | None:
        """Return a visible field by its name in any case."""
        wanted = name.lower()
        return next((one for one in self.visible_fields if one.name.lower() == wanted), None)

    def has(self, column: str) -> bool:
        """Say whether the table has a column of a field."""
        return any(one.stored == column for one in self.columns)

    @property
    def title_column(self) -> str:
        """The column of the field that names a record."""
        return next((one.stored for one in self.fields if one.stored == self.title), "id")

    @property
    def stamp(self) -> str:
        """The column that moves with every change of a record."""
        return "Modified_Time"

    def with_field(self, changed: Field) -> "Module":
        """Return the module with one field replaced, found by its stored column."""
        swapped = tuple(changed if one.stored == changed.stored else one for one in self.fields)
        return replace(self, fields=swapped)


def label_of(name: str) -> str:
    """Return a label for an API name: words apart, without the system's suffix."""
    return re.sub(r"__s$", "", name.lstrip("$")).replace("_", " ")


def make(name: str, kind: str, sql: str = "", **more: Any) -> Field:
    """A field of any type."""
    return Field(name, kind, sql, label=more.pop("label", "") or label_of(name), **more)


def text(name: str, sql: str = "", length: int = 255, **more: Any) -> Field:
    """A single line of text."""
    return make(name, "text", sql, length=length, **more)


def area(name: str, sql: str = "", length: int = 32_000, **more: Any) -> Field:
    """Several lines of text."""
    return make(name, "textarea", sql, length=length, **more)


def contact_point(name: str, kind: str, sql: str = "", **more: Any) -> Field:
    """A field of type email, phone or website."""
    return make(name, kind, sql, length={"phone": 30, "email": 100, "website": 450}[kind], **more)


def flag(name: str, sql: str = "false", **more: Any) -> Field:
    """A checkbox, never null."""
    return make(name, "boolean", sql, **more)


def number(name: str, kind: str, sql: str = "", **more: Any) -> Field:
    """A field of type integer, bigint, double, currency or percent."""
    return make(name, kind, sql, length=16 if kind in {"double", "currency"} else 9, **more)


def day(name: str, sql: str = "", **more: Any) -> Field:
    """A date."""
    return make(name, "date", sql, length=20, **more)


def moment(name: str, sql: str = "", **more: Any) -> Field:
    """A date with time."""
    return make(name, "datetime", sql, length=120, **more)


def choice(name: str, values: tuple[str, ...], sql: str = "", **more: Any) -> Field:
    """A picklist; by default one of the values at random, taken from noise column r1."""
    return make(name, "picklist", sql or picked(values, "r1"), length=120, values=values, **more)


def lookup(name: str, target: str, sql: str = "", **more: Any) -> Field:
    """A lookup of one other record."""
    return make(name, more.pop("kind", "lookup"), sql, length=120, target=target, **more)


def picked(values: tuple[str, ...], noise: str) -> str:
    """Return SQL that picks one of some values by a noise column."""
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"[{quoted}][1 + {noise} % {len(values)}]"


def user(name: str, sql: str = "owner_id", **more: Any) -> Field:
    """A lookup of the user who owns, made or changed a record."""
    return lookup(name, "Users", sql, kind=more.pop("kind", "ownerlookup"), **more)


def record_id() -> Field:
    """The id, which metadata lists like any field."""
    return make("id", "bigint", "id", label="Record Id", read_only=True)


def life(*, tags: bool = True) -> tuple[Field, ...]:
    """The fields that nearly every module has: owner, stamps, tags, state."""
    fixed: dict[str, Any] = {"read_only": True}
    made = (
        user("Owner"),
        user("Created_By", "maker_id", **fixed),
        user("Modified_By", **fixed),
        moment("Created_Time", "created", **fixed),
        moment("Modified_Time", "touched", **fixed),
        moment("Last_Activity_Time", "CASE WHEN r2 % 3 > 0 THEN modified END", **fixed),
        flag("Locked__s", **fixed),
        choice("Record_Status__s", ("Available", "Draft", "Trash"), "'Available'", **fixed),
    )
    return (*made, _tags()) if tags else made


def _tags() -> Field:
    tag = (
        'CASE WHEN r2 % 11 = 0 THEN \'[{"name":"Fair 2026","id":"\' || tag_id || '
        '\'","color_code":"#57B1FD"}]\' ELSE \'[]\' END'
    )
    return make("Tag", "text", tag, length=2000, structured=True)
