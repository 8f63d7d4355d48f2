"""Rows as JSON texts, by their ids.

Which rows a page has is found first, with the few columns that this takes; what they look like is read
for those rows alone.
"""

from collections.abc import Sequence

from crm_sandbox.zoho.columns import Columns
from crm_sandbox.zoho.rendering import record


def texts_of(
    columns: Columns, entries: Sequence[tuple[str, str]], ids: Sequence[int]
) -> dict[int, str]:
    """Return a JSON text for each id; a record that was taken away in the meantime has none.

    Args:
        columns: the query over the module, with the joins that the entries need.
        entries: keys and SQL of their values.
        ids: ids of the module's records.
    """
    if not ids:
        return {}
    sql = (
        f"SELECT t.id, {record(entries)} FROM {columns.source} "
        f"WHERE t.id BETWEEN {min(ids)} AND {max(ids)} AND t.id IN (SELECT unnest(?::BIGINT[]))"
    )
    return dict(columns.org.tables.cursor().execute(sql, [list(ids)]).fetchall())
