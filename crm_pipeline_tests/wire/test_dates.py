"""Dates in headers, in all forms that a vendor or a proxy may write."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.wire import dates

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def written(at: datetime) -> str:
    return format_datetime(at, usegmt=True)


@pytest.mark.parametrize(
    "text",
    [
        "Mon, 23 Nov 2026 10:00:00 GMT",
        "Mon, 23 Nov 2026 10:00:00 +0000",
        "Mon, 23 Nov 2026 10:00:00 -0000",
        "Mon, 23 Nov 2026 15:30:00 +0530",
        "Monday, 23-Nov-26 10:00:00 GMT",
    ],
)
def test_a_date(text: str) -> None:
    """Dates in every zone are read as the right instant; `-0000` is UTC and not this machine's zone."""
    assert dates.instant(text) == NOW


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "yesterday",
        "0",
        "Mon, 41 Nov 2026 10:00:00 GMT",
        "Mon, 23 Nov 2026 99:99:99 GMT",
        "Mon, 23 Nov 99999 10:00:00 GMT",
        "Mon, 23 Nov 99999999999999999999 10:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 -1200",
        "Mon, 23 Nov 2026 10:00:00 +9999999",
        "Mon, 23 Nov 2026 10:00:00 GMT" + " " * 99,
    ],
)
def test_no_date(text: str | None) -> None:
    """A text that is not a date is None and raises nothing."""
    assert dates.instant(text) is None


@given(st.text(max_size=40) | st.text("Mon, 23ov2609:GT+-", max_size=40))
def test_any_text(text: str) -> None:
    """Any text is an instant in UTC or None."""
    told = dates.instant(text)
    assert told is None or told.tzinfo is UTC


@pytest.mark.parametrize("vendor", [-3 * HOUR, -HOUR, timedelta(0), HOUR])
@pytest.mark.parametrize("own", [-72 * HOUR, timedelta(0), 72 * HOUR])
def test_a_wait_until_a_moment(vendor: timedelta, own: timedelta) -> None:
    """A minute's wait stays one minute where the vendor's clock or ours is wrong."""
    if vendor and own:
        return
    until = written(NOW + timedelta(seconds=60))
    assert dates.wait_s(until, written(NOW + vendor), NOW + own) == 60.0


@pytest.mark.parametrize(
    ("retry_after", "date", "wait"),
    [
        (written(NOW + HOUR), None, 3600.0),
        (written(NOW + HOUR), "no date", 3600.0),
        (written(NOW - HOUR), written(NOW), 0.0),
        ("7", None, 7.0),
        ("9" * 300, None, None),
        ("²", None, None),
        (" 1.5 ", None, 1.5),
        ("1e9", None, None),
        (".5", None, None),
        ("soon", written(NOW), None),
    ],
)
def test_other_waits(retry_after: str, date: str | None, wait: float | None) -> None:
    """Without a `Date` our clock counts; a past date is no wait; nonsense is None."""
    assert dates.wait_s(retry_after, date, NOW) == wait
