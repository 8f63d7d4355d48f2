"""A vendor's clock by the `Date` headers of its responses: its skew from our clock, and whether responses agree.

A `Date` header has whole seconds and was written between request and response, so each response gives an interval
that the skew lies in. Of several responses the interval counts that most of them share (Marzullo's algorithm,
https://en.wikipedia.org/wiki/Marzullo%27s_algorithm): a wrong one, such as from a cache, does not move it.
`stages/raw/present.py` decides whether to rely on the vendor's clock.
"""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_pipeline.wire import dates

_KEPT = 15
# So many responses are needed where the first ones may differ from our clock.
_ENOUGH = 3
_NEAR_S = 5.0
# Bounds of the tolerance, beyond which one of two clocks counts as wrong.
_LEAST, _MOST = timedelta(seconds=5), timedelta(minutes=10)
# A `Date` header covers a whole second.
_WIDTH = timedelta(seconds=1)
CLOCK_CURE = (
    "Set this machine's clock right (NTP); if it is, look for a proxy or a cache on the way that sends old "
    "dates, and if there is none, report the dates to the vendor."
)
"""The cure where two clocks differ and it is unknown which of them is wrong."""


@dataclass(frozen=True)
class Skew:
    """How far a vendor's clock is ahead of ours; negative where it is behind.

    Attributes:
        low_s, high_s: the bounds of the skew.
        agreeing: how many responses share these bounds.
        of: how many responses had a date.
    """

    low_s: float
    high_s: float
    agreeing: int
    of: int

    @property
    def is_steady(self) -> bool:
        """Whether most responses agree."""
        return 2 * self.agreeing > self.of

    @property
    def least_s(self) -> float:
        """The smallest possible skew; 0 where the two clocks may agree."""
        return max(self.low_s, 0.0) or min(self.high_s, 0.0)

    @property
    def is_near(self) -> bool:
        """Whether the two clocks may agree."""
        return abs(self.least_s) <= _NEAR_S

    @property
    def is_narrow(self) -> bool:
        """Whether the clocks agree anywhere within the bounds; slow responses have wide bounds."""
        return max(abs(self.low_s), abs(self.high_s)) <= _NEAR_S

    def exceeds(self, tolerance: timedelta) -> bool:
        """Return whether the skew is larger than a tolerance, so that one of the clocks is wrong."""
        return abs(self.least_s) > tolerance.total_seconds()

    def __str__(self) -> str:
        if self.is_near:
            return f"within {_NEAR_S:.0f} seconds of ours"
        return f"{duration(abs(self.least_s))} {'ahead of' if self.least_s > 0 else 'behind'} ours"


def shared(intervals: Iterable[tuple[float, float]]) -> tuple[float, float, int] | None:
    """Return the interval that most of the given ones share, and how many do; the lowest of several.

    Args:
        intervals: `(low, high)` each; those that only touch share a point.
    """
    edges: list[tuple[float, int]] = []
    for low, high in intervals:
        # At equal values a start sorts before an end, so that touching intervals share a point.
        edges += [(low, 0), (high, 1)]
    edges.sort()
    best: tuple[float, float, int] | None = None
    overlapping = 0
    for index, (value, is_end) in enumerate(edges):
        overlapping += -1 if is_end else 1
        if not is_end and (best is None or overlapping > best[2]):
            best = (value, edges[index + 1][0], overlapping)
    return best


class VendorClock:
    """Collects the dates of responses; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._intervals: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self.responses = 0

    def saw(self, date: str | None, sent_at: datetime, head_at: datetime) -> None:
        """Record the date of a response.

        Args:
            date: its `Date` header, unchecked; None where there is none.
            sent_at: when the request was sent, by our clock.
            head_at: when the headers arrived; the body may take minutes more.
        """
        at = dates.instant(date)
        with self._lock:
            self.responses += 1
            if at is None:
                return
            low, high = at - head_at, at + _WIDTH - min(sent_at, head_at)
            self._intervals.append((low.total_seconds(), high.total_seconds()))

    @property
    def skew(self) -> Skew | None:
        """The skew that most responses share; None where no response had a date."""
        with self._lock:
            intervals = list(self._intervals)
        bounds = shared(intervals)
        return None if bounds is None else Skew(*bounds, of=len(intervals))

    @property
    def is_settled(self) -> bool:
        """Whether there are enough responses: one, or three where the first may differ from our clock."""
        skew = self.skew
        return self.responses >= (1 if skew is None or skew.is_narrow else _ENOUGH)

    def at(self, own: datetime) -> datetime:
        """Return the earliest possible time at the vendor now, in whole seconds; `own` is our time.

        Where no response had a date, it is our own time.
        """
        skew = self.skew
        at = own if skew is None else _moved(own, skew.low_s)
        return at.replace(microsecond=0)


def tolerated(lookback_s: int) -> timedelta:
    """Return the tolerated skew: the overlap of windows, within bounds."""
    return min(max(timedelta(seconds=lookback_s), _LEAST), _MOST)


def duration(seconds: float) -> str:
    """Return a duration as text."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} seconds"


def _moved(at: datetime, seconds: float) -> datetime:
    try:
        return at + timedelta(seconds=seconds)
    except OverflowError:
        return at  # such a skew is implausible
