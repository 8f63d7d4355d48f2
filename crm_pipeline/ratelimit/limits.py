"""Limits, and their time: windows, slots, midnights. Plain values only.

Time is in milliseconds of the database's clock.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

LimitKind = Literal["rolling", "daily", "concurrency"]
DAY_MS = 86_400_000
MOST_COUNTED = 1_000_000_000
"""Nobody makes more calls in a day, and no vendor allows more: a counter beyond that is not believed."""
_STILL_A_MEMBER = 25 / 24  # of the window: who runs once a day is known when it runs again
_LONGEST_DAY_MS = 26 * 3_600_000  # with a clock that goes back, and something to spare
_SLOTS = 128  # spent permits are summed in slots of this part of the window; a late end is safe
_NEARLY = 0.95
_SKEW_MS = 2_000  # the vendor's midnight may come so much sooner or later than ours


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


def is_countable(used: int, ceiling: int) -> bool:
    """Say whether a counter of a vendor is one that can be reckoned with."""
    return 0 <= used <= MOST_COUNTED and 1 <= ceiling <= MOST_COUNTED


def period_ms(limit: Limit) -> int:
    """Return the length of the window."""
    # Up, because a window that is a millisecond short breaks the vendor's; 1.001 * 1000 is 1000.99.
    return math.ceil(round(limit.period_s * 1000, 6))


def member_ms(limit: Limit) -> int:
    """Return how long somebody is a member of a group after it last asked, for limits that refuse."""
    return int(period_ms(limit) * _STILL_A_MEMBER)


def stamped(limit: Limit, at_ms: int) -> int:
    """Return the stamp under which a call counts whose reply came at that moment.

    It is the end of a slot or, where the amount begins anew at midnight, the moment of that. What
    came close to a midnight counts in both days, because the vendor's clock may differ from ours.
    """
    if limit.resets:
        return turn_ms(limit, at_ms + 2 * _SKEW_MS)
    slot = _slot_ms(limit)
    return -(-at_ms // slot) * slot


def gone_ms(limit: Limit, stamp: int) -> int:
    """Return when a call with this stamp counts no more."""
    return stamp if limit.resets else stamp + period_ms(limit)


def kept(limit: Limit, stamp: int, now_ms: int) -> int | None:
    """Return the stamp as it is to be kept, None where the call counts no more.

    A clock that was set back would keep future stamps for too long or, dropped, forget calls: they
    count as made now.
    """
    if not limit.resets:
        if stamp <= now_ms - period_ms(limit):
            return None
        return min(stamp, now_ms + _slot_ms(limit))
    if turned_ms(limit, stamp) == stamp and stamp <= now_ms + _LONGEST_DAY_MS:
        return stamp if stamp > now_ms else None
    # The limit had a rolling window, or another zone, when it was written.
    return turn_ms(limit, now_ms) if stamp > turned_ms(limit, now_ms) else None


def turn_ms(limit: Limit, now_ms: int) -> int:
    """Return when the amount begins anew next, a little after midnight in the limit's zone."""
    return _midnight_ms(limit, now_ms - _SKEW_MS, days=1) + _SKEW_MS


def turned_ms(limit: Limit, now_ms: int) -> int:
    """Return when the amount began anew last."""
    return _midnight_ms(limit, now_ms - _SKEW_MS, days=0) + _SKEW_MS


def _midnight_ms(limit: Limit, at_ms: int, days: int) -> int:
    zone = ZoneInfo(limit.resets)
    # Arithmetic on the date, not on the instant: days of 23 and 25 hours. Where the clock jumps over
    # midnight, this is the moment of the jump.
    day = datetime.fromtimestamp(at_ms / 1000, zone).date() + timedelta(days=days)
    first = datetime(day.year, day.month, day.day, tzinfo=zone)
    found = round(first.astimezone(UTC).timestamp() * 1000)
    if days and found <= at_ms:  # the clock has gone back over midnight: it comes once more
        found = round(first.replace(fold=1).astimezone(UTC).timestamp() * 1000)
    return found


def _slot_ms(limit: Limit) -> int:
    return max(1, int(limit.period_s * 1000 / _SLOTS))
