"""The present that a window may end at: three witnesses, none of whom is believed alone.

Our clock, the vendor's (the `Date` of its answers) and the newest stamp that it has written may each be
wrong, in either direction. An end that comes too early costs that something is read twice; one that comes
too late loses what is changed up to then. So the earlier of the two clocks counts. Where they are some
seconds apart the records are asked: a vendor that has written a stamp has lived to see that moment, so the
end may move up to it, though never past the later clock. With one witness wrong, whichever it is, the end
never lies behind the vendor's true present. Clocks further apart than a look-back are told of.
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
# Clocks that are nearer need nobody to judge between them: what is edited now is read the next time anyway.
_NEAR = timedelta(seconds=5)
# Of this process: a run opens the account anew for each object, and what differs is the same for all of them.
_warned: set[str] = set()
_warning = threading.Lock()


@dataclass(frozen=True)
class Present:
    """What time it can be at the vendor.

    Attributes:
        at: the latest moment that a window may end at.
        own, vendor: the two clocks.
        newest: the newest stamp of the vendor's records; None where it was not asked for, or says nothing.
        is_doubtful: the clocks differ by more than can be explained.
    """

    at: datetime
    own: datetime
    vendor: datetime
    newest: datetime | None = None
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
        return self.newest is not None and self.newest >= clock

    def _why(self) -> str:
        end = f"windows end at {format_instant(self.at)}"
        if self.at > min(self.own, self.vendor):
            return f"{end}, where the vendor's newest record is"
        return f"{end}, the earlier of the two"


def choose(
    own: datetime,
    vendor: datetime,
    tolerance: timedelta,
    newest: Callable[[], datetime | None],
) -> Present:
    """Return the present that may be counted on.

    Args:
        own: our clock.
        vendor: the vendor's, as it tells it.
        tolerance: by how much they may differ.
        newest: asks for the newest stamp of the vendor's records; called only where the clocks differ.
    """
    own, vendor = (at.replace(microsecond=0) for at in (own, vendor))
    earlier, later = sorted((own, vendor))
    if later - earlier <= _NEAR:
        return Present(earlier, own, vendor)
    stamp, is_doubtful = newest(), later - earlier > tolerance
    # One that is later than both clocks is a mistake of its own, such as a due date.
    if stamp is None or stamp <= earlier or stamp > later + tolerance:
        return Present(earlier, own, vendor, is_doubtful=is_doubtful)
    # The second of the newest record is part of the window, or it would wait for the next one.
    at = min(later, stamp.replace(microsecond=0) + _SECOND)
    return Present(at, own, vendor, stamp, is_doubtful)


def present_of(account: Account, obj: str, landing: Landing) -> Present:
    """Return the present for a window of an object; a doubtful one is logged, once for a connection."""
    tolerance = tolerated(account.connection.lookback_s)
    vendor = account.vendor_now()
    own = landing.clock.now()
    found = choose(own, vendor, tolerance, lambda: _newest(account, obj, landing, min(own, vendor)))
    if found.is_doubtful:
        _warn(account.connection.name, found)
    return found


def _warn(connection: str, found: Present) -> None:
    with _warning:
        if connection in _warned:
            return
        _warned.add(connection)
    _log.warning("clocks differ", connection=connection, what=str(found), cure=found.cure)


def _newest(account: Account, obj: str, landing: Landing, since: datetime) -> datetime | None:
    """Ask for the newest stamp since a moment; None where that cannot be had."""
    try:
        schema = landing.latest_schema(account.connection.name, obj) or account.describe(obj)
        return account.probe_changes(schema, since)[1]
    except CrmError as error:
        # Without it the end only comes earlier. What stands in the way stops the read itself, and is told there.
        _log.info("no newest record", connection=account.connection.name, reason=error.message)
        return None
