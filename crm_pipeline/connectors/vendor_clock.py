"""A vendor's clock as its answers tell it: how far it is from ours, and whether the answers agree.

A `Date` header has whole seconds and was written somewhere between question and answer, so each answer
says between which two figures the skew lies. Of several answers the span counts that most of them share
(Marzullo's algorithm, https://en.wikipedia.org/wiki/Marzullo%27s_algorithm): one that lies, jumps or
came out of a cache does not move it. Whether the vendor's clock is believed is decided elsewhere, see
`stages/raw/present.py`.
"""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_pipeline.wire import dates

_KEPT = 15
# So many answers are waited for where the first ones differ from our clock.
_ENOUGH = 3
_NEAR_S = 5.0
# By how much clocks may differ before one of them is held to be wrong.
_LEAST, _MOST = timedelta(seconds=5), timedelta(minutes=10)
# The whole second that a date stands for, and what the rest of an answer may take behind its head.
_WIDTH = timedelta(seconds=1 + _NEAR_S)
CLOCK_CURE = (
    "Set this machine's clock right (NTP); if it is, look for a proxy or a cache on the way that answers with old "
    "dates, and if there is none, report the dates to the vendor."
)
"""What to do where two clocks differ and nothing tells which of them is wrong."""


@dataclass(frozen=True)
class Skew:
    """By how much a vendor's clock is ahead of ours, negative where it is behind.

    Attributes:
        low_s, high_s: between which two figures it lies.
        agreeing: how many answers say so, `of` how many that had a date.
    """

    low_s: float
    high_s: float
    agreeing: int
    of: int

    @property
    def is_steady(self) -> bool:
        """Whether most answers agree."""
        return 2 * self.agreeing > self.of

    @property
    def is_near(self) -> bool:
        """Whether the two clocks agree, as far as answers can tell."""
        return abs(self.low_s) <= _NEAR_S

    def exceeds(self, tolerance: timedelta) -> bool:
        """Say whether one of the two clocks has to be wrong."""
        return abs(self.low_s) > tolerance.total_seconds()

    def __str__(self) -> str:
        if self.is_near:
            return f"within {_NEAR_S:.0f} seconds of ours"
        return f"{duration(abs(self.low_s))} {'ahead of' if self.low_s > 0 else 'behind'} ours"


def shared(spans: Iterable[tuple[float, float]]) -> tuple[float, float, int] | None:
    """Return the span that most of the given ones share, and how many do; the lowest of several.

    Args:
        spans: `(low, high)` each; those that only touch share a point.
    """
    edges: list[tuple[float, int]] = []
    for low, high in spans:
        # At one place spans begin before others end, so that a point can be shared.
        edges += [(low, 0), (high, 1)]
    edges.sort()
    best: tuple[float, float, int] | None = None
    at_once = 0
    for place, (at, is_end) in enumerate(edges):
        at_once += -1 if is_end else 1
        if not is_end and (best is None or at_once > best[2]):
            best = (at, edges[place + 1][0], at_once)
    return best


class VendorClock:
    """Collects what answers say of the time; safe with threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self.answers = 0
        self.undated = 0

    def saw(self, date: str | None, sent_at: datetime, received_at: datetime) -> None:
        """Take note of an answer.

        Args:
            date: its header, whatever it holds; None where there is none.
            sent_at: when it was asked for, by our clock.
            received_at: when its head was here.
        """
        told = dates.instant(date)
        with self._lock:
            self.answers += 1
            if told is None:
                self.undated += 1
                return
            low, high = told - received_at, told + _WIDTH - min(sent_at, received_at)
            self._spans.append((low.total_seconds(), high.total_seconds()))

    @property
    def skew(self) -> Skew | None:
        """What most answers share; None where none had a date."""
        with self._lock:
            spans = list(self._spans)
        found = shared(spans)
        return None if found is None else Skew(*found, of=len(spans))

    @property
    def is_settled(self) -> bool:
        """Whether enough was asked: a second and a third answer where the first differs from our clock."""
        skew = self.skew
        return self.answers >= (1 if skew is None or skew.is_near else _ENOUGH)

    def at(self, own: datetime) -> datetime:
        """Return the earliest that it can be at the vendor now, cut to whole seconds; `own` is our clock.

        Where no answer had a date, that is our own clock.
        """
        skew = self.skew
        at = own if skew is None else _moved(own, skew.low_s)
        return at.replace(microsecond=0)


def tolerated(lookback_s: int) -> timedelta:
    """Return by how much clocks may differ: no more than what is read twice anyway."""
    return min(max(timedelta(seconds=lookback_s), _LEAST), _MOST)


def duration(seconds: float) -> str:
    """Write a span of time for people."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} seconds"


def _moved(at: datetime, seconds: float) -> datetime:
    try:
        return at + timedelta(seconds=seconds)
    except OverflowError:
        return at  # a date so far away is none
