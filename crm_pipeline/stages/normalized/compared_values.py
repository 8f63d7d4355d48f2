"""Values of fields as they are compared: what counts as no value, as a number, as a day and as an instant."""

import json
import math
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

Value = object
_BOUNDS = (datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))
"""A day within what Python can hold, so that they exist in each time zone."""
_ONE_YEAR = timedelta(days=366)


def within_python(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column whose days and instants Python can hold: those outside the years 1 to 9999 become the nearest."""
    kind = column.type
    is_day = pa.types.is_date32(kind)
    if not is_day and not (pa.types.is_timestamp(kind) and kind.unit == "us"):
        return column
    whole = pa.int32() if is_day else pa.int64()
    first, last = (pa.scalar(at.date() if is_day else at, kind).cast(whole) for at in _BOUNDS)
    # Arrow compares whole numbers elementwise, and instants of a zone not.
    later = pc.max_element_wise(column.cast(whole), first, skip_nulls=False)
    return pc.min_element_wise(later, last, skip_nulls=False).cast(kind)


def plain(value: Value) -> Value:
    """Return a value that can be compared; an empty text is no value, a list or object is its text."""
    if value in ("", []) or value is None:
        return None
    return (
        json.dumps(value, default=str, sort_keys=True) if isinstance(value, list | dict) else value
    )


def is_news(before: set[Value], now: Value) -> bool:
    """Say whether a day or instant is the latest of its field, such as that of the last activity: today in all."""
    at, earlier = instant(now), [instant(value) for value in before]
    known = [each for each in earlier if each is not None]
    if at is None or len(known) < len(earlier):
        return False
    latest = max(known)
    return timedelta(0) <= at - latest <= _ONE_YEAR


def number(value: Value) -> float | None:
    """Return a value as a number; None for anything else, for what is not finite, and for 0, which has no ratio."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if found and math.isfinite(found) else None


def day(value: Value) -> date | None:
    """Return the day of a day or an instant; None for anything else."""
    at = instant(value)
    return at.date() if at else None


def instant(value: Value) -> datetime | None:
    """Return a day, an instant or its text as an instant in UTC or its own zone; None for anything else."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return (
        datetime(value.year, value.month, value.day, tzinfo=UTC)
        if isinstance(value, date)
        else None
    )
