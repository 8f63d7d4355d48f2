"""Which records the current tables of a connection show as deleted already, asked by their ids."""

from collections.abc import Iterable

import pyarrow as pa

from crm_pipeline.model.names import literal
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine

_ASKED = ("object", "source_id", "is_deleted")


def deleted_ids(
    engine: Engine, tables: Tables, connection: str, obj: str, ids: Iterable[str]
) -> frozenset[str]:
    """Return those of an object's ids that stand in the tables as deleted, and nowhere as live.

    Raises:
        CorruptFile: a table cannot be read.
    """
    asked = pa.table({"source_id": pa.array(list(ids), pa.string())})
    release = tables.current()
    found = [tables.version(name, release) for name in tables.names(_of(connection), release)]
    versions = [version for version in found if version is not None and _tells(version)]
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


def _of(connection: str) -> str:
    return f"normalized/{connection}/"


def _tells(version: TableVersion) -> bool:
    """Say whether a version has rows, and the columns that are asked for."""
    names = {column["name"] for column in version.meta.get("columns", ())}
    return bool(version.base) and names.issuperset(_ASKED)
