import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.ratelimit.decision import Refusal, Report, Wants, apply_report
from crm_pipeline.ratelimit.demand import Demand
from crm_pipeline.ratelimit.fair_share import Headroom, MemberDemand, Request, _level, headroom_of
from crm_pipeline.ratelimit.ledger import Ledger
from crm_pipeline.ratelimit.limits import Limit, member_ms

NOW = 1_764_000_000_000
DAY = Limit("daily", 1000, 86_400.0, "daily")
BERLIN = Limit("daily", 1000, 86_400.0, "daily", resets="Europe/Berlin")
BURST = Limit("burst", 100, 10.0)


def took(ledger: Ledger, limit: Limit, member: str, cost: int, at_ms: int = NOW) -> Refusal | None:
    """Take and use so much at once; return the refusal where it is refused."""
    wants = Wants((cost,), (cost,), (cost,))
    account = [(limit, ledger, at_ms)]
    verdict = apply_report(account, Report(member, member, (), (0,)), wants)
    if verdict.granted[0]:
        apply_report(account, Report(member, member, ((0.0, verdict.granted),), (0,)), None)
    return verdict.refusal


@pytest.mark.parametrize("limit", [DAY, BERLIN])
def test_a_backfill_does_not_eat_the_others_day(limit: Limit) -> None:
    """With a second member known, one has half of the day, and its refusal names whom the rest is kept for."""
    ledger = Ledger()
    assert took(ledger, limit, "small", 1) is None
    assert took(ledger, limit, "large", 500) is None
    refusal = took(ledger, limit, "large", 1)
    assert refusal
    assert (refusal.used, refusal.allowed, refusal.kept_for) == (501, 1000, ("small",))
    assert took(ledger, limit, "small", 499) is None
    assert took(ledger, limit, "small", 1)


def test_who_is_alone_has_all_of_the_day() -> None:
    """Nobody else known: all of it; somebody new gets what is left, first."""
    ledger = Ledger()
    assert took(ledger, DAY, "large", 900) is None
    assert took(ledger, DAY, "small", 10) is None
    assert took(ledger, DAY, "large", 1)
    assert took(ledger, DAY, "small", 90) is None


def test_a_member_is_forgotten_after_a_day_and_an_hour() -> None:
    """Nothing is kept for a member that has not asked for 25 hours."""
    assert member_ms(DAY) == 25 * 3_600_000
    for after_ms, is_refused in [(member_ms(DAY) - 1, True), (member_ms(DAY), False)]:
        ledger = Ledger()
        took(ledger, DAY, "small", 1)
        took(ledger, DAY, "large", 300, NOW + after_ms)
        assert bool(took(ledger, DAY, "large", 300, NOW + after_ms)) is is_refused


def test_what_the_vendor_counts_beyond_ours_is_not_shared() -> None:
    """Other applications took 400: the members have half of the other 600 each."""
    ledger = Ledger()
    ledger.seen.update(a=NOW, b=NOW)
    ledger.observe(DAY, 400, 1000, NOW)
    assert took(ledger, DAY, "a", 300) is None
    assert took(ledger, DAY, "a", 1)
    assert took(ledger, DAY, "b", 300) is None


def test_what_is_under_way_does_not_hide_that_a_share_is_spent() -> None:
    """Past its share a member is refused though another has permits out; what of its own is out may
    come back, and is waited for."""
    ledger = Ledger()
    ledger.seen.update(a=NOW, b=NOW)
    took(ledger, DAY, "a", 490)
    apply_report([(DAY, ledger, NOW)], Report("b", "b", (), (0,)), Wants((30,), (30,), (30,)))
    apply_report([(DAY, ledger, NOW)], Report("a1", "a", (), (0,)), Wants((10,), (10,), (10,)))
    wants = Wants((1,), (1,), (1,))
    assert apply_report([(DAY, ledger, NOW)], Report("a2", "a", (), (0,)), wants).wait_s == 0.05
    apply_report([(DAY, ledger, NOW)], Report("a1", "a", ((0.0, (10,)),), (0,)), None)
    assert apply_report([(DAY, ledger, NOW)], Report("a2", "a", (), (0,)), wants).refusal


def waiting(ledger: Ledger, member: str, wanted: int, need: int = 1) -> None:
    demand = Demand(member, NOW, NOW + 5_000, need, wanted)
    ledger.demands[member] = demand


def test_what_waits_is_kept() -> None:
    """Of the free part, what another's callers wait for is not given away, up to its share."""
    ledger = Ledger()
    ledger.spend(BURST, 90, NOW, "a")
    waiting(ledger, "b", 4)
    assert headroom_of(Request(BURST, ledger, "a", 1, NOW)) == Headroom(10, 6, ("b",))
    waiting(ledger, "b", 400)
    assert headroom_of(Request(BURST, ledger, "a", 1, NOW)).available < 0
    assert headroom_of(Request(BURST, ledger, "b", 1, NOW)) == Headroom(10, 10, ())


def test_one_alone_has_all() -> None:
    """Without others a member may have whatever is free."""
    ledger = Ledger()
    ledger.spend(BURST, 30, NOW, "a")
    assert headroom_of(Request(BURST, ledger, "a", 1, NOW)) == Headroom(70, 70)


def test_what_one_that_left_has_used_is_no_share() -> None:
    """Calls of a member that wants no more still count, and the rest is shared equally."""
    ledger = Ledger()
    ledger.spend(BURST, 40, NOW, "gone")
    waiting(ledger, "b", 100)
    assert headroom_of(Request(BURST, ledger, "a", 1, NOW)) == Headroom(60, 30, ("b",))


def test_a_call_that_costs_more_than_a_share() -> None:
    """It is let through where nothing counts for its member, and the other holds back for it."""
    ledger = Ledger()
    waiting(ledger, "a", 100)
    assert headroom_of(Request(BURST, ledger, "b", 80, NOW)).available == 80
    waiting(ledger, "b", 80, need=80)
    assert headroom_of(Request(BURST, ledger, "a", 1, NOW)).available == 20


members = st.builds(
    MemberDemand,
    st.just("o"),
    st.integers(0, 50),
    st.one_of(st.floats(0, 200), st.just(math.inf)),
    st.integers(0, 30),
)


@given(st.integers(0, 200), st.integers(0, 30), st.lists(members, min_size=1, max_size=5))
def test_the_level_fills_the_limit(shared: int, least: int, others: list[MemberDemand]) -> None:
    """Shares at the level fit, and a higher level would not, unless the least shares are too much already."""
    level = _level(shared, least, others)

    def wanted(at: int) -> int:
        return max(least, at) + sum(stake.share(at) for stake in others)

    assert level == 0 or wanted(level) <= shared
    assert level == shared or wanted(level + 1) > shared


def test_a_pace_counts_only_while_nothing_holds_it_back() -> None:
    """A process that waits nearly always wants as much as it would take without waiting."""
    demand = Demand("b", NOW)
    at = NOW
    for _ in range(40):  # 2 calls in 100 ms, then 900 ms of waiting
        demand.advance(BURST, at, 0)
        demand.enter_verdict(at, 1, 2, 2, 0.0)
        demand.advance(BURST, at + 100, 0)
        demand.enter_verdict(at + 100, 1, 2, 0, 900.0)
        at += 1000
    demand.advance(BURST, at, 0)
    assert demand.expected_use(BURST, at) == pytest.approx(200, rel=0.1)


def test_what_was_granted_and_given_back_is_no_pace() -> None:
    """Permits taken in advance and not used do not count as wanted."""
    demand = Demand("b", NOW)
    demand.enter_verdict(NOW, 1, 1, 10, 0.0)
    demand.advance(BURST, NOW + 1000, 9)
    assert demand.expected_use(BURST, NOW + 1000) <= 10


def test_a_process_that_died_while_it_waited_is_forgotten() -> None:
    """It has to ask again a second after its wait at the latest."""
    ledger = Ledger()
    waiting(ledger, "b", 5)
    ledger.settle(BURST, NOW + 4_999)
    assert "b" in ledger.demands
    ledger.settle(BURST, NOW + 12_000)
    assert ledger.demands == {}
