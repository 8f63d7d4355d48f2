"""Parallel ranges of ids, interrupted reads, deleted records."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from crm_pipeline.kernel.clock import Window, parse_instant
from crm_pipeline.store import files
from crm_pipeline.store.landing.window import WindowWriter
from crm_pipeline_tests.connectors.zoho.conftest import ZohoHarness, ZohoHarnessMaker
from crm_pipeline_tests.connectors.zoho.test_routes import live
from crm_pipeline_tests.stages.raw.test_resume import dead_pid


class Killed(BaseException):
    """Raised in place of the end of the process."""


@pytest.fixture
def wide(make_harness: ZohoHarnessMaker, monkeypatch: pytest.MonkeyPatch) -> Iterator[ZohoHarness]:
    """A harness with about 30 pages, landed in chunks of 40 records."""
    monkeypatch.setattr("crm_pipeline.connectors.range_reader._CHUNK_ROWS", 40)
    with make_harness(
        contacts=600,
        coql_page_records=20,
        list_page_records=20,
        bulk_job_records=100,
        concurrent_calls=100,
        list_fields=200,
    ) as made:
        made.emulator.set_bulk(page_rows=100)
        made.emulator.hide_field("Contacts", "Data_Processing_Basis_Details")
        monkeypatch.setattr("crm_sandbox.zoho.listing.MOST_FIELDS", 200)
        yield made


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Interrupt a read after some records, without any clean-up."""

    def cut_short(harness: ZohoHarness, after: int, route: str) -> None:
        def stop(records: int, _: int | None) -> None:
            if records >= after:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(WindowWriter, "__exit__", lambda *_: None)
            with pytest.raises(Killed):
                harness.extract("Contacts", route=route, on_progress=stop)
        [marker] = harness.paths("landing/demo/Contacts/windows/*.open")
        files.write_json(marker, {**files.read_json(marker), "pid": dead_pid()})

    return cut_short


def test_workers_read_each_record_once(wide: ZohoHarness) -> None:
    """Several workers over disjoint ranges of ids lose nothing, read nothing twice, and call as planned."""
    done = wide.extract("Contacts", route="coql")
    assert set(live(wide.landed("Contacts"))) == {r["id"] for r in wide.emulator.rows("Contacts")}
    assert abs(done.calls - done.planned_calls) <= 0.2 * done.planned_calls + 5
    assert abs(done.cost - done.planned_cost) <= 0.2 * done.planned_cost + 5


def test_heavy_calls_at_once(wide: ZohoHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limiter keeps queries below ten at once for any number of workers, without a 429."""
    monkeypatch.setattr("crm_pipeline.connectors.zoho.queries.workers", lambda *_: 16)
    assert wide.extract("Contacts", route="coql").reconciled
    assert {entry.status for entry in wide.calls("/coql")} == {200}


@pytest.mark.parametrize(
    ("route", "after"),
    [("bulk", 300), ("coql", None)],
)
def test_an_interrupted_read_is_resumed(
    wide: ZohoHarness, cut: Any, route: str, after: int | None
) -> None:
    """Finished parts are not read again; each record is landed once, also deleted ones."""
    cut(wide, after or wide.emulator.count("Contacts") + 1, route)
    done = wide.extract("Contacts", route=route)
    assert "resumed" in done.reason
    assert set(live(wide.landed("Contacts"))) == {r["id"] for r in wide.emulator.rows("Contacts")}
    marks = [row["_source_id"] for row in wide.landed("Contacts") if row["_deleted"]]
    assert len(set(marks)) == len(marks) == done.deleted
    if route == "bulk":
        assert len(wide.calls("/bulk/v8/read", "POST")) <= 7
        assert len({entry.path for entry in wide.calls("/result")}) <= 7


def test_the_rest_costs_only_the_rest(wide: ZohoHarness, cut: Any) -> None:
    """After three quarters of a read, less than half of its calls are made again."""
    whole = 600 // 20
    cut(wide, 450, "coql")
    before = len(wide.calls("/coql"))
    wide.extract("Contacts", route="coql")
    assert len(wide.calls("/coql")) - before <= whole // 2 + 9


def test_another_plan_starts_again(wide: ZohoHarness, cut: Any) -> None:
    """Chunks of another set of fields are not mixed with new ones."""
    cut(wide, 100, "coql")
    wide.emulator.add_field("Contacts", "Shoe_Size", "integer")
    done = wide.extract("Contacts", route="coql")
    assert "resumed" not in done.reason
    assert all("Shoe_Size" in r["record"] for r in live(wide.landed("Contacts")).values())


@pytest.mark.parametrize("route", ["records", "coql"])
def test_deleted_merged_and_restored(harness: ZohoHarness, route: str) -> None:
    """Deletions are marks with their own time, restored records are records again."""
    harness.extract("Contacts", route=route)
    gone, lost, kept, back = [row["id"] for row in harness.emulator.rows("Contacts")[:4]]
    harness.advance(60)
    harness.emulator.delete("Contacts", gone)
    harness.emulator.merge("Contacts", kept, lost)
    harness.emulator.delete("Contacts", back)
    harness.advance(60)
    done = harness.extract("Contacts", route=route, mode="refresh")
    marks = {r["_source_id"]: r for r in harness.landed("Contacts") if r["_deleted"]}
    assert {gone, lost, back} <= set(marks)
    assert done.reconciled
    assert marks[gone]["_modified_at"] == parse_instant("2026-11-23T10:01:00Z")
    assert json.loads(marks[gone]["record"])["type"] == "recycle"
    harness.emulator.restore("Contacts", back)
    harness.emulator.hard_delete("Contacts", gone)
    harness.advance(60)
    harness.extract("Contacts", route=route, mode="refresh")
    versions = [r for r in harness.landed("Contacts") if r["_source_id"] == back]
    assert not versions[-1]["_deleted"]


def test_many_deletions(harness: ZohoHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleted records are read page by page, and only those of the window are landed."""
    monkeypatch.setattr("crm_pipeline.connectors.zoho.deleted._PER_PAGE", 10)
    harness.extract("Contacts")
    before = len([r for r in harness.landed("Contacts") if r["_deleted"]])
    harness.advance(60)
    keys = [row["id"] for row in harness.emulator.rows("Contacts")[:35]]
    for key in keys:
        harness.emulator.delete("Contacts", key)
    harness.advance(60)
    harness.extract("Contacts", mode="refresh")
    marks = [r["_source_id"] for r in harness.landed("Contacts") if r["_deleted"]]
    assert len(marks) == before + 35
    old = Window(None, parse_instant("2026-07-01T00:00:00Z"))
    assert harness.extract("Contacts", window=old).deleted <= before
