"""`ops.freshness`: how fresh each object is; and whether the published table is outdated.

How fresh objects are now is in `ops.duckdb` (`ops.py`), which is built after every refresh. `crm.duckdb` is built for
data; a change of freshness alone is published there, too, once a day, so that a copy of it on a laptop says how old it is.
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

AT_MOST_EVERY = timedelta(days=1)
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
    """Return the table of the freshness of each configured object.

    Args:
        rows: the freshness of the objects.
        live: the number of live rows by connection and table.
    """
    columns = {
        "connection": (_TEXT, "Name of the connection."),
        "object": (_TEXT, "The vendor's name of the object."),
        "state": (
            _TEXT,
            (
                "current; failing: the last look failed, see error; unread: nothing has been read; "
                "unknown: the notes of the looks are damaged."
            ),
        ),
        "read_to": (
            _INSTANT,
            "All changes before it, back to history_from, have been read; NULL: nothing has been read.",
        ),
        "history_from": (
            _INSTANT,
            "Changes before it have not been read; NULL where is_whole, or nothing was read.",
        ),
        "is_whole": (pa.bool_(), "Whether the history has been read from its beginning."),
        "current_at": (
            _INSTANT,
            "Up to then nothing is missing in its tables; published_at of ops.publication less this is the delay.",
        ),
        "looked_at": (_INSTANT, "When it was last asked about or read, with whatever outcome."),
        "good_look_at": (_INSTANT, "When that last succeeded."),
        "error": (
            _TEXT,
            "Why it cannot be read, and what to do; NULL where the last look was good.",
        ),
        "error_since": (_INSTANT, "When the error began."),
        "refresh_every_s": (pa.float64(), "How often it is due to be read, in seconds."),
        "is_late": (pa.bool_(), "Whether two reads in a row that were due have not taken place."),
        "tables": (pa.list_(_TEXT), "Tables of schema crm that it feeds."),
        "rows": (pa.int64(), "Live rows of the connection in these tables."),
        "held_back_since": (
            _INSTANT,
            "Since when one of these tables has kept its last good version, because a newer one breaks its contract.",
        ),
        "unseen_deletions": (
            _TEXT,
            "Which deletions the CRM does not report; NULL: none, because each read holds all live records.",
        ),
        "remarks": (
            _TEXT,
            "What is missing or not believed though the object can be read, and what to do; NULL: nothing.",
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
    about = "How fresh each object is: up to when it was read, when it was last asked about, what failed."
    return OpsTable("freshness", about, columns, listed)


@dataclass(frozen=True)
class Shown:
    """The states of the objects in a published file.

    Attributes:
        published_at: when the file was built.
        rows: one per object, as `_state` returns them.
    """

    published_at: datetime
    rows: frozenset[tuple[Any, ...]]

    @classmethod
    def of(cls, published: Path) -> "Shown | None":
        """Read the states from a file; return None where it cannot be opened or has none."""
        try:
            with closing(duckdb.connect(str(published), read_only=True)) as file:
                file.execute("SET TimeZone = 'UTC'")
                built = file.execute(_PUBLISHED).fetchall()
                rows = frozenset(_in_utc(row) for row in file.execute(_SHOWN).fetchall())
        except duckdb.Error:
            return None
        return cls(built[0][0].astimezone(UTC), rows) if built else None

    def differs(self, rows: Iterable[Freshness]) -> bool:
        """Say whether the objects are in another state now; a later look in the same state is no change."""
        return self.rows != {_state(row) for row in rows}

    def is_outdated(
        self, rows: Sequence[Freshness], now: datetime, min_age: timedelta = AT_MOST_EVERY
    ) -> bool:
        """Say whether the file has to be built again: the states differ and it is as old as `min_age`.

        A file that is a day old is outdated by any later look, so that its age shows that objects are looked at.
        """
        # A file that seems to come from the future was built while a clock was ahead.
        age = abs(now - self.published_at)
        has_looked = any(row.looked_at and row.looked_at > self.published_at for row in rows)
        is_due = age >= min_age and self.differs(rows)
        return bool(rows) and (is_due or (age >= AT_LEAST_EVERY and has_looked))


def state_of(rows: Iterable[Freshness]) -> str:
    """Return a text that changes when the states that `Shown.differs` compares change."""
    return fingerprint([[str(cell) for cell in _state(row)] for row in rows])


def _state(row: Freshness) -> tuple[Any, ...]:
    """Return the state of an object, as `_SHOWN` selects it."""
    flags = (row.connection, row.object, row.state, row.is_whole, row.is_late)
    since = (row.history_from, row.failing_since, row.held_back_since)
    return (*flags, *since, _text(row.remarks))


def _text(remarks: Iterable[str]) -> str | None:
    return " ".join(remarks) or None


def _in_utc(row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(cell.astimezone(UTC) if isinstance(cell, datetime) else cell for cell in row)
