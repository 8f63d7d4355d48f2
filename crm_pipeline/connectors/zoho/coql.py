"""COQL texts. Which records are meant stands here, how they are read does not.

Sources: zoho.com/crm/developer/docs/api/v8/COQL-Overview.html, COQL-Limitations.html. A WHERE is compulsory,
and more than two criteria have to stand in brackets two by two.
"""

import re
from collections.abc import Sequence

from crm_pipeline.connectors.zoho import describe
from crm_pipeline.connectors.zoho.responses import stamp_text
from crm_pipeline.kernel.clock import Window
from crm_pipeline.model.schema import Schema

# Ids are 64-bit numbers.
FIRST, BEHIND = 0, (1 << 63) - 1
_LIMIT = re.compile(r"\blimit\s+\d", re.IGNORECASE)


def conditions(schema: Schema, window: Window | None) -> list[str]:
    """Return what a record of the window meets."""
    found = []
    stamp = describe.cursor_field(schema)
    if window is not None and stamp is not None:
        if window.from_at is not None:
            found.append(f"{stamp} >= '{stamp_text(window.from_at)}'")
        found.append(f"{stamp} < '{stamp_text(window.to_at)}'")
    if describe.CONVERTED in schema.by_name:
        # Whether queries show converted leads unasked is not documented; so they are asked for.
        both = " or ".join(f"{describe.CONVERTED} = {value}" for value in ("true", "false"))
        found.append(f"({both})")
    return found


def between(low: int, high: int) -> list[str]:
    """Return what an id in [low, high) meets."""
    found = [f"id >= {low}"] if low > FIRST else []
    return [*found, f"id < {high}"] if high < BEHIND else found


def select(
    names: Sequence[str], module: str, found: Sequence[str], *, limit: int, order: str = "id asc"
) -> str:
    """Return a query for records."""
    return f"select {', '.join(names)} from {module} where {_joined(found)} order by {order} limit {limit}"


def count(module: str, found: Sequence[str]) -> str:
    """Return a query for the number of records."""
    return f"select count(id) from {module} where {_joined(found)}"


def is_limited(query: str) -> bool:
    """Say whether a query has a LIMIT of its own."""
    return _LIMIT.search(query) is not None


def _joined(found: Sequence[str]) -> str:
    if not found:
        return "id is not null"
    if len(found) <= 2:
        return " and ".join(found)
    middle = (len(found) + 1) // 2
    parts = (found[:middle], found[middle:])
    return " and ".join(f"({_joined(part)})" if len(part) > 1 else part[0] for part in parts)
