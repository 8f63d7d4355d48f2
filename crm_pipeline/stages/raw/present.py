"""Determine the present at the vendor, which is the latest end of a window.

Three sources may each be wrong, in either direction: our clock, the vendor's clock (the `Date` of its
responses), and the newest modification time that the vendor has written. A window that ends too early is
partly read twice. One that ends too late loses the changes that are made up to its end. So the earlier of
the two clocks counts. Where the clocks are some seconds apart, the newest modification time is asked for:
the vendor has reached that moment, so the end moves up to it, but never past the later clock. With any one
source wrong, the end is never later than the vendor's true present. A warning tells of clocks that are
further apart than a look-back.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from crm_pipeline.connectors.base import Account
from crm_pipeline.connectors.vendor_clock import CLOCK_CURE, duration, tolerated
from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.store.landing import Landing

_log = structlog.get_logger(__name__)
_SECOND = timedelta(seconds=1)
# Clocks that are nearer need no third source: what is edited now is read the next time anyway.
_NEAR = timedelta(seconds=5)
# Per process: a run opens the account again for each object, and would warn of the same clocks each time.
_warned: set[str] = set()
_warning = threading.Lock()


@dataclass(frozen=True)
class Present:
    """The time at the vendor.

    Attributes:
        at: the latest moment that a window may end at.
        own, vendor: the two clocks.
        newest_modified_at: of the vendor's records; None where it was not asked for, or is of no use.
        is_doubtful: the clocks differ by more than can be explained.
    """

    at: datetime
    own: datetime
    vendor: datetime
    newest_modified_at: datetime | None = None
    is_doubtful: bool = False

    def __str__(self) -> str:
        apart = duration(abs((self.vendor - self.own).total_seconds()))
        side = "ahead of" if self.vendor > self.own else "behind"
        return (
            f"the vendor's clock ({format_instant(self.vendor)}) is {apart} {side} this machine's "
            f"({format_instant(self.own)}); {self._why()}"
        )

    @property
    def cure(self) -> str:
        """What to do about two clocks that differ."""
        if self._proves(self.own):
            return "Set this machine's clock right (NTP): the vendor's records are newer than it."
        if self._proves(self.vendor):
            return (
                "Look for a proxy or a cache between here and the vendor that answers with old dates; if there is "
                "none, report the dates to the vendor."
            )
        return CLOCK_CURE

    def _proves(self, clock: datetime) -> bool:
        return self.newest_modified_at is not None and self.newest_modified_at >= clock

    def _why(self) -> str:
        end = f"windows end at {format_instant(self.at)}"
        if self.at > min(self.own, self.vendor):
            return f"{end}, where the vendor's newest record is"
        return f"{end}, the earlier of the two"


def choose(
    own: datetime,
    vendor: datetime,
    tolerance: timedelta,
    newest_modified_at: Callable[[], datetime | None],
) -> Present:
    """Return the present that may be counted on.

    Args:
        own: our clock.
        vendor: the vendor's clock, as its responses state it.
        tolerance: by how much the clocks may differ.
        newest_modified_at: requests the newest modification time of the vendor's records; called only where
            the clocks differ.
    """
    own, vendor = (at.replace(microsecond=0) for at in (own, vendor))
    earlier, later = sorted((own, vendor))
    if later - earlier <= _NEAR:
        return Present(earlier, own, vendor)
    newest, is_doubtful = newest_modified_at(), later - earlier > tolerance
    # A time later than both clocks is an error in the data, such as a due date.
    if newest is None or newest <= earlier or newest > later + tolerance:
        return Present(earlier, own, vendor, is_doubtful=is_doubtful)
    # The window includes the second of the newest record, which would otherwise wait for the next window.
    at = min(later, newest.replace(microsecond=0) + _SECOND)
    return Present(at, own, vendor, newest, is_doubtful)


def present_of(account: Account, obj: str, landing: Landing) -> Present:
    """Return the present for a window of an object; doubtful clocks are logged, once per connection."""
    tolerance = tolerated(account.connection.lookback_s)
    vendor = account.vendor_now()
    own = landing.clock.now()
    present = choose(
        own, vendor, tolerance, lambda: _newest_modified_at(account, obj, landing, min(own, vendor))
    )
    if present.is_doubtful:
        _warn(account.connection.name, present)
    return present


def _warn(connection: str, present: Present) -> None:
    with _warning:
        if connection in _warned:
            return
        _warned.add(connection)
    _log.warning("clocks differ", connection=connection, what=str(present), cure=present.cure)


def _newest_modified_at(
    account: Account, obj: str, landing: Landing, since: datetime
) -> datetime | None:
    """Request the newest modification time since a moment; return None where the vendor does not state it."""
    try:
        schema = landing.latest_schema(account.connection.name, obj) or account.describe(obj)
        return account.probe_changes(schema, since)[1]
    except CrmError as error:
        # Without it the window only ends earlier. The cause stops the read as well, and is reported there.
        _log.info("no newest record", connection=account.connection.name, reason=error.message)
        return None
