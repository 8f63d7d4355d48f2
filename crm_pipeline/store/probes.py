"""The history of probes: when each object was asked about, and what came of it.

The looks (`landing/looks.py`) hold the last look only. With the history, an object that is silent because nothing
changes can be told from one that nobody asks about. It is a table in PostgreSQL, one row a round: a round is one small
write, whole or not at all, and the rows beyond the retention go with later rounds, a few at a time, so a round costs
the same however many lie behind it (docs/decisions/0053-probes-are-rows-in-postgresql.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import structlog
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its case
from psycopg2.extras import Json

from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.kernel.secret import redacted
from crm_pipeline.store.postgres.database import Database

_log = structlog.get_logger(__name__)
Outcome = Literal["quiet", "changed", "skipped", "failed"]
AskedBy = Literal["sensor", "refresh"]
KEPT_DAYS = 7
_LONGEST_TEXT = 500
_REMOVED_AT_ONCE = 20
MOST_ROUNDS = 200_000
_MOST_READ = 50_000
_ADD = """
INSERT INTO crm_state.probes (connection, asked_by, asked_at, answers) VALUES (%s, %s, %s, %s) RETURNING id
"""
# Only the first rows of an index are looked at, so that the cost does not depend on the number of rounds. What a clock
# that was ahead has left never grows old; it goes when there are too many.
_REMOVE = """
DELETE FROM crm_state.probes WHERE id IN (
    SELECT id FROM (SELECT id, asked_at FROM crm_state.probes ORDER BY asked_at LIMIT %(some)s) AS oldest
    WHERE asked_at < %(since)s
    UNION ALL
    SELECT id FROM (SELECT id FROM crm_state.probes ORDER BY id LIMIT %(some)s) AS first
    WHERE id <= %(beyond)s
)
"""
_ROUNDS = """
SELECT id, connection, asked_by, asked_at, answers FROM crm_state.probes WHERE id > %s ORDER BY id DESC LIMIT %s
"""
_KEPT = "SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM crm_state.probes"


@dataclass(frozen=True)
class Answer:
    """What came of asking about one object.

    Attributes:
        outcome: `quiet`: all that changed has landed; `changed`: something has not; `skipped`: not asked, because a
            call would have had to wait; `failed`: the call failed.
        calls: that it took.
        changed: records changed since the look-back, according to the vendor; None where it did not say.
        reason: why it was skipped, or failed; redacted.
    """

    outcome: Outcome
    calls: int = 0
    changed: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Round:
    """One round of probes of a connection; later rounds have higher numbers, whatever the clocks said."""

    number: int
    connection: str
    asked_by: str
    asked_at: datetime
    answers: Mapping[str, Answer]


class Numbers(NamedTuple):
    """The numbers of the rounds that are kept."""

    first: int
    last: int


class ProbeHistory:
    """The rounds of probes of all connections.

    Args:
        database: migrated.
        kept_days: how long a round is kept.
        most: how many rounds are kept at most.
    """

    def __init__(
        self, database: Database, kept_days: int = KEPT_DAYS, most: int = MOST_ROUNDS
    ) -> None:
        self._database = database
        self._kept = timedelta(days=kept_days)
        self._most = most

    def add(
        self, connection: str, asked_by: AskedBy, at: datetime, answers: Mapping[str, Answer]
    ) -> None:
        """Append a round; one that cannot be written is logged, because the probe itself is good.

        Args:
            connection: its name.
            asked_by: who asked.
            at: when.
            answers: by object; nothing is written where there are none.
        """
        if not answers:
            return
        record = Json({obj: _record(answer) for obj, answer in answers.items()})

        def work(cursor: Cursor) -> None:
            cursor.execute("SET LOCAL synchronous_commit = off")
            cursor.execute(_ADD, (connection, asked_by, at, record))
            [(number,)] = cursor.fetchall()
            oldest = {"since": at - self._kept, "beyond": number - self._most}
            cursor.execute(_REMOVE, {"some": _REMOVED_AT_ONCE, **oldest})

        try:
            self._database.done(work)
        except StoreError as error:
            _log.warning("probe_not_recorded", connection=connection, error=redacted(error.message))

    def rounds(self, after: int = 0) -> list[Round]:
        """Return the newest rounds with a number above `after`, in order."""

        def work(cursor: Cursor) -> list[tuple[Any, ...]]:
            cursor.execute(_ROUNDS, (after, _MOST_READ))
            return cursor.fetchall()

        return [_round(*row) for row in reversed(self._database.done(work))]

    def kept(self) -> Numbers:
        """Return the numbers of the oldest and the newest round; 0 where there is none."""

        def work(cursor: Cursor) -> Numbers:
            cursor.execute(_KEPT)
            return Numbers(*cursor.fetchall()[0])

        return self._database.done(work)


def _record(answer: Answer) -> dict[str, Any]:
    values = {
        "o": answer.outcome,
        "n": answer.calls,
        "c": answer.changed,
        "t": redacted(answer.reason)[:_LONGEST_TEXT],
    }
    return {key: value for key, value in values.items() if value or value == 0}


def _round(
    number: int, connection: str, asked_by: str, at: datetime, answers: Mapping[str, Any]
) -> Round:
    return Round(
        number,
        connection,
        asked_by,
        at.astimezone(UTC),
        {
            obj: Answer(each["o"], each.get("n", 0), each.get("c"), each.get("t", ""))
            for obj, each in answers.items()
        },
    )
