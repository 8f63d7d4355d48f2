"""Counts of calls made, by group, member, day and operation: the source of `ops.api_usage`."""

import datetime as dt
import threading
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its case

from crm_pipeline.store.postgres.database import Database

_log = structlog.get_logger(__name__)
_ADD = """
INSERT INTO crm_state.api_usage AS kept (group_name, member, day, operation, calls, weight)
VALUES (%s, %s, (clock_timestamp() AT TIME ZONE 'UTC')::date, %s, %s, %s)
ON CONFLICT (group_name, member, day, operation)
DO UPDATE SET
    calls = CASE WHEN kept.calls BETWEEN 0 AND 1e15 THEN kept.calls ELSE 0 END + excluded.calls,
    weight = CASE WHEN kept.weight BETWEEN 0 AND 1e15 THEN kept.weight ELSE 0 END + excluded.weight
"""
# Rows that somebody else wrote must stop neither a publish nor further counting.
_IS_SOUND = """
calls BETWEEN 0 AND 1e15 AND weight BETWEEN 0 AND 1e15
AND day BETWEEN '2000-01-01' AND (clock_timestamp() AT TIME ZONE 'UTC')::date + 1
"""
_UNSOUND = f"SELECT count(*) FROM crm_state.api_usage WHERE NOT ({_IS_SOUND})"
# A group may count calls and credits: its accounts are in the unit of the daily limit. Limits that refuse
# may also be of minutes, such as one on logins; those count something else.
_BY_DAY = f"""
WITH units AS (
    SELECT group_name, max(unit) FILTER (WHERE unit <> 'calls') AS unit
    FROM crm_state.gate WHERE kind IN ('daily', 'monthly') AND period_s >= 86400 GROUP BY group_name
)
SELECT group_name, coalesce(nullif(member, ''), group_name) AS member, day, operation,
       sum(calls)::bigint, sum(weight)::bigint, coalesce(max(unit), 'calls')
FROM crm_state.api_usage LEFT JOIN units USING (group_name)
WHERE {_IS_SOUND} AND (%(group)s::text IS NULL OR group_name = %(group)s)
  AND (%(days)s::int IS NULL
       OR day > (clock_timestamp() AT TIME ZONE 'UTC')::date - %(days)s::int)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
Key = tuple[str, str, str]
"""Group, member, operation."""


@dataclass(frozen=True)
class DayUsage:
    """Calls of one member and operation on one day (UTC); `cost` is in `unit`."""

    group: str
    member: str
    day: dt.date
    operation: str
    calls: int
    cost: int
    unit: str


class UsageCounts:
    """Counts collected in memory and added to the table together; safe with threads.

    A killed process loses at most the counts that it had not written, about a second's worth. Where the
    server is killed during a commit, as many may count twice.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._pending: dict[Key, tuple[int, int]] = {}

    def add(self, key: Key, calls: int, cost: int) -> bool:
        """Add calls and their cost; say whether these are the first since the last `flush`."""
        with self._lock:
            is_first = not self._pending
            before = self._pending.get(key, (0, 0))
            self._pending[key] = (before[0] + calls, before[1] + cost)
            return is_first

    def is_pending(self) -> bool:
        """Say whether there are counts to flush."""
        return bool(self._pending)

    def flush(self) -> None:
        """Add the counts to the table; on failure they stay for the next time."""
        with self._lock:
            pending, self._pending = self._pending, {}
        if not pending:
            return
        try:
            self._database.done(lambda cursor: _add(cursor, pending))
        except BaseException:
            for key, counts in pending.items():
                self.add(key, *counts)
            raise

    def by_day(self, group: str | None, days: int | None) -> list[DayUsage]:
        """Return the counts of a group, or all, of the last `days` days, or all."""

        def work(cursor: Cursor) -> list[DayUsage]:
            cursor.execute(_UNSOUND)
            if unsound := cursor.fetchall()[0][0]:
                _log.warning("rows of api_usage that cannot be true are left out", rows=unsound)
            cursor.execute(_BY_DAY, {"group": group, "days": days})
            return [DayUsage(*row) for row in cursor.fetchall()]

        return self._database.done(work)


def _add(cursor: Cursor, counts: Mapping[Key, tuple[int, int]]) -> None:
    # One order for all processes, or two could wait for each other.
    for key, (calls, cost) in sorted(counts.items()):
        cursor.execute(_ADD, (*key, calls, cost))
