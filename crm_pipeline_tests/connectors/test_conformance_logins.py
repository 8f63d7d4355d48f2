"""Logins that end, are withdrawn or lack something; objects and fields that are not there; for each vendor."""

import pytest

from crm_pipeline.kernel.errors import AuthFailed, CrmError, NotPermitted
from crm_pipeline_tests.connectors.conformance import Case, Way, assert_clear
from crm_pipeline_tests.connectors.conformance_stage import meddling
from crm_pipeline_tests.connectors.conftest import QuietStage


def test_a_login_that_ends_in_the_middle(way: Way, quiet: QuietStage) -> None:
    """A token that dies between two pages is renewed once, and nothing is lost."""
    stage = quiet(way.case)
    with stage.account() as account:
        account.identity()
    stage.sandbox.journal.clear()
    with meddling(stage, way.route) as meddler:
        meddler.fault(2, "expire_session")
        stage.read(way.route)
    assert stage.is_whole()
    assert [entry.status for entry in stage.logins()] == [200]
    refused = [entry for entry in stage.calls() if entry.status == 401]
    assert 1 <= len(refused) <= 16  # one in each lane


def test_a_refresh_token_that_was_revoked(case: Case, alone: QuietStage) -> None:
    """The text names the account and the command that lets us in again, and holds no secret."""
    stage = alone(case)
    case.revoke(stage.twin)
    with pytest.raises(AuthFailed) as caught:
        stage.extract(stage.object)
    assert_clear(caught.value, stage.secrets)
    assert "crm-pipeline login demo" in caught.value.cure
    assert stage.is_bare()


def test_a_missing_scope_is_named(case: Case, alone: QuietStage) -> None:
    """What the login lacks stands in the text by the vendor's name for it."""
    if reason := case.lacks.get("scope"):
        pytest.skip(reason)
    stage = alone(case)
    scope = case.without_scope(stage.twin)
    with pytest.raises(NotPermitted) as caught:
        stage.extract(stage.object)
    assert_clear(caught.value, stage.secrets)
    assert scope in str(caught.value)
    assert stage.is_bare()


def test_an_object_that_the_account_lacks(case: Case, quiet: QuietStage) -> None:
    """An object of connections.yaml that is not there is named, with the way out; the others go on."""
    stage = quiet(case, objects=(*case.objects, case.absent))
    with pytest.raises(CrmError) as caught:
        stage.extract(case.absent)
    assert_clear(caught.value, stage.secrets)
    assert case.absent in str(caught.value)
    assert "connections.yaml" in caught.value.cure
    assert stage.extract(stage.object).read


def test_a_field_that_vanishes(way: Way, quiet: QuietStage) -> None:
    """A field that somebody hides between description and read costs no record, and ends no run."""
    stage = quiet(way.case)
    case, twin = way.case, stage.twin
    with stage.account() as account:
        plan = account.plan

        def plan_then_hide(*given: object) -> object:
            made = plan(*given)  # type: ignore[arg-type]
            twin.hide_field(stage.object, case.vanishing)
            return made

        account.plan = plan_then_hide  # type: ignore[method-assign, assignment]
        try:
            done = stage.extract_by(account, way.route)
        finally:
            twin.hide_field(stage.object, case.vanishing, hidden=False)
    assert stage.is_whole()
    assert done.read == len(stage.versions())
