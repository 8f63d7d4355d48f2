"""Budgets: calls at the published pace, a day that somebody else has eaten; for each vendor."""

import pytest

from crm_pipeline.kernel.errors import BudgetExhausted
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import extract, opened
from crm_pipeline_tests.connectors.conformance import Case, assert_clear
from crm_pipeline_tests.connectors.conformance_harness import server_of, settings_in
from crm_pipeline_tests.connectors.conftest import HarnessOf


def test_no_call_is_refused_at_the_published_pace(case: Case, alone: HarnessOf) -> None:
    """With the vendor's own limits in force and nothing configured, reads by each strategy one after the other, in
    many calls, meet no refusal. Searches of HubSpot alone are more than the vendor takes in a second."""
    harness = alone(case, ceilings="")
    case.publish_limits(harness.emulator)
    try:
        # The emulator counts by real time, and so does the limiter: the clock is the machine's.
        with opened(harness.settings, "demo", harness.database) as account:
            for route in case.routes:
                assert harness.extract_by(account, route).calls >= 5
                assert harness.is_whole()
    finally:
        assert {entry.status for entry in harness.calls()} <= {200, 201, 204, 207}


def test_a_day_that_others_have_eaten(case: Case, alone: HarnessOf) -> None:
    """When the company's budget is gone the text says so and what to do; nothing lands; others go on."""
    harness = alone(case, contacts=20, auth=case.metered)
    with server_of(case, contacts=20) as other:
        urls = {"demo": harness.sandbox.url, "other": other.url}
        database_url = harness.settings.environ["CRM_DATABASE_URL"]
        settings = settings_in(harness.settings.root, database_url, urls, case, auth=case.metered)
        harness.settings = settings
        case.exhaust_budget(harness.emulator)
        with pytest.raises(BudgetExhausted) as caught:
            harness.extract(harness.object)
        assert_clear(caught.value, harness.secrets)
        assert caught.value.wait_s >= 60
        assert harness.is_bare()
        asked = len(harness.calls())
        with pytest.raises(BudgetExhausted):
            harness.extract(harness.object)
        assert len(harness.calls()) - asked <= 2
        with opened(settings, "other", harness.database, clock=harness.clock) as account:
            obj = ObjectSettings(harness.object)
            done = extract(account, obj, None, mode="range", landing=harness.landing)
        assert done.read - done.deleted == len(case.live(other.emulations[case.vendor]))
