"""The counters of a vendor that are plausible."""

import pytest

from crm_pipeline.connectors.implausible import ImplausibleValues
from crm_pipeline.connectors.metering import (
    Reading,
    ReportedCounter,
    believed,
    last_reported_limits,
    read,
)
from crm_pipeline.kernel.clock import SystemClock
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.store.postgres.database import Database


@pytest.mark.parametrize(
    ("reported", "used", "ceiling"),
    [
        (ReportedCounter("day", "H", "15000", used="7"), 7, 15_000),
        (ReportedCounter("day", "H", "15000", used="0"), 0, 15_000),
        (ReportedCounter("day", "H", "15000", left="14990"), 10, 15_000),
        (ReportedCounter("day", "H", "15000", left="0"), 15_000, 15_000),
        # Salesforce lets some calls pass above the ceiling, and a top-up may leave more than it.
        (ReportedCounter("day", "H", "15000", used="15900", usual=15_000), 15_900, 15_000),
        (ReportedCounter("day", "H", "15000", left="16000"), 0, 15_000),
        (ReportedCounter("day", "H", "5000000", used="3", usual=15_000), 3, 5_000_000),
    ],
)
def test_what_is_believed(reported: ReportedCounter, used: int, ceiling: int) -> None:
    """Counters of small and of huge accounts are, told as what was used or as what is left."""
    assert read(reported) == Reading("day", used, ceiling)


@pytest.mark.parametrize(
    "reported",
    [
        ReportedCounter("day", "H", "9" * 300, used="5"),
        ReportedCounter("day", "H", "15000", used="9" * 300),
        ReportedCounter("day", "H", "15000", left="-5"),
        ReportedCounter("day", "H", "0", used="0"),
        ReportedCounter("day", "H", "-1", used="0"),
        ReportedCounter("day", "H", "", used="0"),
        ReportedCounter("day", "H", "15000"),
        ReportedCounter("day", "H", "2000000000", used="5"),
        ReportedCounter("day", "H", "15000", used="200000"),
        ReportedCounter("day", "H", "1", used="0", usual=15_000),
        ReportedCounter("day", "H", "900000", left="9", usual=5),
    ],
)
def test_what_is_not_believed(reported: ReportedCounter) -> None:
    """No numbers, endless ones, no ceiling, ten times more than it, and ceilings unlike any account's are not."""
    why = read(reported)
    assert isinstance(why, str)
    assert "9" * 50 not in why


def test_a_warning_is_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A header is warned of once, however many answers and accounts have it; each account remembers it."""
    reported_counters = [
        ReportedCounter("day", "X-Left", "0", left="5"),
        ReportedCounter("day", "X-Left", "x", left="5"),
    ] * 3
    for implausible in (ImplausibleValues("once"), ImplausibleValues("once")):
        assert list(believed(reported_counters, implausible)) == []
        assert list(implausible.reasons) == ["X-Left"]
    assert capsys.readouterr().out.count("X-Left") == 1


def test_limits_that_another_process_saw(database: Database) -> None:
    """A limit that was reported to another process is used, unless it is implausible."""
    with RateLimiter(database, SystemClock()) as limiter:
        limiter.observe("acme", "day", 5, 625_000)
        limiter.observe("acme", "burst", 5, 900_000)
        limiter.flush()
        found = last_reported_limits(limiter, "acme", {"day": 250_000, "burst": 5, "other": 1})
    assert found == {"day": 625_000}
