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
from crm_pipeline_tests.connectors.conformance_harness import ConformanceHarness
from crm_pipeline_tests.connectors.conftest import HarnessOf
from crm_sandbox.http import Request, Response


@contextmanager
def claiming(harness: ConformanceHarness) -> Iterator[None]:
    """Let every answer of the emulator carry the next nonsense of the case instead of its own counters."""
    emulator, handle, nonsense = (
        harness.emulator,
        harness.emulator.handle,
        cycle(harness.case.impossible_counters),
    )
    names = {name.lower() for name in harness.case.impossible_counters[0]}

    def claimed(request: Request) -> Response:
        answer = handle(request).unpacked()
        own = [header for header in answer.headers if header[0].lower() not in names]
        headers = (*own, *next(nonsense).items())
        return Response(answer.status, answer.body, headers, answer.content_type)

    emulator.handle = claimed
    try:
        yield
    finally:
        del emulator.handle


def usage_of(harness: ConformanceHarness) -> list[LimitStatus]:
    with RateLimiter(harness.database, harness.clock) as limiter:
        return limiter.usage("demo")


def test_nonsense_in_counters_is_ignored_and_told(
    case: Case, quiet: HarnessOf, capsys: pytest.CaptureFixture[str]
) -> None:
    """With every kind of nonsense in the headers all is read by the ceilings that were known before; `check`
    names each header, and a later process is not held up by what this one was told."""
    harness = quiet(case)
    with harness.account() as account:
        account.identity()
        before = limits_of(account)
    with claiming(harness), harness.account() as account:
        harness.extract_by(account, case.routes[0])
        assert limits_of(account) == before
        strange = [one for one in account.check().findings if one.topic == "answers"]
    assert harness.is_whole()
    assert {one.level for one in strange} == {"warn"}
    told = " ".join(one.detail for one in strange)
    assert any(name in told for name in case.impossible_counters[0])
    assert ENDLESS not in told
    assert ENDLESS not in capsys.readouterr().out
    assert all((one.vendor_ceiling or 1) <= MOST_COUNTED for one in usage_of(harness))
    with harness.account() as account:
        account.identity()
        assert limits_of(account) == before


def limits_of(account: object) -> list[tuple[str, int]]:
    meter = account._api.meter  # type: ignore[attr-defined]
    return [(limit.name, limit.calls) for limit in meter.limits(Operation("any"))]


@pytest.mark.parametrize("life", ["0", "-1", "1e300", '"soon"', "null", "[]", "true", ENDLESS])
def test_a_token_of_no_life(case: Case, quiet: HarnessOf, life: str) -> None:
    """Whatever a login says of the life of its token, the token is used as documented, and not got for each call."""
    if case.vendor == "salesforce":
        pytest.skip("Its answers name no life: a token ends where the org says so.")
    harness = quiet(case)
    emulator, handle = harness.emulator, harness.emulator.handle

    def said(request: Request) -> Response:
        answer = handle(request).unpacked()
        body = re.sub(rb'"expires_in":\s*\d+', b'"expires_in":' + life.encode(), answer.body)
        return Response(answer.status, body, answer.headers, answer.content_type)

    emulator.handle = said
    try:
        with harness.account() as account:
            account._api.log_in()  # type: ignore[attr-defined]
            harness.sandbox.journal.clear()
            for _ in range(3):
                account.identity()
            assert harness.logins() == []
            assert "expires_in" in account._api.implausible.reasons  # type: ignore[attr-defined]
    finally:
        del emulator.handle


def test_a_vendor_that_wants_years(case: Case, quiet: HarnessOf) -> None:
    """A wait of 30 years is one sentence that says so, at once; the next run is not held up."""
    harness = quiet(case)
    route = case.routes[0]
    harness.sandbox.faults.order(
        "status",
        method=route.method,
        path=route.path,
        times=9,
        **case.throttled,
        headers={"Retry-After": "1000000000"},
    )
    with harness.account() as account, pytest.raises(Throttled) as caught:
        harness.extract_by(account, route)
    harness.sandbox.faults.clear()
    assert "The next try is due in 86,400 s" in caught.value.cure
    assert "CRM_PATIENCE_S" in caught.value.cure
    assert harness.clock.slept == []
    with harness.account() as account:
        harness.extract_by(account, route)
    assert harness.is_whole()
