"""A cheap question before a refresh: has anything changed since the watermark?

One call an object. It compares the vendor's number of records changed in the look-back span, and
their newest stamp, with what landed; it never moves a watermark. Each object is judged by itself: one that
cannot be asked about says nothing about the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from crm_pipeline.connectors.base import Account
from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.kernel.errors import (
    AuthFailed,
    BudgetExhausted,
    ConfigError,
    CrmError,
    DatabaseUnavailable,
    Retriable,
    SessionExpired,
    VendorError,
)
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.looks import Looks, error_text

# Whatever object is asked about, these would be the answer.
_OF_THE_ACCOUNT = (
    AuthFailed,
    BudgetExhausted,
    ConfigError,
    DatabaseUnavailable,
    SessionExpired,
)


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
class Failed:
    """An object that could not be asked about, and why."""

    object: str
    error: str


@dataclass(frozen=True)
class Probe:
    """What a probe saw.

    Attributes:
        asked: objects that were asked about, and answered.
        unread: objects without a watermark: a backfill has to come first.
        failed: objects that could not be asked about.
    """

    news: tuple[News, ...]
    asked: tuple[str, ...]
    unread: tuple[str, ...]
    failed: tuple[Failed, ...] = ()


@dataclass
class _Round:
    news: dict[str, News] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    failed: dict[str, Exception] = field(default_factory=dict)

    @property
    def answered(self) -> dict[str, bool]:
        """The objects that were asked about, and whether nothing of them had changed."""
        return {obj: obj not in self.news for obj in self.asked}


def probe(
    account: Account,
    objects: Sequence[ObjectSettings],
    landing: Landing,
    looks: Looks | None = None,
) -> Probe:
    """Ask the vendor about each object that has a watermark; snapshots are not asked about.

    Args:
        account: the opened account.
        objects: to ask about.
        landing: what is here.
        looks: where it is noted what came of it, if anywhere.

    Raises:
        CrmError: the account cannot be had at all: the login is refused, the network is gone, the budget is
            spent. A failed probe is not "nothing new".
    """
    name, seen = account.connection.name, _Round()
    try:
        for wanted in objects:
            _ask(account, wanted.name, landing, seen)
    except CrmError as error:
        if looks is not None:
            # What was asked before has been answered all the same.
            left = {wanted.name: error for wanted in objects if wanted.name not in seen.asked}
            looks.probed(name, seen.answered, {**left, **seen.failed})
        raise
    if looks is not None:
        looks.probed(name, seen.answered, seen.failed)
    return Probe(
        tuple(seen.news.values()),
        tuple(seen.asked),
        tuple(seen.unread),
        tuple(Failed(obj, error_text(error)) for obj, error in seen.failed.items()),
    )


def _ask(account: Account, obj: str, landing: Landing, seen: _Round) -> None:
    """Ask about one object; only what concerns the whole account is raised."""
    name = account.connection.name
    try:
        watermark = landing.watermark(name, obj)
        if watermark is None:
            seen.unread.append(obj)
            return
        if landing.windows(name, obj)[-1].complete:
            return
        news = _news(account, obj, watermark, landing)
    except _OF_THE_ACCOUNT:
        raise
    except Exception as error:  # noqa: BLE001 - whatever one object answers, the others are asked
        if isinstance(error, Retriable) and not seen.asked and not seen.failed:
            _greet(account, error)
        seen.failed[obj] = error
        return
    seen.asked.append(obj)
    if news is not None:
        seen.news[obj] = news


def _greet(account: Account, error: Retriable) -> None:
    """Find out whether it is the object or the vendor that does not answer.

    Raises:
        Retriable: the vendor.
    """
    try:
        account.identity()
    except (*_OF_THE_ACCOUNT, Retriable):
        raise error from None
    except VendorError:
        return  # it answers, whatever it says


def _news(account: Account, obj: str, watermark: datetime, landing: Landing) -> News | None:
    name = account.connection.name
    schema = landing.latest_schema(name, obj)
    assert schema is not None
    since = watermark - timedelta(seconds=account.connection.lookback_s)
    changed, newest = account.probe_changes(schema, since)
    landed, newest_landed = landing.landed_since(name, obj, since)
    is_newer = newest is not None and (newest_landed is None or newest > newest_landed)
    # Fewer than landed is no news: records leave the span when they are hard-deleted or edited.
    if changed > landed or is_newer:
        return News(obj, since, changed, landed, newest)
    return None
