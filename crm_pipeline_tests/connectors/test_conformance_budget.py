"""Budgets: calls at the published pace, a day that somebody else has eaten; for each vendor."""

import pytest

from crm_pipeline.kernel.errors import BudgetExhausted
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import extract, opened
from crm_pipeline_tests.connectors.conformance import Case, assert_clear
from crm_pipeline_tests.connectors.conformance_stage import server_of, settings_in
from crm_pipeline_tests.connectors.conftest import QuietStage


def test_no_call_is_refused_at_the_published_pace(case: Case, alone: QuietStage) -> None:
    """With the vendor's own ceilings in force and nothing configured, reads by each route one after the other, in
    many calls, meet no refusal."""
    stage = alone(case, ceilings="")
    case.strict(stage.twin)
    # The twin counts by real time, and so does the limiter: the clock is the machine's.
    with opened(stage.settings, "demo", stage.database) as account:
        for route in case.routes:
            assert stage.extract_by(account, route).calls >= 5
            assert stage.is_whole()
    assert {entry.status for entry in stage.calls()} <= {200, 201, 204, 207}


def test_a_day_that_others_have_eaten(case: Case, alone: QuietStage) -> None:
    """When the company's budget is gone the text says so and what to do; nothing lands; others go on."""
    stage = alone(case, contacts=20, auth=case.metered)
    with server_of(case, contacts=20) as other:
        urls = {"demo": stage.sandbox.url, "other": other.url}
        database_url = stage.settings.environ["CRM_DATABASE_URL"]
        settings = settings_in(stage.settings.root, database_url, urls, case, auth=case.metered)
        stage.settings = settings
        case.eat(stage.twin)
        with pytest.raises(BudgetExhausted) as caught:
            stage.extract(stage.object)
        assert_clear(caught.value, stage.secrets)
        assert caught.value.wait_s >= 60
        assert stage.is_bare()
        asked = len(stage.calls())
        with pytest.raises(BudgetExhausted):
            stage.extract(stage.object)
        assert len(stage.calls()) - asked <= 2
        with opened(settings, "other", stage.database, clock=stage.clock) as account:
            obj = ObjectSettings(stage.object)
            done = extract(account, obj, None, mode="range", landing=stage.landing)
        assert done.read - done.deleted == len(case.told(other.emulations[case.vendor]))
