"""Logins that end, are withdrawn or lack something; objects and fields that are not there; for each vendor."""

import pytest

from crm_pipeline.kernel.errors import AuthFailed, CrmError, NotPermitted
from crm_pipeline_tests.connectors.conformance import Case, Way, assert_clear
from crm_pipeline_tests.connectors.conformance_harness import through_proxy
from crm_pipeline_tests.connectors.conftest import HarnessOf


def test_a_login_that_ends_in_the_middle(way: Way, quiet: HarnessOf) -> None:
    """A token that dies between two pages is renewed once, and nothing is lost."""
    harness = quiet(way.case)
    with harness.account() as account:
        account.identity()
    harness.sandbox.journal.clear()
    with through_proxy(harness, way.route) as proxy:
        proxy.fault(2, "expire_session")
        harness.read(way.route)
    assert harness.is_whole()
    assert [entry.status for entry in harness.logins()] == [200]
    refused = [entry for entry in harness.calls() if entry.status == 401]
    assert 1 <= len(refused) <= 16  # one in each lane


def test_a_refresh_token_that_was_revoked(case: Case, alone: HarnessOf) -> None:
    """The text names the account and the command that lets us in again, and holds no secret."""
    harness = alone(case)
    case.revoke(harness.emulator)
    with pytest.raises(AuthFailed) as caught:
        harness.extract(harness.object)
    assert_clear(caught.value, harness.secrets)
    assert "crm-pipeline login demo" in caught.value.cure
    assert harness.is_bare()


def test_a_missing_scope_is_named(case: Case, alone: HarnessOf) -> None:
    """What the login lacks stands in the text by the vendor's name for it."""
    if reason := case.lacks.get("scope"):
        pytest.skip(reason)
    harness = alone(case)
    scope = case.without_scope(harness.emulator)
    with pytest.raises(NotPermitted) as caught:
        harness.extract(harness.object)
    assert_clear(caught.value, harness.secrets)
    assert scope in str(caught.value)
    assert harness.is_bare()


def test_an_object_that_the_account_lacks(case: Case, quiet: HarnessOf) -> None:
    """An object of connections.yaml that is not there is named, with the way out; the others go on."""
    harness = quiet(case, objects=(*case.objects, case.absent))
    with pytest.raises(CrmError) as caught:
        harness.extract(case.absent)
    assert_clear(caught.value, harness.secrets)
    assert case.absent in str(caught.value)
    assert "connections.yaml" in caught.value.cure
    assert harness.extract(harness.object).read


def test_a_field_that_vanishes(way: Way, quiet: HarnessOf) -> None:
    """A field that somebody hides between description and read costs no record, and ends no run."""
    harness = quiet(way.case)
    case, emulator = way.case, harness.emulator
    with harness.account() as account:
        plan = account.plan

        def plan_then_hide(*given: object) -> object:
            made = plan(*given)  # type: ignore[arg-type]
            emulator.hide_field(harness.object, case.vanishing)
            return made

        account.plan = plan_then_hide  # type: ignore[method-assign, assignment]
        try:
            done = harness.extract_by(account, way.route)
        finally:
            emulator.hide_field(harness.object, case.vanishing, hidden=False)
    assert harness.is_whole()
    assert done.read == len(harness.versions())
