"""Times of change as an API writes them: read from records, and written into the requests of windows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from crm_pipeline.connectors.rest.source import Incremental

Value = str | int | float | bool | None
_NO_TIME = "no time"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_S = {"epoch_s": 1, "epoch_ms": 1000}


def reader(incremental: Incremental | None) -> Callable[[Value], str | None]:
    """Return a function from the value of a record to an instant in ISO 8601; another text where it cannot be read."""
    if incremental is None:
        return lambda _: None
    zone = ZoneInfo(incremental.time_zone or "UTC")
    form = incremental.format
    if form in _PER_S:
        return lambda value: _counted(value, _PER_S[form])
    if form == "iso8601":
        return lambda value: _iso(value, zone)
    return lambda value: _patterned(value, form, zone)


def written(at: datetime, incremental: Incremental) -> str:
    """Return an instant as the parameter of a window, rounded down to what the form can say."""
    local = at.astimezone(ZoneInfo(incremental.time_zone or "UTC"))
    if incremental.format in _PER_S:
        return str(int((at - _EPOCH).total_seconds() * _PER_S[incremental.format]))
    if incremental.format != "iso8601":
        return local.strftime(incremental.format)
    if incremental.time_zone:
        return local.strftime("%Y-%m-%dT%H:%M:%S")
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def start_of(at: datetime, incremental: Incremental) -> datetime:
    """Return the start to ask for: where the API leaves out the start itself, a second earlier."""
    return at - timedelta(seconds=1) if incremental.op == "gt" else at


def _counted(value: Value, per_s: int) -> str | None:
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool):
            return _NO_TIME
        return (
            _EPOCH + timedelta(microseconds=round(float(value) * 1_000_000 / per_s))
        ).isoformat()
    except (ValueError, OverflowError):
        return _NO_TIME


def _iso(value: Value, zone: ZoneInfo) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        return _NO_TIME
    if value.endswith("Z"):
        return value
    try:
        return _text(datetime.fromisoformat(value), zone)
    except (ValueError, OverflowError):
        return _NO_TIME


def _text(at: datetime, zone: ZoneInfo) -> str:
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC).isoformat()


def _patterned(value: Value, form: str, zone: ZoneInfo) -> str | None:
    if value is None or value == "":
        return None
    try:
        at = datetime.strptime(str(value), form)  # noqa: DTZ007 - the zone follows
        return _text(at, zone)
    except (ValueError, OverflowError):
        return _NO_TIME
