"""Statistics of a release's Parquet files: which files can be published as they are, which texts are long."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from crm_pipeline.model.names import literal
from crm_pipeline.stages.published.relations import PublishedTable
from crm_pipeline.store.tables import TableVersion
from crm_pipeline.store.tables.engine import Engine

LONG_BYTES = 4_000_000
"""For a column of text with fewer bytes DuckDB chooses the compression."""


def long_text_columns(
    engine: Engine, columns: Iterable[tuple[str, str, str]], versions: Sequence[TableVersion]
) -> frozenset[str]:
    """Return the columns with much text that hardly repeats, to be stored with zstd.

    DuckDB's own choice for them (FSST, or none) takes more time and three times the space. Texts that
    repeat stay in its dictionaries, which make filters and groups over them fast.
    """
    texts = {name for name, kind, _ in columns if kind == "VARCHAR"}
    files = [path for version in versions for path in (*version.base, *version.delta)]
    if not files:
        return frozenset()
    rows = engine.rows(
        f"SELECT path_in_schema FROM parquet_metadata({_path_list(files)}) GROUP BY ALL "
        "HAVING bool_and(dictionary_page_offset IS NULL) "
        f"AND sum(total_uncompressed_size) >= {LONG_BYTES}"
    )
    return frozenset(name for (name,) in rows if name in texts)


def separate_files(engine: Engine, table: PublishedTable) -> tuple[Path | None, Path | None]:
    """Return the file that holds exactly the live rows of a table, and that of the deleted ones.

    Either is None where there is no such file: several connections feed the table, a file has live and
    deleted rows, or columns come from other tables. The files' own statistics decide.
    """
    if len(table.versions) != 1 or table.looked_up or table.finish:
        return None, None
    [version] = table.versions
    columns = [(column["name"], column["type"]) for column in version.meta["columns"]]
    if version.delta or version.tombstones or columns != [(n, k) for n, k, _ in table.columns]:
        return None, None
    rows = engine.rows(
        "SELECT file_name, min(stats_min_value), max(stats_max_value) "
        f"FROM parquet_metadata({_path_list(list(version.base))}) "
        "WHERE path_in_schema = 'is_deleted' GROUP BY ALL "
        # A file without statistics of every row group is not used.
        "HAVING bool_and(coalesce(stats_null_count = 0 AND stats_min_value IS NOT NULL, false))"
    )
    kinds = {Path(name): (low, high) for name, low, high in rows}
    live = [path for path in version.base if kinds.get(path) == ("false", "false")]
    deleted = [path for path in version.base if kinds.get(path) == ("true", "true")]
    if len(live) + len(deleted) != len(version.base):
        return None, None
    return (
        live[0] if len(live) == 1 else None,
        deleted[0] if len(deleted) == 1 else None,
    )


def _path_list(paths: list[Path]) -> str:
    return f"[{', '.join(literal(str(path)) for path in paths)}]"
