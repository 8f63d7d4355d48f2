import json
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.ratelimit.decision import Refusal, Wants, decide, pack_most
from crm_pipeline.ratelimit.ledger import LEASE_MS, Ledger, VendorCounter
from crm_pipeline.ratelimit.ledger_state import sound_ledger
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.ratelimit.permit_pool import PermitPool

HOUR_MS = 3_600_000
DAILY = Limit("daily", 900, 86_400.0, "daily")


@dataclass(frozen=True)
class Result:
    """A verdict on a request that costs the same under every limit."""

    granted: int
    wait_s: float
    refusal: Refusal | None


def ask(accounts: list[tuple[Limit, Ledger]], need: int, wish: int, now_ms: int) -> Result:
    count = len(accounts)
    verdict = decide(accounts, Wants((need,) * count, (wish,) * count, (wish,) * count), now_ms)
    (granted,) = set(verdict.granted)
    return Result(granted, verdict.wait_s, verdict.refusal)


@dataclass
class Call:
    taken_ms: int
    replied_ms: int
    cost: int


calls = st.tuples(
    st.integers(0, 400),  # since the call before
    st.integers(0, 900),  # until the reply
    st.integers(1, 3),  # cost
    st.integers(0, 6),  # taken in advance, given back at the end
    st.booleans(),  # killed: the response is never reported
)


@settings(max_examples=150, deadline=None)
@given(st.lists(calls, max_size=60), st.integers(3, 12), st.integers(50, 2000))
def test_never_over_the_limit(plan: list[tuple], allowed: int, period_ms: int) -> None:
    """Whatever the order of calls, responses and kills, no window holds more than the limit.

    A call counts from the grant until one window after its response. A grant right after the wait that
    the decision names shows that the wait is not too long.
    """
    limit = Limit("burst", allowed, period_ms / 1000)
    ledger, now, made, ends = Ledger(), 1_000_000, [], []
    for number, (gap, length, cost, ahead, is_killed) in enumerate(plan):
        now += gap
        ledger = sound_ledger(json.loads(json.dumps(ledger.written())))[0]
        for end in sorted(e for e in ends if e[0] <= now):
            ends.remove(end)
            replied_ms, lease, spent = end
            ledger.hold(lease, 0, now)
            ledger.spend(limit, spent, at_ms=replied_ms)
        ledger.settle(limit, now)
        verdict = ask([(limit, ledger)], cost, cost + ahead, now)
        if not verdict.granted:
            assert verdict.wait_s > 0
            continue
        assert cost <= verdict.granted <= cost + ahead
        ledger.hold(str(number), verdict.granted, now)
        made.append(Call(now, now + length, cost))
        if not is_killed:
            ends.append((now + length, str(number), cost))
    for call in made:
        held = [
            other.cost
            for other in made
            if other.taken_ms <= call.taken_ms < other.replied_ms + period_ms
        ]
        assert sum(held) <= allowed


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=20), st.integers(1, 5000))
def test_the_wait_is_exact(replies: list[int], period_ms: int) -> None:
    """With nothing under way a permit is free after the wait that was named, and not before."""
    limit = Limit("burst", len(replies), period_ms / 1000)
    ledger = Ledger()
    for at_ms in replies:
        ledger.spend(limit, 1, at_ms=at_ms)
    now = max(replies)
    ledger.settle(limit, now)
    verdict = ask([(limit, ledger)], 1, 1, now)
    if verdict.granted:
        return
    until = now + round(verdict.wait_s * 1000)
    for moment, expected in [(until - 1, 0), (until, 1)]:
        later = sound_ledger(ledger.written())[0]
        later.settle(limit, moment)
        assert ask([(limit, later)], 1, 1, moment).granted == expected


def test_a_lease_of_a_dead_process_runs_out() -> None:
    """Permits of a killed process count until its lease ends and one window longer, and then no more."""
    limit = Limit("burst", 10, 1.0)
    ledger = Ledger()
    ledger.hold("dead", 10, 0)
    for now, free in [(LEASE_MS - 1, 0), (LEASE_MS, 0), (LEASE_MS + 990, 0), (LEASE_MS + 1010, 10)]:
        ledger.settle(limit, now)
        assert ask([(limit, ledger)], 1, 10, now).granted == free


def test_a_clock_set_back() -> None:
    """Calls with a time in the future count as made now: not forgotten, and not held for hours."""
    limit = Limit("burst", 10, 1.0)
    ledger = Ledger()
    ledger.spend(limit, 10, at_ms=HOUR_MS)
    ledger.settle(limit, 5000)
    assert ask([(limit, ledger)], 1, 1, 5000).granted == 0
    ledger.settle(limit, 6010)
    assert ask([(limit, ledger)], 1, 1, 6010).granted == 1


def test_several_limits_at_once() -> None:
    """A permit is granted only if every limit has room, and the longest wait counts."""
    short, long = Limit("short", 2, 1.0), Limit("long", 3, 60.0)
    ledgers = {limit.name: Ledger() for limit in (short, long)}
    for limit in (short, long):
        ledgers[limit.name].spend(limit, 2, at_ms=0)
    accounts = [(short, ledgers["short"]), (long, ledgers["long"])]
    assert 0.9 < ask(accounts, 1, 1, 0).wait_s < 1.1
    assert 59 < ask(accounts, 2, 2, 0).wait_s < 61


def test_concurrency() -> None:
    """A limit on calls under way forgets a call at its end."""
    limit = Limit("parallel", 2, 1.0, "concurrency")
    ledger = Ledger()
    ledger.hold("a", 2, 0)
    assert ask([(limit, ledger)], 1, 1, 0).wait_s > 0
    ledger.spend(limit, 1, at_ms=5)
    ledger.hold("a", 1, 5)
    assert ask([(limit, ledger)], 1, 5, 5).granted == 1


def test_daily_by_our_own_count() -> None:
    """A spent day is refused, not waited for; the wait is when enough has left the 24 hours."""
    ledger = Ledger()
    ledger.spend(DAILY, 900, at_ms=HOUR_MS)
    refusal = ask([(DAILY, ledger)], 1, 1, 3 * HOUR_MS).refusal
    assert (refusal.limit, refusal.used, refusal.allowed) == ("daily", 900, 900)
    assert 22 * 3600 <= refusal.wait_s < 22.3 * 3600


def test_daily_by_the_vendors_count() -> None:
    """The vendor's figure, with what we spent since, overrules a lower count of ours."""
    ledger = Ledger(vendor=VendorCounter(used=890, allowed=1000, at_ms=0, total=0))
    assert ask([(DAILY, ledger)], 1, 50, 0).granted == 10
    ledger.spend(DAILY, 10, at_ms=10)
    refusal = ask([(DAILY, ledger)], 1, 1, 10).refusal
    assert refusal.used == 900
    assert 3000 < refusal.wait_s <= 3600


def test_a_lower_limit_of_the_vendor() -> None:
    """A limit of the vendor below the configured one holds."""
    ledger = Ledger(vendor=VendorCounter(used=0, allowed=20, at_ms=0, total=0))
    assert ask([(DAILY, ledger)], 1, 50, 0).granted == 20


def test_a_window_that_the_vendor_says_is_smaller() -> None:
    """The vendor's own limit of a short window holds; a call that costs more still goes out."""
    limit = Limit("burst", 20, 1.0)
    ledger = Ledger()
    ledger.observe(limit, 0, 10, 0)
    assert ask([(limit, ledger)], 1, 50, 0).granted == 10
    assert ask([(limit, ledger)], 15, 15, 0).granted == 15
    ledger.spend(limit, 1, 0)
    assert ask([(limit, ledger)], 15, 15, 0).wait_s > 0.9


def test_one_probe_an_hour() -> None:
    """A vendor's counter that refuses is probed with one call an hour; otherwise it would refuse for ever."""
    ledger = Ledger(vendor=VendorCounter(used=990, allowed=1000, at_ms=0, total=0))
    assert ask([(DAILY, ledger)], 1, 50, HOUR_MS - 1).refusal
    assert ask([(DAILY, ledger)], 1, 50, HOUR_MS).granted == 1
    assert ask([(DAILY, ledger)], 1, 50, HOUR_MS + 1).refusal
    ledger.spend(DAILY, 900, at_ms=HOUR_MS)
    assert ask([(DAILY, ledger)], 1, 50, 3 * HOUR_MS).refusal


def test_an_old_figure_is_dropped() -> None:
    """A day old, the vendor's figure no longer counts."""
    ledger = Ledger(vendor=VendorCounter(used=1000, allowed=1000, at_ms=0, total=0))
    ledger.settle(DAILY, 25 * HOUR_MS)
    assert ask([(DAILY, ledger)], 1, 50, 25 * HOUR_MS).granted == 50


def test_packs() -> None:
    """Permits taken in advance are at most 5 % of the smallest limit, grow with the pace, and are one at rest."""
    assert pack_most([Limit("a", 190, 10.0), Limit("b", 1000, 60.0)]) == 9
    assert pack_most([Limit("a", 5, 1.0)]) == 1
    assert pack_most([Limit("a", 10**6, 10.0)]) == 500
    pool = PermitPool("g", [Limit("a", 190, 10.0)])
    assert pool.wants((1,), now=100.0).wish == (1,)
    with pool.changed:
        pool.want((4,))
    assert pool.wants((1,), now=101.0).wish == (4,)
    pool.done(pool.delta(101.0), (9,), now=101.0)
    with pool.changed:
        assert all(pool.take((1,), 101.0) for _ in range(9))
    assert pool.wants((1,), now=101.01).wish == (9,)
    assert pool.wants((20,), now=101.02).wish == (20,)


def test_unused_permits_go_back() -> None:
    """Permits taken in advance and not used soon are given back; those of calls under way stay."""
    pool = PermitPool("g", [Limit("a", 190, 10.0)])
    pool.done(pool.delta(0.0), (5,), now=0.0)
    with pool.changed:
        assert pool.take((2,), 0.1)
        assert not pool.take((1,), 9.0)
    delta = pool.delta(9.0)
    assert (delta.out, delta.unused, delta.kept) == ((5,), (3,), (2,))
    pool.failed(delta)
    assert pool.reply((2,), 9.1)
    delta = pool.delta(9.2)
    assert (delta.unused, delta.replied, delta.kept) == ((3,), ((9.1, (2,), (2,)),), (0,))
    pool.done(delta, (0,), 9.2)
    assert pool.is_idle()
