"""Limits of several costs, days that end at a midnight, and what the vendor or others used."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from crm_pipeline.kernel.errors import BudgetExhausted, ConfigError
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.store.postgres.database import Database
from crm_pipeline_tests.ratelimit.test_limiter import BURST, DAILY, spend

CREDITS = Limit("credits", 10, 86_400.0, "daily", unit="credits")
PLACES = Limit("places", 2, 1.0, "concurrency")


def used(limiter: RateLimiter) -> dict[str, int]:
    limiter.flush()
    return {limit.name: limit.used for limit in limiter.usage("acme")}


def test_a_cost_for_each_limit(limiter: RateLimiter) -> None:
    """One permit is 3 credits, 1 of the burst window and nothing of another limit."""
    limits = [BURST, CREDITS, PLACES, DAILY]
    with limiter.permit("acme", limits, cost={"credits": 3, "daily": 0}):
        under_way = {limit.name: limit.under_way for limit in limiter.usage("acme")}
    assert under_way == {"burst": 1, "credits": 3, "daily": 0, "places": 1}
    assert used(limiter) == {"burst": 1, "credits": 3, "daily": 0, "places": 0}


def test_what_a_call_does_not_fall_under_does_not_stop_it(limiter: RateLimiter) -> None:
    """With cost 0 a spent limit refuses nothing; a call under no limit needs no permit."""
    spend(limiter, DAILY, calls=9)
    with limiter.permit("acme", [BURST, DAILY], cost={"daily": 0}):
        pass
    with limiter.permit("acme", [DAILY], cost={"daily": 0}) as waited_s:
        assert waited_s == 0
    with limiter.permit("acme", []) as waited_s:
        assert waited_s == 0
    assert used(limiter) == {"burst": 1, "daily": 9}


def test_a_refused_limit_takes_nothing_of_the_others(limiter: RateLimiter) -> None:
    """All of a permit or nothing: a refused call holds no slot and no part of a window."""
    with limiter.permit("acme", [CREDITS], cost=8):
        pass
    with (
        pytest.raises(BudgetExhausted, match="8 of 10 credits in the last 24 hours"),
        limiter.permit("acme", [BURST, CREDITS, PLACES], cost={"credits": 3}),
    ):
        pass
    assert used(limiter) == {"burst": 0, "credits": 8, "places": 0}


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        ({"credits": 11}, "costs 11 can never pass the limit 'credits'"),
        ({"credits": -1}, "can never pass"),
        ({"credit": 3}, "cost for 'credit', which is none of its limits: burst, credits"),
    ],
)
def test_impossible_costs(limiter: RateLimiter, cost: dict[str, int], words: str) -> None:
    """A cost that cannot be counted is an error that names the limit."""
    limits = [BURST, CREDITS]
    with pytest.raises(ConfigError, match=words), limiter.permit("acme", limits, cost=cost):
        pass


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (Limit("daily", 9, 86_400.0, "daily", resets="Mars/North"), "'Mars/North', which is no"),
        (Limit("daily", 9, 86_400.0, "daily", resets="../passwd"), "which is no time zone"),
        (Limit("burst", 9, 10.0, resets="UTC"), "only daily and monthly limits do"),
    ],
)
def test_impossible_midnights(limiter: RateLimiter, limit: Limit, words: str) -> None:
    """A zone that does not exist, or a limit that is not by the day, is an error."""
    with pytest.raises(ConfigError, match=words), limiter.permit("acme", [limit]):
        pass


def test_the_midnight_is_named(limiter: RateLimiter) -> None:
    """A day that ends at a midnight: the refusal names zone and moment, and that is the wait."""
    limit = Limit("tokens", 9, 86_400.0, "daily", resets="Asia/Kathmandu", unit="tokens")
    spend(limiter, limit, calls=9)
    with pytest.raises(BudgetExhausted) as caught:
        spend(limiter, limit)
    zone = ZoneInfo("Asia/Kathmandu")
    now = datetime.now(zone)
    midnight = datetime(now.year, now.month, now.day, tzinfo=zone) + timedelta(days=1)
    text = str(caught.value)
    assert "is spent: 9 of 9 tokens since midnight in Asia/Kathmandu." in text
    assert (
        f"{midnight.astimezone(UTC):%Y-%m-%d %H:%M} UTC: the whole amount comes back at midnight in Asia/Kathmandu"
        in text
    )
    wait_s = (midnight - now).total_seconds()
    assert wait_s - 5 <= caught.value.wait_s <= wait_s + 5
    assert limiter.usage("acme")[0].resets == "Asia/Kathmandu"


def test_a_share_of_the_day_is_kept(database: Database, limiter: RateLimiter) -> None:
    """With two members neither takes more than half of a day, and `remaining` says what is left."""
    limit = Limit("credits", 100, 86_400.0, "daily", unit="credits")
    assert limiter.remaining("acme", [BURST]) is None
    assert limiter.remaining("acme", [BURST, limit], member="large") == 100
    with limiter.permit("acme", [limit], member="small"):
        pass
    for _ in range(25):
        with limiter.permit("acme", [limit], cost=2, member="large"):
            pass
    limiter.flush()
    assert limiter.remaining("acme", [limit], member="large") == 0
    assert limiter.remaining("acme", [limit], member="small") == 49
    with (
        pytest.raises(BudgetExhausted, match=r"51 of 100 .*what is left of it is kept for small"),
        limiter.permit("acme", [limit], member="large"),
    ):
        pass
    (found,) = limiter.usage("acme")
    assert (found.unit, found.members) == ("credits", {"large": 50, "small": 1})


def test_remaining_knows_the_vendors_figure(limiter: RateLimiter) -> None:
    """The vendor's counter and limit bound what is left; the least of several limits counts."""
    limiter.observe("acme", "daily", 20, 25)
    jobs = Limit("jobs", 4, 86_400.0, "daily")
    assert limiter.remaining("acme", [Limit("daily", 90, 86_400.0, "daily")]) == 5
    assert limiter.remaining("acme", [Limit("daily", 90, 86_400.0, "daily"), jobs]) == 4
    limiter.observe("acme", "daily", 30, 25)
    limiter.flush()
    assert limiter.remaining("acme", [Limit("daily", 90, 86_400.0, "daily")]) == 0


def test_somebody_else_in_the_window(limiter: RateLimiter) -> None:
    """The vendor's counter of a short window is ahead of ours: the difference is held back until it is
    gone. A lower figure changes nothing."""
    limit = Limit("burst", 20, 0.8)
    with limiter.permit("acme", [limit], cost=2):
        pass
    limiter.observe("acme", "burst", 15, 20)
    limiter.flush()
    (found,) = limiter.usage("acme")
    assert (found.used, found.vendor_used) == (15, 15)
    with limiter.permit("acme", [limit], cost=6) as waited_s:
        assert 0.4 < waited_s < 5
    limiter.observe("acme", "burst", 0, 20)
    limiter.flush()
    # The first two may still be within the window.
    assert limiter.usage("acme")[0].used in {6, 8}


def test_an_observation_of_a_window_costs_no_transaction(limiter: RateLimiter, monkeypatch) -> None:
    """A reading goes with the next contact, however many responses had one."""
    written = []
    monkeypatch.setattr(
        "crm_pipeline.ratelimit.vendor_counters.VendorCounters.write",
        lambda self: written.append(1),
    )
    limit = Limit("burst", 10_000, 10.0)
    contacts = []
    exchange = RateLimiter._exchange
    monkeypatch.setattr(
        RateLimiter, "_exchange", lambda *args: contacts.append(1) or exchange(*args)
    )
    for used in range(500):
        spend(limiter, limit)
        limiter.observe("acme", "burst", used, 10_000)
    assert written == []
    assert len(contacts) < 100
