"""Costs that are known after the reply, months, and asking without waiting."""

import json
import random
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.limiter import busiest
from crm_pipeline.kernel.errors import BudgetExhausted, ConfigError
from crm_pipeline.ratelimit.decision import Amounts
from crm_pipeline.ratelimit.ledger import LEASE_MS
from crm_pipeline.ratelimit.ledger_rows import Rows
from crm_pipeline.ratelimit.ledger_state import sound_limit
from crm_pipeline.ratelimit.limiter import NotNow, RateLimiter, Reservation
from crm_pipeline.ratelimit.limits import Limit, last_reset_ms, monthly, next_reset_ms
from crm_pipeline.store.postgres.database import Database
from crm_pipeline_tests.ratelimit.simulation import Process, World
from crm_pipeline_tests.ratelimit.test_simulated import events, happen, most

MONTH = monthly("month", 30, renews_on=15, unit="credits")
CALLS = Limit("calls", 1_000, 10.0)
LIMITS = (CALLS, MONTH)


def used(limiter: RateLimiter, name: str = "month") -> int:
    limiter.flush()
    return next(limit.used for limit in limiter.usage("acme") if limit.name == name)


def drawn(seed: int) -> random.Random:
    return random.Random(seed)


@settings(max_examples=40)
@given(st.lists(events, max_size=10), st.integers(6, 40), st.integers(0, 2**32))
def test_no_window_holds_more_than_its_limit(
    plan: list[tuple[float, str, int]], allowed: int, seed: int
) -> None:
    """Calls hold the most that they may cost and settle anything from nothing to that; processes are killed,
    clocks set back, replies slow: in no window does more arrive than a limit allows."""
    world = World([Limit("burst", allowed, 1.0), Limit("long", allowed * 3, 4.0)], seed)
    chance = drawn(seed)
    processes: list[Process] = []

    def start(member: str) -> None:
        def settles(held: Amounts) -> Amounts:
            return tuple(chance.choice((0, 1, amount)) if amount else 0 for amount in held)

        processes.append(Process(world, [(5, 3), (1, 6)], 4, member=member, settles=settles))

    start("a")
    start("b")
    at = 0.0
    for gap_s, what, which in plan:
        at += gap_s
        world.run(at)
        if what == "start":
            start("ab"[which % 2])
        else:
            happen(world, processes, what, which)
    world.run(at + 6.0)
    assert most(world, "burst") <= allowed
    assert most(world, "long") <= 3 * allowed


def test_the_rest_goes_back() -> None:
    """Calls that hold 10 and cost 1 make more than the ten that a limit of 100 would have if the rest stayed."""
    world = World([Limit("burst", 100, 2.0)])
    for _ in range(2):
        Process(world, (10,), callers=16, settles=lambda held: (1,))
    world.run(20.0)
    assert 15 <= busiest(world.arrivals(), 2.0) <= 100


@pytest.mark.parametrize("before_s", [8.0, 2.0, 0.4])
def test_no_month_holds_more(before_s: float) -> None:
    """On both sides of a renewal no more is spent than a month has; calls on the border count in both."""
    renewal = datetime(2026, 11, 15, tzinfo=UTC).timestamp()
    world = World([monthly("month", 30, renews_on=15, unit="credits")])
    world.clock_s = renewal - before_s
    for member in "ab":
        Process(world, (5,), 3, member=member, settles=lambda held: (3,))
    world.run(before_s + 8.0)
    turn = before_s  # of the vendor's clock, which may differ by two seconds
    for shift in (-1.9, 0.0, 1.9):
        for is_later in (False, True):
            month = [cost for at, cost in world.arrivals() if (at >= turn + shift) == is_later]
            assert sum(month) <= 30
    assert (sum(cost for _, cost in world.arrivals()) > 30) == (before_s == 8.0)


@given(st.integers(1, 31), st.dates(date(2024, 1, 1), date(2028, 12, 31)), st.integers(0, 86_399))
def test_renewals(renews_on: int, day: date, second: int) -> None:
    """A month begins at midnight of its day, or of its last day where it is shorter."""
    zone = ZoneInfo("Europe/Berlin")
    limit = monthly("month", 9, renews_on=renews_on, zone="Europe/Berlin", unit="credits")
    now = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(seconds=second)

    def is_renewal(one: date) -> bool:
        is_last = (one + timedelta(days=1)).day == 1
        return one.day == renews_on or (is_last and one.day < renews_on)

    def first(one: date, step: int) -> float:
        while not is_renewal(one):
            one += timedelta(days=step)
        return datetime(one.year, one.month, one.day, tzinfo=zone).timestamp() * 1000 + 2000

    at_ms = round(now.timestamp() * 1000)
    last = first(now.date(), -1)
    if last > at_ms:  # the first two seconds belong to the month before
        last = first(now.date() - timedelta(days=1), -1)
    assert last_reset_ms(limit, at_ms) == last
    following = first(now.date(), 1)
    if following <= at_ms:
        following = first(now.date() + timedelta(days=1), 1)
    assert next_reset_ms(limit, at_ms) == following


@pytest.mark.parametrize(("true", "expected"), [(0, 0), (1, 1), (10, 10), (12, 12)])
def test_what_was_settled_counts(limiter: RateLimiter, true: int, expected: int) -> None:
    """The true cost counts, less or more than was held; other limits keep what was held."""
    with limiter.reserve("acme", LIMITS, {"month": 10}) as reservation:
        reservation.settle({"month": true})
    assert used(limiter) == expected
    assert used(limiter, "calls") == 1
    assert limiter.remaining("acme", LIMITS) == 30 - expected


def test_what_was_not_settled_counts_whole(limiter: RateLimiter) -> None:
    """An error before the reply leaves the cost unknown: the most is counted."""
    with pytest.raises(KeyError), limiter.reserve("acme", LIMITS, {"month": 10}):
        raise KeyError
    assert used(limiter) == 10


def test_an_untrue_settlement_is_refused(limiter: RateLimiter) -> None:
    """A limit that the permit has not, or a negative cost, is an error, and the most counts."""
    for wrong in ({"day": 1}, {"month": -1}):
        with (
            pytest.raises(ValueError, match="limits:"),
            limiter.reserve("acme", LIMITS, {"month": 4}) as reservation,
        ):
            reservation.settle(wrong)
    assert used(limiter) == 8


def test_processes_never_exceed_a_month(
    fresh_url: str, database: Database, limiter: RateLimiter
) -> None:
    """A process that was killed during its calls counts with all that it held, once its lease is over; two more of
    three threads each use what is left of the month, and no more."""
    worker = Path(__file__).with_name("reservation_worker.py")
    run = [sys.executable, "-W", "error", str(worker), fresh_url]
    assert subprocess.run([*run, "0", "dies"], check=False, timeout=60).returncode == -9
    held = next(one.under_way for one in limiter.usage("acme") if one.name == "month")
    assert held in (10, 20, 30)

    def expire(cursor) -> None:
        rows = Rows(cursor).locked_of("acme")
        for row in rows:
            for lease in row.ledger.leases.values():
                lease.until_ms -= 2 * LEASE_MS
        Rows(cursor).write(rows, [row.limit for row in rows])

    database.done(expire)
    workers = [
        subprocess.Popen([*run, seed, "lives"], stdout=subprocess.PIPE, text=True)
        for seed in ("1", "2")
    ]
    spent = sum(sum(json.loads(one.communicate(timeout=60)[0])) for one in workers)
    assert [one.returncode for one in workers] == [0, 0]
    assert used(limiter) == spent + held
    assert 190 < spent + held <= 200


def test_a_spent_month_says_when_it_is_whole_again(limiter: RateLimiter) -> None:
    """The refusal names the day of the month, and what a person may raise."""
    month = Limit(**{**vars(MONTH), "raised_by": "providers.acme.budget.month"})
    for _ in range(3):
        with limiter.permit("acme", [month], cost=10):
            pass
    with pytest.raises(BudgetExhausted) as caught, limiter.permit("acme", [month]):
        pass
    text = str(caught.value)
    assert "30 of 30 credits since day 15 of the month in UTC" in text
    assert "comes back on day 15 of the month, at midnight in UTC" in text
    assert "Or raise providers.acme.budget.month." in text
    assert 0 < caught.value.wait_s <= 31 * 86_400 + 2


def test_a_month_needs_a_day_and_a_zone(limiter: RateLimiter) -> None:
    """What cannot be counted is an error; what a row holds instead is mended."""
    for day, zone in ((0, "UTC"), (32, "UTC"), (1, "")):
        limit = monthly("month", 9, renews_on=day, zone=zone, unit="credits")
        with (
            pytest.raises(ConfigError, match="a day from 1 to 31"),
            limiter.permit("acme", [limit]),
        ):
            pass
    mended, lost = sound_limit(
        "m", "monthly", calls=9, period_s=9.0, resets="", unit="x", renews_on=77
    )
    assert (mended.resets, mended.renews_on, lost) == ("UTC", 1, ["resets", "renews_on"])


def test_nothing_is_waited_for(limiter: RateLimiter) -> None:
    """Where a permit is free it is given; else the caller learns at once which limit is short, and for how long."""
    burst = Limit("burst", 2, 60.0)
    for _ in range(2):
        with limiter.try_reserve("acme", [burst, MONTH]) as reservation:
            assert isinstance(reservation, Reservation)
            reservation.settle({"month": 10})
    with limiter.try_reserve("acme", [burst, MONTH]) as refused:
        assert isinstance(refused, NotNow)
        assert (refused.limit, refused.is_spent) == ("burst", False)
        assert 50 < refused.wait_s <= 61
    with limiter.try_reserve("acme", [MONTH], 11) as refused:
        assert isinstance(refused, NotNow)
        assert (refused.limit, refused.is_spent) == ("month", True)
    assert used(limiter) == 20


def test_nothing_is_kept_for_one_that_does_not_wait(limiter: RateLimiter) -> None:
    """A request that was put off reserves no share: another member gets all that is left."""
    burst = Limit("burst", 10, 60.0)
    with limiter.permit("acme", [burst], cost=5, member="a"):
        pass
    with limiter.try_reserve("acme", [burst], 6, member="b") as refused:
        assert isinstance(refused, NotNow)
    with limiter.try_reserve("acme", [burst], 5, member="a") as reservation:
        assert isinstance(reservation, Reservation)


def test_one_that_waits_keeps_its_place(limiter: RateLimiter) -> None:
    """While a thread of this process waits for a permit, another one that does not wait is not held up."""
    burst = Limit("burst", 4, 0.6)
    waited: list[float] = []

    def wait() -> None:
        with limiter.permit("acme", [burst], cost=4) as waited_s:
            waited.append(waited_s)

    with limiter.permit("acme", [burst], cost=4):
        pass
    thread = threading.Thread(target=wait)
    thread.start()
    with limiter.try_reserve("acme", [burst]) as refused:
        assert isinstance(refused, NotNow)
        assert not waited
    thread.join()
    assert waited[0] > 0.3
