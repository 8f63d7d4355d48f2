"""Probe cheaply before a refresh whether anything has changed since the watermark.

The probe costs one call per object. It compares the vendor's number of records that changed since the
look-back, and their newest modification time, with what landed. It never moves a watermark. An object that
cannot be probed does not affect the others.
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

# Errors that every object of the account would give.
_ACCOUNT_ERRORS = (
    AuthFailed,
    BudgetExhausted,
    ConfigError,
    DatabaseUnavailable,
    SessionExpired,
)


@dataclass(frozen=True)
class News:
    """Changes of one object that have not landed.

    Attributes:
        since: where a refresh would start to read.
        changed: number of records changed since then at the vendor.
        landed: number of those that have landed.
        newest: newest modification time at the vendor.
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
    """An object that could not be probed, and why."""

    object: str
    error: str


@dataclass(frozen=True)
class Probe:
    """The result of a probe.

    Attributes:
        asked: objects that were probed.
        unread: objects without a watermark: a backfill has to come first.
        failed: objects that could not be probed.
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
        """Whether an object is unchanged, by object."""
        return {obj: obj not in self.news for obj in self.asked}


def probe(
    account: Account,
    objects: Sequence[ObjectSettings],
    landing: Landing,
    looks: Looks | None = None,
) -> Probe:
    """Ask the vendor about each object that has a watermark, except snapshots.

    Args:
        account: the opened account.
        objects: to ask about.
        landing: with what landed.
        looks: where the outcome is stored, if anywhere.

    Raises:
        CrmError: the account cannot be reached at all: the login is refused, the network is gone, the budget
            is spent. A failed probe does not mean "nothing new".
    """
    name, seen = account.connection.name, _Round()
    try:
        for obj in objects:
            _ask(account, obj.name, landing, seen)
    except CrmError as error:
        if looks is not None:
            # Outcomes of objects asked before the error are kept.
            unasked = {obj.name: error for obj in objects if obj.name not in seen.asked}
            looks.probed(name, seen.answered, {**unasked, **seen.failed})
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
    """Ask about one object; raise only errors of the whole account."""
    name = account.connection.name
    try:
        watermark = landing.watermark(name, obj)
        if watermark is None:
            seen.unread.append(obj)
            return
        if landing.object_reads(name, obj)[-1].complete:
            return
        news = _news(account, obj, watermark, landing)
    except _ACCOUNT_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - any error of one object, the others are still asked
        if isinstance(error, Retriable) and not seen.asked and not seen.failed:
            _check_vendor_responds(account, error)
        seen.failed[obj] = error
        return
    seen.asked.append(obj)
    if news is not None:
        seen.news[obj] = news


def _check_vendor_responds(account: Account, error: Retriable) -> None:
    """Check whether the vendor responds at all, or only the object fails.

    Raises:
        Retriable: the vendor does not respond.
    """
    try:
        account.identity()
    except (*_ACCOUNT_ERRORS, Retriable):
        raise error from None
    except VendorError:
        return  # an error response is a response


def _news(account: Account, obj: str, watermark: datetime, landing: Landing) -> News | None:
    name = account.connection.name
    schema = landing.latest_schema(name, obj)
    assert schema is not None
    since = watermark - timedelta(seconds=account.connection.lookback_s)
    changed, newest = account.probe_changes(schema, since)
    landed, newest_landed = landing.landed_since(name, obj, since)
    is_newer = newest is not None and (newest_landed is None or newest > newest_landed)
    # Fewer than landed is no change: records leave the range when they are hard-deleted or edited.
    if changed > landed or is_newer:
        return News(obj, since, changed, landed, newest)
    return None
