"""The arithmetic of the rate gate: what is held, what is free, how long to wait. Plain values only.

A permit is held from its lease until one window after its reply; what a crashed process held counts
as spent when its lease ends. Time comes in as milliseconds of the database's clock. Rows, locks
and waiting are in `gate.py`, sharing a lease between threads in `desk.py`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

LEASE_MS = 60_000  # a living process renews; a dead one's permits count one window longer than this
PACK_SHARE = 0.05  # of the smallest ceiling: what one process may hold unused, or lose in a crash
_PACK_MOST = 500
_SLOTS = 128  # spent permits are summed in slots of this part of the window; a late end is safe
_POLL_MS = 50  # nobody knows when a call that is under way will end
_DAY_MS = 86_400_000
_PROBE_MS = 3_600_000  # a vendor's counter that refuses for ever would never be read again


class LimitShape(Protocol):
    """What the gate has to know about a limit; `wire.throttle.Limit` is one."""

    @property
    def name(self) -> str:
        """Name, unique within the group."""

    @property
    def calls(self) -> int:
        """Our share of the ceiling."""

    @property
    def period_s(self) -> float:
        """Length of the window."""

    @property
    def kind(self) -> str:
        """`rolling`, `daily` or `concurrency`."""


@dataclass
class Lease:
    """Permits that a process holds: unused ones, and those of calls under way."""

    weight: int
    until_ms: int


@dataclass(frozen=True)
class Observation:
    """What the vendor's own counter said, and our total at that moment."""

    used: int
    ceiling: int
    at_ms: int
    total: int


@dataclass
class Book:
    """The account of one limit.

    Attributes:
        spent: end of a slot of time -> weight whose reply fell into it.
        leases: permits out, by lease id.
        total: weight ever spent.
        vendor: the vendor's own counter.
    """

    spent: dict[int, int] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    total: int = 0
    vendor: Observation | None = None

    @classmethod
    def read(cls, state: Mapping[str, Any]) -> "Book":
        """Read what `written` wrote."""
        vendor = state.get("vendor")
        return cls(
            spent={int(end): weight for end, weight in state.get("spent", ())},
            leases={name: Lease(*lease) for name, lease in state.get("leases", {}).items()},
            total=state.get("total", 0),
            vendor=Observation(*vendor) if vendor else None,
        )

    def written(self) -> dict[str, Any]:
        """Return the account as JSON."""
        vendor = self.vendor
        return {
            "spent": sorted(self.spent.items()),
            "leases": {name: [lease.weight, lease.until_ms] for name, lease in self.leases.items()},
            "total": self.total,
            "vendor": [vendor.used, vendor.ceiling, vendor.at_ms, vendor.total] if vendor else None,
        }

    @property
    def leased(self) -> int:
        """Weight out on lease."""
        return sum(lease.weight for lease in self.leases.values())

    def own(self) -> int:
        """Weight spent within the window, as of the last `settle`."""
        return sum(self.spent.values())

    def vendor_used(self) -> int:
        """Return the vendor's counter brought forward by what we spent since it was read."""
        return self.vendor.used + self.total - self.vendor.total if self.vendor else 0

    def hold(self, lease: str, weight: int, now_ms: int) -> None:
        """Set what a lease holds from now on."""
        self.leases.pop(lease, None)
        if weight > 0:
            self.leases[lease] = Lease(weight, now_ms + LEASE_MS)

    def settle(self, limit: LimitShape, now_ms: int) -> None:
        """Drop what has left the window and take back the leases that ran out."""
        period_ms = _period_ms(limit)
        for name in [n for n, lease in self.leases.items() if lease.until_ms <= now_ms]:
            lease = self.leases.pop(name)
            self.spend(limit, lease.weight, at_ms=lease.until_ms)
        # A clock set back would keep future stamps for too long or, dropped, forget calls: they
        # count as made now.
        latest = now_ms + _slot_ms(limit)
        kept: dict[int, int] = {}
        for end, weight in self.spent.items():
            if end > now_ms - period_ms:
                kept[min(end, latest)] = kept.get(min(end, latest), 0) + weight
        self.spent = kept
        for lease in self.leases.values():
            lease.until_ms = min(lease.until_ms, now_ms + LEASE_MS)
        if self.vendor and abs(now_ms - self.vendor.at_ms) > _DAY_MS:
            self.vendor = None

    def spend(self, limit: LimitShape, weight: int, at_ms: int) -> None:
        """Enter calls whose reply came at that moment."""
        self.total += weight
        if limit.kind != "concurrency":
            slot = _slot_ms(limit)
            end = -(-at_ms // slot) * slot
            self.spent[end] = self.spent.get(end, 0) + weight


@dataclass(frozen=True)
class Refusal:
    """A limit that is spent for longer than one waits.

    Attributes:
        limit: name of the limit.
        used: what counts against it now.
        ceiling: what it allows.
        wait_s: when to try again.
    """

    limit: str
    used: int
    ceiling: int
    wait_s: float


@dataclass(frozen=True)
class Verdict:
    """The answer to a request: some permits, a wait, or a refusal."""

    granted: int = 0
    wait_s: float = 0.0
    refusal: Refusal | None = None


@dataclass(frozen=True)
class News:
    """What a process tells in one contact.

    Attributes:
        lease: id of its lease.
        replied: calls that ended, each by how many seconds ago, and its weight.
        kept: weight that it goes on holding.
    """

    lease: str
    replied: tuple[tuple[float, int], ...]
    kept: int


def entered(
    accounts: Sequence[tuple[LimitShape, Book, int]], news: News, need: int, wish: int
) -> Verdict:
    """Enter a process's news into the accounts, and what it is granted of `need` to `wish`.

    Args:
        accounts: each limit with its book and the database's time in milliseconds.
        news: of the process.
        need: weight without which the caller cannot go on; 0 to tell news only.
        wish: weight that it would take.
    """
    for limit, book, now_ms in accounts:
        book.settle(limit, now_ms)
        for ago_s, weight in news.replied:
            # Up, and one more, for the fractions of milliseconds that the database's time lacks.
            book.spend(limit, weight, at_ms=math.ceil(now_ms + 1 - ago_s * 1000))
        book.hold(news.lease, news.kept, now_ms)
    verdict = Verdict()
    if need:
        latest_ms = max(now_ms for *_, now_ms in accounts)
        verdict = decide([(limit, book) for limit, book, _ in accounts], need, wish, latest_ms)
    for _, book, now_ms in accounts:
        book.hold(news.lease, news.kept + verdict.granted, now_ms)
    return verdict


def pack_most(limits: Iterable[LimitShape]) -> int:
    """Return the largest number of permits that one process may take in advance."""
    return max(1, min([_PACK_MOST, *(int(limit.calls * PACK_SHARE) for limit in limits)]))


def decide(
    accounts: Iterable[tuple[LimitShape, Book]], need: int, wish: int, now_ms: int
) -> Verdict:
    """Say how many permits may be had at once from all the accounts, which have been settled.

    Args:
        accounts: each limit with its book; nothing is entered into them, but a vendor's counter
            that is due for a probe is marked as read now.
        need: weight without which the caller cannot go on.
        wish: weight that it would take.
        now_ms: the database's clock.
    """
    free, wait_ms = wish, 0.0
    probes = []
    for limit, book in accounts:
        room = _ceiling(limit, book) - used_weight(limit, book) - book.leased
        if room < need and _is_probe_due(limit, book, need, now_ms):
            probes.append(book)
            room = need
        elif room < need:
            refusal = _refused(limit, book, need, now_ms)
            if refusal:
                return Verdict(refusal=refusal)
            wait_ms = max(wait_ms, _wait_ms(limit, book, need, now_ms))
        free = min(free, room)
    if free < need:
        return Verdict(wait_s=max(wait_ms, 1.0) / 1000)
    for book in probes:
        assert book.vendor
        seen = book.vendor
        book.vendor = Observation(seen.used, seen.ceiling, now_ms, seen.total)
    return Verdict(granted=free)


def _slot_ms(limit: LimitShape) -> int:
    return max(1, int(limit.period_s * 1000 / _SLOTS))


def _ceiling(limit: LimitShape, book: Book) -> int:
    if limit.kind == "daily" and book.vendor:
        return min(limit.calls, book.vendor.ceiling)
    return limit.calls


def used_weight(limit: LimitShape, book: Book) -> int:
    """Return what counts against the limit beside the leases: our count, or the vendor's."""
    if limit.kind == "concurrency":
        return 0
    return max(book.own(), book.vendor_used()) if limit.kind == "daily" else book.own()


def _is_probe_due(limit: LimitShape, book: Book, need: int, now_ms: int) -> bool:
    if limit.kind != "daily" or not book.vendor or book.vendor.at_ms + _PROBE_MS > now_ms:
        return False
    return book.own() + book.leased + need <= limit.calls


def _refused(limit: LimitShape, book: Book, need: int, now_ms: int) -> Refusal | None:
    used, ceiling = used_weight(limit, book), _ceiling(limit, book)
    if limit.kind != "daily" or used + need <= ceiling:
        return None
    wait_ms = 0.0
    if book.own() + need > limit.calls:
        wait_ms = _wait_ms(limit, book, need, now_ms)
    if book.vendor and book.vendor_used() + need > ceiling:
        wait_ms = max(wait_ms, book.vendor.at_ms + _PROBE_MS - now_ms)
    return Refusal(limit.name, used, ceiling, max(wait_ms, 1000.0) / 1000)


def _wait_ms(limit: LimitShape, book: Book, need: int, now_ms: int) -> float:
    """Return when enough of what was spent has left the window; unknown ends are asked for again."""
    if limit.kind == "concurrency":
        return _POLL_MS
    missing = need - (limit.calls - book.own() - book.leased)
    for end in sorted(book.spent):
        missing -= book.spent[end]
        if missing <= 0:
            return end + _period_ms(limit) - now_ms
    return min(_POLL_MS, limit.period_s * 100)


def _period_ms(limit: LimitShape) -> int:
    # Up, because a window that is a millisecond short breaks the vendor's; 1.001 * 1000 is 1000.99.
    return math.ceil(round(limit.period_s * 1000, 6))
