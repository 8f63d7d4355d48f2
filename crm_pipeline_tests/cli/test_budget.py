import json
from pathlib import Path

import pytest

from crm_pipeline.kernel.clock import SystemClock
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.store.postgres.database import Database
from crm_pipeline_tests.cli.conftest import Run

DAILY = Limit("daily", 900, 86_400.0, "daily", resets="Asia/Kathmandu")
BURST = Limit("burst", 40, 86_000.0)


@pytest.fixture
def counted(
    project: Path, database: Database, fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a project, connection acme has made two calls, and the vendor counts 700 of 1,000."""
    with RateLimiter(database, SystemClock()) as limiter:
        limiter.observe("acme", "daily", 700, 1000)
        for _ in range(2):
            with limiter.permit("acme", [DAILY, BURST]):
                pass
    monkeypatch.setenv("CRM_DATABASE_URL", fresh_url)


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.usefixtures("counted")
def test_how_limits_stand(run: Run) -> None:
    """Each limit has a line with our count and the vendor's; a connection without calls has none."""
    text = flat(run("budget", "show").stdout)
    assert "burst calls 2 40 38 in the last 23.9 h" in text
    assert "daily calls 2 900 198 since midnight in Asia/Kathmandu 700 1,000 20" in text
    assert "demo: no calls have been counted yet." in text
    groups = json.loads(run("budget", "show", "acme", "--json").stdout)
    assert [(entry["limit_group"], entry["connections"]) for entry in groups] == [
        ("acme", ["acme"])
    ]
    assert [entry["vendor_used"] for entry in groups[0]["limits"]] == [None, 700]


@pytest.mark.parametrize(
    ("resets", "comes_back"),
    [
        ("", "calls come back one by one as they get 24 hours old, not at midnight"),
        ("Asia/Kathmandu", "the whole amount comes back at midnight in Asia/Kathmandu"),
    ],
)
def test_a_day_that_the_vendors_counter_has_spent(
    run: Run,
    project: Path,
    database: Database,
    fresh_url: str,
    monkeypatch: pytest.MonkeyPatch,
    resets: str,
    comes_back: str,
) -> None:
    """Our count stands apart from the vendor's counter, with who has spent the day, when calls come back, and what
    forgets that counter alone; in `status` as well."""
    limit = Limit("daily", 900, 86_400.0, "daily", resets=resets)
    with RateLimiter(database, SystemClock()) as limiter:
        with limiter.permit("acme", [limit]):
            pass
        limiter.observe("acme", "daily", 901, 1000)
        limiter.flush()
    monkeypatch.setenv("CRM_DATABASE_URL", fresh_url)
    text = flat(run("budget", "show", "acme").stdout)
    assert "daily calls 1 900 0 " in text
    assert "daily: spent by the vendor's counter" in text
    assert "we counted 1." in text
    assert comes_back in text
    assert "`crm-pipeline budget reset acme --told`" in text
    stands = flat(run("status", "acme").stdout)
    assert "we spent 1 of our 900 calls" in stands
    assert "the vendor counts 901 of 1,000; 0 left" in stands


def test_a_day_that_we_have_spent(
    run: Run, project: Path, database: Database, fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the vendor's counter is not mentioned."""
    with (
        RateLimiter(database, SystemClock()) as limiter,
        limiter.permit("acme", [DAILY], cost=900),
    ):
        pass
    monkeypatch.setenv("CRM_DATABASE_URL", fresh_url)
    text = flat(run("budget", "show", "acme").stdout)
    assert "daily: spent by our own count; the whole amount comes back at midnight" in text
    assert "--told" not in text


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize(
    ("options", "words", "left"),
    [
        ((), "forgot 2 calls that we counted and the vendor's counter, 700 of 1,000", (0, None)),
        (("--counted",), "daily: forgot 2 calls that we counted.", (702, 700)),
        (("--told",), "daily: forgot the vendor's counter, 700 of 1,000.", (2, None)),
    ],
)
def test_counters_are_forgotten(
    run: Run, options: tuple[str, ...], words: str, left: tuple[int, int | None]
) -> None:
    """`reset` says for each limit what it took away; only what is meant goes."""
    result = run("budget", "reset", "acme", *options)
    assert result.exit_code == 0
    assert words in flat(result.stderr)
    groups = json.loads(run("budget", "show", "acme", "--json").stdout)[0]["limits"]
    [daily] = [entry for entry in groups if entry["name"] == "daily"]
    assert (daily["used"], daily["vendor_used"]) == left


@pytest.mark.usefixtures("counted")
def test_what_cannot_be_reset(run: Run) -> None:
    """Nothing counted, an unknown connection and contradicting options each have a message."""
    assert "nothing to forget" in run("budget", "reset", "demo").stderr
    assert run("budget", "reset", "nobody").exit_code == 2
    assert "exclude each other" in run("budget", "reset", "acme", "--told", "--counted").stderr
    assert json.loads(run("budget", "reset", "demo", "--json").stdout) == {
        "limit_group": "demo",
        "forgotten": [],
    }
