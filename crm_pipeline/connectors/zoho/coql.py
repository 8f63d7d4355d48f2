"""Builds COQL queries; `queries` sends them.

Sources: zoho.com/crm/developer/docs/api/v8/COQL-Overview.html, COQL-Limitations.html. A WHERE is required,
and more than two criteria must be nested in pairs of brackets.
"""

import re
from collections.abc import Sequence

from crm_pipeline.connectors.zoho import describe
from crm_pipeline.connectors.zoho.responses import instant_text
from crm_pipeline.kernel.clock import Window
from crm_pipeline.model.schema import Schema

# Ids are 64-bit numbers.
FIRST, END = 0, (1 << 63) - 1
_LIMIT = re.compile(r"\blimit\s+\d", re.IGNORECASE)


def conditions(schema: Schema, window: Window | None) -> list[str]:
    """Return the criteria of a window."""
    criteria = []
    cursor_field = describe.cursor_field(schema)
    if window is not None and cursor_field is not None:
        if window.from_at is not None:
            criteria.append(f"{cursor_field} >= '{instant_text(window.from_at)}'")
        criteria.append(f"{cursor_field} < '{instant_text(window.to_at)}'")
    if describe.CONVERTED in schema.by_name:
        # Whether queries return converted leads by default is not documented, so both kinds are requested.
        both = " or ".join(f"{describe.CONVERTED} = {value}" for value in ("true", "false"))
        criteria.append(f"({both})")
    return criteria


def between(low: int, high: int) -> list[str]:
    """Return the criteria of an id in [low, high)."""
    criteria = [f"id >= {low}"] if low > FIRST else []
    return [*criteria, f"id < {high}"] if high < END else criteria


def select(
    names: Sequence[str], module: str, criteria: Sequence[str], *, limit: int, order: str = "id asc"
) -> str:
    """Return a query for records."""
    return f"select {', '.join(names)} from {module} where {_where(criteria)} order by {order} limit {limit}"


def count(module: str, criteria: Sequence[str]) -> str:
    """Return a query for the number of records."""
    return f"select count(id) from {module} where {_where(criteria)}"


def is_limited(query: str) -> bool:
    """Return whether a query has a LIMIT of its own."""
    return _LIMIT.search(query) is not None


def _where(criteria: Sequence[str]) -> str:
    if not criteria:
        return "id is not null"
    if len(criteria) <= 2:
        return " and ".join(criteria)
    middle = (len(criteria) + 1) // 2
    parts = (criteria[:middle], criteria[middle:])
    return " and ".join(f"({_where(part)})" if len(part) > 1 else part[0] for part in parts)
