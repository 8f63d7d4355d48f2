"""Date literals of SOQL (`TODAY`, `LAST_N_DAYS:7`, ...) as half-open ranges of days in UTC."""

from datetime import date, timedelta

from crm_sandbox.http import is_number
from crm_sandbox.salesforce.errors import malformed

_DAY = timedelta(days=1)


def _month(start: date, months: int) -> date:
    index = start.year * 12 + start.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


def _fixed(name: str, today: date) -> tuple[date, date] | None:
    month, year = today.replace(day=1), today.replace(month=1, day=1)
    week = today - timedelta(days=(today.weekday() + 1) % 7)
    quarter = month.replace(month=(month.month - 1) // 3 * 3 + 1)
    ranges = {
        "TODAY": (today, today + _DAY),
        "YESTERDAY": (today - _DAY, today),
        "TOMORROW": (today + _DAY, today + 2 * _DAY),
        "THIS_WEEK": (week, week + 7 * _DAY),
        "LAST_WEEK": (week - 7 * _DAY, week),
        "THIS_MONTH": (month, _month(month, 1)),
        "LAST_MONTH": (_month(month, -1), month),
        "NEXT_MONTH": (_month(month, 1), _month(month, 2)),
        "THIS_QUARTER": (quarter, _month(quarter, 3)),
        "LAST_QUARTER": (_month(quarter, -3), quarter),
        "THIS_YEAR": (year, _month(year, 12)),
        "LAST_YEAR": (_month(year, -12), year),
        "LAST_90_DAYS": (today - 90 * _DAY, today + _DAY),
    }
    return ranges.get(name)


def period_of(literal: str, today: date) -> tuple[date, date]:
    """Return the first day of a date literal and the day after its last.

    Raises:
        ApiError: the literal is unknown.
    """
    name, _, count = literal.upper().partition(":")
    found = _fixed(name, today) if not count else None
    if found is None and is_number(count):
        try:
            found = _counted(name, int(count), today)
        except (OverflowError, ValueError) as problem:
            # Before the first year that there is, or behind the last one.
            raise malformed(f"unexpected token: '{literal}'") from problem
    if found is None:
        raise malformed(f"unexpected token: '{literal}'")
    return found


def _counted(name: str, count: int, today: date) -> tuple[date, date] | None:
    if name == "LAST_N_DAYS":
        return today - count * _DAY, today + _DAY
    if name == "NEXT_N_DAYS":
        return today + _DAY, today + (count + 1) * _DAY
    if name == "N_DAYS_AGO":
        return today - count * _DAY, today - (count - 1) * _DAY
    if name == "LAST_N_MONTHS":
        month = today.replace(day=1)
        return _month(month, -count), month
    return None
