"""How fresh each object of a connection is: what landing and the looks say together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.settings import Connection
from crm_pipeline.settings.cadence import Cadence
from crm_pipeline.store.landing.landing import Landing
from crm_pipeline.store.landing.looks import ConnectionLooks, error_text
from crm_pipeline.store.landing.watermark import believed

State = Literal["current", "failing", "unread", "unknown"]
_MISSED = 2  # one may be left out because a run is under way
_SLACK = timedelta(minutes=15)  # a run takes its time


@dataclass(frozen=True)
class Freshness:
    """How fresh one object is.

    Attributes:
        state: `failing` where the last look failed, `unread` where nothing has been read, `unknown` where
            what is noted of the looks is damaged.
        read_to: everything that changed before it has been read, back to `history_from`.
        history_from: nothing that changed before it has been read; None where `is_whole`.
        is_whole: the history has been read from its beginning.
        current_at: up to then nothing is missing: it was read, or the vendor said that nothing changed.
        refresh_every_s: how often it is meant to be read.
        due_at: it is late where `current_at` lies before.
        tables: which tables it feeds; filled in by who knows the mapping.
        held_back_since: when a table of these was refused by its contract first, since when it has stayed as it was.
        unseen: which deletions are told by nobody; "" where all are. Filled in by who knows the vendor.
        remarks: what somebody has to know or to do, though it can be read; filled in by who knows it.
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

    @property
    def is_late(self) -> bool:
        """Whether it should have been looked at since, and nobody did."""
        return self.current_at is not None and self.current_at < self.due_at

    def feeding(self, tables: Iterable[str], looks: ConnectionLooks) -> "Freshness":
        """Return it with the tables that it feeds, and since when one of them is held back."""
        fed = tuple(sorted(tables))
        held = [looks.held[table] for table in fed if table in looks.held]
        return replace(self, tables=fed, held_back_since=min(held, default=None))

    def behind_s(self, now: datetime) -> float | None:
        """Return for how long what is here may lack changes; None where nothing was read."""
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
    """Return how fresh the configured objects of a connection are, or the one that is wanted."""
    meant = _Meant.of(Cadence.parse(connection.cadence), looks, now)
    return [
        _freshness(connection.name, obj.name, landing, looks, meant)
        for obj in connection.objects
        if only in {None, obj.name}
    ]


def covered(windows: Iterable[Window]) -> Window | None:
    """Return the newest gap-free span of windows, or the one from the beginning if there is such a one."""
    spans: list[Window] = []
    for window in sorted(windows, key=lambda w: (w.from_at is not None, w.from_at or w.to_at)):
        last = spans[-1] if spans else None
        if last is None or (window.from_at is not None and window.from_at > last.to_at):
            spans.append(window)
        else:
            spans[-1] = Window(last.from_at, max(last.to_at, window.to_at))
    if spans and spans[0].from_at is None:
        return spans[0]
    return spans[-1] if spans else None


@dataclass(frozen=True)
class _Meant:
    """When objects are meant to be read: how often, and since when at least."""

    every_s: float
    due_at: datetime

    @classmethod
    def of(cls, cadence: Cadence, looks: ConnectionLooks, now: datetime) -> "_Meant":
        every_s = max(cadence.every_s, looks.refresh_every_s or 0.0)
        late_at = now - _SLACK
        due_at = cadence.before(late_at, _MISSED) or datetime.min.replace(tzinfo=now.tzinfo)
        if looks.refresh_every_s is not None:
            due_at = min(due_at, late_at - _MISSED * timedelta(seconds=looks.refresh_every_s))
        return cls(every_s, due_at)


def _freshness(
    connection: str, obj: str, landing: Landing, looks: ConnectionLooks, meant: _Meant
) -> Freshness:
    look = looks.of(obj)
    error, read_at = look.error, None
    span: Window | None = None
    try:
        commits = [c for c in landing.windows(connection, obj) if c.kind == "window"]
        span = covered(believed(commits).values())
        read_at = commits[-1].committed_at if commits else None
    except CorruptFile as damage:
        error = error_text(damage)
    state: State = "failing" if error else "unread" if span is None else "current"
    if looks.damage and not error:
        state, error = "unknown", looks.damage
    return Freshness(
        connection=connection,
        object=obj,
        state=state,
        is_whole=span is not None and span.from_at is None,
        read_to=span.to_at if span else None,
        history_from=span.from_at if span else None,
        current_at=_latest(span.to_at if span else None, look.current_at),
        looked_at=_latest(read_at, look.looked_at),
        good_at=_latest(read_at, look.good_at),
        error=error,
        failing_since=look.failing_since,
        next_try_at=look.next_try_at,
        refresh_every_s=meant.every_s,
        due_at=meant.due_at,
    )


def _latest(*instants: datetime | None) -> datetime | None:
    known: Sequence[datetime] = [at for at in instants if at is not None]
    return max(known, default=None)
