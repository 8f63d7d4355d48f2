"""The limiter's two promises in simulated time: never over, and nearly all that is possible."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.limiter import Case, busiest, pace, run
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline_tests.ratelimit.simulation import Process, World


def most(world: World, name: str) -> int:
    seconds = next(limit.period_s for limit in world.limits if limit.name == name)
    return busiest(world.arrivals(name), seconds)


@pytest.mark.parametrize(
    ("limits", "costs"),
    [
        ([("burst", 190, 10.0)], (1,)),
        ([("burst", 80, 2.0)], (1,)),
        ([("burst", 100, 1.0)], (1,)),
        ([("burst", 20, 1.0)], (1,)),
        ([("short", 60, 1.0), ("long", 100, 2.0)], (1, 2, 3)),
    ],
)
def test_the_ceiling_is_used(limits: list[tuple[str, int, float]], costs: tuple[int]) -> None:
    """Four processes reach 95 % of limit x 1 / (window + latency), and never more than the limit."""
    world = World([Limit(*given) for given in limits])
    for _ in range(4):
        Process(world, costs, callers=16)
    seconds = max(6 * max(window_s for _, _, window_s in limits), 15.0)
    world.run(seconds)
    for name, calls, _ in limits:
        assert most(world, name) <= calls
    case = Case("", tuple((*given, "rolling") for given in limits), seconds)
    assert 0.95 * case.possible <= pace(world.arrivals(), case) <= 1.01 * case.possible


@pytest.mark.parametrize("processes", [1, 3])
def test_places_are_used(processes: int) -> None:
    """96 % of the concurrent calls are used, in one process and in several: a call's end wakes a waiting thread."""
    world = World([Limit("places", 8, 1.0, "concurrency")])
    for _ in range(processes):
        Process(world, (1,), callers=20)
    world.run(30.0)
    assert world.most == [8]
    assert len(world.arrivals()) >= 0.96 * 8 * 30.0 / 0.2


events = st.tuples(
    st.floats(0.0, 3.0),  # seconds since the event before
    st.sampled_from(["kill", "kill", "start", "clock back", "slow", "quick"]),
    st.integers(0, 3),  # which process
)


def happen(world: World, processes: list[Process], what: str, which: int) -> None:
    """Let one event happen; the limit that a clock is set back by is the first."""
    costs = [(1, 1, 2), (0, 3, 1), (1, 2, 0)]
    if what == "kill" and processes:
        processes.pop(which % len(processes)).kill()
    elif what == "start":
        processes.append(Process(world, costs[which % 3 :], 4, member="abab"[which]))
    elif what == "clock back":
        world.clock_s -= world.limits[0].period_s * (which + 0.5) / 2
    elif what == "slow":
        world.latency_s, world.contact_s = (0.0, 4.0), (0.0, 0.8)
    else:
        world.latency_s, world.contact_s = (0.0, 0.1), (0.001, 0.004)


@settings(max_examples=60)
@given(
    st.lists(events, max_size=12),
    st.integers(3, 40),
    st.floats(0.2, 3.0),
    st.integers(0, 2**32),
)
def test_no_window_holds_more_whatever_happens(
    plan: list[tuple[float, str, int]], allowed: int, period_s: float, seed: int
) -> None:
    """Processes of two members are killed and started, the database's clock is set back, answers take
    seconds, calls cost something else under each limit, or nothing: in no window do more arrive than
    a limit allows, nor are more under way at once."""
    limits = [
        Limit("burst", allowed, period_s),
        Limit("long", allowed * 3, period_s * 4),
        Limit("places", 4, 1.0, "concurrency"),
    ]
    world = World(limits, seed)
    processes: list[Process] = []
    at = 0.0
    for gap_s, what, which in [(0.0, "start", n) for n in range(3)] + plan:
        at += gap_s
        world.run(at)
        happen(world, processes, what, which)
    world.run(at + 3 * period_s)
    assert most(world, "burst") <= allowed
    assert most(world, "long") <= 3 * allowed
    assert world.most[2] <= 4


@pytest.mark.parametrize("after_s", [0.05, 0.3, 5.0])
def test_after_a_kill_the_rest_go_on(after_s: float) -> None:
    """What a killed process held comes back within its lease and a window; then all is used again."""
    limit = Limit("burst", 50, 1.0)
    world = World([limit])
    victim, _ = Process(world, (1,), callers=16), Process(world, (1,), callers=24)
    world.run(after_s)
    victim.kill()
    world.run(100.0)
    assert most(world, "burst") <= 50
    late = [(at, cost) for at, cost in world.arrivals() if at > 70]
    case = Case("", (("burst", 50, 1.0, "rolling"),), 30.0)
    assert pace(late, case) > 0.95 * case.possible


def test_real_calls_are_never_refused(fresh_url: str) -> None:
    """Two processes, real HTTP, random latency: a sandbox that enforces the limit refuses nothing."""
    case = Case("", (("burst", 20, 1.0, "rolling"), ("parallel", 6, 1.0, "concurrency")), 2.5, 6)
    result = run(case, fresh_url, processes=2)
    assert result.refused == 0
    assert result.most["burst"] <= 20
    assert result.most["parallel"] <= 6
    assert result.calls >= 20
