"""The cost of a call, the limits that it counts towards, and the counters that the vendor reports.

A vendor's folder declares its operations, its limits and the headers of its counters. Whether a reported
counter is plausible is decided here, for all vendors.
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

# Limits depend on edition and licences: they may be far above the one published for the smallest account, and
# never far below. A vendor may tolerate calls beyond its limit, but not ten times the limit.
_LEAST_PART = 1_000
_MOST_TIMES = 100_000
_MOST_OVER = 10


@dataclass(frozen=True)
class Operation:
    """One kind of call.

    Attributes:
        name: as the daily call counts name it.
        cost: in the vendor's own unit (calls, credits, tokens).
        kind: the class of endpoints that it belongs to, where limits differ by class; "" for most.
    """

    name: str
    cost: int = 1
    kind: str = ""


@dataclass(frozen=True)
class ReportedCounter:
    """The counter of one limit in a response, as unchecked texts.

    Attributes:
        limit: name of the limit.
        header: that holds the counter, for warnings.
        allowed: the vendor's own limit.
        used: what has been used; "" where the response says what is left.
        left: what is left; "" where the response says what has been used.
        usual: the limit as configured or published.
    """

    limit: str
    header: str
    allowed: str
    used: str = ""
    left: str = ""
    usual: int = 0


@dataclass(frozen=True)
class Reading:
    """A plausible counter of a response."""

    limit: str
    used: int
    allowed: int


class Meter(Protocol):
    """Our share of a vendor's limits, for one connection."""

    unit: str

    @property
    def day(self) -> DayLimit | None:
        """The vendor's whole daily limit in this unit; None where there is none."""

    def limits(self, operation: Operation) -> Sequence[Limit]:
        """Return the limits that a call counts towards."""

    def costs(self, operation: Operation) -> Mapping[str, int]:
        """Return the cost of a call under each limit; 1 where a limit is missing."""

    def reported_counters(self, response: requests.Response) -> Iterable[ReportedCounter]:
        """Return the counters in the vendor's headers, unchecked."""

    def heed(self, reading: Reading) -> None:
        """Take over the limit of a plausible reading."""


def believed(
    reported_counters: Iterable[ReportedCounter], implausible: ImplausibleValues
) -> Iterator[Reading]:
    """Yield the plausible readings; the other counters are noted in `implausible`."""
    for reported in reported_counters:
        reading = read(reported)
        if isinstance(reading, Reading):
            yield reading
        else:
            implausible.note(reported.header, reading)


def read(reported: ReportedCounter) -> Reading | str:
    """Return the reading of a reported counter, or the reason why it is implausible."""
    allowed = whole(reported.allowed, MOST_COUNTED)
    other = whole(reported.used or reported.left, MOST_COUNTED)
    if not allowed:
        return f"its limit is {shown(reported.allowed)}, and {_numbers(1)} is expected"
    if other is None:
        return (
            f"its counter is {shown(reported.used or reported.left)}, and {_numbers(0)} is expected"
        )
    used = other if reported.used else max(0, allowed - other)
    if used > allowed * _MOST_OVER:
        return f"it counts {used:,} of {allowed:,}"
    least, most = reported.usual / _LEAST_PART, reported.usual * _MOST_TIMES
    if reported.usual and not least <= allowed <= most:
        return f"its limit is {allowed:,}, where {reported.usual:,} is published or configured"
    return Reading(reported.limit, used, allowed)


def last_reported_limits(
    limiter: RateLimiter, group: str, usual: Mapping[str, int]
) -> dict[str, int]:
    """Return the vendor's own limits as any process of the group last saw them, where they are plausible.

    Args:
        limiter: keeps them.
        group: the limit group.
        usual: the limits as configured or published, by name; only these are returned.
    """
    limits = {}
    for limit in limiter.usage(group):
        if limit.vendor_ceiling and limit.name in usual:
            allowed = str(limit.vendor_ceiling)
            reported = ReportedCounter(limit.name, "", allowed, used="0", usual=usual[limit.name])
            if isinstance(read(reported), Reading):
                limits[limit.name] = limit.vendor_ceiling
    return limits


def _numbers(least: int) -> str:
    return f"a whole number from {least} to {MOST_COUNTED:,}"
