"""Stored values as the API writes them, composed in SQL so that a page never passes through Python.

JSON for records and queries, CSV cells for exports.
"""

from collections.abc import Iterable

from crm_sandbox.zoho.columns import Column, Columns

_RICH_IN_LISTS = 500


def literal(value: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def json_value(columns: Columns, column: Column, *, whole: bool = False) -> str:
    """Return SQL for a field's value inside a JSON record.

    Args:
        columns: the query, which gets the joins that a name needs.
        column: the column.
        whole: rich text is not cut.
    """
    one, sql = column.field, column.sql
    if one.restricted:
        return "NULL"
    if one.structured:
        return f"{sql}::JSON"
    if one.is_lookup:
        return _named(columns, column)
    kind = one.value_type
    if kind == "datetime":
        return f"zoho_moment({sql})"
    if kind in {"date", "bigint"}:
        return f"{sql}::VARCHAR"
    if one.rich and not whole:
        return f"left({sql}, {_RICH_IN_LISTS})"
    return sql


def _named(columns: Columns, column: Column) -> str:
    alias, title = columns.title_of(column)
    entries = [f"'name': {title}", f"'id': {alias}.id::VARCHAR"]
    if column.field.stored == "Owner":
        entries.append(f"'email': {alias}.email")
    if column.field.target == "se_module" and column.field.stored == "Parent_Id":
        module = f'{column.alias}."$se_module"'
        entries.append(f"'module': {{'api_name': {module}}}")
    return f"CASE WHEN {alias}.id IS NOT NULL THEN {{{', '.join(entries)}}} END"


def bare_value(columns: Columns, column: Column) -> str:
    """Return SQL for a value in the answer to a query, where lookups come without their names."""
    if column.field.is_lookup and not column.field.restricted:
        return f"CASE WHEN {column.sql} IS NOT NULL THEN {{'id': {column.sql}::VARCHAR}} END"
    return json_value(columns, column)


def record(entries: Iterable[tuple[str, str]]) -> str:
    """Return SQL that makes one JSON text of keys and values."""
    body = ", ".join(f"{literal(key)}: {sql}" for key, sql in entries)
    return f"to_json({{{body}}})::VARCHAR"


def csv_cell(column: Column) -> str:
    """Return SQL for a value as text in an export: bare ids, several choices with semicolons."""
    one, sql = column.field, column.sql
    if one.restricted:
        return "NULL"
    kind = one.value_type
    if kind == "datetime":
        return f"zoho_moment({sql})"
    if kind == "multiselectpicklist":
        return f"array_to_string({sql}, ';')"
    if one.column_type != "VARCHAR":
        return f"{sql}::VARCHAR"
    return sql


def csv_line(cells: Iterable[str]) -> str:
    """Return SQL that makes one line of CSV, cells in quotes where they need them."""
    quoted = [
        f"CASE WHEN regexp_matches({cell}, '[\",\\r\\n]') "
        f"THEN '\"' || replace({cell}, '\"', '\"\"') || '\"' ELSE {cell} END"
        for cell in cells
    ]
    joined = ", ',', ".join(quoted)
    # concat reads null as an empty text, which is how the vendor writes it.
    return f"concat({joined}, chr(10))"
