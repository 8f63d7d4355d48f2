"""The limits of calls, and the response headers about them.

Source: https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

import time
import uuid
from collections.abc import Callable
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from crm_sandbox.ceilings import Daily, Rolling
from crm_sandbox.clock import SandboxClock
from crm_sandbox.hubspot.credentials import PortalFacts
from crm_sandbox.hubspot.errors import ApiError

_INTERVAL_S = 10.0
_CALLS = {"private": 190, "marketplace": 110, "search": 5, "associations": 200}
_PERIODS = {"search": 1.0}
_ASSOCIATIONS_DAILY = 500_000
Headers = tuple[tuple[str, str], ...]


class CallLimits:
    """The calls of one portal.

    Args:
        facts: the portal.
        clock: tells its day; the windows of seconds run in real time, as clients do.
    """

    def __init__(self, facts: PortalFacts, clock: SandboxClock) -> None:
        self._zone = ZoneInfo(facts.time_zone)
        self._clock = clock
        self.now: Callable[[], float] = time.monotonic
        self._calls = dict(_CALLS)
        self._windows: dict[tuple[str, str], Rolling] = {}
        self.daily = Daily(facts.daily, self._day)
        self.daily_associations = Daily(_ASSOCIATIONS_DAILY, self._day)

    def set(self, **ceilings: int) -> None:
        """Change ceilings: `private`, `marketplace`, `search`, `associations`, `daily`, `daily_used`.

        Raises:
            ValueError: there is no such ceiling.
        """
        known = (*_CALLS, "daily", "daily_used", "daily_associations")
        if unknown := set(ceilings) - set(known):
            raise ValueError(f"unknown ceiling {sorted(unknown)}; known: {', '.join(known)}")
        if "daily" in ceilings:
            self.daily.amount = ceilings["daily"]
        if "daily_associations" in ceilings:
            self.daily_associations.amount = ceilings["daily_associations"]
        if "daily_used" in ceilings:
            self.daily.spend(ceilings["daily_used"] - self.daily.used)
        self._calls |= {name: most for name, most in ceilings.items() if name in _CALLS}
        for (kind, _), window in self._windows.items():
            window.calls = self._calls[kind]

    def take(self, app: str, kind: str, area: str) -> None:
        """Count one call.

        Args:
            app: who calls.
            kind: `private` or `marketplace`.
            area: the API; `search` and `associations` have windows of their own.

        Raises:
            ApiError: it is one too many.
        """
        is_search = area == "search"
        window = self._window(app, kind, area)
        if not window.take():
            raise _search_refusal() if is_search else _refusal("ten_secondly_rolling")
        if area == "associations" and not self.daily_associations.take():
            raise _refusal("daily")
        if kind == "private" and not self.daily.take():
            raise _refusal("daily")

    def headers(self, app: str, kind: str, area: str) -> Headers:
        """Return what an answer says: apps of the marketplace have no daily ceiling."""
        made: list[tuple[str, Any]] = []
        if kind == "private":
            made += [("Daily", self.daily.amount), ("Daily-Remaining", self.daily.remaining)]
        if area != "search":
            window = self._window(app, kind, area)
            secondly = max(1, window.calls // 10)
            made += [
                ("Interval-Milliseconds", int(window.period_s * 1000)),
                ("Max", window.calls),
                ("Remaining", window.remaining),
                ("Secondly", secondly),
                ("Secondly-Remaining", secondly - 1),
            ]
        return tuple((f"X-HubSpot-RateLimit-{name}", str(value)) for name, value in made)

    def shown(self) -> dict[str, Any]:
        """Return the ceilings and the calls of the day."""
        used = {"daily": self.daily.amount, "daily_used": self.daily.used}
        return {**self._calls, **used}

    def _window(self, app: str, kind: str, area: str) -> Rolling:
        shared = area in {"search", "associations"}
        key = (area, "") if shared else (kind, app)
        found = self._windows.get(key)
        if found is None:
            period = _PERIODS.get(key[0], _INTERVAL_S)
            found = Rolling(self._calls[key[0]], period, self._present)
            found = self._windows.setdefault(key, found)
        return found

    def _present(self) -> float:
        return self.now()

    def _day(self) -> date:
        return self._clock.now().astimezone(self._zone).date()


def _search_refusal() -> ApiError:
    return ApiError(429, "RATE_LIMITS", "You have reached your secondly limit.")


def _refusal(policy: str) -> ApiError:
    message = f"You have reached your {policy} limit."
    body = {
        "status": "error",
        "message": message,
        "errorType": "RATE_LIMIT",
        "policyName": policy.upper(),
        "requestId": str(uuid.uuid4()),
    }
    return ApiError(429, "RATE_LIMITS", message, body=body)
