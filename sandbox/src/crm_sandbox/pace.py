"""The latency of the sandbox, and rolling limits of calls for all vendors.

Both are off until the admin address `/_admin/pace` sets them. Unlike a fault they can be avoided: a
client whose rate limiter works is never refused by a ceiling of the same size.
"""

import math
import random
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from crm_sandbox.http import Response, json_response


class Pace:
    """The latency and the ceilings of one sandbox; thread-safe.

    Attributes:
        low_s, high_s: every response waits a time drawn evenly from between them.
        ceilings: `[calls, seconds]`: the most calls within any window of that many seconds.
        refused: how many were refused.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.set({})

    def set(self, order: Mapping[str, Any]) -> None:
        """Replace all settings by `latency` `[low, high]`, `seed` and `ceilings`.

        Raises:
            ValueError: a value is unknown, negative or not in order.
        """
        if unknown := set(order) - {"latency", "seed", "ceilings"}:
            raise ValueError(f"unknown {sorted(unknown)}; known: latency, seed, ceilings")
        low_s, high_s = (float(bound) for bound in order.get("latency", (0, 0)))
        ceilings = [(int(calls), float(span)) for calls, span in order.get("ceilings", ())]
        if not 0 <= low_s <= high_s < math.inf or any(c < 1 or s <= 0 for c, s in ceilings):
            raise ValueError("latency is [low, high] in seconds, a ceiling [calls, seconds]")
        with self._lock:
            self.low_s, self.high_s, self.ceilings = low_s, high_s, ceilings
            self._random = random.Random(order.get("seed", 7))  # noqa: S311 - to be repeatable
            self._arrived: deque[float] = deque()
            self.refused = 0

    def delay_s(self) -> float:
        """Return how long the next response waits."""
        with self._lock:
            return self._random.uniform(self.low_s, self.high_s) if self.high_s else 0.0

    def refusal(self) -> Response | None:
        """Count a call; return a 429, and do not count it, where it is one too many."""
        if not self.ceilings:
            return None
        now = time.monotonic()
        with self._lock:
            longest_s = max(span for _, span in self.ceilings)
            while self._arrived and self._arrived[0] <= now - longest_s:
                self._arrived.popleft()
            for calls, span in self.ceilings:
                if sum(at > now - span for at in self._arrived) >= calls:
                    self.refused += 1
                    words = {"error": f"more than {calls} calls in {span:g} s"}
                    return json_response(words, 429, (("Retry-After", str(math.ceil(span))),))
            self._arrived.append(now)
        return None

    def shown(self) -> dict[str, Any]:
        """Return the settings and what was refused."""
        latency = [self.low_s, self.high_s]
        return {"latency": latency, "ceilings": self.ceilings, "refused": self.refused}
