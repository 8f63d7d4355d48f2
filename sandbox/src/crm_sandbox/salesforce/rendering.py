"""Stored values as the API writes them, composed in SQL so that a page never passes through Python.

JSON for REST, quoted CSV cells for Bulk.
"""

from typing import Any

from crm_sandbox.salesforce.columns import Column
from crm_sandbox.salesforce.schema import Field
from crm_sandbox.salesforce.translation import Plan

_REST_MOMENT = "%Y-%m-%dT%H:%M:%S.000+0000"
_BULK_MOMENT = "%Y-%m-%dT%H:%M:%S.000Z"
_ADDRESS_ORDER = (
    "City",
    "Country",
    "CountryCode",
    "GeocodeAccuracy",
    "Latitude",
    "Longitude",
    "PostalCode",
    "State",
    "Street",
)


def literal(value: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def rest_value(one: Field, alias: str) -> str:
    """Return SQL for a field's value inside a JSON record."""
    if one.is_compound:
        return _address(one, alias)
    sql = f'{alias}."{one.stored}"'
    if one.type == "datetime":
        return f"strftime({sql}, '{_REST_MOMENT}')"
    if one.type == "date":
        return f"strftime({sql}, '%Y-%m-%d')"
    return sql


def _address(one: Field, alias: str) -> str:
    parts = dict(one.parts)
    entries = [
        f'{literal(key[0].lower() + key[1:])}: {alias}."{parts[key]}"'
        for key in _ADDRESS_ORDER
        if key in parts
    ]
    present = ", ".join(f'{alias}."{name}"::VARCHAR' for _, name in one.parts)
    return f"CASE WHEN coalesce({present}) IS NOT NULL THEN {{{', '.join(entries)}}} END"


def record_json(plan: Plan, version: str) -> str:
    """Return SQL that makes one record's JSON text."""
    tree: dict[str, Any] = {}
    for column in plan.columns:
        node = tree
        for key in column.keys[:-1]:
            node = node.setdefault(key, {})
        node[column.keys[-1]] = column
    url = f"/services/data/v{version}/sobjects/"
    return f"to_json({_struct(plan, tree, (), url)})::VARCHAR"


def _struct(plan: Plan, tree: dict[str, Any], path: tuple[str, ...], url: str) -> str:
    alias, kind = plan.parents[path] if path else ("t", literal(plan.sobject.name))
    address = f"{literal(url)} || {kind} || '/' || {alias}.\"Id\""
    entries = [f"'attributes': {{'type': {kind}, 'url': {address}}}"]
    for key, node in tree.items():
        if isinstance(node, Column):
            entries.append(f"{literal(key)}: {rest_value(node.field, node.alias)}")
            continue
        below = (*path, key)
        parent = plan.parents[below][0]
        inner = _struct(plan, node, below, url)
        entries.append(f'{literal(key)}: CASE WHEN {parent}."Id" IS NOT NULL THEN {inner} END')
    return "{" + ", ".join(entries) + "}"


def csv_line(plan: Plan, delimiter: str, line_end: str) -> str:
    """Return SQL that makes one record's CSV line, every cell quoted, null as an empty cell."""
    cells = []
    for column in plan.columns:
        sql = column.sql
        if column.field.type == "datetime":
            text = f"strftime({sql}, '{_BULK_MOMENT}')"
        elif column.field.type in {"boolean", "int", "date", "double", "currency", "percent"}:
            text = f"{sql}::VARCHAR"
        elif column.field.type in {"id", "reference"}:
            text = sql
        else:
            text = f"replace({sql}, '\"', '\"\"')"
        cells.append(text)
    glue = literal(f'"{delimiter}"')
    # concat reads null as an empty text, which is how Bulk writes it.
    joined = f", {glue}, ".join(cells)
    end = literal('"' + line_end)
    return f"concat('\"', {joined}, {end})"


def csv_header(plan: Plan, delimiter: str, line_end: str) -> bytes:
    """Return the header row of a Bulk result."""
    names = [f'"{".".join(column.keys)}"' for column in plan.columns]
    return (delimiter.join(names) + line_end).encode()
