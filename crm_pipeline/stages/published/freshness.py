"""Schema `ops`: how fresh each object is; and whether what is published still says so.

That an object can no longer be read changes no data, and analysts have to see it all the same. So a change of
this alone is published, too, but at most once an hour; and while somebody looks, at least once a day.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.stages.published.operations import OpsTable
from crm_pipeline.store.landing.freshness import Freshness

AT_MOST_EVERY = timedelta(hours=1)
AT_LEAST_EVERY = timedelta(days=1)
_TEXT = pa.string()
_INSTANT = pa.timestamp("us", "UTC")
_PUBLISHED = "SELECT published_at FROM ops.publication"
_SHOWN = """
SELECT connection, object, state, is_whole, is_late, history_from, error_since, held_back_since, remarks
FROM ops.freshness
"""


def freshness_table(
    rows: Iterable[Freshness], live: Mapping[tuple[str, str], int] | None = None
) -> OpsTable:
    """List how fresh each configured object is; `live` counts the live rows by connection and table."""
    columns = {
        "connection": (_TEXT, "Name of the connection."),
        "object": (_TEXT, "The vendor's name of the object."),
        "state": (
            _TEXT,
            (
                "current; failing: the last look failed, see error; unread: nothing has been read; "
                "unknown: what is noted of the looks is damaged."
            ),
        ),
        "read_to": (
            _INSTANT,
            "Everything that changed before it was read, back to history_from; NULL: nothing was.",
        ),
        "history_from": (
            _INSTANT,
            "Nothing that changed before it has been read; NULL where is_whole, or nothing was read.",
        ),
        "is_whole": (pa.bool_(), "Whether the history has been read from its beginning."),
        "current_at": (
            _INSTANT,
            "Up to then nothing is missing; published_at of ops.publication less this is behind by.",
        ),
        "looked_at": (_INSTANT, "When it was last asked about or read, whatever came of it."),
        "good_look_at": (_INSTANT, "When the vendor last answered such a look."),
        "error": (
            _TEXT,
            "Why it cannot be had, and what to do; NULL where the last look was good.",
        ),
        "error_since": (_INSTANT, "When that began."),
        "refresh_every_s": (pa.float64(), "How often it is meant to be read, in seconds."),
        "is_late": (pa.bool_(), "Whether two reads in a row that were meant to be have not been."),
        "tables": (pa.list_(_TEXT), "Tables of schema crm that it feeds."),
        "rows": (pa.int64(), "Live rows of the connection in these tables."),
        "held_back_since": (
            _INSTANT,
            "Since when one of these tables has stayed as it was, because what was read breaks its contract.",
        ),
        "unseen_deletions": (
            _TEXT,
            "Which deletions the CRM tells nobody; NULL: none, each read holds all records that there are.",
        ),
        "remarks": (
            _TEXT,
            "What is missing or doubted though it can be had, and what to do; NULL: nothing.",
        ),
    }
    listed = [
        (
            row.connection,
            row.object,
            row.state,
            row.read_to,
            row.history_from,
            row.is_whole,
            row.current_at,
            row.looked_at,
            row.good_at,
            row.error or None,
            row.failing_since,
            row.refresh_every_s,
            row.is_late,
            list(row.tables),
            sum((live or {}).get((row.connection, table), 0) for table in row.tables),
            row.held_back_since,
            row.unseen or None,
            _text(row.remarks),
        )
        for row in rows
    ]
    about = "How fresh each object is: up to when it was read, when it was looked at, what failed."
    return OpsTable("freshness", about, columns, listed)


@dataclass(frozen=True)
class Shown:
    """What a published file tells of the objects.

    Attributes:
        published_at: when it was built.
        rows: as `_state` has them.
    """

    published_at: datetime
    rows: frozenset[tuple[Any, ...]]

    @classmethod
    def of(cls, published: Path) -> "Shown | None":
        """Read it from a file; None where that cannot be opened or tells nothing."""
        try:
            with closing(duckdb.connect(str(published), read_only=True)) as file:
                file.execute("SET TimeZone = 'UTC'")
                built = file.execute(_PUBLISHED).fetchall()
                rows = frozenset(_in_utc(row) for row in file.execute(_SHOWN).fetchall())
        except duckdb.Error:
            return None
        return cls(built[0][0].astimezone(UTC), rows) if built else None

    def differs(self, rows: Iterable[Freshness]) -> bool:
        """Say whether the objects are in another state by now; a later look in the same state is no change."""
        return self.rows != {_state(row) for row in rows}

    def is_outdated(
        self, rows: Sequence[Freshness], now: datetime, waits: timedelta = AT_MOST_EVERY
    ) -> bool:
        """Say whether the objects are in another state, and the file is as old as `waits`.

        Where nothing happens for a day, a file that is no older shows that somebody looked.
        """
        age = now - self.published_at
        has_looked = any(row.looked_at and row.looked_at > self.published_at for row in rows)
        is_due = age >= waits and self.differs(rows)
        return bool(rows) and (is_due or (age >= AT_LEAST_EVERY and has_looked))


def state_of(rows: Iterable[Freshness]) -> str:
    """Return a text that changes with what `Shown.differs` goes by."""
    return fingerprint([[str(cell) for cell in _state(row)] for row in rows])


def _state(row: Freshness) -> tuple[Any, ...]:
    """Return what matters of an object."""
    known = (row.connection, row.object, row.state, row.is_whole, row.is_late)
    since = (row.history_from, row.failing_since, row.held_back_since)
    return (*known, *since, _text(row.remarks))


def _text(remarks: Iterable[str]) -> str | None:
    return " ".join(remarks) or None


def _in_utc(row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(cell.astimezone(UTC) if isinstance(cell, datetime) else cell for cell in row)
