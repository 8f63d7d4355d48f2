"""Two kinds of 429 that look alike: too many calls in two seconds, or no tokens left for the day.

The first passes by itself, the second does not before the server's midnight. Headers tell them apart
where they come; without them a refusal that outlasts its window is one of the day.
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
# The dearest call: what is left below this may be too little for any.
_DEAREST = 40
# Refusals without a single success for this long are not those of a window of two seconds.
_PERSISTS_S = 10 * WINDOW_S
_LONGEST_S = 3_600
_NUMBER = re.compile(r"-?[0-9]{1,18}")


class Refusals:
    """Remembers since when calls are refused; safe with threads.

    Args:
        now: the present.
        monotonic: seconds that never run backwards.
    """

    def __init__(self, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._since: float | None = None

    def passed(self) -> None:
        """Note that a call was answered."""
        self._since = None

    def judged(self, said: str, response: requests.Response) -> CrmError:
        """Return what a 429 stands for."""
        with self._lock:
            first = self._since if self._since is not None else self._monotonic()
            self._since = first
        headers = response.headers
        left = number(headers, "x-daily-ratelimit-token-remaining")
        in_window = number(headers, "x-ratelimit-remaining")
        is_search = "/search" in response.url.lower()
        is_spent = left is not None and left <= 0
        # Somewhat is left, but less than a call may cost, and the window has room.
        is_short = left is not None and left < _DEAREST and bool(in_window) and not is_search
        persists = left is None and self._monotonic() - first > _PERSISTS_S
        if is_spent or is_short or persists:
            return self._of_the_day(said)
        told_s = number(headers, "x-ratelimit-reset")  # relative seconds, not a moment
        reset_s = WINDOW_S if told_s is None or not 0 <= told_s <= _LONGEST_S else float(told_s)
        return Throttled(
            said,
            status=429,
            code="burst",
            retry_after_s=reset_s,
            cure="Pipedrive asked to slow down and was obeyed until patience ended; look for other "
            "programs that use the same token, or lower `share` in connections.yaml.",
        )

    def _of_the_day(self, said: str) -> BudgetExhausted:
        now = self._now()
        midnight = (now + timedelta(days=1)).astimezone(UTC).replace(hour=0, minute=0, second=0)
        return BudgetExhausted(
            f"{said} (the company's API tokens of the day are used up)",
            wait_s=max(60.0, (midnight - now).total_seconds()),
            cure="All users and apps of the company share one pot, which is filled again at the server's "
            "midnight: wait, buy a top-up, or see which app spends it (Pipedrive: Settings, Company "
            "settings, API usage).",
        )


def number(headers: Mapping[str, str], name: str) -> int | None:
    """Return a header that holds a whole number; None where there is none."""
    text = headers.get(name, "").strip()
    found = whole(text.removeprefix("-"), MOST_COUNTED)
    return -found if found and text.startswith("-") else found
