"""A cron expression of five fields: its check, and its due times.

Dagster's scheduler runs it; this module only computes times from it.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 7),
)
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days of each month
_TERM = re.compile(r"(\*|\d{1,2}(?:-\d{1,2})?)(?:/(\d{1,2}))?\Z", re.ASCII)
_DAY = timedelta(days=1)
_DAY_S = 86_400.0
# An expression that is due on 29 February only is due within so many days.
_SEARCHED_DAYS = 8 * 366
_YEARS_DAYS = 4 * 365 + 1


def cron_problem(expression: str) -> str | None:
    """Return the fault of a cron expression, or None."""
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        return f"has {len(fields)} fields where cron wants 5 (minute hour day month weekday)"
    for text, (name, low, high) in zip(fields, _FIELDS, strict=True):
        for term in text.split(","):
            match = _TERM.match(term)
            if match is None:
                return f"has the {name} '{text}', which is no number, range, list or step"
            numbers = [int(number) for number in re.findall(r"\d+", match[1])]
            if numbers != sorted(numbers) or any(not low <= n <= high for n in numbers):
                return f"has the {name} '{text}', which is not within {low}-{high}"
            if match[2] is not None and int(match[2]) == 0:
                return f"has the {name} '{text}', whose step is 0"
    day, month = fields[2], fields[3]
    # The scheduler refuses some of these even where a weekday is given as well.
    if min(_values(day, 1, 31)) > max(_LONGEST[n - 1] for n in _values(month, 1, 12)):
        return f"has the day of the month '{day}', which never comes in the month '{month}'"
    return None


@dataclass(frozen=True)
class Cadence:
    """When a cron expression is due, in UTC.

    Attributes:
        minutes: of the day, in order.
        is_either: days of the month and of the week are both given, and one of them is enough.
    """

    minutes: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    is_either: bool

    @classmethod
    def parse(cls, expression: str) -> "Cadence":
        """Read an expression in which `cron_problem` finds nothing."""
        texts = expression.split()
        minute, hour, day, month, weekday = (
            _values(text, low, high) for text, (_, low, high) in zip(texts, _FIELDS, strict=True)
        )
        return cls(
            tuple(60 * h + m for h in sorted(hour) for m in sorted(minute)),
            frozenset(day),
            frozenset(month),
            # Sunday is both 0 and 7.
            weekdays := frozenset(number % 7 for number in weekday),
            # As the scheduler reads it: all days are no choice of days.
            is_either=len(day) < 31 and len(weekdays) < 7,
        )

    @property
    def a_day(self) -> float:
        """How often it is due on a day, on average."""
        first = datetime(2024, 1, 1)  # noqa: DTZ001 - only its day is asked for
        days = sum(self._is_on(first + timedelta(days=n)) for n in range(_YEARS_DAYS))
        return len(self.minutes) * days / _YEARS_DAYS

    @property
    def longest(self) -> timedelta:
        """The longest time from one to the next, at most a day."""
        is_daily = len(self.months) == 12 and (len(self.days) == 31 and len(self.weekdays) == 7)
        if not is_daily:
            return _DAY
        ends = [*self.minutes[1:], self.minutes[0] + 24 * 60]
        gaps = (end - begin for begin, end in zip(self.minutes, ends, strict=True))
        return min(timedelta(minutes=max(gaps)), _DAY)

    @property
    def every_s(self) -> float:
        """The mean time from one to the next."""
        return _DAY_S / self.a_day

    def before(self, at: datetime, number: int = 1) -> datetime | None:
        """Return the last due time up to `at`, or the `number`-th last; None if there is none."""
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        left = number
        for back in range(_SEARCHED_DAYS):
            day = midnight - timedelta(days=back)
            if not self._is_on(day):
                continue
            for minute in reversed(self.minutes):
                due_at = day + timedelta(minutes=minute)
                left -= due_at <= at
                if not left:
                    return due_at
        return None

    def _is_on(self, day: datetime) -> bool:
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return in_month or in_week if self.is_either else in_month and in_week


def _values(text: str, low: int, high: int) -> set[int]:
    values: set[int] = set()
    for term in text.split(","):
        numbers, _, step = term.partition("/")
        first, _, last = numbers.partition("-")
        if first == "*":
            first, last = str(low), str(high)
        elif not last:
            last = str(high) if step else first
        values.update(range(int(first), int(last) + 1, int(step or 1)))
    return values
