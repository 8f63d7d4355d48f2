"""What vendors' own counters say of a day, gathered so that not every reply costs a transaction.

Counters of shorter windows go with the other news of a process, see `permit_pool.py`.
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
_ALARM = 0.8  # of the vendor's ceiling: from here on the others should know at once
_DAY_S = 86_400.0


@dataclass
class _Note:
    used: int
    ceiling: int
    calls: int = 0
    written_at: float = float("-inf")
    written_used: int = -1
    is_fresh: bool = True

    def is_due(self, now: float) -> bool:
        alarm = self.ceiling * _ALARM
        crossed = self.written_used < alarm <= self.used
        return crossed or self.calls >= _EVERY_CALLS or now - self.written_at >= _EVERY_S


class VendorCounters:
    """The latest figures by limit; safe with threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._notes: dict[tuple[str, str], _Note] = {}

    def note(self, group: str, name: str, used: int, ceiling: int) -> bool:
        """Keep a figure; say whether it is time to write."""
        with self._lock:
            note = self._notes.setdefault((group, name), _Note(used, ceiling))
            # Replies of parallel calls arrive out of order; within a span the highest is the last.
            is_older = note.is_fresh and note.ceiling == ceiling
            note.used = max(used, note.used) if is_older else used
            note.ceiling, note.is_fresh = ceiling, True
            note.calls += 1
            return note.is_due(time.monotonic())

    def is_pending(self) -> bool:
        """Say whether there are figures that are not written."""
        return any(note.is_fresh for note in list(self._notes.values()))

    def write(self) -> None:
        """Write the fresh figures."""
        for key, used, ceiling in self._fresh():
            try:
                self._write(*key, used, ceiling)
            except BaseException:
                with self._lock:
                    self._notes[key].is_fresh = True
                raise

    def _fresh(self) -> list[tuple[tuple[str, str], int, int]]:
        with self._lock:
            found = []
            for key, note in self._notes.items():
                if note.is_fresh:
                    found.append((key, note.used, note.ceiling))
                    note.written_at, note.written_used = time.monotonic(), note.used
                    note.calls, note.is_fresh = 0, False
            return found

    def _write(self, group: str, name: str, used: int, ceiling: int) -> None:
        def work(cursor: Cursor) -> None:
            rows = Rows(cursor)
            row = rows.locked(group, [Limit(name, ceiling, _DAY_S, "daily")])[0]
            row.ledger.observe(row.limit, used, ceiling, row.now_ms)
            rows.write([row], [row.limit])

        self._database.done(work)
