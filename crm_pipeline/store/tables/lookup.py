"""The rows of some keys of a version, read from few files where that is possible."""

from crm_pipeline.model.names import quoted
from crm_pipeline.store.tables.engine import Engine, parquet_files
from crm_pipeline.store.tables.release import TableVersion
from crm_pipeline.store.tables.tables import Tables


def rows_of(engine: Engine, version: TableVersion, keys: str) -> str:
    """Return SQL for the rows of some keys.

    Keys that changed lately have their rows in the delta, so the base is read only if it can have a row of them.

    Args:
        engine: runs the SQL.
        version: the version.
        keys: relation with the keys, distinct, in the columns of `version.key`.
    """
    if not (version.delta or version.tombstones):
        return f"(FROM {Tables.relation(version)} SEMI JOIN {keys} USING ({_key(version)}))"
    key = _key(version)
    later = " UNION ALL ".join(
        f"SELECT {key} FROM {parquet_files(paths)}"
        for paths in (version.delta, version.tombstones)
        if paths
    )
    left = engine.table(
        f"keys in the base of {version.name}", f"FROM {keys} ANTI JOIN ({later}) USING ({key})"
    )
    parts = [f"FROM {parquet_files(version.delta)} SEMI JOIN {keys} USING ({key})"] * bool(
        version.delta
    )
    if engine.row(f"SELECT count(*) FROM {left}")[0] or not parts:
        parts.append(f"FROM {parquet_files(version.base)} SEMI JOIN {left} USING ({key})")
    return f"({' UNION ALL BY NAME '.join(parts)})"


def _key(version: TableVersion) -> str:
    return ", ".join(map(quoted, version.key))
