"""Read, lock and write the rows of the table `crm_state.gate`, for `limiter.py`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its case

from crm_pipeline.ratelimit.ledger import Ledger
from crm_pipeline.ratelimit.ledger_state import sound_ledger, sound_limit, warn
from crm_pipeline.ratelimit.limits import Limit

# The clock is read outside the inner query: inside it would be read before the wait for the lock.
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_COLUMNS = "group_name, limit_name, kind, calls, period_s, resets, unit, renews_on, state"
_HELD = """
WITH held AS MATERIALIZED (
    SELECT {columns} FROM crm_state.gate WHERE {which} ORDER BY limit_name FOR UPDATE
)
SELECT {columns}, {now} FROM held ORDER BY limit_name COLLATE "C"
"""
_LOCKED = "SET LOCAL synchronous_commit = off;" + _HELD.format(
    columns=_COLUMNS, now=_NOW, which="group_name = %s AND limit_name = ANY(%s)"
)
_LOCKED_GROUP = _HELD.format(columns=_COLUMNS, now=_NOW, which="group_name = %s")
_MISSING = """
INSERT INTO crm_state.gate (group_name, limit_name, kind, calls, period_s, resets, unit, renews_on, state)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, '{}') ON CONFLICT DO NOTHING
"""
_WRITE = """
UPDATE crm_state.gate
SET kind = %s, calls = %s, period_s = %s, resets = %s, unit = %s, renews_on = %s, state = %s
WHERE group_name = %s AND limit_name = %s
"""
_READ = f"""
SELECT {_COLUMNS}, {_NOW} FROM crm_state.gate
WHERE %s::text IS NULL OR group_name = %s ORDER BY group_name, limit_name
"""


@dataclass
class Row:
    """One limit as last written, its ledger, and the database's time when it was read."""

    group: str
    limit: Limit
    ledger: Ledger
    now_ms: int


class Rows:
    """Access within one transaction."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def locked(self, group: str, limits: Sequence[Limit]) -> list[Row]:
        """Lock and return the rows of the limits, in the order of their names; make missing ones.

        A crash of the server may lose the last transactions (`synchronous_commit` is off): some
        calls of the last second are then forgotten, and the vendor may refuse a call.
        """
        names = [limit.name for limit in limits]
        self._cursor.execute(_LOCKED, (group, names))
        rows = [_row(values) for values in self._cursor.fetchall()]
        if len(rows) < len(names):
            for limit in limits:
                self._cursor.execute(_MISSING, (group, limit.name, *_shape(limit)))
            self._cursor.execute(_LOCKED, (group, names))
            rows = [_row(values) for values in self._cursor.fetchall()]
        return rows

    def locked_of(self, group: str) -> list[Row]:
        """Lock and return all rows of a group, in the order of their names."""
        self._cursor.execute(_LOCKED_GROUP, (group,))
        return [_row(values) for values in self._cursor.fetchall()]

    def write(self, rows: Sequence[Row], limits: Sequence[Limit]) -> None:
        """Write the ledgers, and the limits as they are configured now."""
        for row, limit in zip(rows, limits, strict=True):
            state = json.dumps(row.ledger.written(), separators=(",", ":"))
            self._cursor.execute(_WRITE, (*_shape(limit), state, row.group, row.limit.name))

    def of_group(self, group: str | None) -> list[Row]:
        """Return the rows of a group, or all, without locking them."""
        self._cursor.execute(_READ, (group, group))
        return [_row(values) for values in self._cursor.fetchall()]


def _shape(limit: Limit) -> tuple[str, int, float, str, str, int]:
    return (
        *(limit.kind, limit.calls, limit.period_s, limit.resets, limit.unit),
        limit.renews_on,
    )


def _row(values: Sequence[Any]) -> Row:
    group, name, kind, calls, period_s, resets, unit, renews_on, state, now_ms = values
    ledger, lost = sound_ledger(state)
    limit, mended = sound_limit(
        name,
        kind,
        calls=calls,
        period_s=period_s,
        resets=resets,
        unit=unit,
        renews_on=renews_on,
    )
    warn(group, name, [*lost, *mended])
    return Row(group, limit, ledger, int(now_ms))
