"""Custom fields: 40-hex keys that differ in every company, and the sixteen types that can be made.

Source: https://pipedrive.readme.io/docs/core-api-concepts-custom-fields
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from crm_sandbox.pipedrive.schema import ADDRESS

# Type of field -> type of the column. The v1 siblings of a value, `<key>_currency` and so on, are
# the members of its structure.
TYPES = {
    "varchar": "VARCHAR",
    "varchar_auto": "VARCHAR",
    "text": "VARCHAR",
    "phone": "VARCHAR",
    "double": "DOUBLE",
    "monetary": 'STRUCT("value" DOUBLE, "currency" VARCHAR)',
    "date": "DATE",
    "daterange": 'STRUCT("value" DATE, "until" DATE)',
    "time": 'STRUCT("value" VARCHAR, "timezone_id" INTEGER, "timezone_name" VARCHAR)',
    "timerange": 'STRUCT("value" VARCHAR, "until" VARCHAR, "timezone_id" INTEGER, "timezone_name" VARCHAR)',
    "enum": "INTEGER",
    "set": "INTEGER[]",
    "address": ADDRESS,
    "org": "INTEGER",
    "people": "INTEGER",
    "user": "INTEGER",
}


@dataclass(frozen=True)
class Option:
    """One option of an enum or a set."""

    id: int
    label: str
    color: str | None = None


@dataclass
class CustomField:
    """One custom field of one company.

    Attributes:
        id: the number that v1 addresses it by.
        code: the 40-hex key; it stays when the name changes.
        sql: how the first population fills it; `lead_sql` in leads, where it is one of deals.
        gone: options that were removed, as v1 remembers them.
        is_hidden: whether users may not see it.
    """

    id: int
    code: str
    name: str
    type: str
    added: datetime
    updated: datetime
    options: list[Option] = field(default_factory=list)
    sql: str = "NULL"
    lead_sql: str = "NULL"
    gone: list[Option] = field(default_factory=list)
    is_hidden: bool = False

    @property
    def column(self) -> str:
        """The type of its column."""
        return TYPES[self.type]

    @property
    def members(self) -> tuple[str, ...]:
        """The members of a structured value; empty for plain ones."""
        return MEMBERS.get(self.type, ())

    def labelled(self, label: str) -> Option | None:
        """Return an option by its label."""
        return next((one for one in self.options if one.label == label), None)


MEMBERS = {
    "monetary": ("value", "currency"),
    "daterange": ("value", "until"),
    "time": ("value", "timezone_id", "timezone_name"),
    "timerange": ("value", "until", "timezone_id", "timezone_name"),
    "address": (
        "value",
        "country",
        "admin_area_level_1",
        "admin_area_level_2",
        "locality",
        "sublocality",
        "route",
        "street_number",
        "subpremise",
        "postal_code",
    ),
}


def make_code(*parts: object) -> str:
    """Return a 40-hex key for a field of a company."""
    return hashlib.sha1("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()
