"""The skew of a vendor's clock, from the dates of its answers."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.connectors.vendor_clock import VendorClock, shared, tolerated

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
SECONDS = st.floats(-86_400 * 30, 86_400 * 30)


def dated(at: datetime) -> str:
    """Write a date as a server does, without the fraction of the second."""
    return format_datetime(at.replace(microsecond=0), usegmt=True)


def answered(clock: VendorClock, at_s: float, skew_s: float, trip_s: float) -> None:
    """Let an answer come whose date was written in the middle of its way."""
    sent_at = NOW + timedelta(seconds=at_s)
    written_at = sent_at + timedelta(seconds=trip_s / 2 + skew_s)
    clock.saw(dated(written_at), sent_at, sent_at + timedelta(seconds=trip_s))


@given(
    skew_s=SECONDS,
    trips=st.lists(st.tuples(st.floats(0, 600), st.floats(0, 3)), min_size=1, max_size=9),
    lies=st.lists(SECONDS, max_size=4),
    random=st.randoms(use_true_random=False),
)
def test_most_answers_count(
    skew_s: float, trips: list[tuple[float, float]], lies: list[float], random: Random
) -> None:
    """Whatever fewer than half of the answers say, what is believed is near the truth: by no more than an answer's
    way and the second of a date."""
    answers = [(skew_s, *one) for one in trips]
    answers += [(lie, 0.0, 0.1) for lie in lies[: (len(trips) - 1) // 2]]
    random.shuffle(answers)
    clock = VendorClock()
    for said_s, at_s, trip_s in answers:
        answered(clock, at_s, said_s, trip_s)
    found = clock.skew
    assert found is not None
    assert found.is_steady
    assert abs(found.low_s - skew_s) <= 5


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 9)), min_size=1, max_size=8))
def test_the_shared_span(drawn: list[tuple[int, int]]) -> None:
    """It is in as many spans as any point is in, and no lower point is in as many."""
    spans = [(float(low), float(low + width)) for low, width in drawn]
    found = shared(spans)
    assert found is not None
    low, high, count = found

    def within(at: float) -> int:
        return sum(one[0] <= at <= one[1] for one in spans)

    assert within(low) == within(high) == within((low + high) / 2) == count
    assert count == max(within(edge) for span in spans for edge in span)
    assert all(within(float(at)) < count for at in range(-10, int(low)))


def test_nothing_said() -> None:
    """Where no answer has a date, ours counts, and nobody asks again."""
    clock = VendorClock()
    assert not clock.is_settled
    clock.saw(None, NOW, NOW)
    clock.saw("no date", NOW, NOW)
    assert (clock.skew, clock.is_settled) == (None, True)
    assert clock.at(NOW + timedelta(microseconds=5)) == NOW


@pytest.mark.parametrize("skew_s", [-3600, 3600])
def test_a_difference_is_looked_at_thrice(skew_s: int) -> None:
    """One answer that agrees with our clock is enough, one that does not is none."""
    clock = VendorClock()
    seen = []
    for _ in range(3):
        answered(clock, 0, skew_s, 0.1)
        seen.append(clock.is_settled)
    assert seen == [False, False, True]
    assert str(clock.skew) == f"60.0 minutes {'ahead of' if skew_s > 0 else 'behind'} ours"


def test_a_slow_answer_is_no_skew() -> None:
    """A date that was written anywhere within half a minute accuses nobody, and is not enough."""
    clock = VendorClock()
    clock.saw(dated(NOW), NOW, NOW + timedelta(seconds=30))
    assert clock.skew is not None
    assert clock.skew.is_near
    assert not clock.skew.exceeds(tolerated(0))
    assert str(clock.skew) == "within 5 seconds of ours"
    assert not clock.is_settled
    assert clock.at(NOW) == NOW - timedelta(seconds=30)


@pytest.mark.parametrize(("skew_s", "least_s"), [(60, 60), (-60, -59), (0, 0)])
def test_how_far_a_clock_is_at_least(skew_s: int, least_s: int) -> None:
    """It is as far as the nearer end of what answers allow."""
    clock = VendorClock()
    clock.saw(dated(NOW + timedelta(seconds=skew_s)), NOW, NOW)
    assert clock.skew is not None
    assert clock.skew.least_s == least_s


def test_answers_that_disagree() -> None:
    """A clock that jumps is not steady; the earliest of what it says counts."""
    clock = VendorClock()
    for skew_s in (0, 3600, -3600, 7200):
        answered(clock, 0, skew_s, 0.1)
    assert clock.skew is not None
    assert not clock.skew.is_steady
    assert clock.at(NOW) < NOW


@pytest.mark.parametrize(("lookback_s", "expected"), [(0, 5), (60, 60), (600, 600), (604_800, 600)])
def test_how_far_clocks_may_differ(lookback_s: int, expected: int) -> None:
    """By no more than what is read twice anyway, and never by more than minutes."""
    assert tolerated(lookback_s) == timedelta(seconds=expected)
