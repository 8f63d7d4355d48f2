"""Monthly partitions of a connection, the window that a range of them means, and run tags for it.

A partition is a month of the records' modification times (UTC). The first one is open-ended: it also holds older
records and those without a modification time.
"""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

import dagster as dg

from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.whole_reads import is_read_whole
from crm_pipeline.kernel.clock import Month, Window
from crm_pipeline.kernel.errors import ConfigError, CorruptFile
from crm_pipeline.settings import Connection, ObjectSettings
from crm_pipeline.store.landing import Landing

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"


def is_snapshot(connection: Connection, obj: ObjectSettings) -> bool:
    """Return whether an object is read whole, see `connectors.whole_reads`."""
    return is_read_whole(obj, connector(connection.vendor).snapshot_objects)


def monthly(connection: Connection) -> dg.MonthlyPartitionsDefinition:
    """Return the partitions of a connection, from its first month up to the running one."""
    return dg.MonthlyPartitionsDefinition(start_date=partition_key(connection.start), end_offset=1)


def partition_key(month: Month) -> str:
    """Return Dagster's name of a month's partition."""
    return f"{month}-01"


def window_between(connection: Connection, first_key: str, last_key: str) -> Window:
    """Return the window of a range of partitions; that of the first partition has no lower edge."""
    first, last = Month.parse(first_key), Month.parse(last_key)
    from_at = None if first <= connection.start else first.start_at
    return Window(from_at, last.end_at)


def range_tags(first: Month, last: Month) -> dict[str, str]:
    """Return the run tags that select a range of partitions in one run."""
    return {RANGE_START_TAG: partition_key(first), RANGE_END_TAG: partition_key(last)}


def months_between(
    connection: Connection, first: Month | None, last: Month | None, now: datetime
) -> tuple[Month, Month]:
    """Return the months of a backfill, by default all that there are.

    Raises:
        ConfigError: the range is empty or lies outside the connection's partitions.
    """
    current = Month.of(now)
    chosen = (first or connection.start, last or current)
    if not connection.start <= chosen[0] <= chosen[1] <= current:
        raise ConfigError(
            f"{chosen[0]} to {chosen[1]} is no range of months of connection '{connection.name}'.",
            cure=f"Choose months from {connection.start} to {current}, the earlier one first.",
        )
    return chosen


def refreshed_months(
    connection: Connection, watermarks: Iterable[datetime | None], now: datetime
) -> tuple[Month, Month]:
    """Return the months that a refresh touches: from the oldest watermark, less the lookback, to now.

    An object that was never read is read from the beginning.
    """
    current = Month.of(now)
    marks = list(watermarks)
    oldest = min((mark for mark in marks if mark is not None), default=None)
    if oldest is None or None in marks:
        return min(connection.start, current), current
    month = Month.of(oldest - timedelta(seconds=connection.lookback_s))
    return min(max(month, connection.start), current), current


def touched_months(
    connection: Connection,
    landing: Landing,
    now: datetime,
    objects: Collection[str] | None = None,
) -> tuple[Month, Month]:
    """Return the months that a refresh of a connection would touch now, or of some of its objects."""
    marks = []
    for obj in connection.objects:
        if is_snapshot(connection, obj) or (objects is not None and obj.name not in objects):
            continue
        # A damaged commit stops its object's own step, which says so.
        with suppress(CorruptFile):
            marks.append(landing.watermark(connection.name, obj.name))
    return refreshed_months(connection, marks, now)


def month_keys(
    months: Mapping[str, int], start_key: str, first_key: str, last_key: str
) -> dict[str, int]:
    """Return counts per month as counts per partition, of those from the first to the last one.

    A refresh may read more months than were selected; only the partition at the start has the months before it.
    """
    keys: dict[str, int] = {}
    for text, records in months.items():
        key = _key_of(text, start_key)
        if first_key <= key <= last_key:
            keys[key] = keys.get(key, 0) + records
    return keys


def _key_of(text: str, start_key: str) -> str:
    try:
        return max(partition_key(Month.parse(text)), start_key)
    except ValueError:
        # Records without a modification time are counted under a name that is no month.
        return start_key
