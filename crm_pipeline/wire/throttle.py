"""The shapes of vendors' limits. What is counted against them, and who waits, is the gate's."""

from dataclasses import dataclass
from typing import Literal

LimitKind = Literal["rolling", "daily", "concurrency"]


@dataclass(frozen=True)
class Limit:
    """One ceiling that a vendor publishes, reduced to our share of it.

    Attributes:
        name: of the ceiling, unique within its group, as `burst` or `daily`.
        calls: our share, in `unit`.
        period_s: length of the window; without meaning for `concurrency`, and for a limit that
            `resets`.
        kind: `rolling` waits, `daily` refuses once spent, `concurrency` bounds what is under way.
        resets: "" for a rolling window; for `daily` also an IANA zone, as `Europe/Berlin`: the
            amount begins anew at midnight there.
        unit: what is counted, in the plural: `calls`, `credits`, `tokens`.
    """

    name: str
    calls: int
    period_s: float
    kind: LimitKind = "rolling"
    resets: str = ""
    unit: str = "calls"
