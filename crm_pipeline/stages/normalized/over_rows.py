"""SQL over rows, for columns that depend on several columns or rows; mappings of objects and tables have such SQL.

A value that the user maps to a column takes precedence over the result of such SQL. So the user's values are kept in
further columns beside the rows, which the SQL passes on, and are put back afterwards.
"""

from collections.abc import Mapping, Sequence

from crm_pipeline.model.names import quoted
from crm_pipeline.stages.normalized.feed import Feed

_OWN = "own."
"""Prefix of columns with the values of the user's fields."""


def over(sql: str, rows: str) -> str:
    """Return the SQL of a mapping or a table with its rows filled in."""
    return sql.replace("{rows}", rows)


def own_columns(feed: Feed, mapping: Mapping[str, Mapping[str, str | None]]) -> tuple[str, ...]:
    """Return the columns that the user maps, where SQL over rows could change them."""
    if not feed.entry.is_own or not (feed.entry.over_rows or feed.table.over_rows):
        return ()
    named = mapping.get(feed.landed.object, {}).values()
    return tuple(dict.fromkeys(column for column in named if column in feed.table.by_name))


def with_own(rows: str, columns: Sequence[str]) -> str:
    """Return SQL for rows with the user's values beside them."""
    if not columns:
        return rows
    beside = ", ".join(f"{quoted(name)} AS {quoted(_OWN + name)}" for name in columns)
    return f"(SELECT *, {beside} FROM {rows})"


def restored_own(rows: str, columns: Sequence[str]) -> str:
    """Return SQL for rows with the user's values back in their columns, as far as there are any."""
    if not columns:
        return f"SELECT * FROM {rows}"
    back = ", ".join(
        f"coalesce({quoted(_OWN + name)}, {quoted(name)}) AS {quoted(name)}" for name in columns
    )
    taken = ", ".join(quoted(_OWN + name) for name in columns)
    return f"SELECT * EXCLUDE ({taken}) REPLACE ({back}) FROM {rows}"
