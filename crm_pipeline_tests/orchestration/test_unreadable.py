"""One object that cannot be read: the others go on, and checks, status and analysts see it."""

import json
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from crm_pipeline.orchestration import freshness
from crm_pipeline_tests.harness import HarnessMaker
from crm_pipeline_tests.orchestration.watched import Watched, raw_objects, reason, shown

OBJECTS = ("Contact", "Lead", "OpportunityStage")


@pytest.fixture
def watched(make_harness: HarnessMaker) -> Iterator[Watched]:
    with (
        make_harness(contacts=30, objects=OBJECTS) as harness,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        watching = Watched(harness, instance)
        watching.landed()
        yield watching


def test_an_unreadable_object_does_not_silence_the_others(watched: Watched) -> None:
    """The tick launches for what it could ask and names the other; what it launches is green and published. The
    other is asked again after a minute, two, four; once it answers, it is read again."""
    watched.harness.org.hide_object("Lead")
    record = watched.edited("Goes on")
    request = watched.tick()
    assert raw_objects(request) == {"Contact", "OpportunityStage"}
    assert isinstance(request, dg.RunRequest)
    assert request.tags["crm/left_out"] == "Lead"
    assert watched.run(request).success
    title = f"SELECT title FROM crm.contacts WHERE source_id = '{record}'"
    assert watched.query(title) == [("Goes on",)]

    text = reason(watched.tick())
    assert "all that changed has landed" in text
    assert "Lead (failing since 2026-11-23T10:02:00Z" in text
    ticks = []
    for tick in range(1, 21):
        before = len(watched.harness.sandbox.journal.entries())
        watched.harness.advance(30)
        reason(watched.tick())
        calls = watched.harness.sandbox.journal.entries()[before:]
        if any(call.status == 400 for call in calls):
            ticks.append(tick)
    assert ticks == [2, 4, 8, 16]

    watched.harness.org.hide_object("Lead", hidden=False)
    watched.harness.org.edit("Lead", str(watched.harness.org.rows("Lead")[0]["Id"]), Title="Back")
    watched.harness.advance(600)
    request = watched.tick()
    assert isinstance(request, dg.RunRequest)
    assert request.asset_selection is None


def test_everybody_is_stated(watched: Watched) -> None:
    """The object's check and `ops_now` at once, and `ops.freshness` within a day, say that it cannot be had and that
    it can be had again, although no data changed."""
    watched.publish()
    assert watched.verdicts() == {}, "all is well"
    watched.harness.org.hide_object("Lead")
    watched.harness.advance()
    watched.tick()
    first = watched.freshness_tick()
    [event] = first.asset_events
    assert isinstance(event, dg.AssetCheckEvaluation)
    assert (event.asset_key.path[-1], event.check_name, event.passed) == (
        "Lead",
        "freshness",
        False,
    )
    assert "INVALID_TYPE" in str(event.description)
    assert not first.run_requests
    assert watched.verdicts() == {}, "it is said once"

    for hidden, state in ((True, "failing"), (False, "current")):
        watched.harness.org.hide_object("Lead", hidden=hidden)
        watched.harness.advance(86_400)
        watched.tick()
        assert watched.crm.publish_ops() is not None
        lead_now = "SELECT state FROM ops_now.ops.freshness WHERE object = 'Lead'"
        assert watched.query(lead_now) == [(state,)]
        result = watched.freshness_tick()
        assert result.run_requests
        lead = {passed for name, passed in shown(result).items() if name == "Lead"}
        assert lead == (set() if hidden else {True})
        assert watched.publish().changed
        lead = "SELECT state, error IS NOT NULL FROM ops.freshness WHERE object = 'Lead'"
        assert watched.query(lead) == [(state, hidden)]
        assert not watched.freshness_tick().run_requests


def test_a_read_that_fails_is_tried_again_by_itself(watched: Watched) -> None:
    """An object whose read failed is left out of the next refreshes; after its pause it is read alone."""
    watched.harness.org.hide_object("OpportunityStage")
    watched.harness.advance(900)
    request = watched.due()
    assert isinstance(request, dg.RunRequest)
    assert request.asset_selection is None
    failed = watched.run(request, "OpportunityStage", "Contact", "Lead")
    assert not failed.success
    checks = {
        (check.asset_key.path[-1], check.passed)
        for check in failed.get_asset_check_evaluations()
        if check.check_name == "freshness"
    }
    assert checks == {("Contact", True), ("Lead", True), ("OpportunityStage", False)}
    assert raw_objects(watched.due()) == {"Contact", "Lead"}
    watched.harness.org.hide_object("OpportunityStage", hidden=False)
    assert "OpportunityStage" in reason(watched.tick())
    watched.harness.advance(61)
    request = watched.tick()
    assert raw_objects(request) == {"OpportunityStage"}
    assert watched.run(request, "OpportunityStage").success
    assert "Cannot be had" not in reason(watched.tick())


def test_what_was_built_and_never_published_is_published(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command was killed between its reads and its publish: no run failed, and the sensor publishes; before the first
    publish, too. It leaves runs that will publish alone, and tries a publish that fails once an hour."""

    def requested() -> int:
        return len(watched.freshness_tick().run_requests or ())

    tables = [dg.AssetKey(["demo", "normalized", name]) for name in ("contacts", "leads")]
    built = watched.run(dg.RunRequest(job_name="demo_refresh", asset_selection=tables))
    assert built.success
    assert requested() == 0
    monkeypatch.setattr(freshness, "_LEFT_ALONE", timedelta(0))
    job = watched.defs.resolve_job_def("demo_refresh")
    reading = watched.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert requested() == 0
    watched.instance.report_run_canceled(reading)
    [first], [second] = (watched.freshness_tick().run_requests or () for _ in range(2))
    assert first.run_key == second.run_key
    watched.publish()
    assert requested() == 0


def test_a_refused_login_fails_the_tick_once(watched: Watched) -> None:
    """An error of the whole account fails the tick; then there is a pause, and every object shows the error."""
    watched.tick()
    refused = json.dumps({"error": "invalid_client", "error_description": "no such app"})
    watched.harness.sandbox.faults.order(
        "status", path="/oauth2/token", status=400, body=refused, times=99
    )
    watched.harness.org.expire_sessions()
    with pytest.raises(dg.Failure, match="invalid_client"):
        watched.tick()
    assert "Lead (failing" in reason(watched.tick())
    failing = [name for name, is_fresh in watched.verdicts().items() if not is_fresh]
    assert failing == ["Contact", "Lead"]
