"""Calls of one account: the limits that the limiter gets."""

from dataclasses import replace

import pytest

from crm_pipeline.kernel.errors import BudgetExhausted
from crm_pipeline.stages.raw.permissions import is_healthy
from crm_pipeline_tests.harness import Harness


def test_a_new_account_goes_on_under_the_limit_of_the_org(harness: Harness) -> None:
    """An org with a larger limit than the lowest published one is not refused in the next step."""
    harness.org.usage.set(maximum=100_000, used=50_000)
    assert harness.extract("User").records
    assert harness.extract("Account").records


def test_a_new_account_stops_at_the_share_of_the_limit(harness: Harness) -> None:
    """What one account saw of the org's counter stops the next one before its first call."""
    harness.org.usage.set(maximum=100_000, used=89_990)

    def read_on() -> None:
        for _ in range(10):
            harness.extract("User")

    with pytest.raises(BudgetExhausted):
        read_on()
    with pytest.raises(BudgetExhausted, match=r"left of our share|of 90,000 calls") as caught:
        harness.extract("User")
    assert "calls come back one by one as they get 24 hours old" in caught.value.cure.lower()
    assert "next day" not in caught.value.cure


def test_a_spent_budget_is_no_failed_login(harness: Harness) -> None:
    """The check-up names the budget; the login has just been proven, what it may see has not."""
    harness.org.usage.set(maximum=100_000, used=90_001)
    with harness.account() as account:
        account.check()
    with harness.account() as account:
        found = [(one.level, one.topic) for one in account.check().findings]
        assert found == [("ok", "login"), ("fail", "call budget")]
        assert not is_healthy(account)


def test_a_configured_limit_overrules_that_of_the_org(harness: Harness) -> None:
    """Somebody leaves the greater part of a large org's calls to others."""
    harness.org.usage.set(maximum=100_000, used=100)
    demo = replace(harness.settings.connections["demo"], ceilings={"daily_api_requests": 5_000})
    harness.settings = replace(harness.settings, connections={"demo": demo})
    assert harness.extract("User").records
    harness.org.usage.set(maximum=100_000, used=4_600)
    with pytest.raises(BudgetExhausted, match=r"0 are left of our share|of 4,500 calls"):
        [harness.extract("Account") for _ in range(3)]
