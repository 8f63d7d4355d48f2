"""Read dates in headers (RFC 9110, 5.6.7), and the wait that `Retry-After` asks for.

A vendor or a proxy writes these headers, so they may hold anything. No header may stop a read.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from crm_pipeline.wire.figures import decimal

_LONGEST = 64  # a date takes 29 characters


def instant(text: str | None) -> datetime | None:
    """Return the instant that a header holds, in UTC; None where it holds none."""
    if not text or len(text) > _LONGEST:
        return None
    try:
        parsed = parsedate_to_datetime(text)
        # A zone of `-0000` means UTC at an unknown place; Python leaves the zone out.
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def wait_s(retry_after: str, date: str | None, now: datetime) -> float | None:
    """Return the seconds that `Retry-After` asks for; None where the header is unreadable.

    The wait until a date is counted both from the response's own `Date` and from our clock. One of the two may
    be wrong, so the shorter wait that is not negative counts.

    Args:
        retry_after: the header: seconds or a date.
        date: the header `Date` of the same response.
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
