"""What goes wrong on the way: what passes loses nothing, what lasts is said and leaves nothing; for each route."""

from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from crm_pipeline.kernel.errors import (
    ConnectionLost,
    CountMismatch,
    CrmError,
    MalformedAnswer,
    ProtocolError,
    ReadLost,
    Throttled,
    Unavailable,
)
from crm_pipeline_tests.connectors.conformance import PAGE, Way, assert_clear
from crm_pipeline_tests.connectors.conformance_stage import killed, meddling
from crm_pipeline_tests.connectors.conftest import QuietStage

WAIT_S = 7.0


def test_what_passes_loses_nothing(way: Way, quiet: QuietStage) -> None:
    """In one read an outage of a moment, a refusal for haste, a dropped and a truncated answer: all is there."""
    stage = quiet(way.case)
    with meddling(stage, way.route) as meddler:
        meddler.fault(1, "status", status=503)
        meddler.fault(2, "drop")
        meddler.fault(3, "truncate")
        meddler.fault(4, "status", **way.case.throttled)
        meddler.fault(5, "status", **way.case.throttled, headers={"Retry-After": "2"})
        done = stage.read(way.route)
        met = [order["kind"] for order in stage.sandbox.faults.listed() if order["consumed"]]
    assert met == ["status", "drop", "truncate", "status", "status"]
    assert stage.is_whole()
    assert done.reconciled is not False


# What lacks its body may be a page, or all that is left of a window: then the counts tell, or all is read anew.
NO_BODY = (MalformedAnswer, ProtocolError, CountMismatch, ReadLost)
LASTING: dict[str, tuple[dict[str, Any], tuple[type[CrmError], ...]]] = {
    "outage": ({"kind": "status", "status": 503, "body": "<html>no</html>"}, (Unavailable,)),
    "truncated": ({"kind": "truncate"}, (ConnectionLost,)),
    "login-page": ({"kind": "html_login"}, (MalformedAnswer,)),
    "no-content": ({"kind": "empty_body", "status": 204}, NO_BODY),
    "nothing": ({"kind": "empty_body", "status": 200}, NO_BODY),
}


@pytest.mark.parametrize("fault", LASTING)
def test_what_lasts_is_said(way: Way, quiet: QuietStage, fault: str) -> None:
    """An error of the fitting kind names connection and cure; no window and no batch is left; then all is read."""
    order, kinds = LASTING[fault]
    stage = quiet(way.case)
    with meddling(stage, way.route) as meddler:
        meddler.fault(2, **order, times=99)
        with pytest.raises(CrmError) as caught:
            stage.read(way.route)
    assert isinstance(caught.value, kinds)
    assert_clear(caught.value, stage.secrets)
    assert stage.landing.windows("demo", stage.object) == []
    if fault == "outage":  # whatever the fault was, what is left is the same
        stage.read(way.route)
        assert stage.is_whole()


def test_nothing_but_empty_answers(way: Way, quiet: QuietStage) -> None:
    """Where every request is answered with a 204, the count among them, the account does not look empty."""
    stage, route = quiet(way.case), way.route
    stage.sandbox.faults.order(
        "empty_body", method=route.method, path=route.path, status=204, times=999
    )
    with pytest.raises(CrmError) as caught:
        stage.read(route)
    stage.sandbox.faults.clear()
    assert isinstance(caught.value, NO_BODY)
    assert_clear(caught.value, stage.secrets)
    assert stage.landing.windows("demo", stage.object) == []


def test_a_figure_for_the_wait_is_kept(way: Way, quiet: QuietStage) -> None:
    """A refusal for haste that names a wait is one that passes, and that wait is taken."""
    stage = quiet(way.case)
    stage.sandbox.faults.order(
        "status",
        method=way.route.method,
        path=way.route.path,
        times=9,
        **way.case.throttled,
        headers={"Retry-After": str(int(WAIT_S))},
    )
    with stage.account(attempts=1) as account, pytest.raises(Throttled) as caught:
        stage.extract_by(account, way.route)
    stage.sandbox.faults.clear()
    assert caught.value.retry_after_s == WAIT_S
    assert_clear(caught.value, stage.secrets)


def test_a_killed_read_goes_on(way: Way, quiet: QuietStage) -> None:
    """Pages that are in batches are not asked for again, every record lands once, and the spool holds no secret."""
    way.needs("resume")
    stage = quiet(way.case)
    with meddling(stage, way.route) as before:
        killed(stage, way.route, after=45)
    kept = stage.paths(f"landing/demo/{stage.object}/2*/*.parquet")
    live = sum(pc.sum(pc.invert(pq.read_table(one)["_deleted"])).as_py() for one in kept)
    assert stage.leaks(before.tokens) == []  # the spool is there now
    with meddling(stage, way.route) as behind:
        done = stage.read(way.route)
    assert "resumed" in done.reason
    assert stage.clock.slept == [] or not way.route.records
    assert stage.is_whole()
    ids = [one.id for one in stage.versions()]
    assert len(ids) == len(set(ids)) == done.read
    assert live >= 2 * PAGE
    again = [page for page in behind.pages if page in before.pages]
    # What was on its way when the process ended, and a first page that a plan needs.
    assert len(again) <= len(before.pages) - live // PAGE + 1
