"""Clocks that can be replaced in tests, half-open windows of time, and calendar months.

All instants are timezone-aware UTC. Windows are half-open, `[from_at, to_at)`; a window without
`from_at` reaches back for ever and also holds records without a time of modification.
"""

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

_MONTH = re.compile(r"(\d{4})-(\d{2})(-\d{2})?\Z", re.ASCII)


class Clock(Protocol):
    """The operations on time that the rest of the package uses."""

    def now(self) -> datetime:
        """Return the current instant in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current instant in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class FrozenClock:
    """A clock for tests: time passes only by `sleep` and `advance`."""

    def __init__(self, at: str | datetime) -> None:
        self._now = parse_instant(at) if isinstance(at, str) else at
        self._elapsed_s = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        """Return the instant that the clock was set to, plus the time slept since."""
        return self._now + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        """Return the seconds slept so far."""
        return self._elapsed_s

    def sleep(self, seconds: float) -> None:
        """Move the clock forward at once and record the seconds in `slept`."""
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._elapsed_s += seconds


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 instant, with `Z`, `+00:00` or `+0000`, as UTC.

    Raises:
        ValueError: the text is not an instant, or it has no offset.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"'{text}' has no time zone; write it with Z or an offset")
    return instant.astimezone(UTC)


def format_instant(at: datetime) -> str:
    """Write an instant as `2026-11-23T10:00:00Z`, with microseconds only where there are any."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month in UTC."""

    year: int
    month: int

    def __post_init__(self) -> None:
        if not 1 <= self.month <= 12:
            raise ValueError(f"'{self}' is no month; write it as 2026-11")

    @classmethod
    def of(cls, at: datetime) -> "Month":
        """Return the month that holds the instant."""
        utc = at.astimezone(UTC)
        return cls(utc.year, utc.month)

    @classmethod
    def parse(cls, text: str) -> "Month":
        """Read `2026-11` or `2026-11-01`.

        Raises:
            ValueError: the text is not a month.
        """
        match = _MONTH.match(text)
        if match is None:
            raise ValueError(f"'{text}' is no month; write it as 2026-11")
        return cls(int(match[1]), int(match[2]))

    @property
    def start_at(self) -> datetime:
        """The first instant of the month."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end_at(self) -> datetime:
        """The first instant after the month."""
        return self.next().start_at

    def next(self) -> "Month":
        """Return the month after this one."""
        years, month0 = divmod(self.month, 12)
        return Month(self.year + years, month0 + 1)

    def through(self, last: "Month") -> Iterator["Month"]:
        """Yield the months from this one up to and including `last`."""
        month = self
        while month <= last:
            yield month
            month = month.next()

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


@dataclass(frozen=True)
class Window:
    """The half-open interval `[from_at, to_at)`; `from_at` None reaches back for ever."""

    from_at: datetime | None
    to_at: datetime

    def __post_init__(self) -> None:
        if self.from_at is not None and self.from_at > self.to_at:
            raise ValueError(f"a window cannot end before it starts: {self}")

    def __str__(self) -> str:
        start = format_instant(self.from_at) if self.from_at else "-inf"
        return f"[{start}, {format_instant(self.to_at)})"


def gap_free_edge(windows: Iterable[Window]) -> datetime | None:
    """Return the upper edge of the gap-free union that starts at the beginning of time.

    Windows behind a gap do not count, because the changes inside the gap were never read. This edge
    is the watermark of an object.
    """
    edge: datetime | None = None
    for window in sorted(windows, key=lambda w: (w.from_at is not None, w.from_at or w.to_at)):
        if window.from_at is None:
            edge = window.to_at if edge is None else max(edge, window.to_at)
        elif edge is None or window.from_at > edge:
            break
        else:
            edge = max(edge, window.to_at)
    return edge
