"""The account of one limit: what was spent, what is out on lease, what the vendor counts.

A permit is held from its lease until one window after its reply; what a crashed process held counts
as spent when its lease ends. Time comes in as milliseconds of the database's clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from crm_pipeline.ratelimit.demand import Demand
from crm_pipeline.ratelimit.limits import (
    DAY_MS,
    Limit,
    gone_ms,
    kept,
    member_ms,
    period_ms,
    stamped,
    turned_ms,
)

LEASE_MS = 60_000  # a living process renews; a dead one's permits count one window longer than this
_STEADY_PART = 8  # of a window: so long a lower figure of the vendor does not replace a higher one


@dataclass
class Lease:
    """Permits that a process holds: unused ones, and those of calls under way."""

    cost: int
    until_ms: int
    member: str = ""


@dataclass(frozen=True)
class VendorCounter:
    """What the vendor's own counter said, and our total at that moment.

    Attributes:
        foreign: what the vendor had counted beyond what we held.
    """

    used: int
    ceiling: int
    at_ms: int
    total: int
    foreign: int = 0


@dataclass
class Ledger:
    """The account.

    Attributes:
        spent: member -> stamp (see `limits.stamped`) -> cost.
        leases: permits out, by lease id.
        total: cost ever spent.
        vendor: the vendor's own counter.
        claims: by lease id: what is wanted of a limit that is waited for.
        seen: member -> when it last asked, for a limit by the day.
    """

    spent: dict[str, dict[int, int]] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    total: int = 0
    vendor: VendorCounter | None = None
    claims: dict[str, Demand] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)

    def written(self) -> dict[str, Any]:
        """Return the account as JSON; `gate_state.sound_ledger` reads it."""
        seen = self.vendor
        return {
            "spent": {member: sorted(entries.items()) for member, entries in self.spent.items()},
            "leases": {
                name: [lease.cost, lease.until_ms, lease.member]
                for name, lease in self.leases.items()
            },
            "total": self.total,
            "vendor": [seen.used, seen.ceiling, seen.at_ms, seen.total, seen.foreign]
            if seen
            else None,
            "claims": {name: claim.written() for name, claim in self.claims.items()},
            "seen": self.seen,
        }

    @property
    def leased(self) -> int:
        """Weight out on lease."""
        return sum(lease.cost for lease in self.leases.values())

    @property
    def own(self) -> int:
        """Weight spent within the window, as of the last `settle`."""
        return sum(sum(entries.values()) for entries in self.spent.values())

    def use_of(self, member: str) -> int:
        """Return what counts for a member now, leases included."""
        out = sum(lease.cost for lease in self.leases.values() if lease.member == member)
        return out + sum(self.spent.get(member, {}).values())

    def vendor_used(self) -> int:
        """Return the vendor's counter brought forward by what we spent since it was read."""
        return self.vendor.used + self.total - self.vendor.total if self.vendor else 0

    def foreign(self, limit: Limit) -> int:
        """Return what counts beside our own: the vendor has seen it, and we did not make it."""
        if limit.kind == "daily":
            return max(0, self.vendor_used() - self.own)
        return self.vendor.foreign if self.vendor else 0

    def used(self, limit: Limit) -> int:
        """Return what counts against the limit beside the leases."""
        return self.own + self.foreign(limit)

    def ceiling(self, limit: Limit) -> int:
        """Return our share, or the vendor's own ceiling where that is lower."""
        return min(limit.calls, self.vendor.ceiling) if self.vendor else limit.calls

    def leaving(self, limit: Limit, member: str | None = None) -> list[tuple[int, int]]:
        """Return when how much of what was spent counts no more, in order, of a member or of all."""
        found = [
            (gone_ms(limit, stamp), cost)
            for name, entries in self.spent.items()
            if member in {None, name}
            for stamp, cost in entries.items()
        ]
        if member is None and limit.kind != "daily" and self.vendor and self.vendor.foreign:
            found.append((self.vendor.at_ms + period_ms(limit), self.vendor.foreign))
        return sorted(found)

    def hold(self, lease: str, cost: int, now_ms: int, member: str = "") -> None:
        """Set what a lease holds from now on."""
        self.leases.pop(lease, None)
        if cost > 0:
            self.leases[lease] = Lease(cost, now_ms + LEASE_MS, member)

    def spend(self, limit: Limit, cost: int, at_ms: int, member: str = "") -> None:
        """Enter calls whose reply came at that moment."""
        self.total += cost
        if cost and limit.kind != "concurrency":
            stamp = stamped(limit, at_ms)
            entries = self.spent.setdefault(member, {})
            entries[stamp] = entries.get(stamp, 0) + cost

    def observe(self, limit: Limit, used: int, ceiling: int, at_ms: int) -> None:
        """Enter a reading of the vendor's own counter; what we hold is to be entered before."""
        foreign = max(0, used - self.own - self.leased)
        seen = self.vendor
        if seen and limit.kind != "daily" and foreign < seen.foreign:
            # Replies overtake each other, and a part of what we hold the vendor has not seen yet.
            is_later = at_ms >= seen.at_ms + period_ms(limit) // _STEADY_PART
            if not is_later:
                return
        self.vendor = VendorCounter(used, ceiling, at_ms, self.total, foreign)

    def forget(self, *, counted: bool, told: bool) -> None:
        """Forget what was spent, or what the vendor told; permits that are out stay out."""
        if counted:
            self.spent = {}
        if told:
            self.vendor = None

    def settle(self, limit: Limit, now_ms: int) -> None:
        """Drop what has left the window and take back the leases that ran out."""
        for name in [n for n, lease in self.leases.items() if lease.until_ms <= now_ms]:
            lease = self.leases.pop(name)
            self.spend(limit, lease.cost, lease.until_ms, lease.member)
        for lease in self.leases.values():
            lease.until_ms = min(lease.until_ms, now_ms + LEASE_MS)
        self.spent = {
            member: left
            for member, entries in self.spent.items()
            if (left := _left(limit, entries, now_ms))
        }
        self._settle_members(limit, now_ms)
        self._settle_vendor(limit, now_ms)

    def _settle_members(self, limit: Limit, now_ms: int) -> None:
        for claim in self.claims.values():
            claim.set_back(limit, now_ms)
        for name in [n for n, claim in self.claims.items() if claim.is_over(limit, now_ms)]:
            if name not in self.leases:
                del self.claims[name]
        self.seen = {
            member: min(at_ms, now_ms)
            for member, at_ms in self.seen.items()
            if at_ms > now_ms - member_ms(limit)
        }

    def _settle_vendor(self, limit: Limit, now_ms: int) -> None:
        if self.vendor is None:
            return
        age_ms = abs(now_ms - self.vendor.at_ms)
        if age_ms > DAY_MS or (limit.resets and self.vendor.at_ms < turned_ms(limit, now_ms)):
            self.vendor = None
        elif limit.kind != "daily" and age_ms >= period_ms(limit):
            self.vendor = replace(self.vendor, foreign=0)


def _left(limit: Limit, entries: Mapping[int, int], now_ms: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for stamp, cost in entries.items():
        if (moved := kept(limit, stamp, now_ms)) is not None:
            found[moved] = found.get(moved, 0) + cost
    return found
