"""The history of a new field fills itself: records that were read before it was there are read again, for each vendor."""

from dataclasses import replace
from typing import Any

import pytest

from crm_pipeline.settings import ObjectSettings
from crm_pipeline.settings.drift import DriftPolicies
from crm_pipeline.stages.raw import note_changes
from crm_pipeline.stages.raw.new_fields import backfill, fill_new_fields
from crm_pipeline.stages.raw.new_fields.backfill import _Filling
from crm_pipeline.store.drift import Register
from crm_pipeline.store.field_backfills import FieldBackfill, FieldBackfills
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline_tests.connectors.conformance import PAGE, Case
from crm_pipeline_tests.connectors.conformance_harness import ConformanceHarness, Killed, Landed
from crm_pipeline_tests.connectors.conftest import HarnessOf

FIELD, VALUE = "Shoe_Size__c", "forty-two"
DAY_S = 86_400


# Of a day: enough for one batch with records that are not there any more, and not for all.
BUDGETS = {"salesforce": 2, "hubspot": 6, "zoho": 6, "pipedrive": 25}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a batch have as many records as a page, with every vendor."""
    for module in ("points", "field_backfill"):
        monkeypatch.setattr(f"crm_pipeline.connectors.zoho.{module}.IDS", PAGE)


def fill(harness: ConformanceHarness, allowed: int | None = None) -> FieldBackfill | None:
    """Refresh the case's object, and fill what it lacks, as the raw asset does."""
    register = Register(harness.settings.data, harness.clock)
    before = harness.landing.latest_schema("demo", harness.object)
    done = harness.extract(mode="refresh")
    policies = DriftPolicies()
    note_changes(harness.landing, register, policies, "demo", harness.object, before=before)
    harness.sandbox.journal.clear()
    with harness.account() as account:
        return fill_new_fields(
            account,
            ObjectSettings(harness.object),
            harness.landing,
            register,
            schema=done.schema,
            open_engine=lambda: Engine(harness.settings.data / "tmp", threads=1),
            allowed=allowed,
        )


def equals_the_account(harness: ConformanceHarness) -> bool:
    """Say whether the newest versions are those that another client gets, with all fields."""
    plain = harness.case.normal_form
    fetched = harness.case.fetch(harness.sandbox.url)
    landed = {key: plain(one.record) for key, one in harness.live().items()}
    return landed == {key: plain(record) for key, record in fetched.items()}


@pytest.fixture
def single_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a commit have one batch."""
    monkeypatch.setattr(backfill, "_READ_AT_ONCE", PAGE)


def has_value(version: Landed) -> bool:
    return VALUE in str(version.record)


def least(harness: ConformanceHarness, records: int) -> int:
    """Return the least that reading so many records by their ids costs, in the vendor's unit, by its documentation."""
    pages = -(-records // PAGE)
    match harness.case.vendor:
        case "pipedrive":
            return 10 * pages
        case "hubspot":
            return pages + -(-records // 1_000)
        case "zoho":
            # A list has 50 fields, and contacts have more; a list cuts long texts, which a call each has whole.
            rows = harness.emulator.rows(harness.object)
            long = [row for row in rows if any(len(str(text)) >= 500 for text in row.values())]
            return 2 * pages + len(long)
        case _:
            return pages


def spent(harness: ConformanceHarness, done: FieldBackfill) -> int:
    """Return what the vendor counted since the refresh, in its unit."""
    if harness.case.vendor != "pipedrive":
        return len([call for call in harness.calls() if not call.path.endswith("/org")])
    lists = [call for call in harness.calls() if call.path.endswith("/persons")]
    return 10 * len(lists) + len(harness.calls()) - len(lists)


def killed_after_a_batch(harness: ConformanceHarness) -> None:
    """Refresh, and let the process end when the first batch of the backfill has landed, before that is noted."""

    def stop(*_: Any, **__: Any) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Filling, "_note", stop)
        with pytest.raises(Killed):
            fill(harness)


def test_records_that_were_read_before(case: Case, alone: HarnessOf) -> None:
    """All records have the value after one refresh, by no more than 1.1 times the fewest calls, each at its old time of
    change; after that none is read again."""
    harness = alone(case, objects=[case.object])
    fill(harness)
    stamps = {key: one.modified_at for key, one in harness.live().items()}
    harness.emulator.add_field(case.object, FIELD, value=VALUE)
    harness.advance(3600)
    assert not equals_the_account(harness)
    done = fill(harness)
    assert done is not None
    assert (done.state, done.records, done.filled) == ("complete", len(stamps), len(stamps))
    assert spent(harness, done) <= 1.1 * least(harness, len(stamps))
    assert equals_the_account(harness)
    assert {key: one.modified_at for key, one in harness.live().items()} == stamps
    harness.emulator.edit(case.object, min(stamps), **{case.text: "Edited"})
    harness.advance(3600)
    assert (fill(harness), harness.calls()) == (None, [])


@pytest.mark.usefixtures("single_batches")
def test_a_kill_and_a_small_budget(case: Case, alone: HarnessOf) -> None:
    """A process that dies before it has noted a batch repeats none that landed. A budget is kept each day, and the next day
    goes on; records that are deleted or merged meanwhile are no obstacle."""
    harness = alone(case, objects=[case.object])
    fill(harness)
    keys = sorted(harness.emulated())
    harness.emulator.add_field(case.object, FIELD, value=VALUE)
    harness.advance(DAY_S)
    killed_after_a_batch(harness)
    read = {one.id for one in harness.versions() if has_value(one)}
    assert len(read) == PAGE
    first, second, third, fourth, *_ = (key for key in keys if key not in read)
    harness.emulator.delete(case.object, first)
    harness.emulator.hard_delete(case.object, second)
    if "losers" not in case.lacks:
        harness.emulator.merge(case.object, third, fourth)
    allowed, days = BUDGETS[case.vendor], 0
    while True:
        days += 1
        assert days < 9
        done = fill(harness, allowed)
        assert done is not None
        assert FieldBackfills(harness.settings.data, harness.clock).spent_today("demo") <= allowed
        if done.state == "complete":
            break
        idle = replace(done, read_last=0)
        assert (fill(harness, allowed), harness.calls()) == (idle, [])
        harness.advance(DAY_S)
    assert days > 1
    assert sum(one.id in read for one in harness.versions() if has_value(one)) == PAGE
    harness.advance(DAY_S)
    assert fill(harness) is None
    live = {key: one for key, one in harness.live().items() if key in harness.emulated()}
    assert live.keys() == harness.emulated().keys()
    assert all(map(has_value, live.values()))


@pytest.mark.usefixtures("single_batches")
def test_a_field_that_goes_again(case: Case, alone: HarnessOf) -> None:
    """A field that disappears ends the filling, and one that comes back, with permissions or from the bin, fills it."""
    harness = alone(case, objects=[case.object])
    fill(harness)
    harness.emulator.add_field(case.object, FIELD, value=VALUE)
    harness.advance(DAY_S)
    started = fill(harness, BUDGETS[case.vendor])
    assert started is not None
    assert started.is_open
    harness.emulator.hide_field(case.object, FIELD)
    harness.advance(DAY_S)
    ended = fill(harness)
    assert ended is not None
    assert (ended.state, ended.reason) == ("complete", "the new fields are gone")
    assert harness.calls() == []
    assert (fill(harness), harness.calls()) == (None, [])
    harness.emulator.hide_field(case.object, FIELD, hidden=False)
    harness.advance(DAY_S)
    again = fill(harness)
    assert again is not None
    assert (again.state, again.filled) == ("complete", len(harness.emulated()) - started.filled)
    assert equals_the_account(harness)
