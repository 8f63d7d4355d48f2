"""Credits and concurrency of one org.

Published values: https://www.zoho.com/crm/developer/docs/api/v8/api-limits.html. Both ceilings answer
with the same 429, without saying which it was.
"""

import math
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from crm_sandbox.ceilings import AtOnce, Rolling
from crm_sandbox.clock import SandboxClock
from crm_sandbox.http import Request
from crm_sandbox.zoho.errors import ZohoError

DAY_S = 86_400
BULK_READ = 50
BULK_WRITE = 500
CUSTOM_VIEW = 3
_PER_USER = 1_000
_BASE = 50_000
_MOST = 5_000_000
_AT_ONCE = 20
_HEAVY_AT_ONCE = 10
_HEAVY_PATHS = ("/coql", "/search", "/__composite_requests", "/actions/convert")


def too_many() -> ZohoError:
    """Return the refusal of every ceiling."""
    return ZohoError(
        429,
        "TOO_MANY_REQUESTS",
        "You have made too many requests continuously. Please try again after some time.",
    )


def write_cost(records: int) -> int:
    """Return the credits for writing so many records: one for every ten."""
    return max(1, math.ceil(records / 10))


def query_cost(limit: int) -> int:
    """Return the credits of a COQL query by its LIMIT: 1, 2 or 3."""
    return 1 if limit <= 200 else 2 if limit <= 1000 else 3


class Meter:
    """What one org's app has used up, and how much of it is under way.

    Args:
        clock: the window rolls by the sandbox's clock.
        users: the licences, from which an Enterprise edition's credits follow.
    """

    def __init__(self, clock: SandboxClock, users: int) -> None:
        self._clock = clock
        self.credits = self._window(min(_BASE + _PER_USER * users, _MOST))
        self._paid = threading.local()
        self.at_once = AtOnce(_AT_ONCE)
        self.heavy_at_once = AtOnce(_HEAVY_AT_ONCE)

    def charge(self, weight: int) -> None:
        """Spend credits, unless the call is paid for.

        Raises:
            ZohoError: there are too few left.
        """
        if not getattr(self._paid, "on", False) and not self.credits.take(weight):
            raise too_many()

    @contextmanager
    def paid(self) -> Iterator[None]:
        """Let what this thread does inside cost nothing."""
        self._paid.on = True
        try:
            yield
        finally:
            self._paid.on = False

    @contextmanager
    def under_way(self, *, heavy: bool) -> Iterator[None]:
        """Be one of the calls at once.

        Raises:
            ZohoError: there are too many.
        """
        with ExitStack() as held:
            inside = held.enter_context(self.at_once.held())
            if heavy and inside:
                inside = held.enter_context(self.heavy_at_once.held())
            if not inside:
                raise too_many()
            yield

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What an answer says of it: nothing before half of the credits are gone."""
        if self.credits.used * 2 < self.credits.calls:
            return ()
        return (("X-API-CREDITS-REMAINING", str(self.credits.remaining)),)

    def shown(self) -> dict[str, int]:
        """Return the credits that are used, and how many there are."""
        return {"used": self.credits.used, "maximum": self.credits.calls}

    def set_credits(self, total: int | None = None, used: int | None = None) -> None:
        """Change the credits of 24 hours, what of them is used, or both."""
        spent = self.credits.used if used is None else used
        self.credits = self._window(self.credits.calls if total is None else total)
        if spent:
            self.credits.take(min(spent, self.credits.calls))

    def set_concurrency(self, total: int | None = None, heavy: int | None = None) -> None:
        """Change how many calls, and how many heavy ones, may be under way at once."""
        self.at_once.calls = self.at_once.calls if total is None else total
        self.heavy_at_once.calls = self.heavy_at_once.calls if heavy is None else heavy

    def _window(self, total: int) -> Rolling:
        return Rolling(total, DAY_S, now=lambda: self._clock.now().timestamp())


def is_heavy(request: Request) -> bool:
    """Say whether a call counts against the sub-concurrency; the vendor's list is in part secondary."""
    if request.path.endswith(_HEAVY_PATHS):
        return True
    if request.method == "GET":
        return bool({"cvid", "sort_by"} & set(request.query))
    if request.method in {"POST", "PUT"} and "/settings/" not in request.path:
        return request.body.count(b"{") > 11
    return False
