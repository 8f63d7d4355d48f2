"""The shapes of vendors' limits. What is counted against them, and who waits, is the gate's."""

import math
from dataclasses import dataclass
from typing import Literal

_NEARLY = 0.95
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


def rolling(name: str, ceiling: int, period_s: float, share: float) -> Limit:
    """Return our share of a ceiling of calls in a rolling window.

    Nine tenths of 5 calls a second are no whole number, and 4 would leave a fifth unused. There a part of the
    share is taken in time: 5 calls in 1.11 seconds, which are never more than the ceiling within its own window.
    """
    wanted = ceiling * share
    calls = int(wanted)
    if calls < wanted * _NEARLY:
        calls = math.ceil(wanted)
        period_s *= calls / wanted
    return Limit(name, calls, period_s)
