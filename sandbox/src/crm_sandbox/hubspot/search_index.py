"""The index of search: records as they are, or for a while as they were before the last write."""

import threading

from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.schema import ObjectType


def _stale(one: ObjectType) -> str:
    return f"stale:{one.name}"


class SearchIndex:
    """Keeps the former state of what was written, until the index has caught up.

    Args:
        portal: holds the records.
    """

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._lock = threading.RLock()
        # Per object type the records whose change search does not know yet, and when it will.
        self._due: dict[str, dict[int, int]] = {}

    def before(self, one: ObjectType, ids: list[int]) -> None:
        """Keep how records are now, because they are about to change."""
        lag = self._portal.settings.search_lag_s
        if lag <= 0 or not ids:
            return
        with self._lock:
            due = self._due.setdefault(one.name, {})
            fresh = [record for record in ids if record not in due]
            due |= dict.fromkeys(fresh, self._portal.now_ms() + round(lag * 1000))
            with self._portal.tables.writing() as cursor:
                cursor.execute(
                    f'CREATE TABLE IF NOT EXISTS "{_stale(one)}" AS FROM "{one.table}" LIMIT 0'
                )
                cursor.execute(
                    f'INSERT INTO "{_stale(one)}" BY NAME SELECT * FROM "{one.table}" '
                    "WHERE _id IN (SELECT unnest(?::BIGINT[]))",
                    [fresh],
                )

    def source(self, one: ObjectType) -> tuple[str, bool]:
        """Return what to write after FROM, and whether it is the table itself."""
        with self._lock:
            self._catch_up(one)
            if not self._due.get(one.name):
                return f'"{one.table}"', True
            listed = ", ".join(str(record) for record in self._due[one.name])
            former = (
                f'(SELECT * FROM "{one.table}" WHERE _id NOT IN ({listed}) '
                f'UNION ALL BY NAME SELECT * FROM "{_stale(one)}")'
            )
            return former, False

    def forget(self, one: ObjectType) -> None:
        """Let search see everything, as after a change of the columns."""
        with self._lock:
            if self._due.pop(one.name, None):
                with self._portal.tables.writing() as cursor:
                    cursor.execute(f'DROP TABLE IF EXISTS "{_stale(one)}"')

    def _catch_up(self, one: ObjectType) -> None:
        now = self._portal.now_ms()
        due = self._due.get(one.name, {})
        known = [record for record, moment in due.items() if moment <= now]
        if known:
            self._portal.tables.remove(_stale(one), "_id", known)
            for record in known:
                del due[record]
