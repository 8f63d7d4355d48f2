"""The SOQL queries that the connector sends: windows, keysets, counts.

The vendor compares modification times in whole seconds, and thousands of records can share one. So a page continues
after the pair (modification time, id). Literals: SOQL and SOSL Reference, "Date Formats".
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from crm_pipeline.kernel.clock import Window


class Key(NamedTuple):
    """The key after which a keyset page starts; `modified_at` is "" where pages are ordered by id only."""

    modified_at: str
    id: str


BEGINNING = Key("", "")


def instant(at: datetime) -> str:
    """Return an instant as a SOQL literal, with milliseconds only where they are not 0."""
    utc = at.astimezone(UTC)
    millis = utc.microsecond // 1000
    return utc.strftime("%Y-%m-%dT%H:%M:%S") + (f".{millis:03d}Z" if millis else "Z")


def text(value: str) -> str:
    """Return a string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def window_condition(cursor_field: str | None, window: Window | None) -> list[str]:
    """Return the conditions of a half-open window; none for a snapshot."""
    if cursor_field is None or window is None:
        return []
    lower = [f"{cursor_field} >= {instant(window.from_at)}"] if window.from_at else []
    return [*lower, f"{cursor_field} < {instant(window.to_at)}"]


def after(cursor_field: str | None, key: Key) -> list[str]:
    """Return the condition for records after a key in the order (modification time, id)."""
    if key == BEGINNING:
        return []
    if cursor_field is None:
        return [f"Id > {text(key.id)}"]
    same = f"({cursor_field} = {key.modified_at} AND Id > {text(key.id)})"
    return [f"({cursor_field} > {key.modified_at} OR {same})"]


def select(fields: Sequence[str], obj: str, conditions: Sequence[str], *, tail: str = "") -> str:
    """Return a SELECT statement."""
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {', '.join(fields)} FROM {obj}{where}{tail}"


def page(
    fields: Sequence[str],
    obj: str,
    *,
    cursor_field: str | None,
    window: Window | None,
    key: Key,
    limit: int,
) -> str:
    """Return the SELECT of one keyset page."""
    conditions = [*window_condition(cursor_field, window), *after(cursor_field, key)]
    order = f"{cursor_field}, Id" if cursor_field else "Id"
    return select(fields, obj, conditions, tail=f" ORDER BY {order} LIMIT {limit}")


def count(obj: str, cursor_field: str | None, window: Window | None) -> str:
    """Return the SELECT that counts a window."""
    return select(["COUNT()"], obj, window_condition(cursor_field, window))


def changes(obj: str, cursor_field: str, since: datetime) -> str:
    """Return the SELECT that counts the changes since an instant and returns the latest modification time."""
    fields = ["COUNT(Id) changed", f"MAX({cursor_field}) newest"]
    return select(fields, obj, [f"{cursor_field} >= {instant(since)}"])
