"""A few rows of a version that anybody may see: no name, address or text of a person in clear."""

from typing import Any

from crm_pipeline.store.engine import Engine, quoted
from crm_pipeline.store.tables import Tables, TableVersion

_HIDDEN = frozenset({"custom", "unconverted", "emails", "phones", "batch_id", "birth_date"})
_MASKED_EMAIL = r"regexp_replace({0}, '^(.).*@(.).*(\.[^.]*)$', '\1***@\2***\3')"
_MASKED_TEXT = "left({0}, 1) || '***'"


def preview(engine: Engine, version: TableVersion, rows: int = 5) -> list[dict[str, Any]]:
    """Return some live rows: keys, numbers, days and flags as they are, other texts masked.

    Empty columns are left out; every value is text or None.
    """
    columns = {
        column["name"]: _shown(column["name"], column["type"])
        for column in version.meta["columns"]
        if column["name"] not in _HIDDEN
    }
    listed = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in columns.items())
    found = engine.rows(
        f"SELECT {listed} FROM {Tables.relation(version)} WHERE NOT is_deleted LIMIT {int(rows)}"
    )
    table = [dict(zip(columns, row, strict=True)) for row in found]
    filled = [name for name in columns if any(row[name] is not None for row in table)]
    return [{name: row[name] for name in filled} for row in table]


def _shown(name: str, kind: str) -> str:
    column = quoted(name)
    if kind != "VARCHAR" or name.endswith(("_key", "_id")) or name in {"connection", "object"}:
        return f"CAST({column} AS VARCHAR)"
    masked_email = _MASKED_EMAIL.format(column)
    text = _MASKED_TEXT.format(column)
    is_email = rf"regexp_full_match({column}, '[^@\s]+@[^@\s]+\.[^@\s.]+')"
    return f"CASE WHEN {is_email} THEN {masked_email} ELSE {text} END"
