"""Plain rows: what the questions of docs/analysts are about, as dictionaries of Python values.

Belongs here: their shape, and how they become a file that DuckDB opens. Names are those of schema `crm`;
what a row does not say is None. The rows know no SQL and none of the product's mappings.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from crm_pipeline.model.stages import STAGE_TABLES, with_added
from crm_pipeline.model.table import Column
from crm_pipeline.model.tables import CONTACTABLE, DELETED_SUFFIX, TABLES
from crm_pipeline.stages.published.contactable import contactable_view

Row = dict[str, Any]


@dataclass(frozen=True)
class Account:
    """One connection: the zone of its days, and its main currency."""

    connection: str
    vendor: str
    zone: str
    currency: str

    def day(self, moment: datetime) -> date:
        """Return the day of an instant in the account's time zone."""
        return moment.astimezone(ZoneInfo(self.zone)).date()


@dataclass
class Rows:
    """The rows that the questions are about.

    Attributes:
        accounts: by connection.
        published_at: the questions' present.
        tables: rows of schema `crm` by table; live ones, but for `<table>_deleted`.
            An activity says in `deals` and `leads` all that it belongs to, the first one first,
            and in `contacts` whom it is about. `is_quarantined` says that HubSpot writes to nobody there.
    """

    accounts: dict[str, Account]
    published_at: datetime
    tables: dict[str, list[Row]] = field(default_factory=dict)

    def of(self, table: str) -> list[Row]:
        """Return the rows of a table."""
        return self.tables.setdefault(table, [])

    def add(self, table: str, rows: Iterable[Row]) -> None:
        """Add rows to a table."""
        self.of(table).extend(rows)

    def by(self, table: str, *keys: str) -> dict[Any, Row]:
        """Return the rows of a table by the values of some columns, or of one."""
        if len(keys) == 1:
            return {row[keys[0]]: row for row in self.of(table)}
        return {tuple(row[key] for key in keys): row for row in self.of(table)}

    def grouped(
        self, table: str, key: Callable[[Row], Any], keep: Callable[[Row], Any] = bool
    ) -> dict[Any, list[Row]]:
        """Return the rows of a table for which `key` returns a key, by that key."""
        groups: dict[Any, list[Row]] = {}
        for row in self.of(table):
            if keep(row):
                groups.setdefault(key(row), []).append(row)
        return groups

    def account(self, row: Mapping[str, Any]) -> Account:
        """Return the account that a row comes from."""
        return self.accounts[row["connection"]]

    def today(self, row: Mapping[str, Any]) -> date:
        """Return the present day of a row's account."""
        return self.account(row).day(self.published_at)


def stays(history: Iterable[Row]) -> Iterator[Row]:
    """Yield one deal's stays: rows of its history with the same stage, one after another, are one.

    A stay has what its first row has, `entered_at`, `left_at`, and its `rows`.
    """
    last: Row | None = None
    for row in sorted(
        history, key=lambda row: (row["changed_at"], len(row["source_id"]), row["source_id"])
    ):
        if last is not None and last["stage"] == row["stage"]:
            last["rows"].append(row)
            continue
        if last is not None:
            yield {**last, "left_at": row["changed_at"]}
        last = {**row, "entered_at": row["changed_at"], "rows": [row]}
    if last is not None:
        yield {**last, "left_at": None}


# --- A file of such rows ------------------------------------------------------------------------

_OPS = """
CREATE TABLE ops.connections (connection VARCHAR, vendor VARCHAR, is_emulated BOOLEAN, time_zone VARCHAR,
    currency VARCHAR, web_address VARCHAR);
CREATE TABLE ops.publication ("release" BIGINT, layout BIGINT, published_at TIMESTAMPTZ);
CREATE TABLE crm.deal_contacts (connection VARCHAR, deal_key VARCHAR, contact_key VARCHAR, roles VARCHAR[],
    is_primary BOOLEAN);
CREATE TABLE crm.activity_contacts (connection VARCHAR, activity_key VARCHAR, contact_key VARCHAR, roles VARCHAR[],
    is_primary BOOLEAN);
"""
_PEOPLE = ("contacts", "contacts_deleted", "leads", "leads_deleted")
_BRIDGES = ("deal_contacts", "activity_contacts")
_QUARANTINED = json.dumps({"hs_email_quarantined": "true", "hs_other": "false"})


def write(rows: Rows, file: duckdb.DuckDBPyConnection) -> None:
    """Create schemas `crm` and `ops` of a database as a publish creates them."""
    file.execute("SET TimeZone = 'UTC'; CREATE SCHEMA crm; CREATE SCHEMA ops;" + _OPS)
    for account in rows.accounts.values():
        values = [account.connection, account.vendor, True, account.zone, account.currency, None]
        file.execute("INSERT INTO ops.connections VALUES (?, ?, ?, ?, ?, ?)", values)
    file.execute("INSERT INTO ops.publication VALUES (1, 1, ?)", [rows.published_at])
    tables = {name: list(rows.of(name)) for name in [*rows.tables, *TABLES, *STAGE_TABLES]}
    tables["deal_stage_history"] = list(_with_stays(rows))
    tables["activities"], links = _linked(rows.of("activities"))
    tables["activity_contacts"] = list(_with_contacts(rows.of("activities")))
    for name in _PEOPLE:
        tables[name] = [
            {**row, "custom": _QUARANTINED if row.get("is_quarantined") else "{}"}
            for row in rows.of(name)
        ]
    tables["associations"].extend(links)
    for name, listed in tables.items():
        if name in _BRIDGES:
            _insert(file, f"crm.{name}", listed)
            continue
        described = _columns(name.removesuffix(DELETED_SUFFIX))
        columns = ", ".join(f'"{column.name}" {column.type}' for column in described)
        file.execute(f"CREATE TABLE crm.{name} ({columns})")
        _insert(file, f"crm.{name}", listed)
    for name in ("users", "campaigns", "contacts", "leads"):
        file.execute(
            f"CREATE TABLE IF NOT EXISTS crm.{name}{DELETED_SUFFIX} AS FROM crm.{name} LIMIT 0"
        )
    file.execute(f"CREATE VIEW crm.{CONTACTABLE} AS {contactable_view(()).sql}")


def _columns(table: str) -> tuple[Column, ...]:
    if table in STAGE_TABLES:
        return STAGE_TABLES[table].columns
    return with_added(table, TABLES[table].columns)


def _with_contacts(activities: Iterable[Row]) -> Iterator[Row]:
    for activity in activities:
        for contact in activity.get("contacts") or ():
            key = activity["activity_key"]
            yield {
                "connection": activity["connection"],
                "activity_key": key,
                "contact_key": contact,
            }


def _with_stays(rows: Rows) -> Iterator[Row]:
    for history in rows.grouped("deal_stage_history", lambda row: row["deal_key"]).values():
        for stay in stays(history):
            moments = {"entered_at": stay["entered_at"], "left_at": stay["left_at"]}
            yield from ({**row, **moments} for row in stay["rows"])


def _linked(activities: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """Split the links of activities into key columns and associations, as CRMs do that have several."""
    shaped, links = [], []
    for activity in activities:
        row = dict(activity)
        for name, key in (("deals", "deal_key"), ("leads", "lead_key")):
            linked = row.pop(name, None) or ()
            row[key] = linked[0] if linked else None
            links += [
                {
                    "connection": row["connection"],
                    "from_table": "activities",
                    "from_key": row["activity_key"],
                    "to_table": name,
                    "to_key": other,
                }
                for other in linked
                if len(linked) > 1
            ]
        shaped.append(row)
    return shaped, links


def _insert(file: duckdb.DuckDBPyConnection, table: str, rows: list[Row]) -> None:
    if not rows:
        return
    names = [
        name
        for (name,) in file.execute(
            "SELECT column_name FROM duckdb_columns() WHERE schema_name || '.' || table_name = ?",
            [table],
        ).fetchall()
        if any(name in row for row in rows)
    ]
    batch = pa.table({name: pa.array([_cell(row.get(name)) for row in rows]) for name in names})
    file.register("batch", batch)
    listed = ", ".join(f'"{name}"' for name in names)
    file.execute(f"INSERT INTO {table} ({listed}) SELECT {listed} FROM batch")
    file.unregister("batch")


def _cell(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC)
        case Decimal():
            return f"{value:f}"
        case _:
            return value
