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


def write_whole(engine: Engine, staged: Staged, rows: str, order: str = "") -> int:
    """Write a version from SQL for all its rows; return how many there are."""
    ordered = f" ORDER BY {order}" if order else ""
    return engine.copy_to(f"SELECT * FROM {rows}{ordered}", staged.path("base"))


def write_replaced(
    engine: Engine, staged: Staged, parent: TableVersion, keys: str, rows: str
) -> int:
    """Write a version that is its parent with the rows of some keys replaced; return how many rows it has.

    Args:
        engine: runs the SQL.
        staged: the version to write.
        parent: the version before.
        keys: relation with the keys, distinct, in the columns of `parent.key`.
        rows: relation with all rows that these keys have now; no other keys.
    """
    key = ", ".join(map(quoted, parent.key))
    engine.copy_to(f"SELECT {key} FROM {keys}", staged.path("changes"))
    removed = _count(engine, f"{_relation(parent, key)} SEMI JOIN {keys} USING ({key})")
    total = parent.rows - removed + _count(engine, rows)
    kept = f"SELECT * FROM {Tables.relation(parent)} ANTI JOIN {keys} USING ({key})"
    delta = engine.table(
        f"delta of {parent.name}",
        " UNION ALL BY NAME ".join(
            [
                f"SELECT * FROM {rows}",
                *(
                    [f"SELECT * FROM {parquet_files(parent.delta)} ANTI JOIN {keys} USING ({key})"]
                    if parent.delta
                    else []
                ),
            ]
        ),
    )
    gone = " UNION ".join(
        f"SELECT {key} FROM {relation}"
        for relation in (keys, *([parquet_files(parent.tombstones)] if parent.tombstones else []))
    )
    tombstones = engine.table(
        f"tombstones of {parent.name}",
        f"SELECT {key} FROM ({gone}) SEMI JOIN {parquet_files(parent.base)} USING ({key})",
    )
    base = _count(engine, parquet_files(parent.base))
    if _count(engine, delta) + _count(engine, tombstones) > MERGED_ABOVE * base:
        return write_whole(engine, staged, f"({kept} UNION ALL BY NAME SELECT * FROM {rows})")
    staged.adopt(parent)
    engine.copy_to(f"SELECT * FROM {delta}", staged.path("delta"))
    engine.copy_to(f"SELECT * FROM {tombstones}", staged.path("tombstones"))
    return total


def _relation(version: TableVersion, columns: str) -> str:
    return f"(SELECT {columns} FROM {Tables.relation(version)})"


def _count(engine: Engine, relation: str) -> int:
    return int(engine.row(f"SELECT count(*) FROM {relation}")[0])
