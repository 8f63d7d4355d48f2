"""Limits of a company: tokens by the day, calls by two seconds, and a ban for calling on after refusals.

Source: https://pipedrive.readme.io/docs/core-api-concepts-rate-limiting. That a refused client which
keeps calling is shut out with an HTML page is reported by clients; after how many calls and for how
long is not published, so both are settings.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from crm_sandbox.ceilings import Daily, Rolling
from crm_sandbox.clock import SandboxClock
from crm_sandbox.http import Response
from crm_sandbox.pipedrive.errors import ApiError, html_forbidden

BASE_TOKENS = 30_000
WINDOW_S = 2.0
_LEGACY_DAILY = 10_000


@dataclass(frozen=True)
class Rates:
    """What a plan allows: the multiplier of the daily tokens, calls in two seconds."""

    multiplier: int
    api_token: int
    app: int


PLANS = {
    "Lite": Rates(1, 20, 80),
    "Growth": Rates(2, 40, 160),
    "Premium": Rates(5, 100, 400),
    "Ultimate": Rates(7, 120, 480),
}


class Caller(Protocol):
    """Whoever calls with a token."""

    @property
    def token(self) -> str:
        """The token."""
        ...

    @property
    def is_app(self) -> bool:
        """Whether it is an app's."""
        ...


class Limits:
    """The ceilings of one company.

    Attributes:
        now: the clock of the rolling windows, in seconds.
        shows_daily: whether answers carry the headers of the daily tokens.
        patience: refusals within `ban_s` before the proxy shuts the client out.
        ban_s: for how long.
        refused: how many calls were refused.
    """

    def __init__(self, clock: SandboxClock, seats: int) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seats = seats
        self.now: Callable[[], float] = time.monotonic
        self.shows_daily = True
        self.patience = 50
        self.ban_s = 60.0
        self.refused = 0
        self.search = 10
        self.set_plan("Premium")
        self.legacy = Daily(_LEGACY_DAILY, self._day)

    def set_plan(self, plan: str) -> None:
        """Take the ceilings of another plan.

        Raises:
            ValueError: the plan is unknown.
        """
        if plan not in PLANS:
            raise ValueError(f"unknown plan '{plan}'; known: {', '.join(PLANS)}")
        rates = PLANS[plan]
        self.plan = plan
        self.api_token, self.app = rates.api_token, rates.app
        self.daily = Daily(BASE_TOKENS * rates.multiplier * self._seats, self._day)
        self.forget()

    def forget(self) -> None:
        """Count bursts, refusals and bans anew."""
        with self._lock:
            self._bursts: dict[tuple[str, str], Rolling] = {}
            self._refusals: dict[str, Rolling] = {}
            self._banned: dict[str, float] = {}

    def admit(self, caller: Caller, cost: int, *, is_search: bool) -> Response | None:
        """Count a call, or return its refusal."""
        if self._banned.get(caller.token, 0.0) > self.now():
            return html_forbidden()
        burst = self.burst(caller)
        searches = self._rolling(caller.token, "search", self.search)
        if is_search and searches.remaining < 1:
            return self._refuse(caller)
        if not burst.take():
            return self._refuse(caller)
        if not self.daily.take(cost):
            return self._refuse(caller)
        if is_search:
            searches.take()
        return None

    def burst(self, caller: Caller) -> Rolling:
        """Return the rolling window of a token."""
        return self._rolling(caller.token, "burst", self.app if caller.is_app else self.api_token)

    def headers(self, caller: Caller, method: str) -> tuple[tuple[str, str], ...]:
        """Return the headers that tell what is left."""
        burst = self.burst(caller)
        made = [
            ("x-ratelimit-limit", str(burst.calls)),
            ("x-ratelimit-remaining", str(burst.remaining)),
            # Seconds from now, not a moment.
            ("x-ratelimit-reset", str(math.ceil(burst.reset_s) or 1)),
        ]
        if self.shows_daily:
            made += [
                ("x-daily-ratelimit-token-limit", str(self.daily.amount)),
                ("x-daily-ratelimit-token-remaining", str(self.daily.remaining)),
            ]
        if method in {"POST", "PUT"} and not caller.is_app:
            self.legacy.spend(1)
            made.append(("x-daily-requests-left", str(self.legacy.remaining)))
        return tuple(made)

    def _refuse(self, caller: Caller) -> Response:
        self.refused += 1
        with self._lock:
            if caller.token not in self._refusals:
                self._refusals[caller.token] = Rolling(self.patience, self.ban_s, self.now)
            if not self._refusals[caller.token].take():
                self._banned[caller.token] = self.now() + self.ban_s
                del self._refusals[caller.token]
                return html_forbidden()
        return ApiError(429, "request over limit").response()

    def _rolling(self, token: str, kind: str, calls: int) -> Rolling:
        with self._lock:
            if (token, kind) not in self._bursts:
                self._bursts[token, kind] = Rolling(calls, WINDOW_S, self.now)
            return self._bursts[token, kind]

    def _day(self) -> object:
        return self._clock.now().date()
