"""A preview of a version's rows without personal data: names, addresses and texts are masked."""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from crm_pipeline.model.names import quoted
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine

_HIDDEN = frozenset({"custom", "unconverted", "emails", "phones", "batch_id", "birth_date"})
_SHOWN = frozenset({"connection", "object", "source_id", "merged_into"})
# Columns of custom objects are named by users: numbers and days under these names may be personal.
_PERSONAL = re.compile(
    r"birth|latitude|longitude|salary|income|ssn|tax|gender|passport|phone|mobile|fax|iban|national"
)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_MASKED_EMAIL = re.compile(r"(.).*@(.).*(\.[^.]*)", re.DOTALL)


def preview(engine: Engine, version: TableVersion, rows: int = 5) -> list[dict[str, Any]]:
    """Return some live rows: keys, numbers, days and flags unchanged, other texts masked.

    Empty columns are left out; every value is text or None.
    """
    names = {column["name"] for column in version.meta["columns"]}
    ids = {name for name in names if _is_id(name, names)} | _SHOWN | set(version.key)
    columns = {
        column["name"]: _is_text(column) and column["name"] not in ids
        for column in version.meta["columns"]
        if column["name"] not in _HIDDEN
        and (column["name"] in ids or not _PERSONAL.search(column["name"]) or _is_text(column))
    }
    listed = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name in columns)
    cells = engine.rows(
        f"SELECT {listed} FROM {Tables.relation(version)} WHERE NOT is_deleted LIMIT {int(rows)}"
    )
    table = [
        {
            name: _masked(cell) if is_masked and cell is not None else cell
            for (name, is_masked), cell in zip(columns.items(), row, strict=True)
        }
        for row in cells
    ]
    filled = [name for name in columns if any(row[name] is not None for row in table)]
    return [{name: row[name] for name in filled} for row in table]


def _is_id(name: str, names: AbstractSet[str]) -> bool:
    """Say whether a column holds ids of records: it has a key or id column as its counterpart."""
    if name.endswith("_source_id"):
        return f"{name.removesuffix('_source_id')}_key" in names
    return name.endswith("_key") and f"{name.removesuffix('_key')}_source_id" in names


def _is_text(column: Mapping[str, str]) -> bool:
    return column["type"] == "VARCHAR"


def _masked(text: str) -> str:
    """Return the first letter of a text; of an e-mail address those of its parts, and its last label."""
    if _EMAIL.fullmatch(text):
        return _MASKED_EMAIL.sub(r"\1***@\2***\3", text)
    return f"{text[:1]}***"
