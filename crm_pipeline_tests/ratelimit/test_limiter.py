import json
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crm_pipeline.kernel.clock import SystemClock
from crm_pipeline.kernel.errors import BudgetExhausted, ConfigError, DatabaseUnavailable
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.ratelimit.usage import DayUsage
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.postgres.migrations import apply_migrations, migration_files

BURST = Limit("burst", 40, 0.4)
DAILY = Limit("daily", 9, 86_400.0, "daily")


def in_threads(count: int, work) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def spend(limiter: RateLimiter, *limits: Limit, calls: int = 1) -> None:
    for _ in range(calls):
        with limiter.permit("acme", limits):
            pass


def test_never_over_the_ceiling_with_processes(fresh_url: str, database: Database) -> None:
    """Two processes of six threads never hold more than the ceiling, from acquire to one window
    after the reply; and what the ceiling allows is used.
    """
    worker = Path(__file__).with_name("limiter_worker.py")
    arguments = [sys.executable, "-W", "error", str(worker), fresh_url]
    workers = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    calls = [call for w in workers for call in json.loads(w.communicate(timeout=60)[0])]
    assert [w.returncode for w in workers] == [0, 0]
    for limit, index in [(BURST, 2), (Limit("credits", 100, 1.0), 3)]:
        for taken, *_ in calls:
            held = sum(c[index] for c in calls if c[0] <= taken < c[1] + limit.period_s)
            assert held <= limit.calls
    assert len(calls) == 2 * 6 * 12


def test_uncontended_permits_are_leased_in_packs(limiter: RateLimiter, monkeypatch) -> None:
    """Many calls under a high ceiling ask the database a few times only."""
    contacts = []
    exchange = RateLimiter._exchange
    monkeypatch.setattr(
        RateLimiter, "_exchange", lambda *args: contacts.append(1) or exchange(*args)
    )
    spend(limiter, Limit("burst", 10_000, 10.0), calls=3000)
    assert len(contacts) < 300
    limiter.flush()
    (found,) = limiter.usage("acme")
    assert (found.used, found.under_way) == (3000, 0)


def test_the_wait_is_stated(limiter: RateLimiter) -> None:
    """A permit says how long it was waited for."""
    limit = Limit("burst", 2, 0.2)
    waits = []
    for _ in range(3):
        with limiter.permit("acme", [limit]) as waited_s:
            waits.append(waited_s)
    assert max(waits[:2]) < 0.15 < waits[2] < 5


def test_groups_do_not_share(limiter: RateLimiter) -> None:
    """Another group has a budget of its own."""
    with limiter.permit("acme", [DAILY], cost=9), limiter.permit("other", [DAILY], cost=9):
        pass


def test_a_call_that_fails_counts(limiter: RateLimiter) -> None:
    """An exception inside the permit passes, and the call is counted."""
    with pytest.raises(KeyError), limiter.permit("acme", [DAILY]):
        raise KeyError
    limiter.flush()
    assert limiter.usage("acme")[0].used == 1


def test_concurrency(limiter: RateLimiter) -> None:
    """No more calls are under way than allowed, and all come through."""
    limit = Limit("parallel", 3, 1.0, "concurrency")
    under_way, most, lock = [0], [0], threading.Lock()

    def work() -> None:
        with limiter.permit("acme", [limit]):
            with lock:
                under_way[0] += 1
                most[0] = max(most[0], under_way[0])
            threading.Event().wait(0.01)
            with lock:
                under_way[0] -= 1

    in_threads(9, work)
    assert 1 <= most[0] <= 3


def test_daily_limit_is_refused(limiter: RateLimiter) -> None:
    """A spent day names group, limit, figures and the time to try again, and does not wait."""
    spend(limiter, DAILY, calls=9)
    with pytest.raises(BudgetExhausted) as caught, limiter.permit("acme", [DAILY]):
        pass
    text = str(caught.value)
    assert "daily limit 'daily' of group 'acme' is spent: 9 of 9 calls in the last 24 hours" in text
    assert f"{datetime.now(UTC):%Y}-" in text
    assert 23 * 3600 < caught.value.wait_s <= 24.5 * 3600


def test_every_thread_is_refused(limiter: RateLimiter) -> None:
    """Each of many threads that wait for one pool gets the refusal; none hangs."""
    spend(limiter, DAILY, calls=9)
    refused = []

    def work() -> None:
        try:
            spend(limiter, DAILY)
        except BudgetExhausted:
            refused.append(1)

    in_threads(5, work)
    assert len(refused) == 5


def test_the_vendors_counter_overrules(limiter: RateLimiter) -> None:
    """With the vendor's counter past our share nothing is left, and the text names both figures."""
    limit = Limit("daily", 900, 86_400.0, "daily")
    limiter.observe("acme", "daily", 950, 1000)
    with pytest.raises(BudgetExhausted, match=r"950 of 1,000; our share of that is 90%") as caught:
        spend(limiter, limit)
    assert caught.value.wait_s <= 3600
    (found,) = limiter.usage("acme")
    assert (found.vendor_used, found.vendor_ceiling, found.ceiling) == (950, 1000, 900)
    limiter.observe("acme", "daily", 10, 1000)
    limiter.flush()
    spend(limiter, limit)
    limiter.flush()
    assert limiter.usage("acme")[0].used == 11


def test_observing_is_cheap(limiter: RateLimiter, monkeypatch) -> None:
    """A figure is written at first, every 50 calls and past 80 %, not with every call."""
    written = []
    monkeypatch.setattr("crm_pipeline.ratelimit.vendor_counters._EVERY_S", 1e9)
    monkeypatch.setattr(
        "crm_pipeline.ratelimit.vendor_counters.VendorCounters._write",
        lambda self, group, name, used, allowed: written.append(used),
    )
    monkeypatch.setattr(limiter._flusher, "wake", lambda: None)
    for used in [*range(1, 103), 100_000]:
        limiter.observe("acme", "daily", used, 120_000)
    assert written == [1, 51, 101, 100_000]
    limiter.observe("acme", "daily", 99_999, 120_000)
    limiter.flush()
    assert written[-1] == 99_999


def test_a_killed_process(database: Database, limiter: RateLimiter, monkeypatch) -> None:
    """Permits of a process that vanished come back when its lease and one window are over."""
    monkeypatch.setattr("crm_pipeline.ratelimit.ledger.LEASE_MS", 50)
    limit = Limit("burst", 2, 0.1)
    dead = RateLimiter(database, SystemClock())
    monkeypatch.setattr(dead._flusher, "wake", lambda: None)
    permit = dead.permit("acme", [limit], cost=2)
    permit.__enter__()
    with limiter.permit("acme", [limit]) as waited_s:
        assert waited_s > 0.1
    dead._pools.clear()
    dead.close()


def test_closing_gives_back(database: Database) -> None:
    """A closed limiter leaves nothing under way, though permits were taken in advance."""
    with RateLimiter(database, SystemClock()) as limiter:
        spend(limiter, Limit("burst", 10_000, 10.0), calls=50)
    (found,) = RateLimiter(database, SystemClock()).usage()
    assert (found.used, found.under_way) == (50, 0)


def test_the_background_reports(database: Database, limiter: RateLimiter) -> None:
    """A response is reported to the database without another request."""
    reported = threading.Event()
    exchange = limiter._exchange

    def watched(pool, delta, *args):
        verdict = exchange(pool, delta, *args)
        if delta.replied and not any(delta.kept):
            reported.set()
        return verdict

    limiter._exchange = watched
    spend(limiter, BURST)
    assert reported.wait(10)


@pytest.mark.parametrize(
    ("limits", "cost", "words"),
    [
        ([BURST], 41, "can never pass the limit 'burst'"),
        ([BURST], 0, "can never pass"),
        ([Limit("none", 0, 1.0)], 1, "must be positive"),
        ([BURST, BURST], 1, "its name unique"),
    ],
)
def test_impossible_limits(
    limiter: RateLimiter, limits: list[Limit], cost: int, words: str
) -> None:
    """What can never be granted is an error, not a wait."""
    with pytest.raises(ConfigError, match=words), limiter.permit("acme", limits, cost=cost):
        pass


def test_usage_by_day(limiter: RateLimiter, database: Database) -> None:
    """Counts of calls add up by group, day and operation, over gates."""
    limiter.record("acme", "query")
    limiter.record("acme", "query", calls=4, cost=8)
    limiter.record("other", "bulk", calls=2)
    limiter.flush()
    with RateLimiter(database, SystemClock()) as other:
        other.record("acme", "query")
    with database.transaction() as cursor:
        cursor.execute("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date")
        (today,) = cursor.fetchone()
    assert limiter.usage_by_day(days=2) == [
        DayUsage("acme", "acme", today, "query", 6, 10, "calls"),
        DayUsage("other", "other", today, "bulk", 2, 2, "calls"),
    ]
    assert [u.calls for u in limiter.usage_by_day("other")] == [2]


def test_usage_by_member_in_the_vendors_unit(limiter: RateLimiter) -> None:
    """Each member of a group has accounts of its own, in the unit of the group's daily limit."""
    spend(
        limiter, Limit("burst", 40, 0.4), Limit("credits", 500, 86_400.0, "daily", unit="credits")
    )
    limiter.record("acme", "coql", cost=3, member="north")
    limiter.record("acme", "coql", cost=2, member="south")
    found = [(u.member, u.calls, u.cost, u.unit) for u in limiter.usage_by_day("acme")]
    assert found == [("north", 1, 3, "credits"), ("south", 1, 2, "credits")]


@pytest.mark.parametrize(
    ("used", "ceiling"),
    [(10**300, 1000), (5, 10**300), (-5, 1000), (5, 0), (5, -1), (2 * 10**9, 5)],
)
def test_a_counter_that_cannot_be(limiter: RateLimiter, used: int, ceiling: int) -> None:
    """A counter beyond all bounds, daily or of a window, is not kept and delays no call."""
    for name in ("daily", "burst"):
        limiter.observe("acme", name, used, ceiling)
    spend(limiter, DAILY, BURST)
    limiter.observe("acme", "burst", used, ceiling)
    limiter.flush()
    assert [one.vendor_ceiling for one in limiter.usage("acme")] == [None, None]
    assert limiter.remaining("acme", [DAILY]) == 8


def test_forgetting_a_wrong_counter(limiter: RateLimiter) -> None:
    """A vendor's counter that says spent stops the day; the text names the command that forgets it, which lets
    calls pass again. Calls under way go on counting, and others' groups are left alone."""
    limiter.observe("acme", "daily", 1000, 1000)
    limiter.observe("other", "daily", 7, 1000)
    limiter.flush()
    with pytest.raises(BudgetExhausted) as caught, limiter.permit("acme", [DAILY], member="north"):
        pass
    assert "is spent by the vendor's own counter" in caught.value.message
    assert "we counted 0 ourselves" in caught.value.message
    assert "`crm-pipeline budget reset north --told`" in caught.value.cure
    assert "calls come back one by one as they get 24 hours old" in caught.value.cure
    (found,) = limiter.forget("acme")
    assert (found.name, found.counted, found.vendor_used, found.vendor_ceiling) == (
        "daily",
        0,
        1000,
        1000,
    )
    with limiter.permit("acme", [DAILY], cost=4):
        (found,) = limiter.forget("acme")
        assert (found.counted, found.vendor_ceiling) == (0, None)
        assert limiter.usage("acme")[0].under_way >= 4
    limiter.flush()
    assert [one.used for one in limiter.usage("acme")] == [4]
    assert limiter.usage("other")[0].vendor_used == 7


def test_forgetting_our_own_count(limiter: RateLimiter) -> None:
    """A day that our own count has spent is refused without a word of a counter of the vendor's; what was counted
    is forgotten only where that is meant."""
    spend(limiter, DAILY, calls=9)
    limiter.observe("acme", "daily", 3, 1000)
    limiter.flush()
    with pytest.raises(BudgetExhausted) as caught:
        spend(limiter, DAILY)
    assert "budget reset" not in caught.value.cure
    assert [one.counted for one in limiter.forget("acme", counted=False)] == [None]
    assert limiter.usage("acme")[0].used == 9
    assert [one.counted for one in limiter.forget("acme", reported=False)] == [9]
    spend(limiter, DAILY)


def test_rows_of_the_accounts_that_cannot_be(
    limiter: RateLimiter, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """Days and amounts that somebody else wrote are left out, with a word, and counting goes on over them."""
    with database.transaction() as cursor:
        cursor.execute(
            "INSERT INTO crm_state.api_usage (group_name, member, day, operation, calls, weight) VALUES"
            " ('acme', 'acme', 'infinity', 'query', 1, 1), ('acme', 'acme', '20000-01-01', 'query', 1, 1),"
            " ('acme', 'acme', (clock_timestamp() AT TIME ZONE 'UTC')::date, 'query',"
            " 9223372036854775807, -9223372036854775808)"
        )
    assert limiter.usage_by_day() == []
    assert "rows=3" in capsys.readouterr().out
    limiter.record("acme", "query", calls=4)
    assert [(one.calls, one.cost) for one in limiter.usage_by_day()] == [(4, 4)]


def test_without_a_database() -> None:
    """An unreachable database is said by the permit; counting and closing do not fail."""
    with RateLimiter(Database("postgresql://127.0.0.1:1/crm"), SystemClock()) as limiter:
        limiter.record("acme", "query")
        limiter.observe("acme", "daily", 1, 100)
        with pytest.raises(DatabaseUnavailable):
            spend(limiter, BURST)


def test_a_forked_process_has_its_own_permits(limiter: RateLimiter) -> None:
    """What the parent took in advance is not the child's to spend, nor what it counted to write."""
    spend(limiter, Limit("burst", 10_000, 10.0), calls=50)
    limiter._flusher.end()
    limiter.record("acme", "query")
    before = list(limiter._pools.values())
    limiter._pid = -1
    limiter.record("acme", "query", calls=2)
    assert before
    assert list(limiter._pools.values()) == []
    limiter.flush()
    assert [u.calls for u in limiter.usage_by_day()] == [2]


def test_a_child_forked_during_a_call(fresh_url: str) -> None:
    """A child that leaves its parent's permit and flushes does not give the permit back."""
    worker = Path(__file__).with_name("forked_worker.py")
    done = subprocess.run(
        [sys.executable, str(worker), fresh_url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "0 7 0", done.stderr


def test_state_of_the_version_before(database: Database, limiter: RateLimiter) -> None:
    """Accounts written before members and midnights were known go on counting."""
    state = {
        "spent": [[0, 5]],
        "leases": {"old": [3, 0]},
        "total": 40,
        "vendor": [6, 1000, 0, 40],
    }
    with database.transaction() as cursor:
        cursor.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        (now_ms,) = cursor.fetchone()
        state["spent"][0][0] = now_ms - 1000
        state["leases"]["old"][1] = now_ms + 30_000
        state["vendor"][2] = now_ms - 1000
        cursor.execute(
            "INSERT INTO crm_state.gate (group_name, limit_name, kind, calls, period_s, state)"
            " VALUES ('acme', 'daily', 'daily', 9, 86400, %s)",
            (json.dumps(state),),
        )
    (before,) = limiter.usage("acme")
    assert (before.used, before.under_way, before.unit, before.resets) == (6, 3, "calls", "")
    assert limiter.remaining("acme", [DAILY]) == 0
    larger = Limit("daily", 20, 86_400.0, "daily", resets="UTC", unit="tokens")
    with limiter.permit("acme", [larger], member="north"):
        pass
    limiter.flush()
    (after,) = limiter.usage("acme")
    assert (after.used, after.under_way, after.unit) == (7, 3, "tokens")


def test_a_database_of_the_version_before(database: Database) -> None:
    """Its accounts by day become those of the group itself, its limits roll, and both go on."""
    with database.transaction() as cursor:
        cursor.execute("DROP SCHEMA crm_state CASCADE")
        apply_migrations(cursor, migration_files()[:1])
        cursor.execute(
            "INSERT INTO crm_state.api_usage VALUES ('acme', '2026-11-24', 'query', 5, 5);"
            "INSERT INTO crm_state.gate VALUES ('acme', 'daily', 'daily', 9, 86400, '{}')"
        )
    assert database.migrate() != []
    with RateLimiter(database, SystemClock()) as limiter:
        limiter.record("acme", "query", member="north")
        spend(limiter, DAILY)
        limiter.flush()
        found = [(u.member, u.calls, u.unit) for u in limiter.usage_by_day()]
        assert found == [("acme", 5, "calls"), ("north", 1, "calls")]
        assert [(u.used, u.resets) for u in limiter.usage()] == [(1, "")]


def test_two_processes_get_half_each(fresh_url: str) -> None:
    """Twenty threads of one member against two of another, each a process of its own: neither gets less
    than 40 % while both have work, and no window holds more than the ceiling."""
    worker = Path(__file__).with_name("share_worker.py")
    arguments = [sys.executable, "-W", "error", str(worker), fresh_url]
    crowds = [("large", "20"), ("small", "2")]
    workers = [
        subprocess.Popen(
            [*arguments, *crowd], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for crowd in crowds
    ]
    for w in workers:
        assert w.stdout.readline() == "ready\n"
    for w in workers:
        w.stdin.write("go\n")
        w.stdin.flush()
    found = [json.loads(w.communicate(timeout=60)[0]) for w in workers]
    start = max(calls[0][0] for calls in found) + 0.5
    end = min(calls[-1][0] for calls in found)
    large, small = (sum(start < at <= end for at, _ in calls) for calls in found)
    assert end - start > 2
    assert min(large, small) >= 0.4 * (large + small)
    calls = [call for calls in found for call in calls]
    for taken, _ in calls:
        assert sum(c[0] <= taken < c[1] + 0.5 for c in calls) <= 30
