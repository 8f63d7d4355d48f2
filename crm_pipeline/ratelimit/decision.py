"""The rate limiter's decision: what is entered into the accounts, who gets how much, how long to wait.

Plain values only. Amounts are tuples in the order of the limits, because one call may cost 3 credits
and 1 of a window. The accounts are in `ledger.py`, fair shares in `fair_share.py`, rows, locks and waiting
in `limiter.py`, sharing a lease between threads in `permit_pool.py`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from crm_pipeline.ratelimit.demand import Demand
from crm_pipeline.ratelimit.fair_share import Headroom, Request, room
from crm_pipeline.ratelimit.ledger import Ledger
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.ratelimit.retry_after import PROBE_MS, refused_ms, wait_ms

PACK_SHARE = 0.05  # of the ceiling: what one process may hold unused, or lose in a crash
_PACK_MOST = 500

Amounts = tuple[int, ...]
"""Weight under each limit, in the order of the limits."""
Account = tuple[Limit, Ledger]


@dataclass(frozen=True)
class Refusal:
    """A limit that is spent for longer than one waits.

    Attributes:
        limit: name of the limit.
        used: what counts against it now.
        ceiling: what it allows.
        wait_s: when to try again.
        kept_for: members for whom the rest is kept; empty where there is no rest.
        is_by_vendor: by our own count there would be enough: the vendor's counter refuses.
    """

    limit: str
    used: int
    ceiling: int
    wait_s: float
    kept_for: tuple[str, ...] = ()
    is_by_vendor: bool = False


@dataclass(frozen=True)
class Verdict:
    """The answer to a request: some permits, a wait, or a refusal.

    Attributes:
        granted: under each limit; nothing or at least what was needed.
        short: how long each limit makes wait, in milliseconds, by its place.
        is_for_a_place: a call's end may end the wait, because only places at once are lacking.
    """

    granted: Amounts
    wait_s: float = 0.0
    refusal: Refusal | None = None
    short: tuple[tuple[int, float], ...] = ()
    is_for_a_place: bool = False


@dataclass(frozen=True)
class Reading:
    """The vendor's own counter of one limit, by its place, and how many seconds ago it was read."""

    place: int
    used: int
    ceiling: int
    ago_s: float


@dataclass(frozen=True)
class News:
    """What a process tells in one contact.

    Attributes:
        lease: id of its lease.
        member: for whom it asks.
        replied: calls that ended, each by how many seconds ago, and its costs.
        kept: costs that it goes on holding.
        readings: of the vendor's own counters.
    """

    lease: str
    member: str
    replied: tuple[tuple[float, Amounts], ...]
    kept: Amounts
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True)
class Wants:
    """What a process asks for.

    Attributes:
        need: without so much the caller cannot go on.
        wish: what it would take.
        waiting: what all its callers wait for.
    """

    need: Amounts
    wish: Amounts
    waiting: Amounts


def entered(
    accounts: Sequence[tuple[Limit, Ledger, int]], news: News, wants: Wants | None
) -> Verdict:
    """Enter a process's news into the accounts, and what it is granted.

    Args:
        accounts: each limit with its ledger and the database's time in milliseconds.
        news: of the process.
        wants: None to tell news only.
    """
    for place, (limit, ledger, now_ms) in enumerate(accounts):
        _tell(limit, ledger, now_ms, news, place)
    for reading in news.readings:
        limit, ledger, now_ms = accounts[reading.place]
        at_ms = now_ms - round(reading.ago_s * 1000)
        ledger.observe(limit, reading.used, reading.ceiling, at_ms)
    verdict = Verdict((0,) * len(accounts))
    if wants:
        latest_ms = max(now_ms for *_, now_ms in accounts)
        asked = [(limit, ledger) for limit, ledger, _ in accounts]
        verdict = decide(asked, wants, latest_ms, news.member)
        for place, account in enumerate(accounts):
            _demand(account, news, wants, verdict, place)
    for (_, ledger, now_ms), held, granted in zip(
        accounts, news.kept, verdict.granted, strict=True
    ):
        ledger.hold(news.lease, held + granted, now_ms, news.member)
    return verdict


def _tell(limit: Limit, ledger: Ledger, now_ms: int, news: News, place: int) -> None:
    ledger.settle(limit, now_ms)
    lease = ledger.leases.get(news.lease)
    replied = 0
    for ago_s, costs in news.replied:
        replied += costs[place]
        # Up, and one more, for the fractions of milliseconds that the database's time lacks.
        ledger.spend(limit, costs[place], math.ceil(now_ms + 1 - ago_s * 1000), news.member)
    ledger.hold(news.lease, news.kept[place], now_ms, news.member)
    claim = ledger.claims.get(news.lease)
    if claim:
        unused = lease.cost - replied - news.kept[place] if lease else 0
        claim.advance(limit, now_ms, max(0, unused))


def _demand(
    account: tuple[Limit, Ledger, int], news: News, wants: Wants, verdict: Verdict, place: int
) -> None:
    """Remember what was asked for, and how it went."""
    limit, ledger, now_ms = account
    need = wants.need[place]
    if limit.kind == "daily":
        if need:
            ledger.seen[news.member] = now_ms
        return
    if not need and news.lease not in ledger.claims:
        return
    claim = ledger.claims.setdefault(news.lease, Demand(news.member, now_ms))
    waits = dict(verdict.short).get(place, 0.0)
    claim.answer(now_ms, need, wants.waiting[place], verdict.granted[place], waits)


def decide(accounts: Sequence[Account], wants: Wants, now_ms: int, member: str = "") -> Verdict:
    """Say what may be had at once from all the accounts, which have been settled.

    Args:
        accounts: each limit with its ledger; nothing is entered into them, but a vendor's counter
            that is due for a probe is marked as read now.
        wants: what is asked for.
        now_ms: the database's clock.
        member: who asks.
    """
    probes, short, rooms = [], [], []
    for place, (limit, ledger) in enumerate(accounts):
        need = wants.need[place]
        request = Request(limit, ledger, member, need, now_ms)
        found = room(request)
        allowed = found.allowed
        if need > allowed and _is_probe_due(request):
            probes.append(ledger)
            allowed = need
        elif need > max(0, allowed):
            refusal = _refused(request, found)
            if refusal:
                return Verdict((0,) * len(accounts), refusal=refusal)
            short.append((place, max(1.0, wait_ms(request, found))))
        rooms.append(max(0, allowed))
    if short:
        return Verdict(
            (0,) * len(accounts),
            wait_s=max(ms for _, ms in short) / 1000,
            short=tuple(short),
            is_for_a_place=all(accounts[place][0].kind == "concurrency" for place, _ in short),
        )
    for ledger in probes:
        assert ledger.vendor
        ledger.vendor = replace(ledger.vendor, at_ms=now_ms)
    return Verdict(_in_proportion(wants, rooms))


def pack_most(limits: Iterable[Limit]) -> int:
    """Return the largest number of permits that one process may take in advance."""
    return max(1, min([_PACK_MOST, *(int(limit.calls * PACK_SHARE) for limit in limits)]))


def _in_proportion(wants: Wants, rooms: Sequence[int]) -> Amounts:
    """Return what is needed and, of the rest of the wish, the part for which every limit has room."""
    extra = [wish - need for wish, need in zip(wants.wish, wants.need, strict=True)]
    most, of = 1, 1
    for more, need, free in zip(extra, wants.need, rooms, strict=True):
        spare = max(0, free - need)
        if more > 0 and spare * of < more * most:
            most, of = spare, more
    return tuple(need + more * most // of for need, more in zip(wants.need, extra, strict=True))


def _is_probe_due(request: Request) -> bool:
    limit, ledger, need = request.limit, request.ledger, request.need
    if not need or limit.kind != "daily" or not ledger.vendor:
        return False
    is_the_vendors = ledger.vendor_used() + ledger.leased + need > ledger.ceiling(limit)
    is_time = ledger.vendor.at_ms + PROBE_MS <= request.now_ms
    return is_time and is_the_vendors and ledger.own + ledger.leased + need <= limit.calls


def _refused(request: Request, found: Headroom) -> Refusal | None:
    limit, ledger = request.limit, request.ledger
    if limit.kind != "daily":
        return None
    # What is out on lease may come back unused: where that would do, it is waited for.
    if room(replace(request, ledger=replace(ledger, leases={}))).allowed >= request.need:
        return None
    wait_s = refused_ms(request, found) / 1000
    counted = replace(request, ledger=replace(ledger, vendor=None))
    return Refusal(
        limit.name,
        ledger.used(limit),
        ledger.ceiling(limit),
        wait_s,
        found.kept_for,
        is_by_vendor=ledger.vendor is not None and room(counted).allowed >= request.need,
    )
