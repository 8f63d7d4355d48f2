"""Divide a limit among the members of a group: equal shares for members that want more than there is.

A member gets what the others leave. What another member uses or would use is reserved for it, up to the level
at which all shares together fill the limit; the rest is available at once. Of a limit that refuses every known member is
assumed to want its whole share.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from crm_pipeline.ratelimit.ledger import Ledger
from crm_pipeline.ratelimit.limits import Limit


@dataclass(frozen=True)
class MemberDemand:
    """What another member uses and wants.

    Attributes:
        use: the cost that counts for it now.
        demand: the cost that it would use if nothing held it back.
        least: the cost of its waiting call, where nothing else counts for it.
    """

    member: str
    use: int
    demand: float
    least: int = 0

    def share(self, level: int) -> int:
        """Return its share where all shares are filled up to a level."""
        return max(self.least, int(min(self.demand, level)))


@dataclass(frozen=True)
class Headroom:
    """What a member may take now.

    Attributes:
        free: the amount that nobody uses.
        available: the part of it that this member may take; negative where it uses more than its share.
        kept_for: the members for whom the rest is reserved.
    """

    free: int
    available: int
    kept_for: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """A member's request under one limit, whose ledger has been settled.

    Attributes:
        need: the cost of its next call.
        now_ms: the database's clock.
    """

    limit: Limit
    ledger: Ledger
    member: str
    need: int
    now_ms: int


def headroom_of(request: Request) -> Headroom:
    """Return what a member may take."""
    limit, ledger = request.limit, request.ledger
    allowed = ledger.allowed(limit)
    if not limit.refuses:
        # A call that costs more than the vendor's limit goes out, because waiting would never end.
        allowed = max(allowed, request.need)
    free = allowed - ledger.used(limit) - ledger.leased
    others = demands_of_others(request)
    if not others:
        return Headroom(free, free)
    use = ledger.use_of(request.member)
    # Cost of nobody, such as calls of a member that has left, is not shared.
    shared = free + use + sum(other.use for other in others)
    least = 0 if use else request.need
    level = _level(shared, least, others)
    rest = shared - use - sum(max(other.use, other.share(level)) for other in others)
    available = max(rest, min(free, max(level, least) - use))
    kept_for = tuple(other.member for other in others if other.share(level) > other.use)
    return Headroom(free, available, kept_for if available < free else ())


def demands_of_others(request: Request) -> list[MemberDemand]:
    """Return what the other members use and want."""
    limit, ledger = request.limit, request.ledger
    if limit.refuses:
        others = sorted(ledger.seen.keys() - {request.member})
        return [MemberDemand(name, ledger.use_of(name), math.inf) for name in others]
    others = sorted({demand.member for demand in ledger.demands.values()} - {request.member})
    return [_demand_of(limit, ledger, name, request.now_ms) for name in others]


def _demand_of(limit: Limit, ledger: Ledger, member: str, now_ms: int) -> MemberDemand:
    use, expected, waiting, least = ledger.use_of(member), 0.0, 0, 0
    for demand in ledger.demands.values():
        if demand.member == member:
            expected += demand.expected_use(limit, now_ms)
            if demand.is_waiting(now_ms):
                waiting += demand.wanted
                least = max(least, demand.need)
    return MemberDemand(member, use, max(expected, use + waiting), 0 if use else least)


def _level(shared: int, least: int, others: Sequence[MemberDemand]) -> int:
    """Return the highest level at which this member's share and the others' fit together."""
    low, high = 0, max(0, shared)
    while low < high:
        middle = (low + high + 1) // 2
        wanted = max(least, middle) + sum(other.share(middle) for other in others)
        low, high = (middle, high) if wanted <= shared else (low, middle - 1)
    return low
