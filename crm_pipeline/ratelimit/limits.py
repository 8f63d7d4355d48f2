"""Limits and their times: windows, slots, midnights. Plain values only.

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
"""Nobody makes more calls in a day, and no vendor allows more, so a counter beyond that is ignored."""
# Part of the window: a connection that runs once a day is still a member at its next run.
_STILL_A_MEMBER = 25 / 24
_LONGEST_DAY_MS = 26 * 3_600_000  # a day on which the clock goes back, and some reserve
# Slots of a window: spent permits are summed by slot and count until its end, which is safe.
_SLOTS = 128
_NEARLY = 0.95
_SKEW_MS = 2_000  # the most by which the vendor's midnight differs from ours


@dataclass(frozen=True)
class Limit:
    """Our share of one limit that a vendor publishes.

    Attributes:
        name: of the limit, unique within its group, as `burst` or `daily`.
        calls: our share, in `unit`.
        period_s: length of the window; without meaning for `concurrency`, and for a limit that
            `resets`.
        kind: `rolling` waits, `daily` refuses once spent, `concurrency` bounds the calls under way.
        resets: "" for a rolling window; for `daily` also an IANA zone, as `Europe/Berlin`: the
            whole amount is available again at midnight there.
        unit: what is counted, in the plural: `calls`, `credits`, `tokens`.
    """

    name: str
    calls: int
    period_s: float
    kind: LimitKind = "rolling"
    resets: str = ""
    unit: str = "calls"


def rolling(name: str, calls: int, period_s: float, share: float) -> Limit:
    """Return our share of a limit on calls in a rolling window.

    Nine tenths of 5 calls a second are not a whole number, and 4 would leave a fifth unused. In such a case the
    window becomes longer instead: 5 calls in 1.11 seconds, which never exceed the limit within its own window.
    """
    wanted = calls * share
    ours = int(wanted)
    if ours < wanted * _NEARLY:
        ours = math.ceil(wanted)
        period_s *= ours / wanted
    return Limit(name, ours, period_s)


def is_countable(used: int, allowed: int) -> bool:
    """Say whether a vendor's counter can be true."""
    return 0 <= used <= MOST_COUNTED and 1 <= allowed <= MOST_COUNTED


def period_ms(limit: Limit) -> int:
    """Return the length of the window."""
    # Rounded up: a window that is a millisecond short exceeds the vendor's; 1.001 * 1000 is 1000.99.
    return math.ceil(round(limit.period_s * 1000, 6))


def member_ms(limit: Limit) -> int:
    """Return how long a connection stays a member after its last request, for limits that refuse."""
    return int(period_ms(limit) * _STILL_A_MEMBER)


def slot_end_ms(limit: Limit, at_ms: int) -> int:
    """Return the slot in which a call counts, by the time of its response.

    A slot is named by its end; where the amount resets at midnight, by the next midnight. A call close
    to a midnight counts in both days, because the vendor's clock may differ from ours.
    """
    if limit.resets:
        return next_reset_ms(limit, at_ms + 2 * _SKEW_MS)
    slot = _slot_length_ms(limit)
    return -(-at_ms // slot) * slot


def expires_ms(limit: Limit, slot_ms: int) -> int:
    """Return when calls of a slot no longer count."""
    return slot_ms if limit.resets else slot_ms + period_ms(limit)


def current_slot_ms(limit: Limit, slot_ms: int, now_ms: int) -> int | None:
    """Return a stored slot as it counts now, None where its calls no longer count.

    After a clock was set back, slots lie in the future. Kept, they would count for too long; dropped, calls
    would be forgotten. So their calls count as made now.
    """
    if not limit.resets:
        if slot_ms <= now_ms - period_ms(limit):
            return None
        return min(slot_ms, now_ms + _slot_length_ms(limit))
    if last_reset_ms(limit, slot_ms) == slot_ms and slot_ms <= now_ms + _LONGEST_DAY_MS:
        return slot_ms if slot_ms > now_ms else None
    # The limit had a rolling window, or another zone, when it was written.
    return next_reset_ms(limit, now_ms) if slot_ms > last_reset_ms(limit, now_ms) else None


def next_reset_ms(limit: Limit, now_ms: int) -> int:
    """Return when the amount resets next, a little after midnight in the limit's zone."""
    return _midnight_ms(limit, now_ms - _SKEW_MS, days=1) + _SKEW_MS


def last_reset_ms(limit: Limit, now_ms: int) -> int:
    """Return when the amount was reset last."""
    return _midnight_ms(limit, now_ms - _SKEW_MS, days=0) + _SKEW_MS


def _midnight_ms(limit: Limit, at_ms: int, days: int) -> int:
    zone = ZoneInfo(limit.resets)
    # Arithmetic on the date, because days may have 23 or 25 hours. Where the clock jumps over
    # midnight, this is the moment of the jump.
    day = datetime.fromtimestamp(at_ms / 1000, zone).date() + timedelta(days=days)
    first = datetime(day.year, day.month, day.day, tzinfo=zone)
    midnight_ms = round(first.astimezone(UTC).timestamp() * 1000)
    if days and midnight_ms <= at_ms:  # the clock was set back over midnight: it comes once more
        midnight_ms = round(first.replace(fold=1).astimezone(UTC).timestamp() * 1000)
    return midnight_ms


def _slot_length_ms(limit: Limit) -> int:
    return max(1, int(limit.period_s * 1000 / _SLOTS))
