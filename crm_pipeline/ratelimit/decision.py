"""The rate limiter's decision: enter reports into the ledgers, grant permits, compute waits.

Plain values only. Amounts are tuples in the order of the limits: one call may cost 3 credits
and 1 of a window. Ledgers are in `ledger.py`, fair shares in `fair_share.py`, rows, locks and waiting
in `limiter.py`, the sharing of a lease among threads in `permit_pool.py`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from crm_pipeline.ratelimit.demand import Demand
from crm_pipeline.ratelimit.fair_share import Headroom, Request, headroom_of
from crm_pipeline.ratelimit.ledger import Ledger
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.ratelimit.retry_after import PROBE_MS, refused_ms, wait_ms

PACK_SHARE = 0.05  # of the limit: what one process may hold unused, or lose in a crash
_PACK_MOST = 500

Amounts = tuple[int, ...]
"""Cost under each limit, in the order of the limits."""
Account = tuple[Limit, Ledger]


@dataclass(frozen=True)
class Refusal:
    """A limit that is spent for longer than a caller waits.

    Attributes:
        limit: name of the limit.
        used: the cost that counts against it now.
        allowed: our share, or the vendor's limit where that is lower.
        wait_s: the time until the next try.
        kept_for: members for whom the rest is reserved; empty where there is no rest.
        is_by_vendor: the vendor's counter refuses; by our own count enough would be left.
    """

    limit: str
    used: int
    allowed: int
    wait_s: float
    kept_for: tuple[str, ...] = ()
    is_by_vendor: bool = False


@dataclass(frozen=True)
class Verdict:
    """The result of a request: some permits, a wait, or a refusal.

    Attributes:
        granted: under each limit; nothing or at least what was needed.
        waits: `(index of the limit, milliseconds)` for each limit that is short.
        is_for_slot: only concurrent calls are short, so the end of a call may end the wait.
    """

    granted: Amounts
    wait_s: float = 0.0
    refusal: Refusal | None = None
    waits: tuple[tuple[int, float], ...] = ()
    is_for_slot: bool = False


@dataclass(frozen=True)
class Reading:
    """A reading of the vendor's own counter of one limit, made some seconds ago."""

    index: int
    used: int
    allowed: int
    ago_s: float


@dataclass(frozen=True)
class Report:
    """What a process reports in one contact.

    Attributes:
        lease: id of its lease.
        member: the connection that it asks for.
        replied: `(seconds ago, costs)` of calls that ended, as they turned out.
        kept: costs that it still holds.
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
        need: the least that the caller can go on with.
        wish: the most that it would take.
        waiting: the sum that all its callers wait for.
        is_patient: whether the caller waits where it gets nothing now.
    """

    need: Amounts
    wish: Amounts
    waiting: Amounts
    is_patient: bool = True


def apply_report(
    accounts: Sequence[tuple[Limit, Ledger, int]], report: Report, wants: Wants | None
) -> Verdict:
    """Enter a process's report and its request into the ledgers; return the verdict.

    Args:
        accounts: each limit with its ledger, and the database's time in milliseconds.
        report: of the process.
        wants: None to report only.
    """
    for index, (limit, ledger, now_ms) in enumerate(accounts):
        _enter_report(limit, ledger, now_ms, report, index)
    for reading in report.readings:
        limit, ledger, now_ms = accounts[reading.index]
        at_ms = now_ms - round(reading.ago_s * 1000)
        ledger.observe(limit, reading.used, reading.allowed, at_ms)
    verdict = Verdict((0,) * len(accounts))
    if wants:
        latest_ms = max(now_ms for *_, now_ms in accounts)
        asked = [(limit, ledger) for limit, ledger, _ in accounts]
        verdict = decide(asked, wants, latest_ms, report.member)
        for index, account in enumerate(accounts):
            _enter_demand(account, report, wants, verdict, index)
    for (_, ledger, now_ms), held, granted in zip(
        accounts, report.kept, verdict.granted, strict=True
    ):
        ledger.hold(report.lease, held + granted, now_ms, report.member)
    return verdict


def _enter_report(limit: Limit, ledger: Ledger, now_ms: int, report: Report, index: int) -> None:
    ledger.settle(limit, now_ms)
    lease = ledger.leases.get(report.lease)
    replied = 0
    for ago_s, costs in report.replied:
        replied += costs[index]
        # Rounded up, and one more for the fractions of milliseconds that the database's time lacks.
        ledger.spend(limit, costs[index], math.ceil(now_ms + 1 - ago_s * 1000), report.member)
    ledger.hold(report.lease, report.kept[index], now_ms, report.member)
    demand = ledger.demands.get(report.lease)
    if demand:
        unused = lease.cost - replied - report.kept[index] if lease else 0
        demand.advance(limit, now_ms, max(0, unused))


def _enter_demand(
    account: tuple[Limit, Ledger, int], report: Report, wants: Wants, verdict: Verdict, index: int
) -> None:
    """Enter what was requested, and the verdict on it."""
    limit, ledger, now_ms = account
    need = wants.need[index]
    if limit.refuses:
        if need:
            ledger.seen[report.member] = now_ms
        return
    if not need and report.lease not in ledger.demands:
        return
    if not wants.is_patient and not any(verdict.granted):
        return  # nobody waits for it, so nothing is kept for it
    demand = ledger.demands.setdefault(report.lease, Demand(report.member, now_ms))
    waited_ms = dict(verdict.waits).get(index, 0.0)
    demand.enter_verdict(now_ms, need, wants.waiting[index], verdict.granted[index], waited_ms)


def decide(accounts: Sequence[Account], wants: Wants, now_ms: int, member: str = "") -> Verdict:
    """Return what all the ledgers, which have been settled, can grant at once.

    Args:
        accounts: each limit with its ledger; a vendor's counter that is due for a probe is marked as
            read now, nothing else is changed.
        wants: the request.
        now_ms: the database's clock.
        member: the connection that asks.
    """
    probes, waits, rooms = [], [], []
    for index, (limit, ledger) in enumerate(accounts):
        need = wants.need[index]
        request = Request(limit, ledger, member, need, now_ms)
        headroom = headroom_of(request)
        available = headroom.available
        if need > available and _is_probe_due(request):
            probes.append(ledger)
            available = need
        elif need > max(0, available):
            refusal = _refused(request, headroom)
            if refusal:
                return Verdict((0,) * len(accounts), refusal=refusal)
            waits.append((index, max(1.0, wait_ms(request, headroom))))
        rooms.append(max(0, available))
    if waits:
        return Verdict(
            (0,) * len(accounts),
            wait_s=max(ms for _, ms in waits) / 1000,
            waits=tuple(waits),
            is_for_slot=all(accounts[index][0].kind == "concurrency" for index, _ in waits),
        )
    for ledger in probes:
        assert ledger.vendor
        ledger.vendor = replace(ledger.vendor, at_ms=now_ms)
    return Verdict(_in_proportion(wants, rooms))


def pack_most(limits: Iterable[Limit]) -> int:
    """Return the largest number of permits that one process may take in advance."""
    return max(1, min([_PACK_MOST, *(int(limit.calls * PACK_SHARE) for limit in limits)]))


def _in_proportion(wants: Wants, rooms: Sequence[int]) -> Amounts:
    """Return the need plus the part of the wish beyond it for which every limit has room."""
    extra = [wish - need for wish, need in zip(wants.wish, wants.need, strict=True)]
    most, of = 1, 1
    for more, need, free in zip(extra, wants.need, rooms, strict=True):
        spare = max(0, free - need)
        if more > 0 and spare * of < more * most:
            most, of = spare, more
    return tuple(need + more * most // of for need, more in zip(wants.need, extra, strict=True))


def _is_probe_due(request: Request) -> bool:
    limit, ledger, need = request.limit, request.ledger, request.need
    if not need or not limit.refuses or not ledger.vendor:
        return False
    is_the_vendors = ledger.vendor_used() + ledger.leased + need > ledger.allowed(limit)
    is_time = ledger.vendor.at_ms + PROBE_MS <= request.now_ms
    return is_time and is_the_vendors and ledger.own + ledger.leased + need <= limit.calls


def _refused(request: Request, headroom: Headroom) -> Refusal | None:
    limit, ledger = request.limit, request.ledger
    if not limit.refuses:
        return None
    # Leased permits may come back unused; where they would be enough, the caller waits for them.
    if headroom_of(replace(request, ledger=replace(ledger, leases={}))).available >= request.need:
        return None
    wait_s = refused_ms(request, headroom) / 1000
    counted = replace(request, ledger=replace(ledger, vendor=None))
    return Refusal(
        limit.name,
        ledger.used(limit),
        ledger.allowed(limit),
        wait_s,
        headroom.kept_for,
        is_by_vendor=ledger.vendor is not None and headroom_of(counted).available >= request.need,
    )
