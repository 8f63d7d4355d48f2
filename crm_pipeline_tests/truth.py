"""What is published and what the emulated org holds, in one form, so that they can be compared."""

import datetime as dt
from collections.abc import Iterable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from crm_pipeline.store.tables.published import open_published
from crm_sandbox.salesforce.emulation import SalesforceSandbox
from crm_sandbox.salesforce.schema import Field

_THROUGH: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {
    "User": [("UserRoleId", "UserRole", ("Name",))],
    "PricebookEntry": [("Pricebook2Id", "Pricebook2", ("Name", "IsStandard"))],
}
"""What is read through relations."""


def plain(value: Any) -> Any:
    """One form for what the org holds and what is published."""
    match value:
        case None | "":
            return None
        case bool():
            return value
        case dt.datetime():
            aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
            return aware.astimezone(dt.UTC).replace(microsecond=0)
        case dt.date():
            return value
        case int() | float() | Decimal():
            return round(float(value), 4)
        case _:
            return str(value)


def published_rows(reader: duckdb.DuckDBPyConnection, obj: str) -> dict[str, dict[str, Any]]:
    """The rows of an object's view, by id and API name; no id may be there twice.

    Args:
        reader: of the published file.
    """
    named_by = "SELECT field, view_column FROM ops.fields WHERE object = ?"
    fields = dict(reader.execute(named_by, [obj]).fetchall())
    [(view,)] = reader.execute(
        "SELECT DISTINCT view_name FROM ops.fields WHERE object = ?", [obj]
    ).fetchall()
    cursor = reader.execute(f"FROM {view}")
    columns = [column[0] for column in cursor.description]
    rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    named = [{api: plain(row[label]) for api, label in fields.items()} for row in rows]
    by_id = {row["Id"]: row for row in named}
    assert len(by_id) == len(named), f"{obj}: rows are there twice"
    return by_id


def true_rows(org: SalesforceSandbox, obj: str) -> dict[str, dict[str, Any]]:
    """The rows of an object as people see them: pick lists by their labels, several values as a list."""
    fields = {field.name: field for field in org.org.known(obj).fields}
    rows = {
        row["Id"]: {name: plain(_seen(fields[name], value)) for name, value in row.items()}
        for row in org.rows(obj)
    }
    for reference, name, through in _THROUGH.get(obj, ()):
        related = {record["Id"]: record for record in org.rows(name)}
        for row in rows.values():
            other = related.get(row[reference], {})
            row.update({f"{name}.{field}": plain(other.get(field)) for field in through})
    return rows


def _seen(field: Field, value: Any) -> Any:
    labels = dict(field.labels)
    if value and field.type == "multipicklist":
        return [labels.get(part, part) for part in value.split(";")]
    return labels.get(value, value) if labels else value


def assert_published_equals(org: SalesforceSandbox, data: Path, objects: Iterable[str]) -> None:
    """Every live record of the objects is published once, with every field as the org has it."""
    with closing(open_published(data)) as reader:  # once: opening takes longer than reading
        published = {obj: published_rows(reader, obj) for obj in objects}
    for obj, ours in published.items():
        theirs = true_rows(org, obj)
        assert set(ours) == set(theirs), obj
        for record, row in theirs.items():
            expected = {name: value for name, value in row.items() if name in ours[record]}
            assert len(expected) >= len(row) - 3, obj  # compound fields are read by their parts
            assert ours[record] == expected, obj
