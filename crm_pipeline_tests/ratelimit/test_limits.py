import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.ratelimit.decision import Report, Wants, apply_report
from crm_pipeline.ratelimit.ledger import Ledger
from crm_pipeline.ratelimit.ledger_state import sound_ledger
from crm_pipeline.ratelimit.limits import (
    Limit,
    current_slot_ms,
    last_reset_ms,
    next_reset_ms,
    slot_end_ms,
)

HOUR_MS = 3_600_000
# Clocks that change at two, at midnight (Santiago, Cairo, Havana), a minute past it, by half an hour.
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",
    "Africa/Cairo",
    "America/Havana",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
]


def daily(zone: str, calls: int = 100) -> Limit:
    return Limit("daily", calls, 86_400.0, "daily", resets=zone)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("zone", "now", "turn"),
    [
        ("UTC", "2026-11-25T10:00Z", "2026-11-26T00:00Z"),
        ("Europe/Berlin", "2026-11-25T10:00Z", "2026-11-25T23:00Z"),
        ("Europe/Berlin", "2026-11-25T23:30Z", "2026-11-26T23:00Z"),
        ("Europe/Berlin", "2026-03-28T23:30Z", "2026-03-29T22:00Z"),  # 23 hours
        ("Europe/Berlin", "2026-10-24T22:30Z", "2026-10-25T23:00Z"),  # 25 hours
        ("America/Santiago", "2026-09-06T01:00Z", "2026-09-06T04:00Z"),  # no 00:00 on that day
        ("America/Santiago", "2026-04-05T02:30Z", "2026-04-05T04:00Z"),  # 23:00 comes twice
        ("Africa/Cairo", "2026-04-23T12:00Z", "2026-04-23T22:00Z"),
    ],
)
def test_midnights(zone: str, now: str, turn: str) -> None:
    """The day ends at midnight of the zone, two seconds late, whatever its clock does."""
    assert next_reset_ms(daily(zone), ms(now)) == ms(turn) + 2000
    assert last_reset_ms(daily(zone), ms(turn) + 2000) == ms(turn) + 2000


@given(st.sampled_from(ZONES), st.integers(ms("2007-01-01T00:00Z"), ms("2032-01-01T00:00Z")))
def test_days_follow_each_other(zone: str, now_ms: int) -> None:
    """Every moment lies between two midnights that are 22 to 26 hours apart, and they are midnights."""
    limit = daily(zone)
    start, end = last_reset_ms(limit, now_ms), next_reset_ms(limit, now_ms)
    assert start <= now_ms < end
    assert 22 * HOUR_MS <= end - start <= 26 * HOUR_MS
    local = datetime.fromtimestamp((end - 2000) / 1000, ZoneInfo(zone))
    before = datetime.fromtimestamp((end - 2001) / 1000, ZoneInfo(zone))
    assert before.date() < local.date()


def test_what_came_close_to_midnight_counts_in_both_days() -> None:
    """Within two seconds of midnight the vendor's day is unknown: the call counts until the next but one."""
    limit, midnight = daily("UTC"), ms("2026-11-26T00:00Z")
    assert slot_end_ms(limit, midnight - 2001) == midnight + 2000
    assert slot_end_ms(limit, midnight - 2000) == midnight + 24 * HOUR_MS + 2000
    assert slot_end_ms(limit, midnight + 2000) == midnight + 24 * HOUR_MS + 2000


def test_a_limit_that_had_a_rolling_window() -> None:
    """What was counted before the limit was known to reset counts until midnight, or no more."""
    rolling, limit = Limit("daily", 100, 86_400.0, "daily"), daily("UTC")
    now = ms("2026-11-26T10:00Z")
    ledger = Ledger()
    ledger.spend(rolling, 7, ms("2026-11-25T20:00Z"))
    ledger.spend(rolling, 5, ms("2026-11-26T09:00Z"))
    ledger.settle(limit, now)
    assert ledger.own == 5
    ledger.settle(limit, ms("2026-11-27T00:00:03Z"))
    assert ledger.own == 0
    assert current_slot_ms(limit, now + 40 * HOUR_MS, now) == next_reset_ms(limit, now)


def test_a_clock_set_back_by_days() -> None:
    """A slot later than tomorrow's midnight counts until the next midnight only."""
    limit, now = daily("Europe/Berlin"), ms("2026-11-26T10:00Z")
    after_next = next_reset_ms(limit, next_reset_ms(limit, now))
    assert current_slot_ms(limit, after_next, now) == next_reset_ms(limit, now)
    assert current_slot_ms(limit, after_next, now + 14 * HOUR_MS) == after_next


@given(
    st.sampled_from(ZONES),
    st.lists(st.tuples(st.integers(0, 3 * HOUR_MS), st.booleans()), min_size=1, max_size=12),
)
def test_a_limit_whose_zone_is_learnt(zone: str, plan: list[tuple[int, bool]]) -> None:
    """Some processes know the zone and some do not yet: nothing of the day in that zone is forgotten."""
    shapes = [Limit("daily", 100, 86_400.0, "daily"), daily(zone)]
    now, ledger, made = ms("2026-11-25T03:00Z"), Ledger(), []
    for gap_ms, knows in plan:
        now += gap_ms
        limit = shapes[knows]
        ledger = sound_ledger(json.loads(json.dumps(ledger.written())))[0]
        ledger.settle(limit, now)
        ledger.spend(limit, 1, now)
        made.append(now)
    ledger.settle(shapes[1], now)
    assert ledger.own >= sum(at > last_reset_ms(shapes[1], now) for at in made)


moments = st.tuples(
    st.sampled_from([50, 900, 30_000, 1_500_000, HOUR_MS]),  # since the call before, at most
    st.floats(0.0, 1.0),  # of that
    st.integers(1, 4),  # cost
    st.integers(0, 3_000),  # until the reply
    st.floats(0.0, 1.0),  # of that: until it arrives
)


@settings(max_examples=150)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(["2026-03-28", "2026-10-24", "2026-04-04", "2026-09-05", "2026-11-25"]),
    st.sampled_from([500, 3_500, 9 * HOUR_MS]),  # until the turn
    st.lists(moments, min_size=10, max_size=80),
    st.integers(-1_900, 1_900),
)
def test_no_day_of_the_vendor_holds_more(
    zone: str,
    day: str,
    before_ms: int,
    plan: list[tuple[int, float, int, int, float]],
    skew_ms: int,
) -> None:
    """By the vendor's own dates, its clock up to two seconds off, no day has more calls than the limit."""
    limit = daily(zone, 20)
    now, state, ends = next_reset_ms(limit, ms(f"{day}T12:00Z")) - before_ms, "{}", []
    arrived: dict[str, int] = {}
    replies: list[tuple[int, int]] = []
    refused = granted = 0
    for number, (gap_ms, part, cost, length, until) in enumerate(plan):
        now += round(gap_ms * part)
        ledger = sound_ledger(json.loads(state))[0]
        for replied, lease, spent in [end for end in ends if end[0] <= now]:
            report = Report(lease, "acme", (((now - replied) / 1000, (spent,)),), (0,))
            apply_report([(limit, ledger, now)], report, None)
        ends = [end for end in ends if end[0] > now]
        wants = Wants((cost,), (cost,), (cost,))
        verdict = apply_report([(limit, ledger, now)], Report(str(number), "acme", (), (0,)), wants)
        state = json.dumps(ledger.written())
        if verdict.granted[0]:
            granted += 1
            ends.append((now + length, str(number), cost))
            replies.append((now + length, cost))
            at_ms = now + round(length * until) + skew_ms
            date = f"{datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)):%Y-%m-%d}"
            arrived[date] = arrived.get(date, 0) + cost
        elif verdict.refusal:
            refused += 1
            until_ms = now + round(verdict.refusal.wait_s * 1000)
            assert now < until_ms <= next_reset_ms(limit, now) + 1000
            ledger.settle(limit, until_ms)
            # What came close to midnight counts in both days.
            close = last_reset_ms(limit, until_ms) - 4_000
            assert ledger.own <= 4 * len(ends) + sum(w for at, w in replies if at >= close)
    assert max(arrived.values(), default=0) <= 20
    assert granted


def test_all_of_it_again_after_midnight() -> None:
    """What a day refuses is there in full after the time that the refusal names, and not before."""
    limit = daily("Europe/Berlin", 50)
    now = ms("2026-11-25T15:00Z")
    ledger = Ledger()
    ledger.spend(limit, 50, now)

    def ask(at_ms: int, most: int):
        wants = Wants((1,), (most,), (most,))
        return apply_report(
            [(limit, sound_ledger(ledger.written())[0], at_ms)], Report("a", "x", (), (0,)), wants
        )

    refusal = ask(now, 1).refusal
    assert refusal
    assert timedelta(seconds=refusal.wait_s) == timedelta(hours=8, seconds=2)
    until = now + round(refusal.wait_s * 1000)
    assert ask(until - 1, 1).refusal
    assert ask(until, 50).granted == (50,)
