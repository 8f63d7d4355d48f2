"""The rows of some keys of a version, read from few files where that is possible."""

from collections.abc import Callable, Sequence

from crm_pipeline.model.names import quoted
from crm_pipeline.store.tables.engine import Engine, parquet_files
from crm_pipeline.store.tables.release import TableVersion


def rows_of(
    engine: Engine,
    version: TableVersion,
    keys: str,
    *,
    columns: Sequence[str] = (),
    before_base: Callable[[], None] = lambda: None,
) -> str:
    """Return SQL for the rows of some keys.

    Keys that changed lately have their rows in the delta, so the base is read only if it can have a row of them.

    Args:
        engine: runs the SQL.
        version: the version.
        keys: relation with the keys, distinct, in the columns of `version.key`.
        columns: those that are wanted; all by default.
        before_base: called before the base is read, to make sure that it is as it was written.
    """
    key = _key(version)
    found = (
        f"SELECT {', '.join(map(quoted, columns)) or '*'} FROM {{}} SEMI JOIN {{}} USING ({key})"
    )
    later = " UNION ALL ".join(
        f"SELECT {key} FROM {parquet_files(paths)}"
        for paths in (version.delta, version.tombstones)
        if paths
    )
    parts = [found.format(parquet_files(version.delta), keys)] * bool(version.delta)
    left = engine.table(
        f"keys in the base of {version.name}",
        f"FROM {keys} ANTI JOIN ({later}) USING ({key})" if later else f"FROM {keys}",
    )
    if engine.row(f"SELECT count(*) FROM {left}")[0]:
        before_base()
        parts.append(found.format(parquet_files(version.base), left))
    # Without keys only the columns of the base are read.
    parts = parts or [found.format(parquet_files(version.base), left) + " WHERE false"]
    return f"({' UNION ALL BY NAME '.join(parts)})"


def _key(version: TableVersion) -> str:
    return ", ".join(map(quoted, version.key))
