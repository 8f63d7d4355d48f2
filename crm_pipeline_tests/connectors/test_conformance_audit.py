"""Audits and sweeps: each planted difference is found and healed, and nothing else is touched; for each vendor."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from crm_pipeline.connectors.base import Auditable
from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline.kernel.errors import AllowanceSpent
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw.audit import AuditRun, audit_connection, audit_plans
from crm_pipeline.store.audits import Audited, Audits
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline_tests.connectors.conformance import Case, EmulatedRecord
from crm_pipeline_tests.connectors.conformance_harness import ConformanceHarness
from crm_pipeline_tests.connectors.conftest import HarnessOf
from crm_pipeline_tests.connectors.test_conformance_shrink import CADENCE_S, alive, blind

LATE = "2026-11-21T09:09:09+00:00"
"""Long before the watermark: what is committed with this stamp, no refresh sees."""


def audit(harness: ConformanceHarness, *more: str, **options: Any) -> AuditRun:
    """Audit the case's object, and others."""
    data = harness.settings.data
    with harness.account() as account:
        return audit_connection(
            account,
            landing=harness.landing,
            audits=Audits(data, harness.clock),
            engine=lambda: Engine(data / "tmp", memory_limit="256MB", threads=1),
            objects=[ObjectSettings(name) for name in (harness.object, *more)],
            **options,
        )


def numbers(results: Sequence[Audited]) -> Counter[str]:
    """Add what was found in the months, or in the whole object where there are none."""
    months = [one for one in results if one.month] or results
    return sum(
        (
            Counter(missing=one.missing, ghosts=one.ghosts, stale=one.stale, healed=one.healed)
            for one in months
        ),
        Counter[str](),
    )


def is_older(record: EmulatedRecord) -> bool:
    return record.modified_at is not None and record.modified_at < parse_instant(LATE)


def planted(harness: ConformanceHarness) -> tuple[set[str], set[str], set[str]]:
    """Plant two lost records, two stale versions and two ghosts behind the watermark."""
    case, emulator = harness.case, harness.emulator
    one, two, three, four, *_ = sorted(
        key for key, old in harness.emulated().items() if is_older(old)
    )
    lost = {
        str(emulator.create(case.object, stamp=LATE, **case.fresh, **{case.text: f"Late {n}"}))
        for n in range(2)
    }
    for key in (one, two):
        emulator.edit(case.object, key, stamp=LATE, **{case.text: f"Edited late {key}"})
    for key in (three, four):
        emulator.hard_delete(case.object, key)
    return lost, {one, two}, {three, four}


def read_once(harness: ConformanceHarness) -> None:
    """Read the object to now, and let a cadence pass."""
    harness.extract(mode="refresh")
    harness.advance(CADENCE_S)


def right(harness: ConformanceHarness) -> bool:
    """Say whether the table has the world's records, at their last modification times and with their texts."""
    expected = harness.emulated()
    newest = harness.newest()
    there = alive(harness)
    return there == set(expected) and all(
        (newest[key].modified_at, harness.case.text_of(newest[key].record))
        == (one.modified_at, one.text)
        for key, one in expected.items()
    )


def test_what_was_planted_is_found_and_healed(case: Case, alone: HarnessOf) -> None:
    """A sweep finds each planted difference and no other, by ids and modification times, and the table equals the
    world afterwards. A login that sees no records deletes none, and the audit says so; the next one finds nothing."""
    harness = alone(case, contacts=20)
    read_once(harness)
    lost, stale, ghosts = planted(harness)
    run = audit(harness, is_deep=True)
    assert (run.skipped, run.failed, run.stopped) == ({}, {}, "")
    assert run.is_right
    found = numbers(run.results)
    assert found["missing"] == len(lost)
    assert found["stale"] == len(stale)
    assert found["ghosts"] == len(ghosts)
    assert found["healed"] == 6
    harness.advance(CADENCE_S)
    with blind(harness):
        unseen = audit(harness, is_deep=True)
    assert right(harness)
    assert {one.state for one in unseen.results if not one.month} <= {"differs", "unknown"}
    assert unseen.results or unseen.failed
    harness.advance(CADENCE_S)
    assert {one.state for one in audit(harness, is_deep=True).results} == {"equal"}


def test_the_losers_of_merges_are_no_ghosts(case: Case, alone: HarnessOf) -> None:
    """A merge that a refresh has seen is no difference: not by counts, not by ids, and nothing is read again."""
    names_losers = any(entry.merges for entry in connector(case.vendor).mapping)
    if "losers" in case.lacks and not names_losers:
        pytest.skip(case.lacks["losers"])
    harness = alone(case, contacts=20)
    read_once(harness)
    winner, loser, last, *_ = sorted(
        key for key, old in harness.emulated().items() if is_older(old)
    )
    joined = harness.emulator.merge(case.object, winner, loser)
    read_once(harness)
    harness.emulator.merge(case.object, last, joined or winner)
    read_once(harness)
    harness.advance(CADENCE_S)
    for options in ({"is_deep": True}, {}):
        run = audit(harness, **options)
        assert {(one.state, one.ghosts, one.missing) for one in run.results} == {("equal", 0, 0)}
    assert not [one for one in harness.landing.windows("demo", case.object) if one.is_point]


def test_a_restored_record_with_its_old_time_lives_again(case: Case, alone: HarnessOf) -> None:
    """A deleted record comes back with the modification time of before: no refresh sees it. An audit finds it lost, reads it
    by its id, and that is newer than the deletion, whose time is later; the next audit finds nothing."""
    harness = alone(case, contacts=20)
    read_once(harness)
    there = harness.emulated()
    key = min(there)
    harness.emulator.delete(case.object, key)
    harness.advance(60)
    read_once(harness)
    harness.emulator.restore(case.object, key)
    stamp = there[key].modified_at
    assert stamp is not None
    harness.emulator.edit(case.object, key, stamp=stamp.isoformat(), **{case.text: "Back"})
    read_once(harness)
    audit(harness, is_deep=True)
    assert key in alive(harness)
    harness.advance(CADENCE_S)
    assert {one.state for one in audit(harness, is_deep=True).results} == {"equal"}


def test_one_audit_lists_several_objects(case: Case, alone: HarnessOf) -> None:
    """The list of one object does not keep back that of the next."""
    harness = alone(case, contacts=20)
    for name in case.objects:
        harness.extract(name, mode="refresh")
    harness.advance(CADENCE_S)
    run = audit(harness, *(name for name in case.objects if name != case.object), is_deep=True)
    assert (run.skipped, run.failed, run.stopped) == ({}, {}, "")
    assert {one.object for one in run.results} == set(case.objects)


@pytest.mark.parametrize("start", ["2026-06", "2018-01"])
def test_an_audit_spends_what_its_plan_says(case: Case, alone: HarnessOf, start: str) -> None:
    """A small account with many months is compared by ids, which cost less there; the plan says so, and what it costs."""
    harness = alone(case, contacts=20, start=start)
    read_once(harness)
    with harness.account() as account:
        [plan] = audit_plans(account, harness.landing, [ObjectSettings(case.object)])
    run = audit(harness)
    assert {one.by for one in run.results} == {plan.by}
    assert plan.cost is not None
    assert abs(plan.cost - run.cost) <= 1  # what the login may see is asked once for all objects
    if start == "2018-01":
        assert plan.by == "ids"
        assert run.cost < (plan.counts or plan.cost + 1)


def test_months_that_differ_are_healed(case: Case, alone: HarnessOf) -> None:
    """Without listing everything: a lost record and a ghost, in months of their own, are found by the counts, or by ids
    where the vendor does not count; an edit that left its time is found by content."""
    harness = alone(case, contacts=20)
    read_once(harness)
    ghost, computed, *_ = sorted(key for key, old in harness.emulated().items() if is_older(old))
    harness.emulator.create(case.object, stamp=LATE, **case.fresh, **{case.text: "Late"})
    harness.emulator.hard_delete(case.object, ghost)
    run = audit(harness)
    assert (run.skipped, run.failed, run.stopped) == ({}, {}, "")
    found = numbers(run.results)
    assert (found["missing"], found["ghosts"], found["stale"]) == (1, 1, 0)
    harness.advance(CADENCE_S)
    harness.emulator.formula_change(case.object, computed, **{case.text: "Computed"})
    first = audit(harness, reads_content=True).results[0]
    assert (first.by, first.missing, first.ghosts, first.stale) == ("content", 0, 0, 1)
    assert right(harness)


def test_nothing_is_sent_beyond_an_allowance(case: Case, quiet: HarnessOf) -> None:
    """Calls that would cost more than is allowed are refused before they are sent; afterwards all goes on."""
    harness = quiet(case)

    def described(account: Any, times: int) -> None:
        for _ in range(times):
            account.describe(case.object)
            account.identity()

    with harness.account() as account:
        assert isinstance(account, Auditable)
        described(account, 1)
        before, calls = account.usage, len(harness.calls())
        with account.spending(25), pytest.raises(AllowanceSpent):
            described(account, 40)
        spent = account.usage.cost - before.cost
        assert 0 < spent <= 25
        assert len(harness.calls()) - calls == account.usage.calls - before.calls
        described(account, 1)
        assert account.usage.cost - before.cost > spent
