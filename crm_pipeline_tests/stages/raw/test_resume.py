"""Reads that were interrupted while a job ran at the vendor, and jobs that are deleted."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest

from crm_pipeline.connectors.salesforce import bulk_results
from crm_pipeline.kernel.clock import Month, Window
from crm_pipeline.kernel.errors import (
    ConnectionLost,
    CountMismatch,
    DatabaseUnavailable,
    MalformedResponse,
    ProtocolError,
)
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.store import files
from crm_pipeline.store.landing import recovery
from crm_pipeline.store.landing.window import WindowWriter
from crm_pipeline_tests.harness import Harness, HarnessMaker
from crm_pipeline_tests.stages.raw.test_extract import ids, landed

PAGE = 20


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def harness(make_harness: HarnessMaker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    """A world of some 13 result pages."""
    monkeypatch.setattr(bulk_results, "PAGE_RECORDS", PAGE)
    with make_harness(contacts=250) as made:
        made.org.set_bulk(page_rows=PAGE)
        yield made


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Interrupt a Bulk read after some records: from outside, or by a kill without clean-up."""

    def cut_short(harness: Harness, after: int, *, how: str = "killed", **options: Any) -> None:
        def stop(records: int, _: int | None) -> None:
            if records >= after:
                raise Killed

        with monkeypatch.context() as patch:
            if how == "killed":
                patch.setattr(WindowWriter, "__exit__", lambda *_: None)
            with pytest.raises(Killed):
                harness.extract(route="bulk", on_progress=stop, **options)
        if how == "killed":
            [marker] = harness.paths("landing/demo/Contact/windows/*.open")
            files.write_json(marker, {**files.read_json(marker), "pid": dead_pid()})

    return cut_short


def dead_pid() -> int:
    return next(pid for pid in range(4_000_000, 5_000_000) if not psutil.pid_exists(pid))


def calls(harness: Harness, method: str, part: str) -> list[str]:
    entries = harness.sandbox.journal.as_rows(method=method)
    return [f"{e['path']}?{e['query']}" for e in entries if part in e["path"]]


def jobs(harness: Harness) -> int:
    return sum(
        path.split("?")[0].endswith("/jobs/query") for path in calls(harness, "POST", "/jobs")
    )


def downloads(harness: Harness) -> list[str]:
    return calls(harness, "GET", "/results")


@pytest.mark.parametrize("how", ["interrupted", "killed"])
@pytest.mark.parametrize("after", [1, 140])
def test_a_read_that_was_cut_short_goes_on(
    harness: Harness, cut: Any, after: int, how: str
) -> None:
    """The next run resumes the job: one job, each record once, hardly a page twice."""
    cut(harness, after, how=how)
    assert harness.landing.watermark("demo", "Contact") is None
    done = harness.extract(route="bulk")
    rows = [batch.records for batch in harness.landing.batches("demo", "Contact")]
    assert set(landed(harness)) == ids(harness)
    assert (sum(rows), done.records, done.read) == (len(ids(harness)),) * 3
    assert sum(done.months.values()) == done.records
    assert (jobs(harness), done.reconciled) == (1, True)
    assert "resumed" in done.reason
    fetched = downloads(harness)
    assert len(fetched) - len(set(fetched)) <= bulk_results.DOWNLOADS
    assert harness.paths("landing/demo/Contact/spool/*/*") == []
    assert harness.paths("landing/demo/Contact/windows/*.open") == []


def test_pages_that_are_in_batches_are_not_fetched_again(harness: Harness, cut: Any) -> None:
    """Pages that were downloaded before the interruption are on disk; only the others are requested."""
    cut(harness, 200)
    before = downloads(harness)
    done = harness.landing.root.glob("landing/demo/Contact/spool/*/*.done.json")
    finished = len(list(done))
    assert finished * PAGE >= 160
    harness.sandbox.journal.clear()
    harness.extract(route="bulk")
    assert not set(before[:finished]) & set(downloads(harness))


def test_what_changed_meanwhile_is_read_behind_it(harness: Harness, cut: Any) -> None:
    """The resumed window keeps its end; later edits, deletions and new records follow in a second window."""
    cut(harness, 100)
    harness.advance(3600)
    first, second, *_ = sorted(row["Id"] for row in harness.org.rows("Contact"))
    harness.org.edit("Contact", first, Title="Chief")
    harness.org.delete("Contact", second)
    new = harness.org.create("Contact", LastName="New")
    harness.advance()
    done = harness.extract(route="bulk")
    rows = landed(harness)
    assert set(rows) == ids(harness)
    assert rows[first]["Title"] == "Chief"
    assert (rows[second]["_deleted"], rows[new]["_deleted"]) == (True, False)
    assert done.watermark == harness.sandbox.clock.now().replace(microsecond=0)
    assert len(harness.landing.windows("demo", "Contact")) == 2


def test_a_refresh_goes_on_with_a_refresh(harness: Harness, cut: Any) -> None:
    """The next refresh finishes an interrupted one, and then reads the rest."""
    harness.extract(route="bulk")
    harness.advance()
    edited = sorted(row["Id"] for row in harness.org.rows("Contact"))[:45]
    for record in edited:
        harness.org.edit("Contact", record, Title="Edited")
    harness.advance()
    cut(harness, 20, mode="refresh")
    harness.advance()
    done = harness.extract(route="bulk", mode="refresh")
    assert "resumed" in done.reason
    assert done.records == 45
    assert {landed(harness)[record]["Title"] for record in edited} == {"Edited"}


@pytest.mark.parametrize("change", ["job gone", "other fields", "other window"])
def test_what_cannot_be_gone_on_with_is_read_anew(harness: Harness, cut: Any, change: str) -> None:
    """If the job is gone, or fields or window differ, nothing of the old read is kept."""
    cut(harness, 100)
    window = None
    if change == "job gone":
        harness.advance(8 * 86_400)
    elif change == "other fields":
        harness.org.add_field("Contact", field="New__c", kind="string", value="x")
    else:
        window = Window(Month.parse("2020-01").start_at, harness.clock.now())
    done = harness.extract(route="bulk", window=window)
    assert "resumed" not in done.reason
    assert jobs(harness) == 2
    batches = harness.landing.batches("demo", "Contact")
    assert sum(batch.records for batch in batches) == done.records == done.vendor_count
    names = {batch.path.stem for batch in batches}
    assert {p.stem for p in harness.paths("landing/demo/Contact/????-??/*.parquet")} == names


@pytest.mark.parametrize("path", ["/results", "/resultPages.*locator"])
def test_a_lost_place_in_the_result_makes_a_new_job(harness: Harness, path: str) -> None:
    """An expired locator ends the job, not the run, and nothing is lost."""
    body = '[{"errorCode":"INVALID_QUERY_LOCATOR","message":"invalid query locator"}]'
    harness.sandbox.faults.order("status", path=path, status=400, body=body, nth=2)
    done = harness.extract(route="bulk")
    assert set(landed(harness)) == ids(harness)
    assert (jobs(harness), done.records) == (2, len(ids(harness)))


def test_parallel_pages_are_not_offered(harness: Harness) -> None:
    """Where the vendor has no list of result pages, they are read one after the other."""
    body = '[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]'
    harness.sandbox.faults.order("status", path="/resultPages", status=404, body=body)
    done = harness.extract(route="bulk")
    assert set(landed(harness)) == ids(harness)
    assert done.reconciled
    assert all("maxRecords=" in path for path in downloads(harness))


@pytest.mark.parametrize(
    ("head", "records", "error", "words"),
    [
        ('"Id","Other"\n"003","x"\n', "1", ProtocolError, "other columns than requested"),
        ("", "0", CountMismatch, "its pages"),
        ("", "7", ProtocolError, "announced 7 records and held 0"),
        ("", "9" * 300, MalformedResponse, "a number of records that is no number"),
    ],
    ids=["other header", "fewer records than the job", "fewer than the page", "no number"],
)
def test_a_page_that_is_not_what_it_says(
    harness: Harness, head: str, records: str, error: type[Exception], words: str
) -> None:
    """Another header on a later page, or missing records, refuse the window; what landed before stays."""
    harness.extract(route="bulk")
    before = {path: path.stat().st_mtime_ns for path in harness.paths("landing/**/*.parquet")}
    names = ",".join(f'"{f.name}"' for f in harness.extract(route="bulk").schema.fields)
    harness.sandbox.faults.order(
        "status",
        path=r"/results\?.*locator",
        status=200,
        body=head or f"{names}\n",
        headers={"Sforce-NumberOfRecords": records, "Sforce-Locator": "null"},
        times=99,
    )
    committed = len(harness.landing.windows("demo", "Contact"))
    with pytest.raises(error, match=words):
        harness.extract(route="bulk")
    assert len(harness.landing.windows("demo", "Contact")) == committed
    after = {path: path.stat().st_mtime_ns for path in harness.paths("landing/**/*.parquet")}
    assert before.items() <= after.items()


def test_a_connection_that_stays_away_leaves_the_job(harness: Harness) -> None:
    """When the network is gone for longer than the retries last, the next run resumes the job."""
    harness.sandbox.faults.order("drop", path="/results", nth=6, times=200)
    with pytest.raises(ConnectionLost):
        harness.extract(route="bulk")
    harness.sandbox.faults.clear()
    done = harness.extract(route="bulk")
    assert (jobs(harness), done.records) == (1, len(ids(harness)))
    assert "resumed" in done.reason


def test_a_database_that_goes_away_leaves_the_job(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When PostgreSQL is gone in the middle of a download, the next run resumes the job."""
    permit, calls = RateLimiter.permit, count()

    def gone(self: RateLimiter, *arguments: Any, **options: Any) -> Any:
        if next(calls) > 6:
            raise DatabaseUnavailable("PostgreSQL is gone.")
        return permit(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(RateLimiter, "permit", gone)
        with pytest.raises(DatabaseUnavailable):
            harness.extract(route="bulk")
    done = harness.extract(route="bulk")
    assert (jobs(harness), done.records) == (1, len(ids(harness)))
    assert "resumed" in done.reason


def test_the_daily_jobs_are_used_up(harness: Harness) -> None:
    """If no Bulk job can be created, an object that REST can read is read by REST."""
    body = '[{"errorCode":"LIMIT_EXCEEDED","message":"Max query jobs per rolling day"}]'
    harness.sandbox.faults.order("status", method="POST", path="/jobs/query", status=400, body=body)
    done = harness.extract(route="bulk")
    assert (done.route, set(landed(harness))) == ("rest", ids(harness))


def test_jobs_are_counted(harness: Harness) -> None:
    """Each Bulk job counts against the daily limit of jobs, of which we use our share only."""
    harness.extract(route="bulk")
    with harness.account() as account:
        [jobs_of_a_day] = [
            limit
            for limit in account._context.limiter.usage("demo")  # type: ignore[attr-defined]
            if limit.name == "daily_bulk_query_jobs"
        ]
    assert (jobs_of_a_day.used, jobs_of_a_day.ceiling) == (1, 9000)


def test_one_of_two_takes_over(harness: Harness, cut: Any) -> None:
    """Of two processes that find the same dead window, one resumes it; the other does not."""
    cut(harness, 100)
    landing = harness.landing
    [left] = landing.interrupted("demo", "Contact")
    with harness.account() as account:
        schema = account.describe("Contact")
    assert landing.resume("demo", "Contact", left, schema) is not None
    assert landing.resume("demo", "Contact", left, schema) is None
    assert landing.interrupted("demo", "Contact") == []
    assert landing.clear_interrupted("demo", "Contact") == 0


def test_a_window_that_is_being_cleared_is_not_taken_over(harness: Harness, cut: Any) -> None:
    """While one process holds a dead window's lock, another neither removes nor resumes it."""
    cut(harness, 100)
    [left] = harness.landing.interrupted("demo", "Contact")
    with recovery.claimed(left.marker, harness.clock.now()) as record:
        assert record is not None
        with recovery.claimed(left.marker, harness.clock.now()) as second:
            assert second is None


def test_bytes_from_before_a_power_cut_are_not_believed(
    harness: Harness, cut: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a new start of the machine, pages come again; batches, which were flushed, stay."""
    cut(harness, 100)
    finished = len(harness.paths("landing/demo/Contact/spool/*/*.done.json"))
    for page in harness.paths("landing/demo/Contact/spool/*/*.csv*"):
        page.write_bytes(bytes(page.stat().st_size))  # as a file system leaves what was not flushed
    monkeypatch.setattr(recovery, "_boot", lambda: "another")
    done = harness.extract(route="bulk")
    assert finished > 0
    assert (jobs(harness), done.records) == (1, len(ids(harness)))
    assert set(landed(harness)) == ids(harness)


def test_a_window_that_committed_is_not_gone_on_with(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that dies while it cleans up after its commit does not remove the commit's batches."""

    def killed_half_way(folder: Path) -> None:
        for note in sorted(folder.glob("*.done.json"))[:5]:
            note.unlink()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(recovery.shutil, "rmtree", killed_half_way)  # type: ignore[attr-defined]
        with pytest.raises(Killed):
            harness.extract(route="bulk")
    [marker] = harness.paths("landing/demo/Contact/windows/*.open")
    files.write_json(marker, {**files.read_json(marker), "pid": dead_pid()})
    [committed] = harness.landing.windows("demo", "Contact")
    assert harness.landing.interrupted("demo", "Contact") == []
    harness.extract(route="bulk")
    assert all(batch.path.exists() for batch in committed.batches)
    assert set(landed(harness)) == ids(harness)
    assert harness.paths("landing/demo/Contact/windows/*.open") == []


def test_a_damaged_note_costs_a_page(harness: Harness, cut: Any) -> None:
    """A page whose note cannot be read is fetched again and landed once."""
    cut(harness, 100)
    notes: list[Path] = harness.paths("landing/demo/Contact/spool/*/*.done.json")
    notes[0].write_text("{")
    done = harness.extract(route="bulk")
    rows = [batch.records for batch in harness.landing.batches("demo", "Contact")]
    assert (sum(rows), done.records) == (len(ids(harness)),) * 2
