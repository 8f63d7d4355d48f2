"""A cheap question before a refresh: has anything changed since the watermark?

One call an object. It compares the vendor's number of records changed in the look-back span, and
their newest stamp, with what landed; it never moves a watermark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_pipeline.connectors.base import Account
from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.store.landing import Landing


@dataclass(frozen=True)
class News:
    """Something that the vendor has and landing has not.

    Attributes:
        since: where a refresh would start to read.
        changed: records that the vendor counts from there; `landed` those that are here.
    """

    object: str
    since: datetime
    changed: int
    landed: int
    newest: datetime | None

    def __str__(self) -> str:
        newest = format_instant(self.newest) if self.newest else "unknown"
        return (
            f"{self.object}: {self.changed} changed since {format_instant(self.since)}, "
            f"{self.landed} of them landed, newest {newest}"
        )


@dataclass(frozen=True)
class Probe:
    """What a probe saw.

    Attributes:
        asked: objects that were asked about.
        unread: objects without a watermark: a backfill has to come first.
    """

    news: tuple[News, ...]
    asked: tuple[str, ...]
    unread: tuple[str, ...]


def probe(account: Account, objects: Sequence[ObjectSettings], landing: Landing) -> Probe:
    """Ask the vendor about each object that has a watermark; snapshots are not asked about.

    Raises:
        VendorError: the vendor refuses; a failed probe is not "nothing new".
    """
    name = account.connection.name
    news: list[News] = []
    asked: list[str] = []
    unread: list[str] = []
    for obj in objects:
        watermark = landing.watermark(name, obj.name)
        windows = landing.windows(name, obj.name)
        if watermark is None:
            unread.append(obj.name)
            continue
        if windows[-1].complete:
            continue
        asked.append(obj.name)
        found = _news(account, obj.name, watermark, landing)
        if found is not None:
            news.append(found)
    return Probe(tuple(news), tuple(asked), tuple(unread))


def _news(account: Account, obj: str, watermark: datetime, landing: Landing) -> News | None:
    name = account.connection.name
    schema = landing.latest_schema(name, obj)
    assert schema is not None
    since = watermark - timedelta(seconds=account.connection.lookback_s)
    changed, newest = account.newest(schema, since)
    landed, newest_landed = landing.newest(name, obj, since)
    is_newer = newest is not None and (newest_landed is None or newest > newest_landed)
    # Fewer than landed is no news: records leave the span when they are hard-deleted or edited.
    if changed > landed or is_newer:
        return News(obj, since, changed, landed, newest)
    return None
