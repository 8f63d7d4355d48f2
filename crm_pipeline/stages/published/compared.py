"""Compare two published files row by row: tables and views of all schemas but `ops`, and the rules of `ops`."""

from collections.abc import Iterator
from pathlib import Path

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.store.tables.engine import Engine

_LEFT, _RIGHT = "compared_left", "compared_right"
_OF_OPS = frozenset({"left_out_links", "quality", "tables", "fields", "verdicts", "connections"})
"""Tables of schema `ops` without times of the publish itself."""


def differing_tables(engine: Engine, left: Path, right: Path) -> Iterator[str]:
    """Yield the tables and views in which two files differ, by schema and name; columns and comments count.

    Raises:
        StoreError: a file cannot be read.
    """
    attached = []
    try:
        for name, path in ((_LEFT, left), (_RIGHT, right)):
            engine.run(f"ATTACH {literal(str(path))} AS {name} (READ_ONLY)")
            attached.append(name)
        shapes = [_shape(engine, name) for name in (_LEFT, _RIGHT)]
        for table in sorted(shapes[0].keys() | shapes[1].keys()):
            if shapes[0].get(table) != shapes[1].get(table) or _differs(engine, *table):
                yield ".".join(table)
    finally:
        for name in attached:
            engine.run(f"DETACH {name}")


def _shape(engine: Engine, database: str) -> dict[tuple[str, str], list[tuple[object, ...]]]:
    shape: dict[tuple[str, str], list[tuple[object, ...]]] = {}
    for schema, name, *column in engine.rows(
        "SELECT schema_name, table_name, column_name, data_type, comment FROM duckdb_columns() "
        f"WHERE database_name = {literal(database)} AND NOT internal ORDER BY ALL"
    ):
        if schema != "ops" or name in _OF_OPS:
            shape.setdefault((schema, name), []).append(tuple(column))
    for schema, name, *rest in engine.rows(
        "SELECT schema_name, view_name, sql, comment FROM duckdb_views() "
        f"WHERE database_name = {literal(database)} AND NOT internal ORDER BY ALL"
    ):
        shape[schema, name].append(tuple(rest))
    return shape


def _differs(engine: Engine, schema: str, name: str) -> bool:
    if schema not in ("crm", "ops"):
        return False  # a view of tables that are compared, with the same SQL
    rows = [f"FROM {database}.{quoted(schema)}.{quoted(name)}" for database in (_LEFT, _RIGHT)]
    both = f"({rows[0]} EXCEPT ALL {rows[1]}) UNION ALL ({rows[1]} EXCEPT ALL {rows[0]})"
    return bool(engine.rows(f"SELECT 1 FROM ({both}) LIMIT 1"))
