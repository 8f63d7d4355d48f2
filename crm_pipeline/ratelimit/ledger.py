"""The ledger of one limit: permits spent, permits on lease, and the vendor's own counter.

A permit is held from its lease until one window after the response to its call. Permits of a crashed process
count as spent when its lease ends. Times are milliseconds of the database's clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from crm_pipeline.ratelimit.demand import Demand
from crm_pipeline.ratelimit.limits import (
    DAY_MS,
    Limit,
    current_slot_ms,
    expires_ms,
    last_reset_ms,
    member_ms,
    period_ms,
    slot_end_ms,
)

LEASE_MS = 60_000  # a living process renews its lease; a dead one's permits count one window longer
# Part of a window for which a lower reading of the vendor does not replace a higher one.
_STEADY_PART = 8


@dataclass
class Lease:
    """Permits that a process holds, unused or for calls under way."""

    cost: int
    until_ms: int
    member: str = ""


@dataclass(frozen=True)
class VendorCounter:
    """A reading of the vendor's own counter, and our total at that moment.

    Attributes:
        allowed: the vendor's own limit.
        foreign: the part of the vendor's count that we did not make.
    """

    used: int
    allowed: int
    at_ms: int
    total: int
    foreign: int = 0


@dataclass
class Ledger:
    """The ledger of one limit.

    Attributes:
        spent: member -> end of slot (see `limits.slot_end_ms`) -> cost.
        leases: permits on lease, by lease id.
        total: cost spent of all time.
        vendor: the vendor's own counter.
        demands: by lease id, for limits that are waited for.
        seen: member -> its last request, for a limit that refuses.
    """

    spent: dict[str, dict[int, int]] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    total: int = 0
    vendor: VendorCounter | None = None
    demands: dict[str, Demand] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)

    def written(self) -> dict[str, Any]:
        """Return the ledger as JSON; `ledger_state.sound_ledger` reads it."""
        vendor = self.vendor
        return {
            "spent": {member: sorted(entries.items()) for member, entries in self.spent.items()},
            "leases": {
                name: [lease.cost, lease.until_ms, lease.member]
                for name, lease in self.leases.items()
            },
            "total": self.total,
            "vendor": [vendor.used, vendor.allowed, vendor.at_ms, vendor.total, vendor.foreign]
            if vendor
            else None,
            "claims": {name: demand.written() for name, demand in self.demands.items()},
            "seen": self.seen,
        }

    @property
    def leased(self) -> int:
        """Cost of the permits on lease."""
        return sum(lease.cost for lease in self.leases.values())

    @property
    def own(self) -> int:
        """Cost spent within the window, as of the last `settle`."""
        return sum(sum(entries.values()) for entries in self.spent.values())

    def use_of(self, member: str) -> int:
        """Return the cost that counts for a member now, leases included."""
        leased = sum(lease.cost for lease in self.leases.values() if lease.member == member)
        return leased + sum(self.spent.get(member, {}).values())

    def vendor_used(self) -> int:
        """Return the vendor's counter plus the cost that we spent since it was read."""
        return self.vendor.used + self.total - self.vendor.total if self.vendor else 0

    def foreign(self, limit: Limit) -> int:
        """Return the cost of calls that others made, by the vendor's counter."""
        if limit.refuses:
            return max(0, self.vendor_used() - self.own)
        return self.vendor.foreign if self.vendor else 0

    def used(self, limit: Limit) -> int:
        """Return the cost that counts against the limit, leases excluded."""
        return self.own + self.foreign(limit)

    def allowed(self, limit: Limit) -> int:
        """Return our share, or the vendor's own limit where that is lower."""
        return min(limit.calls, self.vendor.allowed) if self.vendor else limit.calls

    def expirations(self, limit: Limit, member: str | None = None) -> list[tuple[int, int]]:
        """Return `(when, cost)` for spent cost that will no longer count, in order, of a member or of all."""
        expirations = [
            (expires_ms(limit, slot_ms), cost)
            for name, entries in self.spent.items()
            if member in {None, name}
            for slot_ms, cost in entries.items()
        ]
        if member is None and not limit.refuses and self.vendor and self.vendor.foreign:
            expirations.append((self.vendor.at_ms + period_ms(limit), self.vendor.foreign))
        return sorted(expirations)

    def hold(self, lease: str, cost: int, now_ms: int, member: str = "") -> None:
        """Set the cost that a lease holds from now on."""
        self.leases.pop(lease, None)
        if cost > 0:
            self.leases[lease] = Lease(cost, now_ms + LEASE_MS, member)

    def spend(self, limit: Limit, cost: int, at_ms: int, member: str = "") -> None:
        """Enter calls whose responses came at that moment."""
        self.total += cost
        if cost and limit.kind != "concurrency":
            slot_ms = slot_end_ms(limit, at_ms)
            entries = self.spent.setdefault(member, {})
            entries[slot_ms] = entries.get(slot_ms, 0) + cost

    def observe(self, limit: Limit, used: int, allowed: int, at_ms: int) -> None:
        """Enter a reading of the vendor's own counter; our own calls must be entered before."""
        foreign = max(0, used - self.own - self.leased)
        before = self.vendor
        if before and not limit.refuses and foreign < before.foreign:
            # Responses overtake each other, and the vendor has not yet seen all the calls that we hold.
            is_later = at_ms >= before.at_ms + period_ms(limit) // _STEADY_PART
            if not is_later:
                return
        self.vendor = VendorCounter(used, allowed, at_ms, self.total, foreign)

    def forget(self, *, counted: bool, reported: bool) -> None:
        """Forget our own count, the vendor's counter, or both; permits on lease stay."""
        if counted:
            self.spent = {}
        if reported:
            self.vendor = None

    def settle(self, limit: Limit, now_ms: int) -> None:
        """Drop cost that has left the window, and count expired leases as spent."""
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
        for demand in self.demands.values():
            demand.set_back(limit, now_ms)
        for name in [n for n, demand in self.demands.items() if demand.is_over(limit, now_ms)]:
            if name not in self.leases:
                del self.demands[name]
        self.seen = {
            member: min(at_ms, now_ms)
            for member, at_ms in self.seen.items()
            if at_ms > now_ms - member_ms(limit)
        }

    def _settle_vendor(self, limit: Limit, now_ms: int) -> None:
        if self.vendor is None:
            return
        age_ms = abs(now_ms - self.vendor.at_ms)
        lasting_ms = period_ms(limit) if limit.kind == "monthly" else DAY_MS
        if age_ms > lasting_ms or (
            limit.resets and self.vendor.at_ms < last_reset_ms(limit, now_ms)
        ):
            self.vendor = None
        elif not limit.refuses and age_ms >= period_ms(limit):
            self.vendor = replace(self.vendor, foreign=0)


def _left(limit: Limit, entries: Mapping[int, int], now_ms: int) -> dict[int, int]:
    left: dict[int, int] = {}
    for slot_ms, cost in entries.items():
        if (moved_ms := current_slot_ms(limit, slot_ms, now_ms)) is not None:
            left[moved_ms] = left.get(moved_ms, 0) + cost
    return left
