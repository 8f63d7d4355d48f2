"""Counts of calls made, by group, member, day and operation: the source of `ops.api_usage`."""

import datetime as dt
import threading
from dataclasses import dataclass

from crm_pipeline.store.database import Database

_ADD = """
INSERT INTO crm_state.api_usage AS kept (group_name, member, day, operation, calls, weight)
VALUES (%s, %s, (clock_timestamp() AT TIME ZONE 'UTC')::date, %s, %s, %s)
ON CONFLICT (group_name, member, day, operation)
DO UPDATE SET calls = kept.calls + excluded.calls, weight = kept.weight + excluded.weight
"""
# A group may count calls and credits: what the day is bounded in is what its accounts are in.
_BY_DAY = """
WITH units AS (
    SELECT group_name, max(unit) FILTER (WHERE unit <> 'calls') AS unit
    FROM crm_state.gate WHERE kind = 'daily' GROUP BY group_name
)
SELECT group_name, coalesce(nullif(member, ''), group_name) AS member, day, operation,
       sum(calls)::bigint, sum(weight)::bigint, coalesce(max(unit), 'calls')
FROM crm_state.api_usage LEFT JOIN units USING (group_name)
WHERE (%(group)s::text IS NULL OR group_name = %(group)s)
  AND (%(days)s::int IS NULL
       OR day > (clock_timestamp() AT TIME ZONE 'UTC')::date - %(days)s::int)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
Key = tuple[str, str, str]
"""Group, member, operation."""


@dataclass(frozen=True)
class DayUsage:
    """Calls of one member and operation on one day (UTC); `weight` is in `unit`."""

    group: str
    member: str
    day: dt.date
    operation: str
    calls: int
    weight: int
    unit: str


class UsageCounts:
    """Counts gathered in memory and added to the table together; safe with threads.

    A killed process loses at most what it had not written, about a second's worth.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._pending: dict[Key, tuple[int, int]] = {}

    def add(self, key: Key, calls: int, weight: int) -> bool:
        """Count; say whether these are the first since the last `flush`."""
        with self._lock:
            is_first = not self._pending
            before = self._pending.get(key, (0, 0))
            self._pending[key] = (before[0] + calls, before[1] + weight)
            return is_first

    def is_pending(self) -> bool:
        """Say whether there is something to flush."""
        return bool(self._pending)

    def flush(self) -> None:
        """Add what was counted to the table; on failure it stays for the next time."""
        with self._lock:
            pending, self._pending = self._pending, {}
        if not pending:
            return
        try:
            with self._database.transaction() as cursor:
                # One order for all processes, or two would wait for each other.
                for key, counts in sorted(pending.items()):
                    cursor.execute(_ADD, (*key, *counts))
        except BaseException:
            for key, counts in pending.items():
                self.add(key, *counts)
            raise

    def by_day(self, group: str | None, days: int | None) -> list[DayUsage]:
        """Return the counts of a group, or all, of the last `days` days, or all."""
        with self._database.transaction() as cursor:
            cursor.execute(_BY_DAY, {"group": group, "days": days})
            return [DayUsage(*row) for row in cursor.fetchall()]
