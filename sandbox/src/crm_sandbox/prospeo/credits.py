"""The credits of an account, with a ledger of every charge that tests can read."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from typing import Any

from crm_sandbox.clock import SandboxClock
from crm_sandbox.prospeo.errors import ApiError

PERSON, MOBILE, COMPANY, PAGE = "person", "mobile", "company", "page"
COSTS = {PERSON: 1, MOBILE: 10, COMPANY: 1, PAGE: 1}


class Credits:
    """Credits of a month, and what has been bought.

    Args:
        clock: of the sandbox.

    Attributes:
        monthly: what each month begins with.
        renews_on: the day of the month on which it begins.
        free_days: for so long what was bought is enriched again for nothing; None for ever.
        ledger: every answer that named a record or a page, in order, those that cost nothing as well.
    """

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self.monthly = 1_000
        self.renews_on = 15
        self.free_days: int | None = 90
        self.remaining = self.monthly
        self.used = 0
        self.ledger: list[dict[str, Any]] = []
        self._bought: dict[tuple[str, str], datetime] = {}
        self._renewal = self.renewal()

    def renewal(self) -> datetime:
        """Return when the credits are whole again."""
        now = self._clock.now()
        day = now.date()
        for _ in range(40):
            day += timedelta(days=1)
            if day.day == min(self.renews_on, monthrange(day.year, day.month)[1]):
                break
        return datetime.combine(date(day.year, day.month, day.day), datetime.min.time(), UTC)

    def renew(self) -> None:
        """Begin a new month where its day has come."""
        if self._clock.now() >= self._renewal:
            self.remaining, self.used = self.monthly, 0
            self._renewal = self.renewal()

    def require_any(self) -> None:
        """Make sure that there is a credit left.

        Raises:
            ApiError: there is none.
        """
        if not self.remaining:
            raise ApiError("INSUFFICIENT_CREDITS")

    def price(self, kind: str, key: str) -> int:
        """Return what a record costs now: nothing if it was bought within the free time."""
        kinds = (PERSON, MOBILE) if kind == PERSON else (kind,)
        return 0 if any(self._is_free(each, key) for each in kinds) else COSTS[kind]

    def charge(self, wanted: list[tuple[str, str]]) -> list[int]:
        """Charge for records and return the cost of each; all of them or none.

        Raises:
            ApiError: there are not enough credits.
        """
        costs: list[int] = []
        seen: set[tuple[str, str]] = set()
        for kind, key in wanted:
            costs.append(0 if (kind, key) in seen else self.price(kind, key))
            seen.add((kind, key))
        if sum(costs) > self.remaining:
            raise ApiError("INSUFFICIENT_CREDITS")
        now = self._clock.now()
        for (kind, key), cost in zip(wanted, costs, strict=True):
            self.remaining -= cost
            self.used += cost
            if cost and kind != PAGE:
                self._bought[kind, key] = now
            entry = {"number": len(self.ledger) + 1, "at": now.isoformat(), "kind": kind}
            self.ledger.append(entry | {"key": key, "cost": cost, "remaining": self.remaining})
        return costs

    def _is_free(self, kind: str, key: str) -> bool:
        at = self._bought.get((kind, key))
        if at is None:
            return False
        return self.free_days is None or self._clock.now() < at + timedelta(days=self.free_days)
