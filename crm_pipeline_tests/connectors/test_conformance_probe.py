"""Rounds of probes, for each vendor: what is asked, what is skipped instead of waited for, and what is recorded."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from crm_pipeline.kernel.errors import BudgetExhausted, CrmError
from crm_pipeline.ratelimit.limiter import NotNow, RateLimiter
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import Probe, opened, probe
from crm_pipeline.store.landing.looks import Looks
from crm_pipeline.store.probes import Answer, ProbeHistory
from crm_pipeline_tests.connectors.conformance import Case
from crm_pipeline_tests.connectors.conformance_harness import ConformanceHarness
from crm_pipeline_tests.connectors.conftest import HarnessOf


def test_a_hidden_object_is_that_objects_affair(case: Case, alone: HarnessOf) -> None:
    """The others are asked, whichever comes first; the hidden one is named with its reason, also where people look;
    shown again it is asked about as before. A vendor that is down fails the round."""
    harness = alone(case, contacts=20)
    looks = Looks(harness.settings.data, harness.clock)
    for name in case.objects:
        harness.extract(name)
    hidden, others = case.object, [name for name in case.objects if name != case.object]

    def seen(*names: str) -> tuple[set[str], set[str]]:
        harness.advance(60)
        with harness.account(attempts=1) as account:
            found = probe(account, [ObjectSettings(n) for n in names], harness.landing, looks)
        return set(found.asked), {one.object for one in found.failed}

    harness.emulator.hide_object(hidden)
    assert seen(hidden, *others) == (set(others), {hidden})
    assert seen(*others, hidden) == (set(others), {hidden})
    noted = looks.at("demo")
    assert len(noted.of(hidden).error) > 20
    assert not any(secret in noted.of(hidden).error for secret in harness.secrets)
    assert [noted.of(name).error for name in others] == [""] * len(others)
    harness.emulator.hide_object(hidden, hidden=False)
    assert seen(hidden, *others) == ({hidden, *others}, set())
    assert looks.at("demo").of(hidden).error == ""

    # Where nothing is answered, it is not each object that is at fault: one error, told of all.
    harness.sandbox.faults.order("status", status=503, times=99)
    with pytest.raises(CrmError, match="demo"):
        seen(hidden, *others)
    assert all(looks.at("demo").of(name).error for name in case.objects)


def _asked(harness: ConformanceHarness) -> tuple[Probe, dict[str, Answer], int]:
    """Probe without waiting; return the result, the answers that were recorded last, and the calls of the journal."""
    before, history = len(harness.calls()), ProbeHistory(harness.database)
    looks = Looks(harness.settings.data, harness.clock)
    with opened(
        harness.settings, "demo", harness.database, clock=harness.clock, waits=False
    ) as account:
        objects = [ObjectSettings(name) for name in harness.case.objects]
        seen = probe(account, objects, harness.landing, looks, history=history)
    answers = dict(history.rounds()[-1].answers)
    return seen, answers, len(harness.calls()) - before


@contextmanager
def _taken(harness: ConformanceHarness) -> Iterator[set[str]]:
    """Hold all permits under the limits that one waits for; yield the names of these limits."""
    with RateLimiter(harness.database, harness.clock) as other, ExitStack() as stack:
        waited = [one for one in other.usage("demo") if one.kind in ("rolling", "concurrency")]
        for one in waited:
            limit = Limit(one.name, one.ceiling, one.period_s, one.kind, unit=one.unit)  # type: ignore[arg-type]
            left = one.ceiling
            for cost in (2**n for n in range(30, -1, -1)):
                while cost <= left:
                    got = stack.enter_context(other.try_reserve("demo", [limit], cost))
                    if isinstance(got, NotNow):
                        break
                    left -= cost
        yield {one.name for one in waited}


def test_a_probe_waits_for_nobody(case: Case, alone: HarnessOf) -> None:
    """Quiet, changed, throttled by the vendor: each is told apart in the history, with the calls that the vendor's
    journal has; what was skipped is no failure, and is asked about the next time."""
    harness = alone(case, contacts=20)
    for name in case.objects:
        harness.extract(name)
    harness.advance(60)
    seen, answers, calls = _asked(harness)
    assert {one.outcome for one in answers.values()} == {"quiet"}
    assert set(seen.quiet) == set(answers)
    assert calls - sum(one.calls for one in answers.values()) in (0, 1), "of the account itself"

    changed = min(case.live(harness.emulator))
    harness.emulator.edit(case.object, changed, **{case.text: "Edited"})
    harness.advance(60)
    seen, answers, _ = _asked(harness)
    assert {name for name, one in answers.items() if one.outcome == "changed"} == {case.object}
    assert answers[case.object].changed == seen.news[0].changed

    looks = Looks(harness.settings.data, harness.clock)
    harness.sandbox.faults.order("status", times=99, **case.throttled)
    seen, answers, calls = _asked(harness)
    assert {one.outcome for one in answers.values()} == {"skipped"}
    assert calls <= len(answers), "a call that was throttled is not repeated"
    assert all(len(one.reason) > 10 for one in answers.values())
    assert [looks.at("demo").of(name).error for name in answers] == [""] * len(answers)
    harness.sandbox.faults.clear()
    assert set(_asked(harness)[0].asked) == set(answers)


def test_calls_of_others_are_not_waited_for(case: Case, alone: HarnessOf) -> None:
    """While other calls hold all permits no call is made, no time passes, and the reason names the limit. A vendor
    with nothing but a limit of a day has nothing to wait for: there the probe fails once the day is spent."""
    harness = alone(case, contacts=20)
    for name in case.objects:
        harness.extract(name)
    harness.advance(60)
    _asked(harness)
    with _taken(harness) as limits:
        if limits:
            seen, answers, calls = _asked(harness)
            assert calls == 0
            assert {one.object for one in seen.skipped} == set(answers)
            assert all(any(name in one.reason for name in limits) for one in seen.skipped)
        else:
            case.exhaust_budget(harness.emulator)
            with pytest.raises(BudgetExhausted):
                _asked(harness)
            answers = dict(ProbeHistory(harness.database).rounds()[-1].answers)
            assert {one.outcome for one in answers.values()} == {"failed"}
