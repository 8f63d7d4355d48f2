"""The demand of a group's members under one limit, estimated from the contacts of their processes.

A demand belongs to one lease: how fast it takes permits while nothing holds it back, and what it waits for
now. `fair_share.py` computes from all of them what the others leave.
"""

import math
from dataclasses import dataclass

from crm_pipeline.ratelimit.limits import Limit, period_ms

_MEMORY_MS = (1_000, 10_000)  # the pace is of about the last window, within these bounds
_SHORTEST_MS = 50  # a pace over less than this says nothing
_OVERDUE_MS = 1_000  # a waiting process asks again within this time, a dead one does not
# A quarter of the window, within these bounds: after this time without a request there is no demand.
_LINGER_MS = (500, 5_000)


@dataclass
class Demand:
    """The demand of one lease.

    Attributes:
        member: the connection that holds the lease.
        at_ms: its last contact.
        until_ms: it waits until then because of this limit; in the past where it does not wait.
        need: the least that its next call needs.
        wanted: the sum that its callers wait for.
        granted: cost granted recently, decaying exponentially.
        active_ms: recent time in which it did not wait, decaying alike.
    """

    member: str
    at_ms: int
    until_ms: int = 0
    need: int = 0
    wanted: int = 0
    granted: float = 0.0
    active_ms: float = 0.0

    def written(self) -> list[object]:
        """Return the demand as JSON."""
        return [
            self.member,
            self.at_ms,
            self.until_ms,
            self.need,
            self.wanted,
            round(self.granted, 2),
            round(self.active_ms, 1),
        ]

    def advance(self, limit: Limit, now_ms: int, unused: int) -> None:
        """Let time pass, and subtract grants that came back unused."""
        passed = max(0, now_ms - self.at_ms)
        least, most = _MEMORY_MS
        fading = math.exp(-passed / min(max(period_ms(limit), least), most))
        self.granted = max(0.0, self.granted * fading - unused)
        waited = min(passed, max(0, self.until_ms - self.at_ms))
        self.active_ms = self.active_ms * fading + passed - waited
        self.at_ms = now_ms

    def enter_verdict(
        self, now_ms: int, need: int, wanted: int, granted: int, wait_ms: float
    ) -> None:
        """Enter the result of a request: a grant, or a wait because of this limit."""
        self.granted += granted
        self.wanted = max(0, wanted - granted)
        self.need = need if wait_ms else 0
        self.until_ms = now_ms + math.ceil(wait_ms) + _OVERDUE_MS if wait_ms else 0

    def set_back(self, limit: Limit, now_ms: int) -> None:
        """Correct times that lie in the future because a clock was set back."""
        self.at_ms = min(self.at_ms, now_ms)
        self.until_ms = min(self.until_ms, now_ms + period_ms(limit) + _OVERDUE_MS)

    def is_waiting(self, now_ms: int) -> bool:
        """Say whether it waits because of this limit."""
        return self.until_ms > now_ms

    def is_over(self, limit: Limit, now_ms: int) -> bool:
        """Say whether it may be forgotten, if the lease holds nothing."""
        least, most = _LINGER_MS
        linger = min(max(period_ms(limit) // 4, least), most)
        return not self.is_waiting(now_ms) and now_ms - self.at_ms > linger

    def expected_use(self, limit: Limit, now_ms: int) -> float:
        """Return the part of a window that it would use if nothing held it back, without what it waits for."""
        if limit.kind == "concurrency":
            return 0.0
        passed = max(0, now_ms - max(self.at_ms, self.until_ms))
        return self.granted / max(self.active_ms + passed, _SHORTEST_MS) * period_ms(limit)
