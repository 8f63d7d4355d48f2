"""The clock of the sandbox.

Times of change, expiries and daily limits all use it, so that a test can run at any date.
"""

from datetime import UTC, datetime, timedelta


class SandboxClock:
    """Tell the time, real by default, shifted or standing still on request.

    Args:
        fixed: stand still at this moment until another method is called.
    """

    def __init__(self, fixed: datetime | None = None) -> None:
        self._first = fixed
        self.reset()

    def reset(self) -> None:
        """Tell the time as in the beginning."""
        self._fixed = self._first
        self._offset = timedelta(0)

    def now(self) -> datetime:
        """Return the present as an aware UTC datetime."""
        moment = self._fixed if self._fixed is not None else datetime.now(UTC) + self._offset
        return moment.astimezone(UTC)

    def stamp(self) -> datetime:
        """Return the present in whole seconds, as a naive UTC datetime for storage."""
        return self.now().astimezone(UTC).replace(microsecond=0, tzinfo=None)

    def stand_at(self, moment: datetime) -> None:
        """Stand still at one moment."""
        self._fixed = moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def shift(self, seconds: float) -> None:
        """Run again, ahead of real time by a number of seconds (behind it when negative)."""
        self._fixed = None
        self._offset = timedelta(seconds=seconds)

    def advance(self, seconds: float) -> None:
        """Move forward from wherever the clock is."""
        if self._fixed is not None:
            self._fixed += timedelta(seconds=seconds)
        else:
            self._offset += timedelta(seconds=seconds)
