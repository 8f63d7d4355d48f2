"""What the Parquet files of a release say of themselves: which can be given out, which texts are long."""

from pathlib import Path

from crm_pipeline.model.names import literal
from crm_pipeline.stages.published.relations import PublishedTable
from crm_pipeline.store.tables.engine import Engine

LONG_BYTES = 4_000_000
"""A column of text with fewer bytes is stored as DuckDB likes best."""


def long_text_columns(engine: Engine, table: PublishedTable) -> frozenset[str]:
    """Return the columns with much text that hardly repeats; they are stored with zstd.

    DuckDB's own choice for them (FSST, or nothing) costs more time and three times the space. Texts
    that repeat stay in its dictionaries, which make filters and groups over them quick.
    """
    texts = {name for name, kind, _ in table.columns if kind == "VARCHAR"}
    files = [path for version in table.versions for path in (*version.base, *version.delta)]
    if not files:
        return frozenset()
    found = engine.rows(
        f"SELECT path_in_schema FROM parquet_metadata({_listed(files)}) GROUP BY ALL "
        "HAVING bool_and(dictionary_page_offset IS NULL) "
        f"AND sum(total_uncompressed_size) >= {LONG_BYTES}"
    )
    return frozenset(name for (name,) in found if name in texts)


def separate_files(engine: Engine, table: PublishedTable) -> tuple[Path | None, Path | None]:
    """Return the file that holds exactly the live rows of a table, and that of the deleted ones.

    None where there is no such file: several connections feed the table, the rows are mixed, or
    columns are made of other tables.
    The files' own statistics decide, not what somebody noted about them.
    """
    if len(table.versions) != 1 or table.found or table.finish:
        return None, None
    [version] = table.versions
    columns = [(column["name"], column["type"]) for column in version.meta["columns"]]
    if version.delta or version.tombstones or columns != [(n, k) for n, k, _ in table.columns]:
        return None, None
    found = engine.rows(
        "SELECT file_name, min(stats_min_value), max(stats_max_value) "
        f"FROM parquet_metadata({_listed(list(version.base))}) "
        "WHERE path_in_schema = 'is_deleted' GROUP BY ALL "
        # Without statistics of every row group nothing is known.
        "HAVING bool_and(coalesce(stats_null_count = 0 AND stats_min_value IS NOT NULL, false))"
    )
    kinds = {Path(name): (low, high) for name, low, high in found}
    live = [path for path in version.base if kinds.get(path) == ("false", "false")]
    deleted = [path for path in version.base if kinds.get(path) == ("true", "true")]
    if len(live) + len(deleted) != len(version.base):
        return None, None
    return (
        live[0] if len(live) == 1 else None,
        deleted[0] if len(deleted) == 1 else None,
    )


def _listed(paths: list[Path]) -> str:
    return f"[{', '.join(literal(str(path)) for path in paths)}]"
