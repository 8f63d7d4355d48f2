from datetime import datetime, timedelta

import pytest
import requests

from crm_sandbox_tests.conftest import NOW
from crm_sandbox_tests.pipedrive.conftest import Client, as_colleague


def spent(client: Client) -> int:
    return client.truth.set_limits()["used"]


@pytest.mark.parametrize(
    ("path", "cost"),
    [
        ("/api/v2/persons", 10),
        ("/api/v2/persons/1", 1),
        ("/api/v2/deals/archived", 20),
        ("/api/v2/stages", 5),
        ("/api/v2/dealFields", 10),
        ("/api/v2/persons/search?term=an", 20),
        ("/api/v2/itemSearch?term=an", 20),
        ("/v1/leads", 20),
        ("/v1/leads/archived", 40),
        ("/v1/users/me", 2),
        ("/v1/deals/1/flow", 40),
        ("/v1/deals/1/changelog", 20),
        ("/v1/recents?since_timestamp=2026-11-20 00:00:00", 20),
        ("/v1/persons", 20),
    ],
)
def test_costs(main, path: str, cost: int) -> None:
    """Statement 16: every call is debited with its published cost."""
    before = spent(main)
    response = main.get(path)
    assert response.status_code == 200, response.text
    assert spent(main) - before == cost
    left = int(response.headers["x-daily-ratelimit-token-remaining"])
    assert int(response.headers["x-daily-ratelimit-token-limit"]) - left == before + cost


def test_one_pot_per_company(own) -> None:
    """Statement 16: all users and apps of a company spend one budget; other companies do not."""
    colleague, other = as_colleague(own), Client(own.sandbox, "second")
    for client in (own, colleague, other):
        client.v2("/pipelines")
    own.login()
    own.v2("/pipelines")
    assert spent(own) == 15
    assert own.truth.set_limits(account="second")["used"] == 5
    colleague.close()
    other.close()


def test_plans(own) -> None:
    """Statement 16: the budget is 30,000 tokens times the plan's factor and the seats."""
    seats = sum(row["active_flag"] for row in own.data("/v1/users"))
    for plan, factor in (("Lite", 1), ("Growth", 2), ("Premium", 5), ("Ultimate", 7)):
        assert own.truth.set_limits(plan=plan)["daily"] == 30_000 * factor * seats
    with pytest.raises(ValueError, match="Platinum"):
        own.truth.set_limits(plan="Platinum")


def test_empty_budget(own) -> None:
    """Statement 16: an empty budget answers 429 to everything, until midnight."""
    own.truth.set_limits(daily=25)
    assert [own.v2("/persons").status_code for _ in range(3)] == [200, 200, 429]
    assert own.v2("/persons/1").status_code == 200
    own.truth.set_limits(daily=20)
    refused = own.v2("/persons/1")
    assert refused.status_code == 429
    assert refused.json()["success"] is False
    assert refused.headers["x-daily-ratelimit-token-remaining"] == "0"
    assert "Retry-After" not in refused.headers
    # Statement 17's headers tell it apart from a burst: there are calls left in the window.
    assert int(refused.headers["x-ratelimit-remaining"]) > 0
    own.sandbox.clock.stand_at(datetime(2026, 11, 2, tzinfo=NOW.tzinfo) - timedelta(seconds=1))
    assert own.v2("/persons/1").status_code == 429
    own.sandbox.clock.advance(1)
    assert own.v2("/persons/1").status_code == 200


def test_daily_headers_may_be_missing(own) -> None:
    """Statement 16: the headers of the day are sometimes not there."""
    own.truth.set_limits(shows_daily=False)
    headers = own.v2("/persons/1").headers
    assert "x-daily-ratelimit-token-remaining" not in headers
    assert "x-ratelimit-remaining" in headers


def test_burst(own) -> None:
    """Statement 17: so many calls in any two seconds; the reset is in seconds from now."""
    moment = [1_000.0]
    limits = own.truth.companies["main"].limits
    limits.now = lambda: moment[0]
    own.truth.set_limits(plan="Lite")
    answers = [own.v2("/pipelines") for _ in range(21)]
    assert [response.status_code for response in answers] == [200] * 20 + [429]
    assert answers[0].headers["x-ratelimit-limit"] == "20"
    assert [a.headers["x-ratelimit-remaining"] for a in answers[:3]] == ["19", "18", "17"]
    assert answers[-1].headers["x-ratelimit-remaining"] == "0"
    assert answers[-1].headers["x-ratelimit-reset"] == "2"
    moment[0] += 1.5
    assert own.v2("/pipelines").status_code == 429
    assert own.v2("/pipelines").headers["x-ratelimit-reset"] == "1"
    moment[0] += 0.5
    assert own.v2("/pipelines").status_code == 200
    assert limits.refused == 3


def test_bursts_of_plans(own) -> None:
    """Statement 17: apps may call four times as often as API tokens, and every token has its own window."""
    app = Client(own.sandbox)
    app.login()
    plans = {"Lite": (20, 80), "Growth": (40, 160), "Premium": (100, 400), "Ultimate": (120, 480)}
    for plan, (by_token, by_app) in plans.items():
        own.truth.set_limits(plan=plan)
        assert own.v2("/pipelines").headers["x-ratelimit-limit"] == str(by_token)
        first = app.v2("/pipelines").headers
        assert first["x-ratelimit-limit"] == str(by_app)
        assert first["x-ratelimit-remaining"] == str(by_app - 1)
    app.close()


def test_searches(own) -> None:
    """Statement 17: ten searches in two seconds on every plan, whatever else is left."""
    limits = own.truth.companies["main"].limits
    limits.now = lambda: 5.0
    own.truth.set_limits(plan="Ultimate")
    found = [own.v2("/persons/search", term="an").status_code for _ in range(11)]
    assert found == [200] * 10 + [429]
    assert own.v2("/persons/1").status_code == 200


def test_impatience(own) -> None:
    """Statement 17: who keeps calling after refusals is shut out with an HTML page, for a while."""
    moment = [0.0]
    limits = own.truth.companies["main"].limits
    limits.now = lambda: moment[0]
    own.truth.set_limits(plan="Lite", patience=3, ban_s=60)
    statuses = [own.v2("/pipelines").status_code for _ in range(25)]
    assert statuses == [200] * 20 + [429] * 3 + [403] * 2
    moment[0] += 30
    shut = own.v2("/pipelines")
    assert shut.headers["Content-Type"].startswith("text/html")
    with pytest.raises(requests.exceptions.JSONDecodeError):
        shut.json()
    moment[0] += 31
    assert own.v2("/pipelines").status_code == 200


def test_suspended_company(own) -> None:
    """Statement 18: a company whose account is not open answers 402."""
    own.truth.set_company(is_suspended=True)
    assert own.v2("/persons").status_code == 402


def test_success_without_data(own) -> None:
    """Statement 18: a read can succeed with data null, on order."""
    own.truth.answer_nothing("/flow", times=2)
    nothing = own.get("/v1/deals/1/flow")
    assert (nothing.status_code, nothing.json()) == (200, {"success": True, "data": None})
    assert own.v2("/persons/1").json()["data"]
    own.get("/v1/deals/1/flow")
    assert own.data("/v1/deals/1/flow")


@pytest.mark.parametrize("status", [501, 503, 524])
def test_other_failures(main, status: int) -> None:
    """Statement 18: the proxy's and the server's failures are played on order."""
    main.sandbox.faults.order("status", vendor="pipedrive", status=status)
    assert main.v2("/persons").status_code == status
    assert main.v2("/persons").status_code == 200


def test_retirement(own) -> None:
    """Statement 23: old v1 operations answer until a date, then 410 or 404; leads and notes go on."""
    rows = own.data("/v1/persons", limit=2)
    assert set(rows[0]["owner_id"]) >= {"id", "name", "email", "value"}
    own.truth.retire_v1(NOW + timedelta(days=1))
    assert own.get("/v1/persons").status_code == 200
    own.sandbox.clock.advance(86_400)
    old = ("/v1/persons", "/api/v1/deals", "/v1/deals/1", "/v1/persons/search?term=an")
    assert [own.get(path).status_code for path in old] == [410] * 4
    own.admin("/pipedrive/retire_v1", {"at": "2026-01-01T00:00:00+00:00", "status": 404})
    assert own.get("/v1/persons").status_code == 404
    for path in ("/v1/leads", "/v1/notes", "/v1/users", "/v1/personFields", "/v1/deals/1/flow"):
        assert own.get(path).status_code == 200
    own.truth.retire_v1()
    assert own.get("/v1/persons").status_code == 200


def test_daily_limit(own) -> None:
    """The day's tokens are set as in other vendors' sandboxes."""
    own.truth.set_daily_limit(maximum=100, used=95)
    assert own.v2("/pipelines").status_code == 200
    assert own.v2("/pipelines").status_code == 429
