"""Probe cheaply before a refresh whether anything has changed since the watermark.

The probe costs one call per object. It compares the vendor's number of records that changed since the
look-back, and their newest modification time, with what landed. It never moves a watermark. An object that
cannot be probed does not affect the others. With an account that does not wait (`opened(..., waits=False)`) an object
whose call would have to wait is skipped, and the round says why.
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
    Throttled,
    VendorError,
    WouldWait,
)
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.looks import Looks, error_text
from crm_pipeline.store.probes import Answer, AskedBy, ProbeHistory

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
class Skipped:
    """An object that was not asked about, because a call would have had to wait, and for what."""

    object: str
    reason: str


@dataclass(frozen=True)
class Probe:
    """The result of a probe.

    Attributes:
        news: changes that have not landed.
        asked: objects that were probed.
        unread: objects without a watermark: a backfill has to come first.
        failed: objects that could not be probed.
        skipped: objects that were not asked about, because a call would have had to wait.
    """

    news: tuple[News, ...]
    asked: tuple[str, ...]
    unread: tuple[str, ...]
    failed: tuple[Failed, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def quiet(self) -> tuple[str, ...]:
        """The objects of which all that changed has landed."""
        changed = {entry.object for entry in self.news}
        return tuple(name for name in self.asked if name not in changed)


@dataclass
class _Round:
    """A round of probes; `until` says up to when an object that was asked about was seen."""

    news: dict[str, News] = field(default_factory=dict)
    until: dict[str, datetime] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    failed: dict[str, Exception] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)

    @property
    def answered(self) -> dict[str, datetime | None]:
        """Until when an object is unchanged, by object; None where it has changed."""
        return {obj: None if obj in self.news else at for obj, at in self.until.items()}

    def fail(self, obj: str, error: Exception, calls: int = 0) -> None:
        """Note that an object could not be asked about."""
        self.failed[obj] = error
        self.answers[obj] = Answer("failed", calls, reason=error_text(error))


def probe(
    account: Account,
    objects: Sequence[ObjectSettings],
    landing: Landing,
    looks: Looks | None = None,
    *,
    history: ProbeHistory | None = None,
    asked_by: AskedBy = "sensor",
) -> Probe:
    """Ask the vendor about each object that has a watermark, except snapshots.

    Args:
        account: the opened account.
        objects: to ask about.
        landing: with what landed.
        looks: where the outcome is stored as the last one, if anywhere.
        history: to which the round is appended, if to any.
        asked_by: who asks, for the history.

    Raises:
        CrmError: the account cannot be reached at all: the login is refused, the network is gone, the budget
            is spent. A failed probe does not mean "nothing new".
    """
    name, seen, began_at = account.connection.name, _Round(), landing.clock.now()
    try:
        for obj in objects:
            _ask(account, obj.name, landing, seen)
    except CrmError as error:
        # Outcomes of objects asked before the error are kept.
        for obj in objects:
            if obj.name not in {*seen.until, *seen.failed, *seen.skipped}:
                seen.fail(obj.name, error)
        raise
    finally:
        # A round that was skipped altogether is no look: the next tick may ask, however rarely probes are due.
        if looks is not None and (seen.answered or seen.failed or not seen.skipped):
            looks.probed(name, seen.answered, seen.failed)
        if history is not None:
            history.add(name, asked_by, began_at, seen.answers)
    return Probe(
        tuple(seen.news.values()),
        tuple(seen.until),
        tuple(seen.unread),
        tuple(Failed(obj, error_text(error)) for obj, error in seen.failed.items()),
        tuple(Skipped(obj, reason) for obj, reason in seen.skipped.items()),
    )


def _ask(account: Account, obj: str, landing: Landing, seen: _Round) -> None:
    """Ask about one object; raise only errors of the whole account."""
    name, spent = account.connection.name, account.usage.calls
    try:
        watermark = landing.watermark(name, obj)
        if watermark is None:
            seen.unread.append(obj)
            return
        if landing.object_reads(name, obj)[-1].complete:
            return
        began_at = landing.clock.now()
        changed, news = _news(account, obj, watermark, landing)
    except _ACCOUNT_ERRORS:
        raise
    except (WouldWait, Throttled) as error:
        seen.skipped[obj] = error.message
        calls = account.usage.calls - spent
        seen.answers[obj] = Answer("skipped", calls, reason=error.message)
        return
    except Exception as error:  # noqa: BLE001 - any error of one object, the others are still asked
        if isinstance(error, Retriable) and not seen.until and not seen.failed:
            _check_vendor_responds(account, error)
        seen.fail(obj, error, account.usage.calls - spent)
        return
    seen.until[obj] = _seen_until(account, began_at, landing.clock.now())
    if news is not None:
        seen.news[obj] = news
    seen.answers[obj] = Answer("changed" if news else "quiet", account.usage.calls - spent, changed)


def _seen_until(account: Account, began_at: datetime, now: datetime) -> datetime:
    """Return up to when a call that began then has seen changes: the earlier of our clock and the vendor's."""
    vendor_at = account.vendor_now() - (now - began_at)
    return min(began_at, vendor_at)


def _check_vendor_responds(account: Account, error: Retriable) -> None:
    """Check whether the vendor responds at all, or only the object fails.

    Raises:
        Retriable: the vendor does not respond.
    """
    try:
        account.identity()
    except (*_ACCOUNT_ERRORS, Retriable):
        raise error from None
    except (VendorError, WouldWait):
        return  # an error response is a response, and without a permit nothing was asked


def _news(
    account: Account, obj: str, watermark: datetime, landing: Landing
) -> tuple[int, News | None]:
    """Return the number of records changed since the look-back, and what of it has not landed."""
    name = account.connection.name
    schema = landing.latest_schema(name, obj)
    assert schema is not None
    since = watermark - timedelta(seconds=account.connection.lookback_s)
    changed, newest = account.probe_changes(schema, since)
    landed, newest_landed = landing.landed_since(name, obj, since)
    is_newer = newest is not None and (newest_landed is None or newest > newest_landed)
    # Fewer than landed is no change: records leave the range when they are hard-deleted or edited.
    if changed > landed or is_newer:
        return changed, News(obj, since, changed, landed, newest)
    return changed, None
