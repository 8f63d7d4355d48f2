"""The daily cost of automation while nothing changes, and how it stays below a tenth of the vendor's limit.

A connector states the cost of a probe and of a refresh; this module computes the daily cost. Intervals that the user
wrote in connections.yaml are never changed; default intervals that would cost too much are stretched.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from crm_pipeline.settings import Connection
from crm_pipeline.settings.cadence import Cadence

PART = 10
"""Default intervals spend at most this fraction (one tenth) of a daily limit."""
_DAY_S = 86_400.0


@dataclass(frozen=True)
class Upkeep:
    """The cost of one object while nothing changes, in the vendor's unit.

    Attributes:
        probe: of asking whether anything changed; 0 for objects that are never probed (snapshots).
        refresh: of a read that finds nothing new, including the opening of the account.
    """

    probe: int
    refresh: int


@dataclass(frozen=True)
class DayLimit:
    """The vendor's whole daily limit.

    Attributes:
        is_stated: the vendor or the user stated it; otherwise it is the lowest published one.
    """

    amount: int
    is_stated: bool


def stated_limit(limit: DayLimit | None) -> int | None:
    """Return the amount of a limit that the vendor or the user stated; else None."""
    return limit.amount if limit is not None and limit.is_stated else None


@dataclass(frozen=True)
class Pace:
    """The intervals at which a connection is probed and refreshed, and their cost.

    Attributes:
        unit: of all amounts.
        probe, refresh: the cost of a round of probes, and of a read of all objects.
        probe_every_s, refresh_every_s: the intervals in force.
        wanted_probe_every_s, wanted_refresh_every_s: the intervals as configured.
        explicit: which of `cadence` and `probe_every_s` the user wrote.
        limit: the vendor's daily limit; None where there is none.
        allowed: the daily amount that default intervals may spend.
    """

    unit: str
    probe: int
    refresh: int
    probe_every_s: float
    refresh_every_s: float
    wanted_probe_every_s: float
    wanted_refresh_every_s: float
    explicit: frozenset[str]
    limit: DayLimit | None
    allowed: int | None

    @property
    def a_day(self) -> int:
        """The cost of a day."""
        return _a_day(self.probe, self.probe_every_s, self.refresh, self.refresh_every_s)

    @property
    def wanted_a_day(self) -> int:
        """The cost of a day with the intervals as configured."""
        return _a_day(
            self.probe, self.wanted_probe_every_s, self.refresh, self.wanted_refresh_every_s
        )

    @property
    def stretched_probe_every_s(self) -> float | None:
        """The interval of probes, where it is longer than configured; else None."""
        return self.probe_every_s if self.probe_every_s > self.wanted_probe_every_s else None

    @property
    def stretched_refresh_every_s(self) -> float | None:
        """The interval of refreshes, where it is longer than configured; else None."""
        return self.refresh_every_s if self.refresh_every_s > self.wanted_refresh_every_s else None

    @property
    def is_stretched(self) -> bool:
        """Whether one of the two intervals is longer than configured."""
        return bool(self.stretched_probe_every_s or self.stretched_refresh_every_s)

    @property
    def is_dear(self) -> bool:
        """Whether the intervals that the user wrote cost more than default intervals may."""
        if self.allowed is None:
            return False
        probe = self.probe if "probe_every_s" in self.explicit else 0
        refresh = self.refresh if "cadence" in self.explicit else 0
        return _a_day(probe, self.probe_every_s, refresh, self.refresh_every_s) > self.allowed

    def __str__(self) -> str:
        part = ""
        if self.limit is not None:
            which = "the" if self.limit.is_stated else "the lowest published limit, the"
            part = f", {self.a_day / self.limit.amount:.1%} of {which} {self.limit.amount:,} a day"
        probe_source = self._source("probe_every_s", self.stretched_probe_every_s)
        refresh_source = self._source("cadence", self.stretched_refresh_every_s)
        text = (
            f"about {self.a_day:,} {self.unit} a day where nothing changes{part}: a probe every "
            f"{span(self.probe_every_s)} ({self.probe:,} {self.unit}, {probe_source}), a refresh every "
            f"{span(self.refresh_every_s)} ({self.refresh:,}, {refresh_source})"
        )
        if not self.is_stretched or self.limit is None:
            return text
        share = f"{self.wanted_a_day:,} ({self.wanted_a_day / self.limit.amount:.0%})"
        return f"{text}; {self._defaults()} would make it {share}{self._more_than_a_tenth()}"

    def _source(self, key: str, stretched_s: float | None) -> str:
        if key in self.explicit:
            return f"as `{key}` says"
        return "stretched" if stretched_s else "by default"

    def _defaults(self) -> str:
        """Return the default intervals that were stretched, as text."""
        probe, refresh = span(self.wanted_probe_every_s), span(self.wanted_refresh_every_s)
        if not self.explicit:
            return f"the defaults ({probe}, {refresh})"
        if "cadence" in self.explicit:
            return f"the default of {probe} for `probe_every_s`"
        return f"the default of {refresh} for `cadence`"

    def _more_than_a_tenth(self) -> str:
        """Return why the cost exceeds `allowed` although the written intervals alone do not; else ""."""
        if self.allowed is None or self.is_dear or not self.explicit or self.a_day <= self.allowed:
            return ""
        return (
            f". More than a tenth ({self.allowed:,}) in all: the written interval is kept, and the default beside it may "
            "spend half a tenth at least"
        )


def pace_of(
    connection: Connection,
    upkeeps: Iterable[Upkeep],
    *,
    unit: str,
    round_cost: int,
    limit: DayLimit | None,
    members: int = 1,
) -> Pace:
    """Return the intervals of a connection and their cost.

    Args:
        connection: as configured.
        upkeeps: of its objects.
        unit: of their amounts.
        round_cost: the fixed cost of a round of probes.
        limit: the vendor's daily limit.
        members: how many connections share the limit.
    """
    listed = list(upkeeps)
    probe = sum(upkeep.probe for upkeep in listed)
    probe += round_cost if probe else 0
    refresh = sum(upkeep.refresh for upkeep in listed)
    wanted = (float(connection.probe_every_s), Cadence.parse(connection.cadence).every_s)
    allowed = None if limit is None else limit.amount // PART // max(1, members)
    is_fixed = ("probe_every_s" in connection.explicit, "cadence" in connection.explicit)
    probe_s, refresh_s = _stretched((probe, refresh), wanted, is_fixed, allowed)
    return Pace(
        unit=unit,
        probe=probe,
        refresh=refresh,
        probe_every_s=probe_s,
        refresh_every_s=refresh_s,
        wanted_probe_every_s=wanted[0],
        wanted_refresh_every_s=wanted[1],
        explicit=connection.explicit,
        limit=limit,
        allowed=allowed,
    )


def span(seconds: float) -> str:
    """Return a duration as text."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 2 * _DAY_S else f"{seconds / _DAY_S:.0f} days"


def _stretched(
    costs: tuple[int, int],
    wanted: tuple[float, float],
    is_fixed: tuple[bool, bool],
    allowed: int | None,
) -> tuple[float, float]:
    """Return the intervals; those that are not fixed are stretched by one factor, to a day at most.

    A fixed interval is the user's own choice. The other one may spend what is left, and at least half of `allowed`.
    """
    if allowed is None:
        return wanted
    a_day = [
        cost * _DAY_S / every_s if cost else 0.0
        for cost, every_s in zip(costs, wanted, strict=True)
    ]
    fixed = sum(amount for amount, stays in zip(a_day, is_fixed, strict=True) if stays)
    free = sum(a_day) - fixed
    left = max(allowed - fixed, allowed / 2)
    factor = free / max(left, 1.0)
    probe_s, refresh_s = (
        every_s if stays or factor <= 1 else max(every_s, min(_DAY_S, every_s * factor))
        for every_s, stays in zip(wanted, is_fixed, strict=True)
    )
    return probe_s, refresh_s


def _a_day(probe: int, probe_every_s: float, refresh: int, refresh_every_s: float) -> int:
    return round(probe * _DAY_S / probe_every_s + refresh * _DAY_S / refresh_every_s)
