"""Limits and their times: windows, slots, midnights, days of renewal. Plain values only.

Time is in milliseconds of the database's clock.
"""

import math
from calendar import monthrange
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

LimitKind = Literal["rolling", "daily", "monthly", "concurrency"]
DAY_MS = 86_400_000
MOST_COUNTED = 1_000_000_000
"""Nobody makes more calls in a day, and no vendor allows more, so a counter beyond that is ignored."""
# Part of the window: a connection that runs once a day is still a member at its next run.
_STILL_A_MEMBER = 25 / 24
_LONGEST_DAY_MS = 26 * 3_600_000  # a day on which the clock goes back, and some reserve
LONGEST_MONTH_S = 31 * 86_400.0
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
        kind: `rolling` waits, `daily` and `monthly` refuse once spent, `concurrency` bounds the calls under way.
        resets: "" for a rolling window; for `daily` also an IANA zone, as `Europe/Berlin`: the
            whole amount is available again at midnight there. `monthly` needs a zone.
        unit: what is counted, in the plural: `calls`, `credits`, `tokens`.
        renews_on: the day of the month on which a `monthly` amount is available again, at midnight of `resets`;
            in a shorter month its last day.
        raised_by: what a person changes to raise it, for error texts.
    """

    name: str
    calls: int
    period_s: float
    kind: LimitKind = "rolling"
    resets: str = ""
    unit: str = "calls"
    renews_on: int = 1
    raised_by: str = field(default="the connection's `share` in connections.yaml", compare=False)

    @property
    def refuses(self) -> bool:
        """Whether a call is refused once the amount is spent, instead of waiting."""
        return self.kind in {"daily", "monthly"}


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


def monthly(name: str, calls: int, *, renews_on: int, zone: str = "UTC", unit: str) -> Limit:
    """Return a limit on an amount that is whole again on one day of each month."""
    return Limit(name, calls, LONGEST_MONTH_S, "monthly", zone, unit, renews_on)


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
    longest_ms = _LONGEST_DAY_MS
    if limit.kind == "monthly":
        longest_ms += int(LONGEST_MONTH_S * 1000)
    if last_reset_ms(limit, slot_ms) == slot_ms and slot_ms <= now_ms + longest_ms:
        return slot_ms if slot_ms > now_ms else None
    # The limit had a rolling window, another zone or another day of renewal when it was written.
    return next_reset_ms(limit, now_ms) if slot_ms > last_reset_ms(limit, now_ms) else None


def next_reset_ms(limit: Limit, now_ms: int) -> int:
    """Return when the amount resets next, a little after midnight in the limit's zone."""
    if limit.kind == "monthly":
        return min(ms for ms in _renewals_ms(limit, now_ms) if ms > now_ms)
    return _midnight_ms(limit, now_ms - _SKEW_MS, days=1) + _SKEW_MS


def last_reset_ms(limit: Limit, now_ms: int) -> int:
    """Return when the amount was reset last."""
    if limit.kind == "monthly":
        return max(ms for ms in _renewals_ms(limit, now_ms) if ms <= now_ms)
    return _midnight_ms(limit, now_ms - _SKEW_MS, days=0) + _SKEW_MS


def _renewals_ms(limit: Limit, at_ms: int) -> list[int]:
    """Return when a monthly amount resets in the months around a moment, a little after midnight."""
    zone = ZoneInfo(limit.resets)
    today = datetime.fromtimestamp(at_ms / 1000, zone).date()
    months = [divmod(today.year * 12 + today.month - 1 + shift, 12) for shift in (-2, -1, 0, 1, 2)]
    days = [
        date(year, month + 1, min(limit.renews_on, monthrange(year, month + 1)[1]))
        for year, month in months
    ]
    return [_start_ms(zone, day) + _SKEW_MS for day in days]


def _start_ms(zone: ZoneInfo, day: date, fold: int = 0) -> int:
    start = datetime(day.year, day.month, day.day, tzinfo=zone, fold=fold)
    return round(start.astimezone(UTC).timestamp() * 1000)


def _midnight_ms(limit: Limit, at_ms: int, days: int) -> int:
    zone = ZoneInfo(limit.resets)
    # Arithmetic on the date, because days may have 23 or 25 hours. Where the clock jumps over
    # midnight, this is the moment of the jump.
    day = datetime.fromtimestamp(at_ms / 1000, zone).date() + timedelta(days=days)
    midnight_ms = _start_ms(zone, day)
    if days and midnight_ms <= at_ms:  # the clock was set back over midnight: it comes once more
        midnight_ms = _start_ms(zone, day, fold=1)
    return midnight_ms


def _slot_length_ms(limit: Limit) -> int:
    return max(1, int(limit.period_s * 1000 / _SLOTS))
