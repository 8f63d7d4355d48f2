"""Rewrite queries so that Python gets exact values where DuckDB's conversion would change them.

An infinite date would become 9999-12-31, a year 360 days, and nanoseconds would be cut. Such values are selected as
the text that DuckDB shows; all others stay as they are, also inside of lists and structs.
"""

from collections.abc import Sequence
from typing import Any

import duckdb

from crm_pipeline.model.names import quoted
from crm_pipeline.store.tables.statements import bare_query

_AS_TEXT = frozenset({"interval", "timestamp_ns", "time_ns", "blob"})
_MAYBE_INFINITE = frozenset(
    {"date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp with time zone"}
)


def exact(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[str, Sequence[str] | None]:
    """Return SQL for the same rows, and the original column names where it has other ones.

    SQL that is not a single query stays as it is, and likewise a pivot over values that are known only when it runs.

    Raises:
        duckdb.Error: DuckDB refuses the statement.
    """
    query = bare_query(connection, sql)
    relation = connection.sql(query) if query is not None else None
    if relation is None:
        return sql, None
    names = [f"c{number}" for number in range(len(relation.types))]
    values = [_exact(name, kind) for name, kind in zip(names, relation.types, strict=True)]
    if values == names:
        return sql, None
    text = f"SELECT {', '.join(values)} FROM (\n{query}\n) AS result({', '.join(names)})"
    return text, relation.columns


def _exact(value: str, kind: Any, depth: int = 0) -> str:
    """Return an expression for a value; the value itself where it needs no change."""
    if kind.id in _AS_TEXT:
        return f"{value}::VARCHAR"
    if kind.id in _MAYBE_INFINITE:
        # A union of both types: DuckDB returns the member that it holds.
        either = f"UNION(words VARCHAR, instant {kind})"
        return (
            f"CASE WHEN isinf({value}) THEN {value}::VARCHAR::{either} ELSE {value}::{either} END"
        )
    if kind.id in ("list", "array"):
        return _each(value, kind.children[0][1], depth)
    if kind.id == "struct":
        parts = {name: f"{value}.{quoted(name)}" for name, _ in kind.children}
        made = {name: _exact(parts[name], child, depth) for name, child in kind.children}
        packed = ", ".join(f"{quoted(name)} := {part}" for name, part in made.items())
        return value if made == parts else _unless_null(value, f"struct_pack({packed})")
    if kind.id == "map":
        (_, key), (_, item) = kind.children
        parts = {f"map_keys({value})": key, f"map_values({value})": item}
        halves = [_each(part, child, depth) for part, child in parts.items()]
        return value if halves == list(parts) else _unless_null(value, f"map({', '.join(halves)})")
    if kind.id == "union":
        members = [child for _, child in kind.children[1:]]
        is_same = all(_exact(value, child, depth) == value for child in members)
        return value if is_same else f"{value}::VARCHAR"
    return value


def _each(value: str, kind: Any, depth: int) -> str:
    element = f"e{depth}"
    changed = _exact(element, kind, depth + 1)
    return value if changed == element else f"list_transform({value}, lambda {element}: {changed})"


def _unless_null(value: str, made: str) -> str:
    return f"CASE WHEN {value} IS NOT NULL THEN {made} END"
