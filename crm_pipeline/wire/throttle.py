"""The shapes of vendors' limits. What is counted against them, and who waits, is the gate's."""

from dataclasses import dataclass
from typing import Literal

LimitKind = Literal["rolling", "daily", "concurrency"]


@dataclass(frozen=True)
class Limit:
    """One ceiling that a vendor publishes, reduced to our share of it.

    Attributes:
        name: of the ceiling, unique within its group, as `burst` or `daily`.
        calls: our share in calls (or credits, where permits carry weights).
        period_s: length of the window; without meaning for `concurrency`.
        kind: `rolling` waits, `daily` refuses once spent, `concurrency` bounds what is under way.
    """

    name: str
    calls: int
    period_s: float
    kind: LimitKind = "rolling"
