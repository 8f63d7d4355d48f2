"""Write a new version of a table in which the rows of some keys are replaced.

The base files of the version before are taken over as they are. The new rows go into a delta, and the keys without
rows into tombstones. Once these exceed a tenth of the base, the base is written again.
"""

from crm_pipeline.model.names import quoted
from crm_pipeline.store.tables.engine import Engine, parquet_files
from crm_pipeline.store.tables.release import TableVersion
from crm_pipeline.store.tables.staged import Staged
from crm_pipeline.store.tables.tables import Tables

MERGED_ABOVE = 0.1
"""A delta with more than this share of the base's rows is merged into the base."""


def write_whole(engine: Engine, staged: Staged, rows: str) -> int:
    """Write a version from SQL for all its rows; return how many there are."""
    return engine.copy_to(f"SELECT * FROM {rows}", staged.path("base"))


def write_replaced(
    engine: Engine, staged: Staged, parent: TableVersion, keys: str, rows: str, *, old: str = ""
) -> int:
    """Write a version that is its parent with the rows of some keys replaced; return how many rows it has.

    Args:
        engine: runs the SQL.
        staged: the version to write.
        parent: the version before.
        keys: relation with the keys, distinct, in the columns of `parent.key`.
        rows: relation with all rows that these keys have now; no other keys.
        old: relation with all rows that they had in the parent, if the caller has read them anyway.
    """
    key = ", ".join(map(quoted, parent.key))
    engine.copy_to(f"SELECT {key} FROM {keys}", staged.path("changes"))
    if not old:
        before = f"(SELECT {key} FROM {Tables.relation(parent)})"
        old = f"(FROM {before} SEMI JOIN {keys} USING ({key}))"
    known = engine.table(
        f"replaced keys of {parent.name}",
        f"SELECT {key}, count(*) AS replaced_rows FROM {old} GROUP BY ALL",
    )
    [removed] = engine.row(f"SELECT coalesce(sum(replaced_rows), 0) FROM {known}")
    delta = engine.table(f"delta of {parent.name}", _delta(parent, keys, rows, key))
    tombstones = engine.table(
        f"tombstones of {parent.name}", _tombstones(parent, f"(SELECT {key} FROM {known})")
    )
    base = _count(engine, parquet_files(parent.base))
    if _count(engine, delta) + _count(engine, tombstones) > MERGED_ABOVE * base:
        return write_merged(engine, staged, parent, keys, rows)
    staged.adopt(parent)
    engine.copy_to(f"FROM {delta}", staged.path("delta"))
    engine.copy_to(f"FROM {tombstones}", staged.path("tombstones"))
    return parent.rows - int(removed) + _count(engine, rows)


def write_merged(engine: Engine, staged: Staged, parent: TableVersion, keys: str, rows: str) -> int:
    """Write such a version as one new base; return how many rows it has."""
    key = ", ".join(map(quoted, parent.key))
    kept = f"SELECT * FROM {Tables.relation(parent)} ANTI JOIN {keys} USING ({key})"
    return write_whole(engine, staged, f"({kept} UNION ALL BY NAME SELECT * FROM {rows})")


def _delta(parent: TableVersion, keys: str, rows: str, key: str) -> str:
    if not parent.delta:
        return f"SELECT * FROM {rows}"
    kept = f"SELECT * FROM {parquet_files(parent.delta)} ANTI JOIN {keys} USING ({key})"
    return f"{kept} UNION ALL BY NAME SELECT * FROM {rows}"


def _tombstones(parent: TableVersion, keys: str) -> str:
    # Keys that are in the delta only are among them: to remove them from the base, too, changes nothing.
    if not parent.tombstones:
        return f"FROM {keys}"
    return f"(FROM {keys}) UNION (FROM {parquet_files(parent.tombstones)})"


def _count(engine: Engine, relation: str) -> int:
    return int(engine.row(f"SELECT count(*) FROM {relation}")[0])
