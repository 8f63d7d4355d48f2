"""Moments as HubSpot writes them: milliseconds since 1970 inside, ISO text with milliseconds outside."""

import re
from datetime import UTC, datetime

_DAY_MS = 86_400_000
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_EPOCH = re.compile(r"-?\d{9,14}")
ISO_FORMAT = "%Y-%m-%dT%H:%M:%S.%gZ"


def ms_of(moment: datetime) -> int:
    """Return a moment in milliseconds; one without a zone is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def iso_of(ms: int) -> str:
    """Return milliseconds as `2026-01-31T10:20:30.456Z`."""
    seconds, rest = divmod(ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def iso_sql(column: str) -> str:
    """Return SQL that writes a column of milliseconds as ISO text."""
    return f"strftime(epoch_ms({column}), '{ISO_FORMAT}')"


def moment_of(text: str) -> int | None:
    """Read a moment in any form that the vendor takes: epoch milliseconds, a date, ISO text."""
    if _EPOCH.fullmatch(text) or text == "0":
        return int(text)
    try:
        return ms_of(datetime.fromisoformat(text))
    except ValueError:
        return None


def is_midnight(ms: int) -> bool:
    """Say whether a moment is the begin of a day in UTC."""
    return ms % _DAY_MS == 0


def is_date(text: str) -> bool:
    """Say whether a text is a date as the vendor writes it."""
    return _DATE.fullmatch(text) is not None and moment_of(text) is not None
