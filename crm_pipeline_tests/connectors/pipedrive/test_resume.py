"""Resumed reads: finished pages are not requested again, and no record comes twice."""

from typing import Any

import pyarrow.parquet as pq
import pytest

from crm_pipeline.connectors import range_reader
from crm_pipeline.connectors.pipedrive import scan
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.kernel.clock import Window, parse_instant
from crm_pipeline.kernel.errors import ConnectionLost
from crm_pipeline_tests.connectors.pipedrive.conftest import WIDE, Harness, HarnessMaker

SPAN = Window(parse_instant("2025-01-01T00:00:00Z"), parse_instant("2026-11-01T00:00:00Z"))


@pytest.fixture
def paged(make_harness: HarnessMaker, monkeypatch: pytest.MonkeyPatch):
    """A company whose lists take many pages, landed two pages at a time."""
    monkeypatch.setattr(scan, "_CHUNK_ROWS", 10)
    monkeypatch.setattr(range_reader, "_CHUNK_ROWS", 10)
    with make_harness(contacts=120, ceilings=f"{WIDE}, page_records: 5") as made:
        yield made


def stopped(harness: Harness, after: int, obj: str, **options: Any) -> None:
    """Let a read lose its connection after a number of pages."""
    original, asked = Lister.fetch, 0

    def ask(lister: Lister, *arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked > after:
            raise ConnectionLost("on order")
        return original(lister, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lister, "fetch", ask)
        with pytest.raises(ConnectionLost):
            harness.extract(obj, **options)
    assert harness.landing.windows("pipe", obj) == []


def pages_of(harness: Harness, path: str) -> list[str]:
    return [entry.query for entry in harness.sandbox.journal.entries(path=f"{path}$")]


@pytest.mark.parametrize("after", [3, 10])
def test_workers_read_the_missing_ranges(paged: Harness, after: int) -> None:
    """Finished ranges are not read again, and records of the same second come once."""
    tables = paged.company.companies["main"].tables
    at = parse_instant("2026-03-03T03:03:03Z").replace(tzinfo=None)
    tables.update("persons", "id", {number: {"update_time": at} for number in range(20, 60)})
    stopped(paged, after, "persons", window=SPAN, route="windows")
    extraction = paged.extract("persons", window=SPAN, route="windows")
    assert paged.ids(extraction) == paged.truth("persons", SPAN)


def test_a_window_that_shrank_to_one_page(paged: Harness) -> None:
    """If the rest of a window fits one page, finished records on that page are not landed twice."""
    stopped(paged, 22, "persons", window=SPAN, route="windows")
    files = paged.paths("landing/pipe/persons/????-??/*.parquet")
    done = [
        record_id for file in files for record_id in pq.read_table(file)["_source_id"].to_pylist()
    ]
    assert len(done) > 3
    now = paged.clock.now().replace(tzinfo=None)
    gone = set(paged.truth("persons", SPAN)) - set(done[:3])
    tables = paged.company.companies["main"].tables
    tables.update("persons", "id", {int(record_id): {"update_time": now} for record_id in gone})
    extraction = paged.extract("persons", window=SPAN, route="windows")
    assert paged.ids(extraction) == sorted(done)


@pytest.mark.parametrize("after", [5, 6])
def test_several_lists_are_resumed(paged: Harness, after: int) -> None:
    """Each list of an object resumes at its own cursor."""
    stopped(paged, after, "deals", mode="refresh")
    extraction = paged.extract("deals", mode="refresh")
    assert paged.ids(extraction) == paged.truth("deals", include_deleted=True)


def test_a_cursor_that_the_vendor_forgot(paged: Harness) -> None:
    """If the vendor no longer knows a cursor, the read starts again."""
    stopped(paged, 9, "persons", mode="refresh")
    body = '{"success":false,"error":"Validation failed: cursor: cursor is not valid"}'
    paged.sandbox.faults.order("status", status=400, body=body, path="/api/v2/persons.*cursor=")
    extraction = paged.extract("persons", mode="refresh")
    assert paged.ids(extraction) == paged.truth("persons")


def test_another_window_is_not_mixed_in(paged: Harness) -> None:
    """The checkpoint of a read is used only for its own window."""
    stopped(paged, 9, "persons", window=SPAN, route="cursor")
    other = Window(SPAN.from_at, parse_instant("2026-08-01T00:00:00Z"))
    extraction = paged.extract("persons", window=other, route="cursor")
    assert paged.ids(extraction) == paged.truth("persons", other)
