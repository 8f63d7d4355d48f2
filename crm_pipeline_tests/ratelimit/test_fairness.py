"""Equal shares in simulated time: members that want more than there is, want less, come and go."""

from bisect import bisect_right

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.limiter import Case, busiest, pace
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline_tests.ratelimit.simulation import Process, World

QUICK_S = (0.02, 0.06)
BURST = Limit("burst", 80, 2.0)
PLACES = Limit("places", 4, 1.0, "concurrency")


def cost(world: World, member: str, start: float, end: float) -> int:
    """What arrived of a member's under the first limit."""
    return sum(w for at, w in world.arrivals(member=member) if start < at <= end)


def pace_after(world: World, start: float) -> float:
    """Cost a second under the first limit from then on."""
    limit = world.limits[0]
    case = Case("", ((limit.name, limit.calls, limit.period_s, limit.kind),), 0.0)
    return pace([arrival for arrival in world.arrivals() if arrival[0] > start], case)


@pytest.mark.parametrize(
    ("limit", "processes_a", "processes_b", "cost_a", "cost_b"),
    [
        (BURST, [20], [2], 1, 1),
        (BURST, [20] * 4, [2], 1, 1),
        (BURST, [20], [2], 1, 5),
        (BURST, [20], [2], 5, 1),
        (Limit("burst", 20, 1.0), [20, 20], [2], 1, 1),
        (Limit("burst", 95, 5.0), [20], [1, 1], 1, 1),
        (PLACES, [20], [2], 1, 1),
        (PLACES, [10, 10], [3, 3], 1, 1),
    ],
)
def test_two_that_want_more_get_half_each(
    limit: Limit, processes_a: list[int], processes_b: list[int], cost_a: int, cost_b: int
) -> None:
    """Whatever threads, processes and costs: from the first window on neither gets less than 45 %, and
    together they get what there is."""
    world = World([limit], latency_s=QUICK_S)
    for callers in processes_a:
        Process(world, (cost_a,), callers, "a")
    world.run(10.0)  # the other is alone before
    for callers in processes_b:
        Process(world, (cost_b,), callers, "b")
    world.run(30.0)
    start = 10.0 + 2 * limit.period_s
    a, b = (cost(world, member, start, 30.0) for member in "ab")
    assert 0.45 <= a / (a + b) <= 0.55
    if limit.kind == "rolling":
        assert a + b >= 0.95 * limit.calls * (30.0 - start) / (limit.period_s + 0.04)
        assert busiest(world.arrivals(), limit.period_s) <= limit.calls


@settings(max_examples=20)
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=3),
    st.integers(2, 6),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 2**32),
)
def test_no_numbers_make_shares_unfair(
    processes_a: list[int], callers_b: int, cost_a: int, cost_b: int, seed: int
) -> None:
    """Drawn numbers of processes, threads and costs: neither of two that want more than half gets
    less than 40 %, and no window holds more than the limit."""
    limit = Limit("burst", 24, 1.0)
    world = World([limit], seed, latency_s=QUICK_S)
    Process(world, (cost_b,), callers_b, "b")
    for callers in [4, *processes_a]:
        Process(world, (cost_a, 1), callers, "a")
    world.run(14.0)
    a, b = (cost(world, member, 2.0, 14.0) for member in "ab")
    assert min(a, b) >= 0.4 * (a + b)
    assert busiest(world.arrivals(), limit.period_s) <= limit.calls


@pytest.mark.parametrize(
    ("limit", "rest_s"), [(BURST, (0.0, 0.0)), (BURST, (0.2, 0.6)), (PLACES, (0.3, 0.9))]
)
def test_what_one_does_not_want_the_other_gets(limit: Limit, rest_s: tuple[float, float]) -> None:
    """One slow caller keeps its pace, within a quarter, and costs the other nothing beyond that."""
    alone = World([limit])
    Process(alone, (1,), 1, "b", rest_s)
    alone.run(40.0)
    world = World([limit])
    for _ in range(3):
        Process(world, (1,), 20, "a")
    Process(world, (1,), 1, "b", rest_s)
    world.run(40.0)
    a, b = (cost(world, member, 4.0, 40.0) for member in "ab")
    assert b >= 0.75 * cost(alone, "b", 4.0, 40.0)
    window_s = limit.period_s if limit.kind == "rolling" else 0.0
    assert a + b >= 0.93 * limit.calls * 36.0 / (window_s + 0.2)


@pytest.mark.parametrize("how", ["finish", "kill"])
def test_a_member_that_is_gone_leaves_its_share(how: str) -> None:
    """Two windows after one member has ended, or was killed between calls, the other has everything."""
    world = World([BURST], latency_s=QUICK_S)
    Process(world, (1,), 20, "a")
    other = Process(world, (1,), 6, "b")
    world.run(20.0)
    getattr(other, how)()
    if how == "kill":  # what it held counts for its lease, and is not shared meanwhile
        world.run(100.0)
    start = world.now + 2 * BURST.period_s
    world.run(start + 10.0)
    assert pace_after(world, start) >= 0.95 * 80 / 2.04


def test_three_members() -> None:
    """A third each; and where one wants less, the two others share what it leaves."""
    world = World([Limit("burst", 90, 2.0)], latency_s=QUICK_S)
    Process(world, (1,), 20, "a")
    Process(world, (1,), 4, "b")
    third = Process(world, (1,), 5, "c")
    world.run(20.0)
    shares = [cost(world, member, 4.0, 20.0) for member in "abc"]
    assert min(shares) >= 0.3 * sum(shares)
    third.finish()
    Process(world, (1,), 1, "c", (0.1, 0.5))
    world.run(44.0)
    a, b, c = (cost(world, member, 24.0, 44.0) for member in "abc")
    assert min(a, b) >= 0.45 * (a + b)
    assert c > 40


def test_a_call_larger_than_a_share_comes_through() -> None:
    """A call that costs more than half of a window is made all the same, while the other goes on."""
    world = World([BURST], latency_s=QUICK_S)
    Process(world, (1,), 20, "a")
    Process(world, (60,), 2, "b")
    world.run(30.0)
    assert cost(world, "b", 0.0, 30.0) >= 60 * 5
    assert cost(world, "a", 0.0, 30.0) >= 20 * 5
    assert busiest(world.arrivals(), BURST.period_s) <= BURST.calls


def test_shares_of_one_limit_while_another_binds() -> None:
    """Two limits at once, of concurrency and of a window: half each of the window that binds."""
    world = World([BURST, PLACES], latency_s=QUICK_S)
    Process(world, ((1, 1),), 20, "a")
    Process(world, ((1, 1),), 2, "b")
    world.run(30.0)
    a, b = (cost(world, member, 4.0, 30.0) for member in "ab")
    assert min(a, b) >= 0.45 * (a + b)
    assert a + b >= 0.95 * 80 * 26 / 2.04


def test_one_that_becomes_slow() -> None:
    """Demand of a while ago is not reserved for a member that wants less now."""
    world = World([BURST], latency_s=QUICK_S)
    Process(world, (1,), 20, "a")
    other = Process(world, (1,), 6, "b")
    world.run(20.0)
    other.rest_s = (3.0, 5.0)
    world.run(40.0)
    assert pace_after(world, 28.0) >= 0.95 * 80 / 2.04


@settings(max_examples=12)
@given(st.integers(1, 90), st.floats(1.0, 8.0), st.integers(0, 2**32))
def test_others_in_the_same_bucket(foreign: int, at: float, seed: int) -> None:
    """Somebody else makes calls under our limit: once a response shows them, we hold back as many until they
    have left the window. The vendor refuses at most as many calls as there are callers."""
    limit = Limit("burst", 60, 3.0)
    world = World([limit], seed, latency_s=QUICK_S, counters={"burst": 60})
    Process(world, (1,), 12, "a")
    world.run(at)
    world.foreign(foreign, (1,))
    world.run(at + 15.0)
    times, ours = ([t for t, _ in world.arrivals(member=member)] for member in (None, "a"))
    reported = next(t for t in ours if t > at) + 0.2  # the rest of a call, and the contact after it
    refused = [t for t in ours if t > reported and within(times, t - 3.0, t) > 60]
    assert len(refused) <= 12
    assert busiest(world.arrivals(member="a"), limit.period_s) <= 60
    assert pace_after(world, at + 6.0) >= 0.95 * 60 / 3.04


def within(times: list[float], start: float, end: float) -> int:
    return bisect_right(times, end) - bisect_right(times, start)
