"""What a call costs, under which of a vendor's ceilings it falls, and what the vendor's own counters say.

A vendor's folder fills these in: its operations, its limits, and where its counters stand. Whether a
counter is believed is decided here, for all vendors.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import requests

from crm_pipeline.connectors.implausible import ImplausibleValues
from crm_pipeline.connectors.upkeep import DayLimit
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.ratelimit.limits import MOST_COUNTED, Limit
from crm_pipeline.wire.figures import shown, whole

# Ceilings depend on edition and licences: they are far above what is published for the smallest account,
# and never far below. A vendor may let somebody pass its ceiling, but not ten times.
_LEAST_PART = 1_000
_MOST_TIMES = 100_000
_MOST_OVER = 10


@dataclass(frozen=True)
class Operation:
    """One kind of call.

    Attributes:
        name: under which the accounts by day count it.
        cost: in the vendor's own unit (calls, credits, tokens).
        kind: the class of endpoints that it belongs to, where ceilings differ; "" for most.
    """

    name: str
    cost: int = 1
    kind: str = ""


@dataclass(frozen=True)
class ReportedCounter:
    """What an answer says of one limit, as the texts that it holds: nobody has looked at them yet.

    Attributes:
        limit: name of the limit.
        header: where it stands, for the words about it.
        allowed: the vendor's own limit.
        used: what has been used; "" where the answer says what is left.
        left: what is left; "" where it says what has been used.
        usual: the ceiling as configured or published.
    """

    limit: str
    header: str
    allowed: str
    used: str = ""
    left: str = ""
    usual: int = 0


@dataclass(frozen=True)
class Reading:
    """What the vendor's own counter said in an answer, and is believed."""

    limit: str
    used: int
    allowed: int


class Meter(Protocol):
    """A vendor's ceilings as our share of them, for one connection."""

    unit: str

    @property
    def day(self) -> DayLimit | None:
        """The vendor's limit of a day in this unit, all of it; None where it has none."""

    def limits(self, operation: Operation) -> Sequence[Limit]:
        """Return the limits that a call falls under."""

    def costs(self, operation: Operation) -> Mapping[str, int]:
        """Return what a call weighs under each limit; 1 where nothing is said."""

    def reported_counters(self, response: requests.Response) -> Iterable[ReportedCounter]:
        """Return what the vendor's headers say; nothing is taken over from it yet."""

    def heed(self, reading: Reading) -> None:
        """Take over a ceiling that is believed."""


def believed(
    reported_counters: Iterable[ReportedCounter], implausible: ImplausibleValues
) -> Iterator[Reading]:
    """Yield the readings of those claims that can be true; the others are noted."""
    for reported in reported_counters:
        reading = read(reported)
        if isinstance(reading, Reading):
            yield reading
        else:
            implausible.note(reported.header, reading)


def read(reported: ReportedCounter) -> Reading | str:
    """Return the reading of a claim or, where it cannot be true, why not."""
    ceiling = whole(reported.allowed, MOST_COUNTED)
    other = whole(reported.used or reported.left, MOST_COUNTED)
    if not ceiling:
        return f"its ceiling is {shown(reported.allowed)}, and {_numbers(1)} is expected"
    if other is None:
        return (
            f"its counter is {shown(reported.used or reported.left)}, and {_numbers(0)} is expected"
        )
    used = other if reported.used else max(0, ceiling - other)
    if used > ceiling * _MOST_OVER:
        return f"it counts {used:,} of {ceiling:,}"
    least, most = reported.usual / _LEAST_PART, reported.usual * _MOST_TIMES
    if reported.usual and not least <= ceiling <= most:
        return f"its ceiling is {ceiling:,}, where {reported.usual:,} is published or configured"
    return Reading(reported.limit, used, ceiling)


def last_reported_limits(
    limiter: RateLimiter, group: str, usual: Mapping[str, int]
) -> dict[str, int]:
    """Return the vendor's own ceilings as any process of the group last saw them, if they can be true.

    Args:
        limiter: keeps them.
        group: limit group.
        usual: the ceilings as configured or published, by the names of the limits that are wanted.
    """
    found = {}
    for limit in limiter.usage(group):
        if limit.vendor_ceiling and limit.name in usual:
            ceiling = str(limit.vendor_ceiling)
            reported = ReportedCounter(limit.name, "", ceiling, used="0", usual=usual[limit.name])
            if isinstance(read(reported), Reading):
                found[limit.name] = limit.vendor_ceiling
    return found


def _numbers(least: int) -> str:
    return f"a whole number from {least} to {MOST_COUNTED:,}"
