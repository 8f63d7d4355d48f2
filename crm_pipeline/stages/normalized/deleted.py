"""Which of some records the current tables of a connection show as deleted already."""

from collections.abc import Iterable

import pyarrow as pa

from crm_pipeline.model.names import literal
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine

_COLUMNS = ("object", "source_id", "is_deleted")


def deleted_ids(
    engine: Engine, tables: Tables, connection: str, obj: str, ids: Iterable[str]
) -> frozenset[str]:
    """Return those of an object's ids that are deleted in the tables, and live in none.

    Raises:
        CorruptFile: a table cannot be read.
    """
    asked = pa.table({"source_id": pa.array(list(ids), pa.string())})
    release = tables.current()
    stored = [tables.version(name, release) for name in tables.names(_prefix(connection), release)]
    versions = [version for version in stored if version is not None and _has_columns(version)]
    if not asked.num_rows or not versions:
        return frozenset()
    listed = engine.load("asked ids", asked)
    rows = " UNION ALL ".join(
        f"SELECT source_id, is_deleted FROM {Tables.relation(version)} WHERE object = {literal(obj)}"
        for version in versions
    )
    gone = engine.rows(
        f"SELECT source_id FROM ({rows}) SEMI JOIN {listed} USING (source_id) "
        "GROUP BY source_id HAVING bool_and(is_deleted)"
    )
    return frozenset(source_id for (source_id,) in gone)


def _prefix(connection: str) -> str:
    return f"normalized/{connection}/"


def _has_columns(version: TableVersion) -> bool:
    """Say whether a version has rows, and the columns of the query."""
    names = {column["name"] for column in version.meta.get("columns", ())}
    return bool(version.base) and names.issuperset(_COLUMNS)
