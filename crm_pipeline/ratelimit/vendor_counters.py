"""Collect vendors' own counters of daily limits, so that not every response costs a transaction.

Counters of shorter windows are part of a process's reports, see `permit_pool.py`.
"""

import threading
import time
from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its case

from crm_pipeline.ratelimit.ledger_rows import Rows
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.store.postgres.database import Database

_EVERY_S = 1.0
_EVERY_CALLS = 50
_ALARM = 0.8  # of the vendor's limit: from here on other processes have to know at once
_DAY_S = 86_400.0


@dataclass
class _Counter:
    used: int
    allowed: int
    calls: int = 0
    written_at: float = float("-inf")
    written_used: int = -1
    is_fresh: bool = True

    def is_due(self, now: float) -> bool:
        alarm = self.allowed * _ALARM
        crossed = self.written_used < alarm <= self.used
        return crossed or self.calls >= _EVERY_CALLS or now - self.written_at >= _EVERY_S


class VendorCounters:
    """The latest readings by limit; safe with threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, str], _Counter] = {}

    def observe(self, group: str, name: str, used: int, allowed: int) -> bool:
        """Keep a reading; say whether it is time to write."""
        with self._lock:
            counter = self._counters.setdefault((group, name), _Counter(used, allowed))
            # Responses of parallel calls arrive out of order; between two writes the highest is the latest.
            is_same_period = counter.is_fresh and counter.allowed == allowed
            counter.used = max(used, counter.used) if is_same_period else used
            counter.allowed, counter.is_fresh = allowed, True
            counter.calls += 1
            return counter.is_due(time.monotonic())

    def is_pending(self) -> bool:
        """Say whether there are readings that are not written."""
        return any(counter.is_fresh for counter in list(self._counters.values()))

    def write(self) -> None:
        """Write the readings that came since the last write."""
        for key, used, allowed in self._fresh():
            try:
                self._write(*key, used, allowed)
            except BaseException:
                with self._lock:
                    self._counters[key].is_fresh = True
                raise

    def _fresh(self) -> list[tuple[tuple[str, str], int, int]]:
        with self._lock:
            readings = []
            for key, counter in self._counters.items():
                if counter.is_fresh:
                    readings.append((key, counter.used, counter.allowed))
                    counter.written_at, counter.written_used = time.monotonic(), counter.used
                    counter.calls, counter.is_fresh = 0, False
            return readings

    def _write(self, group: str, name: str, used: int, allowed: int) -> None:
        def work(cursor: Cursor) -> None:
            rows = Rows(cursor)
            row = rows.locked(group, [Limit(name, allowed, _DAY_S, "daily")])[0]
            row.ledger.observe(row.limit, used, allowed, row.now_ms)
            rows.write([row], [row.limit])

        self._database.done(work)
