from datetime import UTC, datetime

import pytest

from crm_pipeline.kernel.clock import Month, Window, parse_instant
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.orchestration.partitions import (
    is_snapshot,
    month_keys,
    monthly,
    months_between,
    range_tags,
    refreshed_months,
    window_between,
)
from crm_pipeline.settings import Settings

NOW = parse_instant("2026-11-23T10:00:00Z")


def test_the_running_month_is_a_partition(settings: Settings) -> None:
    """The last partition is the month that is not over yet."""
    keys = monthly(settings.connection("acme")).get_partition_keys(current_time=NOW)
    assert (keys[0], keys[-1], len(keys)) == ("2026-01-01", "2026-11-01", 11)


def test_the_first_partition_is_open_ended(settings: Settings) -> None:
    """A range that begins with the first month has no lower edge; others begin with their month."""
    acme = settings.connection("acme")
    march = datetime(2026, 3, 1, tzinfo=UTC)
    assert window_between(acme, "2026-01-01", "2026-02-01") == Window(None, march)
    assert window_between(acme, "2026-02-01", "2026-02-01").from_at == datetime(
        2026, 2, 1, tzinfo=UTC
    )


def test_range_tags_select_one_run() -> None:
    """A range of months is two run tags."""
    assert range_tags(Month(2026, 1), Month(2026, 3)) == {
        "dagster/asset_partition_range_start": "2026-01-01",
        "dagster/asset_partition_range_end": "2026-03-01",
    }


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (Month(2025, 12), None),
        (None, Month(2026, 12)),
        (Month(2026, 5), Month(2026, 4)),
    ],
)
def test_a_range_outside_the_months_is_refused(
    settings: Settings, first: Month | None, last: Month | None
) -> None:
    """A backfill names the months that there are."""
    with pytest.raises(ConfigError, match="from 2026-01 to 2026-11"):
        months_between(settings.connection("acme"), first, last, NOW)


@pytest.mark.parametrize(
    ("watermarks", "expected"),
    [
        (["2026-11-23T09:00:00Z"], "2026-11 2026-11"),
        (["2026-11-01T00:05:00Z"], "2026-10 2026-11"),
        (["2026-11-23T09:00:00Z", "2026-08-31T00:00:00Z"], "2026-08 2026-11"),
        (["2026-11-23T09:00:00Z", None], "2026-01 2026-11"),
        ([], "2026-01 2026-11"),
        (["2025-01-01T00:00:00Z"], "2026-01 2026-11"),
    ],
)
def test_a_refresh_touches_the_months_of_its_lookback(
    settings: Settings, watermarks: list[str | None], expected: str
) -> None:
    """From the oldest watermark less the lookback to now; from the beginning where one was never read."""
    marks = [parse_instant(mark) if mark else None for mark in watermarks]
    first, last = refreshed_months(settings.connection("acme"), marks, NOW)
    assert f"{first} {last}" == expected


def test_older_records_count_for_the_first_partition() -> None:
    """Months before the range's first, and records without a modification time, are counted in the first."""
    months = {"2017-05": 2, "2026-01": 3, "2026-02": 5, "unstamped": 1}
    start = "2026-01-01"
    assert month_keys(months, start, start, "2026-11-01") == {start: 6, "2026-02-01": 5}
    assert month_keys(months, start, "2026-02-01", "2026-11-01") == {"2026-02-01": 5}


def test_the_user_may_make_a_snapshot(settings: Settings) -> None:
    """The vendor says which objects have no modification time; connections.yaml overrides it."""
    acme = settings.connection("acme")
    assert [is_snapshot(acme, obj) for obj in acme.objects] == [False, False, True, False]
