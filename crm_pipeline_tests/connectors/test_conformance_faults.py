"""What goes wrong on the way: what passes loses nothing, what lasts is said and leaves nothing; for each route."""

from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from crm_pipeline.kernel.errors import (
    ConnectionLost,
    CountMismatch,
    CrmError,
    MalformedResponse,
    ProtocolError,
    ReadLost,
    Throttled,
    Unavailable,
)
from crm_pipeline_tests.connectors.conformance import PAGE, Way, assert_clear
from crm_pipeline_tests.connectors.conformance_harness import killed, through_proxy
from crm_pipeline_tests.connectors.conftest import HarnessOf

WAIT_S = 7.0


def test_what_passes_loses_nothing(way: Way, quiet: HarnessOf) -> None:
    """In one read an outage of a moment, a refusal for haste, a dropped and a truncated answer: all is there."""
    harness = quiet(way.case)
    with through_proxy(harness, way.route) as proxy:
        proxy.fault(1, "status", status=503)
        proxy.fault(2, "drop")
        proxy.fault(3, "truncate")
        proxy.fault(4, "status", **way.case.throttled)
        proxy.fault(5, "status", **way.case.throttled, headers={"Retry-After": "2"})
        done = harness.read(way.route)
        met = [order["kind"] for order in harness.sandbox.faults.listed() if order["consumed"]]
    assert met == ["status", "drop", "truncate", "status", "status"]
    assert harness.is_whole()
    assert done.reconciled is not False


# What lacks its body may be a page, or all that is left of a window: then the counts tell, or all is read anew.
NO_BODY = (MalformedResponse, ProtocolError, CountMismatch, ReadLost)
LASTING: dict[str, tuple[dict[str, Any], tuple[type[CrmError], ...]]] = {
    "outage": ({"kind": "status", "status": 503, "body": "<html>no</html>"}, (Unavailable,)),
    "truncated": ({"kind": "truncate"}, (ConnectionLost,)),
    "login-page": ({"kind": "html_login"}, (MalformedResponse,)),
    "no-content": ({"kind": "empty_body", "status": 204}, NO_BODY),
    "nothing": ({"kind": "empty_body", "status": 200}, NO_BODY),
}


@pytest.mark.parametrize("fault", LASTING)
def test_what_lasts_is_said(way: Way, quiet: HarnessOf, fault: str) -> None:
    """An error of the fitting kind names connection and cure; no window and no batch is left; then all is read."""
    order, kinds = LASTING[fault]
    harness = quiet(way.case)
    with through_proxy(harness, way.route) as proxy:
        proxy.fault(2, **order, times=99)
        with pytest.raises(CrmError) as caught:
            harness.read(way.route)
    assert isinstance(caught.value, kinds)
    assert_clear(caught.value, harness.secrets)
    assert harness.landing.windows("demo", harness.object) == []
    if fault == "outage":  # whatever the fault was, what is left is the same
        harness.read(way.route)
        assert harness.is_whole()


def test_nothing_but_empty_answers(way: Way, quiet: HarnessOf) -> None:
    """Where every request is answered with a 204, the count among them, the account does not look empty."""
    harness, route = quiet(way.case), way.route
    harness.sandbox.faults.order(
        "empty_body", method=route.method, path=route.path, status=204, times=999
    )
    with pytest.raises(CrmError) as caught:
        harness.read(route)
    harness.sandbox.faults.clear()
    assert isinstance(caught.value, NO_BODY)
    assert_clear(caught.value, harness.secrets)
    assert harness.landing.windows("demo", harness.object) == []


def test_a_figure_for_the_wait_is_kept(way: Way, quiet: HarnessOf) -> None:
    """A refusal for haste that names a wait is one that passes, and that wait is taken."""
    harness = quiet(way.case)
    harness.sandbox.faults.order(
        "status",
        method=way.route.method,
        path=way.route.path,
        times=9,
        **way.case.throttled,
        headers={"Retry-After": str(int(WAIT_S))},
    )
    with harness.account(attempts=1) as account, pytest.raises(Throttled) as caught:
        harness.extract_by(account, way.route)
    harness.sandbox.faults.clear()
    assert caught.value.retry_after_s == WAIT_S
    assert_clear(caught.value, harness.secrets)


def test_a_killed_read_goes_on(way: Way, quiet: HarnessOf) -> None:
    """Pages that are in batches are not asked for again, every record lands once, and the spool holds no secret."""
    way.needs("resume")
    harness = quiet(way.case)
    with through_proxy(harness, way.route) as before:
        killed(harness, way.route, after=45)
    kept = harness.paths(f"landing/demo/{harness.object}/2*/*.parquet")
    live = sum(pc.sum(pc.invert(pq.read_table(one)["_deleted"])).as_py() for one in kept)
    assert harness.leaks(before.tokens) == []  # the spool is there now
    with through_proxy(harness, way.route) as behind:
        done = harness.read(way.route)
    assert "resumed" in done.reason
    assert harness.clock.slept == [] or not way.route.records
    assert harness.is_whole()
    ids = [one.id for one in harness.versions()]
    assert len(ids) == len(set(ids)) == done.read
    assert live >= 2 * PAGE
    again = [page for page in behind.pages if page in before.pages]
    # What was on its way when the process ended, and a first page that a plan needs.
    assert len(again) <= len(before.pages) - live // PAGE + 1
