"""The gate's two promises in simulated time: never over, and nearly all that is possible."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.gate import Case, busiest, pace
from crm_pipeline.wire.throttle import Limit
from crm_pipeline_tests.store.gate_simulation import Process, World


def most(world: World, seconds: float) -> int:
    return busiest(sorted(world.arrived), seconds)


@pytest.mark.parametrize(
    ("limits", "weights"),
    [
        ([("burst", 190, 10.0)], (1,)),
        ([("burst", 80, 2.0)], (1,)),
        ([("burst", 100, 1.0)], (1,)),
        ([("burst", 20, 1.0)], (1,)),
        ([("short", 60, 1.0), ("long", 100, 2.0)], (1, 2, 3)),
    ],
)
def test_the_ceiling_is_used(limits: list[tuple[str, int, float]], weights: tuple[int]) -> None:
    """Four processes reach 95 % of ceiling x 1 / (window + latency), and never more than the ceiling."""
    world = World([Limit(*given) for given in limits])
    for _ in range(4):
        Process(world, weights, callers=16)
    world.run(60.0)
    for _, calls, seconds in limits:
        assert most(world, seconds) <= calls
    case = Case("", tuple((*given, "rolling") for given in limits), 60.0)
    assert 0.95 * case.possible <= pace(sorted(world.arrived), case) <= 1.01 * case.possible


events = st.tuples(
    st.floats(0.0, 3.0),  # seconds since the one before
    st.sampled_from(["kill", "kill", "start", "clock back", "slow", "quick"]),
    st.integers(0, 3),  # which process
)


@settings(max_examples=60)
@given(
    st.lists(events, max_size=12),
    st.integers(2, 40),
    st.floats(0.2, 3.0),
    st.integers(0, 2**32),
)
def test_no_window_holds_more_whatever_happens(
    plan: list[tuple[float, str, int]], ceiling: int, period_s: float, seed: int
) -> None:
    """Processes are killed and started, the database's clock is set back, answers take seconds: in no
    window do more calls arrive than the ceiling allows."""
    limits = [Limit("burst", ceiling, period_s), Limit("long", ceiling * 3, period_s * 4)]
    world = World(limits, seed)
    processes = [Process(world, (1, 2, 1), callers=5) for _ in range(3)]
    at = 0.0
    for gap_s, what, which in plan:
        at += gap_s
        world.run(at)
        if what == "kill" and processes:
            processes.pop(which % len(processes)).kill()
        elif what == "start":
            processes.append(Process(world, (2, 1), callers=4))
        elif what == "clock back":
            world.clock_s -= period_s * (which + 0.5) / 2
        elif what == "slow":
            world.latency_s, world.contact_s = (0.0, 4.0), (0.0, 0.8)
        else:
            world.latency_s, world.contact_s = (0.0, 0.1), (0.001, 0.004)
    world.run(at + 3 * period_s)
    for limit in limits:
        assert most(world, limit.period_s) <= limit.calls


@pytest.mark.parametrize("after_s", [0.05, 0.3, 5.0])
def test_after_a_kill_the_rest_go_on(after_s: float) -> None:
    """What a killed process held comes back within its lease and a window; then all is used again."""
    limit = Limit("burst", 50, 1.0)
    world = World([limit])
    victim, _ = Process(world, (1,), callers=16), Process(world, (1,), callers=24)
    world.run(after_s)
    victim.kill()
    world.run(100.0)
    assert most(world, 1.0) <= 50
    late = [(at, weight) for at, weight in sorted(world.arrived) if at > 70]
    case = Case("", (("burst", 50, 1.0, "rolling"),), 30.0)
    assert pace(late, case) > 0.95 * case.possible
