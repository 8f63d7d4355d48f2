"""SQL over rows: columns that depend on several columns or rows, of an object's mapping and of a table.

What the user maps to a column is the user's word: it goes before what such SQL makes of the column. The SQL hands
columns that it does not know on, so own values travel beside the rows.
"""

from collections.abc import Mapping, Sequence

from crm_pipeline.model.names import quoted
from crm_pipeline.stages.normalized.feed import Feed

_OWN = "own."
"""Prefix of columns with what the user's fields feed."""


def over(sql: str, rows: str) -> str:
    """Return SQL of a mapping or a table over some rows."""
    return sql.replace("{rows}", rows)


def own_columns(feed: Feed, mapping: Mapping[str, Mapping[str, str | None]]) -> tuple[str, ...]:
    """Return the columns that the user feeds, where SQL over rows could make something else of them."""
    if not feed.entry.is_own or not (feed.entry.over_rows or feed.table.over_rows):
        return ()
    named = mapping.get(feed.one.object, {}).values()
    return tuple(dict.fromkeys(column for column in named if column in feed.table.by_name))


def with_own(rows: str, columns: Sequence[str]) -> str:
    """Return rows with the user's values beside them."""
    if not columns:
        return rows
    beside = ", ".join(f"{quoted(name)} AS {quoted(_OWN + name)}" for name in columns)
    return f"(SELECT *, {beside} FROM {rows})"


def settled(rows: str, columns: Sequence[str]) -> str:
    """Return SQL for rows in which the user's values, where there are some, are back in their columns."""
    if not columns:
        return f"SELECT * FROM {rows}"
    back = ", ".join(
        f"coalesce({quoted(_OWN + name)}, {quoted(name)}) AS {quoted(name)}" for name in columns
    )
    taken = ", ".join(quoted(_OWN + name) for name in columns)
    return f"SELECT * EXCLUDE ({taken}) REPLACE ({back}) FROM {rows}"
