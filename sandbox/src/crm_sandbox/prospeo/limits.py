"""Limits by class of endpoints: calls in a second, records in a minute and in 24 hours that slide."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from crm_sandbox.ceilings import Rolling
from crm_sandbox.clock import SandboxClock

PLANS = {
    "starter": {"search": (1, 30, 1_000), "enrich": (5, 300, 2_000)},
    "growth": {"search": (2, 60, 4_000), "enrich": (5, 300, 5_000)},
    "pro": {"search": (5, 180, 250_000), "enrich": (30, 1_800, 500_000)},
}


@dataclass
class Class:
    """The windows of one class of endpoints."""

    second: Rolling
    minute: Rolling
    day: Rolling


class Limits:
    """The limits of an account; failed calls do not count.

    Args:
        clock: of the sandbox, by which days slide.

    Attributes:
        now: the clock of seconds and minutes, in seconds.
        bulk_counts_in_second: whether a call with many records counts as many in a second as well; the vendor
            says only that it counts one for each record.
    """

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self.now: Callable[[], float] = time.monotonic
        self.bulk_counts_in_second = False
        self.set_plan("growth")

    def set_plan(self, plan: str) -> None:
        """Take the limits of a plan, and count anew.

        Raises:
            ValueError: the plan is unknown.
        """
        if plan not in PLANS:
            raise ValueError(f"unknown plan '{plan}'; known: {', '.join(PLANS)}")
        self.plan = plan
        self.classes = {name: self._class(*figures) for name, figures in PLANS[plan].items()}

    def set_class(self, name: str, second: int, minute: int, day: int) -> None:
        """Set the limits of a class of endpoints, and count anew."""
        self.classes[name] = self._class(second, minute, day)

    def _class(self, second: int, minute: int, day: int) -> Class:
        return Class(
            Rolling(second, 1.0, self._seconds),
            Rolling(minute, 60.0, self._seconds),
            Rolling(day, 86_400.0, lambda: self._clock.now().timestamp()),
        )

    def _seconds(self) -> float:
        return self.now()

    def admits(self, name: str, records: int) -> bool:
        """Say whether a call with so many records is within all windows."""
        windows = self.classes[name]
        in_second = records if self.bulk_counts_in_second else 1
        return (
            windows.second.remaining >= in_second
            and windows.minute.remaining >= records
            and windows.day.remaining >= records
        )

    def count(self, name: str, records: int) -> None:
        """Count a call."""
        windows = self.classes[name]
        windows.second.take(records if self.bulk_counts_in_second else 1)
        windows.minute.take(records)
        windows.day.take(records)

    def headers(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return the headers that say what is left."""
        windows = self.classes[name]
        made = [("x-second-rate-limit", str(windows.second.calls))]
        for word, window in (("minute", windows.minute), ("daily", windows.day)):
            made += [
                (f"x-{word}-rate-limit", str(window.calls)),
                (f"x-{word}-request-left", str(window.remaining)),
                (f"x-{word}-reset-seconds", str(math.ceil(window.reset_s))),
            ]
        return tuple(made)
