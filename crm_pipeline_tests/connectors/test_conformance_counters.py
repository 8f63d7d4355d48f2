"""Counters that no server means so: in headers, in the database, in a token's answer; for each vendor."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle

import pytest

from crm_pipeline.connectors.metering import Operation
from crm_pipeline.kernel.errors import Throttled
from crm_pipeline.ratelimit.limiter import LimitStatus, RateLimiter
from crm_pipeline.ratelimit.limits import MOST_COUNTED
from crm_pipeline_tests.connectors.conformance import ENDLESS, Case
from crm_pipeline_tests.connectors.conformance_stage import Stage
from crm_pipeline_tests.connectors.conftest import QuietStage
from crm_sandbox.http import Request, Response


@contextmanager
def claiming(stage: Stage) -> Iterator[None]:
    """Let every answer of the twin carry the next nonsense of the case instead of its own counters."""
    twin, handle, nonsense = stage.twin, stage.twin.handle, cycle(stage.case.nonsense)
    names = {name.lower() for name in stage.case.nonsense[0]}

    def claimed(request: Request) -> Response:
        answer = handle(request).unpacked()
        own = [header for header in answer.headers if header[0].lower() not in names]
        headers = (*own, *next(nonsense).items())
        return Response(answer.status, answer.body, headers, answer.content_type)

    twin.handle = claimed
    try:
        yield
    finally:
        del twin.handle


def standing(stage: Stage) -> list[LimitStatus]:
    with RateLimiter(stage.database, stage.clock) as limiter:
        return limiter.usage("demo")


def test_nonsense_in_counters_is_ignored_and_told(
    case: Case, quiet: QuietStage, capsys: pytest.CaptureFixture[str]
) -> None:
    """With every kind of nonsense in the headers all is read by the ceilings that were known before; `check`
    names each header, and a later process is not held up by what this one was told."""
    stage = quiet(case)
    with stage.account() as account:
        account.identity()
        before = limits_of(account)
    with claiming(stage), stage.account() as account:
        stage.extract_by(account, case.routes[0])
        assert limits_of(account) == before
        strange = [one for one in account.check().findings if one.what == "answers"]
    assert stage.is_whole()
    assert {one.level for one in strange} == {"warn"}
    told = " ".join(one.detail for one in strange)
    assert any(name in told for name in case.nonsense[0])
    assert ENDLESS not in told
    assert ENDLESS not in capsys.readouterr().out
    assert all((one.vendor_ceiling or 1) <= MOST_COUNTED for one in standing(stage))
    with stage.account() as account:
        account.identity()
        assert limits_of(account) == before


def limits_of(account: object) -> list[tuple[str, int]]:
    meter = account._api.meter  # type: ignore[attr-defined]
    return [(limit.name, limit.calls) for limit in meter.limits(Operation("any"))]


@pytest.mark.parametrize("life", ["0", "-1", "1e300", '"soon"', "null", "[]", "true", ENDLESS])
def test_a_token_of_no_life(case: Case, quiet: QuietStage, life: str) -> None:
    """Whatever a login says of the life of its token, the token is used as documented, and not got for each call."""
    if case.vendor == "salesforce":
        pytest.skip("Its answers name no life: a token ends where the org says so.")
    stage = quiet(case)
    twin, handle = stage.twin, stage.twin.handle

    def said(request: Request) -> Response:
        answer = handle(request).unpacked()
        body = re.sub(rb'"expires_in":\s*\d+', b'"expires_in":' + life.encode(), answer.body)
        return Response(answer.status, body, answer.headers, answer.content_type)

    twin.handle = said
    try:
        with stage.account() as account:
            account._api.log_in()  # type: ignore[attr-defined]
            stage.sandbox.journal.clear()
            for _ in range(3):
                account.identity()
            assert stage.logins() == []
            assert "expires_in" in account._api.strange.found  # type: ignore[attr-defined]
    finally:
        del twin.handle


def test_a_vendor_that_wants_years(case: Case, quiet: QuietStage) -> None:
    """A wait of 30 years is one sentence that says so, at once; the next run is not held up."""
    stage = quiet(case)
    route = case.routes[0]
    stage.sandbox.faults.order(
        "status",
        method=route.method,
        path=route.path,
        times=9,
        **case.throttled,
        headers={"Retry-After": "1000000000"},
    )
    with stage.account() as account, pytest.raises(Throttled) as caught:
        stage.extract_by(account, route)
    stage.sandbox.faults.clear()
    assert "The next try is due in 86,400 s" in caught.value.cure
    assert "CRM_PATIENCE_S" in caught.value.cure
    assert stage.clock.slept == []
    with stage.account() as account:
        stage.extract_by(account, route)
    assert stage.is_whole()
