"""What a read brings: every record once, whole, counted and accounted for; for each route of each vendor."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline.ratelimit.usage import DayUsage
from crm_pipeline.stages.raw import Extraction
from crm_pipeline_tests.connectors.conformance import ONE_STAMP, PAGE, Way
from crm_pipeline_tests.connectors.conformance_harness import (
    ConformanceHarness,
    Landed,
    harness_on,
    through_proxy,
)
from crm_pipeline_tests.connectors.conftest import Emulators, narrowed
from crm_sandbox.journal import JournalEntry


@dataclass
class Reading:
    """One read, at which many tests look.

    Attributes:
        pages: the requests that brought records.
        spent: what the limiter counted, by operation: calls and weight.
        log: what was logged meanwhile.
        tokens: the access tokens that requests carried.
    """

    harness: ConformanceHarness
    done: Extraction
    pages: list[str]
    calls: list[JournalEntry]
    spent: dict[str, tuple[int, int]]
    log: str
    tokens: set[str]
    versions: list[Landed] = field(default_factory=list)


class Readings:
    """One read for each way, made when first asked for."""

    def __init__(self, emulators: Emulators, folder: Path) -> None:
        self._emulators = emulators
        self._folder = folder
        self._made: dict[str, Reading] = {}

    def of(self, way: Way, caplog: pytest.LogCaptureFixture) -> Reading:
        if str(way) not in self._made:
            self._made[str(way)] = self._read(way, caplog)
        return self._made[str(way)]

    def _read(self, way: Way, caplog: pytest.LogCaptureFixture) -> Reading:
        server, database, url = self._emulators.of(way.case)
        harness = harness_on(server, self._folder / str(way), database, url, way.case)
        before = _by_operation(harness.accounts())
        with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.DEBUG):
            narrowed(way.case, patch)
            with through_proxy(harness, way.route) as proxy:
                done = harness.read(way.route)
        now = _by_operation(harness.accounts())
        spent = {
            name: tuple(a - b for a, b in zip(now[name], before.get(name, (0, 0)), strict=True))
            for name in now
        }
        return Reading(
            harness=harness,
            done=done,
            pages=proxy.pages,
            calls=harness.calls(),
            spent=spent,  # type: ignore[arg-type]
            log=caplog.text,
            tokens=proxy.tokens,
            versions=harness.versions(),
        )


def _by_operation(days: list[DayUsage]) -> dict[str, tuple[int, int]]:
    return {day.operation: (day.calls, day.cost) for day in days}


@pytest.fixture(scope="module")
def readings(emulators: Emulators, tmp_path_factory: pytest.TempPathFactory) -> Readings:
    return Readings(emulators, tmp_path_factory.mktemp("readings"))


@pytest.fixture
def reading(way: Way, readings: Readings, caplog: pytest.LogCaptureFixture) -> Reading:
    """The read of a way."""
    return readings.of(way, caplog)


def test_every_record_once(way: Way, reading: Reading) -> None:
    """Each live record with its last stamp, each deleted one that the vendor tells of, and none twice."""
    harness, done = reading.harness, reading.done
    assert harness.is_whole()
    ids = [one.id for one in reading.versions]
    assert len(ids) == len(set(ids)) == done.records == done.read
    assert done.route == way.route.name
    assert len(reading.pages) > len(ids) // PAGE // 2


def test_records_of_one_stamp_cross_pages(way: Way, reading: Reading) -> None:
    """More records than two pages hold share a time of change; no page's edge cuts any off."""
    at = parse_instant(ONE_STAMP)
    alike = {key for key, record in reading.harness.emulated().items() if record.modified_at == at}
    assert len(alike) > 2 * PAGE
    landed = {key: record for key, record in reading.harness.live().items() if key in alike}
    texts = {key: way.case.text_of(record.record) for key, record in landed.items()}
    assert texts == {key: f"Alike {key}" for key in alike}


def test_landing_is_lossless(way: Way, reading: Reading) -> None:
    """What landed, decoded, is what another client gets with all fields: nothing cut, nothing made up."""
    plain = way.case.normal_form if way.route.records else way.case.csv_form
    assert plain is not None
    fetched = way.case.fetch(reading.harness.sandbox.url)
    landed = {key: plain(one.record) for key, one in reading.harness.live().items()}
    assert landed.keys() == fetched.keys()
    for key, one in fetched.items():
        assert landed[key] == plain(one), key


def test_counts_are_reconciled(way: Way, reading: Reading) -> None:
    """Where the vendor counts, its count before and after stands beside what was read, and agrees."""
    done = reading.done
    if not connector(way.case.vendor).abilities.counts:
        assert (done.vendor_count, done.reconciled) == (None, None)
        return
    assert done.vendor_count == done.vendor_count_before == done.read - done.uncounted
    assert done.reconciled


def test_nothing_is_waited_for(way: Way, reading: Reading) -> None:
    """Where nothing is wrong nobody waits, but for jobs that the vendor has to do first."""
    assert reading.harness.clock.slept == [] or not way.route.records


def test_every_call_is_in_the_accounts(way: Way, reading: Reading) -> None:
    """No request passes the limiter by: the accounts have as many as the vendor saw, and what they cost."""
    assert sum(calls for calls, _ in reading.spent.values()) == len(reading.calls)
    # The clock may be asked for before the read, and something given back behind it.
    assert 0 <= len(reading.calls) - reading.done.calls <= 2
    cost = sum(cost for _, cost in reading.spent.values())
    assert reading.done.cost <= cost
    with reading.harness.account() as account:
        assert account.usage.unit == reading.done.unit


def test_planned_and_spent(way: Way, reading: Reading) -> None:
    """What the plan said of calls and cost holds within a fifth and the calls of a few steps."""
    done = reading.done
    assert abs(done.calls - done.planned_calls) <= 0.2 * done.planned_calls + 8
    dearest = max(cost / calls for calls, cost in reading.spent.values() if calls)
    assert abs(done.cost - done.planned_cost) <= 0.2 * done.planned_cost + 4 * dearest


def test_no_secret_is_anywhere(way: Way, reading: Reading) -> None:
    """Neither the configured secrets nor the tokens of the day are in a file, a column or a log record."""
    harness = reading.harness
    assert reading.tokens
    assert harness.leaks(reading.tokens) == []
    for text in (reading.log, str(harness.settings.connections), repr(reading.done)):
        assert [one for one in {*harness.secrets, *reading.tokens} if one in text] == []
