"""What a call costs, and under which of a vendor's ceilings it falls.

A vendor's folder fills these in: its operations, its limits, and how it reads the vendor's own counters.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import requests

from crm_pipeline.wire.throttle import Limit


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
class Reading:
    """What the vendor's own counter said in an answer."""

    limit: str
    used: int
    ceiling: int


class Meter(Protocol):
    """A vendor's ceilings as our share of them, for one connection."""

    unit: str

    def limits(self, operation: Operation) -> Sequence[Limit]:
        """Return the limits that a call falls under."""

    def weights(self, operation: Operation) -> Mapping[str, int]:
        """Return what a call weighs under each limit; 1 where nothing is said."""

    def readings(self, response: requests.Response) -> Iterable[Reading]:
        """Return what the vendor's headers say."""
