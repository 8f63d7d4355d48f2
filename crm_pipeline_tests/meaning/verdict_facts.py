"""Verdicts as they have to be and as the file shows them: every row and column, in the form of `compare`.

A table is one of the stage, `crm.contactable`, or the columns that are added to one of the published tables.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Protocol

from crm_pipeline_tests.meaning.compare import Difference, differences
from crm_pipeline_tests.meaning.facts import Row, Table, Tables
from crm_pipeline_tests.meaning.plain_verdicts import KEYS
from crm_pipeline_tests.meaning.questions_verdicts import contactable
from crm_pipeline_tests.meaning.rows import Rows


class File(Protocol):
    """A published file."""

    def query(self, sql: str, *, zone: str = "UTC") -> list[Row]: ...


STAGE: Mapping[str, tuple[str, ...]] = {
    "contact_points": ("record_key", "kind", "position"),
    "email_verdicts": ("value", "position"),
    "phone_verdicts": ("value", "region", "position"),
}
"""The tables of the stage, each with the columns that tell its rows apart."""
_ADDED = {
    "users": "email, email_verdict, email_normalized, phone, phone_verdict, phone_e164",
    "companies": "phone, phone_verdict, phone_e164",
    **dict.fromkeys(
        ("contacts", "leads"),
        "email, email_verdict, email_normalized, primary_phone AS phone, phone_verdict, phone_e164",
    ),
}
TABLES = (*STAGE, *_ADDED, "contactable")


def expected(rows: Rows, judged_at: datetime) -> Tables:
    """Return the rows that the file has to have, by table and key."""
    stage = {name: keyed(rows.of(name), columns) for name, columns in STAGE.items()}
    for name in ("email_verdicts", "phone_verdicts"):
        stage[name] = {key: {**row, "checked_at": judged_at} for key, row in stage[name].items()}
    added = {name: dict(_added(rows, name)) for name in _ADDED}
    return {**stage, **added, "contactable": contactable(rows)}


def shown(file: File, *, zone: str = "UTC") -> Tables:
    """Return the rows of the file, by table and key."""
    found = {
        name: keyed(file.query(f"FROM crm.{name}", zone=zone), columns)
        for name, columns in STAGE.items()
    }
    for name, columns in _ADDED.items():
        sql = f"SELECT {KEYS[name]} AS key, {columns} FROM crm.{name}"
        found[name] = keyed(file.query(sql, zone=zone), ("key",))
    found["contactable"] = keyed(file.query("FROM crm.contactable", zone=zone), ("email",))
    return found


def compared(right: Tables, seen: Tables, tables: Collection[str] = TABLES) -> list[Difference]:
    """Return all differences in some tables."""
    return [one for name in tables for one in differences("all", name, right[name], seen[name])]


def keyed(rows: list[Row], columns: tuple[str, ...]) -> Table:
    """Return rows by the values of some columns."""
    keyed = {"#".join(str(row[column]) for column in columns): row for row in rows}
    assert len(keyed) == len(rows), f"{columns} are no key"
    return keyed


def _added(rows: Rows, table: str) -> Iterator[tuple[str, Row]]:
    names = ["phone", "phone_verdict", "phone_e164"]
    if table != "companies":
        names += ["email", "email_verdict", "email_normalized"]
    for row in rows.of(table):
        mains = {
            kind: next(
                (one["value"] for one in row.get(f"{kind}s") or () if one["is_primary"]), None
            )
            for kind in ("email", "phone")
        }
        yield row[KEYS[table]], {name: mains.get(name, row.get(name)) for name in names}
