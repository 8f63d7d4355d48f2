"""Counts of calls made, by limit group, day and operation: the source of `ops.api_usage`."""

import datetime as dt
import threading
from dataclasses import dataclass

from crm_pipeline.store.database import Database

_ADD = """
INSERT INTO crm_state.api_usage AS kept (group_name, day, operation, calls, weight)
VALUES (%s, (clock_timestamp() AT TIME ZONE 'UTC')::date, %s, %s, %s)
ON CONFLICT (group_name, day, operation)
DO UPDATE SET calls = kept.calls + excluded.calls, weight = kept.weight + excluded.weight
"""
_BY_DAY = """
SELECT group_name, day, operation, calls, weight FROM crm_state.api_usage
WHERE (%(group)s::text IS NULL OR group_name = %(group)s)
  AND (%(days)s::int IS NULL
       OR day > (clock_timestamp() AT TIME ZONE 'UTC')::date - %(days)s::int)
ORDER BY group_name, day, operation
"""


@dataclass(frozen=True)
class DayUsage:
    """Calls of one operation on one day (UTC)."""

    group: str
    day: dt.date
    operation: str
    calls: int
    weight: int


class UsageCounts:
    """Counts gathered in memory and added to the table together; safe with threads.

    A killed process loses at most what it had not written, about a second's worth.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, str], tuple[int, int]] = {}

    def add(self, group: str, operation: str, calls: int, weight: int) -> bool:
        """Count; say whether these are the first since the last `flush`."""
        with self._lock:
            is_first = not self._pending
            before = self._pending.get((group, operation), (0, 0))
            self._pending[group, operation] = (before[0] + calls, before[1] + weight)
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
                for (group, operation), (calls, weight) in sorted(pending.items()):
                    cursor.execute(_ADD, (group, operation, calls, weight))
        except BaseException:
            for (group, operation), (calls, weight) in pending.items():
                self.add(group, operation, calls, weight)
            raise

    def by_day(self, group: str | None, days: int | None) -> list[DayUsage]:
        """Return the counts of a group, or all, of the last `days` days, or all."""
        with self._database.transaction() as cursor:
            cursor.execute(_BY_DAY, {"group": group, "days": days})
            return [DayUsage(*row) for row in cursor.fetchall()]
