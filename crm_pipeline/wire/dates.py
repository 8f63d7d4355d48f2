"""Moments in headers (RFC 9110, 5.6.7): reading them, and how long a wait they mean.

What stands there is a vendor's word, or a proxy's: anything may be in it, and nothing of it may stop a
read.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from crm_pipeline.wire.figures import decimal

_LONGEST = 64  # a date takes 29 characters


def instant(text: str | None) -> datetime | None:
    """Return the moment that a header names, in UTC; None where it names none."""
    if not text or len(text) > _LONGEST:
        return None
    try:
        read = parsedate_to_datetime(text)
        # A zone of `-0000` says that the moment is UTC and the place unknown; Python leaves the zone out.
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def wait_s(retry_after: str, date: str | None, now: datetime) -> float | None:
    """Return the seconds that `Retry-After` asks for; None where it asks for none.

    A moment is counted from the answer's own `Date` and from our clock. One of the two may be wrong, so
    the shorter wait counts that does not lie in the past.

    Args:
        retry_after: the header, seconds or a moment.
        date: the header `Date` of the same answer.
        now: our clock.
    """
    seconds = decimal(retry_after)
    if seconds is not None:
        return seconds
    until = instant(retry_after.strip())
    if until is None:
        return None
    waits = [(until - at).total_seconds() for at in (instant(date), now) if at is not None]
    return min((wait for wait in waits if wait >= 0), default=0.0)
