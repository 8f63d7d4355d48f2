"""Compute how fresh each object of a connection is, from landing and the looks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.settings import Connection
from crm_pipeline.settings.cadence import Cadence
from crm_pipeline.store.landing.landing import Landing
from crm_pipeline.store.landing.looks import BuiltFrom, ConnectionLooks, error_text
from crm_pipeline.store.landing.watermark import believed

State = Literal["current", "failing", "unread", "unknown"]
_MISSED = 2  # one read may be skipped because a run is under way
_SLACK = timedelta(minutes=15)  # a run takes its time


@dataclass(frozen=True)
class Freshness:
    """How fresh one object is.

    Attributes:
        state: `failing` where the last look failed, `unread` where nothing has been read, `unknown` where
            the file of the looks is damaged.
        read_to: all changes before it have been read, back to `history_from`.
        history_from: no change before it has been read; None where `is_whole`.
        is_whole: the history has been read from its beginning.
        current_at: nothing before it is missing: it was read, or the vendor said that nothing changed.
        refresh_every_s: the configured time between two reads.
        landed_at: when records of it landed last; None where none has.
        due_at: the object is late where `current_at` lies before.
        tables: the tables that it feeds; filled in by the caller that knows the mapping.
        held_back_since: since when one of these tables stays as it was, because its contract refused a build or a build failed.
        unseen: the deletions that the vendor does not report; "" where it reports all. Filled in by the caller.
        remarks: what a person has to know or do, though the object can be read; filled in by the caller.
    """

    connection: str
    object: str
    state: State
    is_whole: bool
    read_to: datetime | None
    history_from: datetime | None
    current_at: datetime | None
    looked_at: datetime | None
    good_at: datetime | None
    error: str
    failing_since: datetime | None
    next_try_at: datetime | None
    refresh_every_s: float
    due_at: datetime
    remarks: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    held_back_since: datetime | None = None
    unseen: str = ""
    landed_at: datetime | None = None

    @property
    def is_late(self) -> bool:
        """Whether a look at the object is overdue."""
        return self.current_at is not None and self.current_at < self.due_at

    def feeding(self, tables: Iterable[str], looks: ConnectionLooks) -> "Freshness":
        """Return a copy with the tables that it feeds, and since when one of them is held back.

        Where something has landed that one of them lacks, `current_at` is that of the build of this table.
        """
        fed = tuple(sorted(tables))
        held = [looks.held[table] for table in fed if table in looks.held]
        made_from = (looks.built_from.get(table, {}).get(self.object) for table in fed)
        behind = [each.current_at for each in made_from if each is not None and self._lacks(each)]
        current_at = self.current_at
        if behind and current_at is not None:
            present = [at for at in behind if at is not None]
            current_at = min(current_at, *present) if len(present) == len(behind) else None
        held_back_since = min(held, default=None)
        return replace(self, tables=fed, held_back_since=held_back_since, current_at=current_at)

    def _lacks(self, made_from: BuiltFrom) -> bool:
        """Say whether something has landed since a table was built."""
        landed_at = self.landed_at
        return landed_at is not None and (
            made_from.landed_at is None or made_from.landed_at < landed_at
        )

    def behind_s(self, now: datetime) -> float | None:
        """Return the seconds for which changes may be missing; None where nothing was read."""
        return (
            None if self.current_at is None else max(0.0, (now - self.current_at).total_seconds())
        )


def freshness_of(
    connection: Connection,
    landing: Landing,
    looks: ConnectionLooks,
    now: datetime,
    only: str | None = None,
) -> list[Freshness]:
    """Return the freshness of a connection's configured objects, or of the one object `only`."""
    schedule = _Schedule.of(Cadence.parse(connection.cadence), looks, now)
    return [
        _freshness(connection.name, obj.name, landing, looks, schedule)
        for obj in connection.objects
        if only in {None, obj.name}
    ]


def complete_up_to(rows: Iterable[Freshness]) -> datetime | None:
    """Return the instant up to which all of some objects are complete; None where none was read."""
    return min((row.current_at for row in rows if row.current_at is not None), default=None)


def covered(windows: Iterable[Window]) -> Window | None:
    """Return the gap-free union of windows from the beginning of time if there is one, else the latest one."""
    unions: list[Window] = []
    for window in sorted(windows, key=lambda w: (w.from_at is not None, w.from_at or w.to_at)):
        last = unions[-1] if unions else None
        if last is None or (window.from_at is not None and window.from_at > last.to_at):
            unions.append(window)
        else:
            unions[-1] = Window(last.from_at, max(last.to_at, window.to_at))
    if unions and unions[0].from_at is None:
        return unions[0]
    return unions[-1] if unions else None


@dataclass(frozen=True)
class _Schedule:
    """How often objects should be read, and since when a read is overdue."""

    every_s: float
    due_at: datetime

    @classmethod
    def of(cls, cadence: Cadence, looks: ConnectionLooks, now: datetime) -> "_Schedule":
        every_s = max(cadence.every_s, looks.refresh_every_s or 0.0)
        late_at = now - _SLACK
        due_at = cadence.before(late_at, _MISSED) or datetime.min.replace(tzinfo=now.tzinfo)
        if looks.refresh_every_s is not None:
            due_at = min(due_at, late_at - _MISSED * timedelta(seconds=looks.refresh_every_s))
        return cls(every_s, due_at)


def _freshness(
    connection: str, obj: str, landing: Landing, looks: ConnectionLooks, schedule: _Schedule
) -> Freshness:
    look = looks.of(obj)
    error, read_at = look.error, None
    window: Window | None = None
    landed_at: datetime | None = None
    try:
        every = landing.windows(connection, obj)
        landed_at = max((c.committed_at for c in every if c.batches), default=None)
        commits = [c for c in every if c.kind == "window"]
        window = covered(believed(commits).values())
        read_at = commits[-1].committed_at if commits else None
    except CorruptFile as corruption:
        error = error_text(corruption)
    state: State = "failing" if error else "unread" if window is None else "current"
    if looks.damage and not error:
        state, error = "unknown", looks.damage
    return Freshness(
        connection=connection,
        object=obj,
        state=state,
        is_whole=window is not None and window.from_at is None,
        read_to=window.to_at if window else None,
        history_from=window.from_at if window else None,
        current_at=_latest(window.to_at if window else None, look.current_at),
        looked_at=_latest(read_at, look.looked_at),
        good_at=_latest(read_at, look.good_at),
        error=error,
        failing_since=look.failing_since,
        next_try_at=look.next_try_at,
        refresh_every_s=schedule.every_s,
        due_at=schedule.due_at,
        landed_at=landed_at,
    )


def _latest(*instants: datetime | None) -> datetime | None:
    present: Sequence[datetime] = [at for at in instants if at is not None]
    return max(present, default=None)
