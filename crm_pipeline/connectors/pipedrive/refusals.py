"""Distinguishes the two kinds of 429: too many calls in two seconds, or no daily tokens left.

The first passes by itself, the second lasts until the server's midnight. Headers distinguish them where
they are sent; without headers, refusals that outlast the window of two seconds mean the daily limit.
Source: https://pipedrive.readme.io/docs/core-api-concepts-rate-limiting
"""

import re
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import requests

from crm_pipeline.kernel.errors import BudgetExhausted, CrmError, Throttled
from crm_pipeline.ratelimit.limits import MOST_COUNTED
from crm_pipeline.wire.figures import whole

WINDOW_S = 2.0
# The cost of the most expensive call: fewer tokens may be too few for a call.
_HIGHEST_COST = 40
# Refusals for this long without a success are not those of the window of two seconds.
_PERSISTS_S = 10 * WINDOW_S
_LONGEST_S = 3_600
_NUMBER = re.compile(r"-?[0-9]{1,18}")


class Refusals:
    """Records since when calls are refused; safe with threads.

    Args:
        now: the present.
        monotonic: seconds that never run backwards.
    """

    def __init__(self, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._since: float | None = None

    def note_success(self) -> None:
        """Record that a call succeeded."""
        self._since = None

    def classify(self, message: str, response: requests.Response) -> CrmError:
        """Return the error that a 429 means."""
        with self._lock:
            first = self._since if self._since is not None else self._monotonic()
            self._since = first
        headers = response.headers
        left = number(headers, "x-daily-ratelimit-token-remaining")
        in_window = number(headers, "x-ratelimit-remaining")
        is_search = "/search" in response.url.lower()
        is_spent = left is not None and left <= 0
        # Some tokens are left, but fewer than a call may cost, and the window has room.
        is_short = left is not None and left < _HIGHEST_COST and bool(in_window) and not is_search
        persists = left is None and self._monotonic() - first > _PERSISTS_S
        if is_spent or is_short or persists:
            return self._daily_limit(message)
        reset = number(headers, "x-ratelimit-reset")  # in relative seconds
        reset_s = WINDOW_S if reset is None or not 0 <= reset <= _LONGEST_S else float(reset)
        return Throttled(
            message,
            status=429,
            code="burst",
            retry_after_s=reset_s,
            cure="Pipedrive asked to slow down and was obeyed until patience ended; look for other "
            "programs that use the same token, or lower `share` in connections.yaml.",
        )

    def _daily_limit(self, message: str) -> BudgetExhausted:
        now = self._now()
        midnight = (now + timedelta(days=1)).astimezone(UTC).replace(hour=0, minute=0, second=0)
        return BudgetExhausted(
            f"{message} (the company's API tokens of the day are used up)",
            wait_s=max(60.0, (midnight - now).total_seconds()),
            cure="All users and apps of the company share one pot, which is filled again at the server's "
            "midnight: wait, buy a top-up, or see which app spends it (Pipedrive: Settings, Company "
            "settings, API usage).",
        )


def number(headers: Mapping[str, str], name: str) -> int | None:
    """Return the whole number of a header; None where there is none."""
    text = headers.get(name, "").strip()
    value = whole(text.removeprefix("-"), MOST_COUNTED)
    return -value if value and text.startswith("-") else value
