"""Who of a group may have how much: equal shares for members that want more than there is.

A member gets what the others leave. What one of them uses or would use is kept for it, up to the
level at which all shares together fill the limit; what it would not use the others get at once. Of
a limit by the day everybody is taken to want its whole share for as long as it is known.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from crm_pipeline.ratelimit.ledger import Ledger
from crm_pipeline.ratelimit.limits import Limit


@dataclass(frozen=True)
class Stake:
    """What another member has and wants.

    Attributes:
        use: what counts for it now.
        demand: what it would use if nothing held it back.
        least: what a single call of it needs that waits while nothing counts for it.
    """

    member: str
    use: int
    demand: float
    least: int = 0

    def share(self, level: int) -> int:
        """Return what it is entitled to where shares are filled up to a level."""
        return max(self.least, int(min(self.demand, level)))


@dataclass(frozen=True)
class Headroom:
    """What a member may take now.

    Attributes:
        free: what nobody uses.
        allowed: the part of it that this member may have; negative where it has more than that.
        kept_for: the others for whom the rest is kept.
    """

    free: int
    allowed: int
    kept_for: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """What a member asks for under one limit, whose account has been settled.

    Attributes:
        need: what its next call costs.
        now_ms: the database's clock.
    """

    limit: Limit
    ledger: Ledger
    member: str
    need: int
    now_ms: int


def room(request: Request) -> Headroom:
    """Say what a member may take."""
    limit, ledger = request.limit, request.ledger
    ceiling = ledger.ceiling(limit)
    if limit.kind != "daily":
        # A vendor that says it never allows so much may refuse; waiting would not end.
        ceiling = max(ceiling, request.need)
    free = ceiling - ledger.used(limit) - ledger.leased
    others = stakes(request)
    if not others:
        return Headroom(free, free)
    use = ledger.use_of(request.member)
    # What is neither this member's nor another's, as calls of one that has left, is not shared.
    shared = free + use + sum(stake.use for stake in others)
    least = 0 if use else request.need
    level = _level(shared, least, others)
    rest = shared - use - sum(max(stake.use, stake.share(level)) for stake in others)
    allowed = max(rest, min(free, max(level, least) - use))
    kept_for = tuple(stake.member for stake in others if stake.share(level) > stake.use)
    return Headroom(free, allowed, kept_for if allowed < free else ())


def stakes(request: Request) -> list[Stake]:
    """Return what the other members have and want."""
    limit, ledger = request.limit, request.ledger
    if limit.kind == "daily":
        others = sorted(ledger.seen.keys() - {request.member})
        return [Stake(name, ledger.use_of(name), math.inf) for name in others]
    others = sorted({claim.member for claim in ledger.claims.values()} - {request.member})
    return [_stake(limit, ledger, name, request.now_ms) for name in others]


def _stake(limit: Limit, ledger: Ledger, member: str, now_ms: int) -> Stake:
    use, demand, waiting, least = ledger.use_of(member), 0.0, 0, 0
    for claim in ledger.claims.values():
        if claim.member == member:
            demand += claim.demand(limit, now_ms)
            if claim.is_waiting(now_ms):
                waiting += claim.wanted
                least = max(least, claim.need)
    return Stake(member, use, max(demand, use + waiting), 0 if use else least)


def _level(shared: int, least: int, others: Sequence[Stake]) -> int:
    """Return the highest level at which this member's share and the others' fit together."""
    low, high = 0, max(0, shared)
    while low < high:
        middle = (low + high + 1) // 2
        wanted = max(least, middle) + sum(stake.share(middle) for stake in others)
        low, high = (middle, high) if wanted <= shared else (low, middle - 1)
    return low
