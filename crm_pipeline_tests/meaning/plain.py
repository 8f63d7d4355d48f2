"""What vendors write, as Python values; and the interface of the four that make plain rows of it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Protocol

from crm_pipeline_tests.meaning.rows import Account, Row, Rows

Record = Mapping[str, Any]
_OBJECTS: Mapping[str, Mapping[str, str]] = {
    "salesforce": {
        "contacts": "Contact",
        "companies": "Account",
        "leads": "Lead",
        "users": "User",
        "deals": "Opportunity",
        "campaigns": "Campaign",
    },
    "hubspot": {"users": "owners"},
    "pipedrive": {"contacts": "persons", "companies": "organizations"},
    "zoho": {
        "contacts": "Contacts",
        "companies": "Accounts",
        "leads": "Leads",
        "users": "Users",
        "deals": "Deals",
        "campaigns": "Campaigns",
    },
}
"""The vendors' names of what the tables hold, where they differ: keys are made of them."""


class Asked(Protocol):
    """The interface of `meaning.answers.Answers`."""

    def of(self, connection: str, obj: str) -> list[dict[str, Any]]:
        """Return the live records of an object, or the links below one as `deals/contacts`."""

    def gone(self, connection: str, obj: str) -> list[dict[str, Any]]:
        """Return the deleted ones that the vendor tells of."""

    def labels(self, connection: str, obj: str, field: str) -> dict[str, str]:
        """Return the labels of a pick list by stored value."""


@dataclass(frozen=True)
class Source:
    """One connection, and what is read of it.

    Attributes:
        account: whose it is.
        answers: what its vendor says.
        objects: those that are configured; of others nothing is published.
        mapping: the configured columns of own fields, by object and field.
        rows: where plain rows go.
    """

    account: Account
    answers: Asked
    objects: Collection[str]
    rows: Rows
    mapping: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)

    def of(self, obj: str) -> list[dict[str, Any]]:
        """Return the live records of an object."""
        return self.answers.of(self.account.connection, obj)

    def gone(self, obj: str) -> list[dict[str, Any]]:
        """Return the deleted ones that the vendor tells of."""
        return self.answers.gone(self.account.connection, obj)

    def labels(self, obj: str, name: str) -> dict[str, str]:
        """Return the labels of a pick list."""
        return self.answers.labels(self.account.connection, obj, name)

    def add(self, table: str, rows: Iterable[Row]) -> None:
        """Add rows to a table; they come from this connection."""
        self.rows.add(table, ({"connection": self.account.connection, **row} for row in rows))

    def key(self, table: str, record: object) -> str | None:
        """Return a key of a record over all connections; None of none."""
        obj = _OBJECTS[self.account.vendor].get(table, table)
        return None if record in (None, "") else f"{self.account.connection}:{obj}:{record}"

    def own(self, obj: str, column: str, record: Record) -> Any:
        """Return the value of a column to which the user has mapped a custom field."""
        mapped = self.mapping.get(obj, {})
        return next((record.get(name) for name, to in mapped.items() if to == column), None)


def moment(text: str | None) -> datetime | None:
    """Read an instant; one without a zone is UTC."""
    if not text:
        return None
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def day(text: str | None) -> date | None:
    """Read a day."""
    return date.fromisoformat(text[:10]) if text else None


def money(value: object) -> Decimal | None:
    """Read an amount exactly."""
    return None if value in (None, "") else Decimal(str(value))


def name_of(*parts: str | None) -> str | None:
    """Compose a name of its parts."""
    return " ".join(part for part in parts if part) or None


def points(*fields: tuple[str, str | None]) -> list[Row]:
    """Return the contact points of fields, each `(label, value)`; the first that is filled is the main one."""
    filled = [(label, value) for label, value in fields if value not in (None, "")]
    return [
        {"value": value, "label": label, "is_primary": place == 0}
        for place, (label, value) in enumerate(filled)
    ]


def with_fax(listed: list[Row], fax: str | None) -> list[Row]:
    """Return phones and the fax behind them, which is never the main one."""
    return [*listed, *({**point, "is_primary": False} for point in points(("fax", fax)))]


def yes(value: object) -> bool | None:
    """Read a truth value; nothing is unknown."""
    return None if value in (None, "") else str(value).lower() == "true"


def in_main(source: Source, amount: Decimal | None, currency: str | None) -> Decimal | None:
    """Return an amount that is in the account's main currency already; else None."""
    return amount if currency in (None, "", source.account.currency) else None


def linked(links: Iterable[tuple[str | None, str | None, str | None, bool]]) -> Iterator[Row]:
    """Yield the contacts of deals, one row a pair, from `(deal, contact, role, is_primary)`."""
    pairs: dict[tuple[str, str], Row] = {}
    for deal, contact, role, is_primary in links:
        if deal is None or contact is None:
            continue
        pair = pairs.setdefault(
            (deal, contact),
            {"deal_key": deal, "contact_key": contact, "roles": [], "is_primary": False},
        )
        if role and role not in pair["roles"]:
            pair["roles"].append(role)
        pair["is_primary"] |= is_primary
    yield from pairs.values()


def live_only(rows: Rows, connection: str) -> None:
    """Drop links of deals that no longer have both ends."""
    deals, people = rows.by("deals", "deal_key"), rows.by("contacts", "contact_key")
    rows.tables["deal_contacts"] = [
        link
        for link in rows.of("deal_contacts")
        if link["connection"] != connection
        or (link["deal_key"] in deals and link["contact_key"] in people)
    ]


Maker = Callable[[Source], None]
