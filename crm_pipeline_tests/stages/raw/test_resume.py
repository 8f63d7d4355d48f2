"""Reads that were cut short while the vendor worked for them, and jobs that go away."""

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
    MalformedAnswer,
    ProtocolError,
)
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.store import files
from crm_pipeline.store.landing import recovery
from crm_pipeline.store.landing.window import WindowWriter
from crm_pipeline_tests.scenes import Scene, SceneMaker
from crm_pipeline_tests.stages.raw.test_extract import ids, landed

PAGE = 20


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def scene(make_scene: SceneMaker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A world of some 13 result pages."""
    monkeypatch.setattr(bulk_results, "PAGE_RECORDS", PAGE)
    with make_scene(contacts=250) as made:
        made.org.set_bulk(page_rows=PAGE)
        yield made


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Cut a Bulk read short after some records: from outside, or by a kill that runs no clean-up."""

    def cut_short(scene: Scene, after: int, *, how: str = "killed", **options: Any) -> None:
        def stop(records: int, _: int | None) -> None:
            if records >= after:
                raise Killed

        with monkeypatch.context() as patch:
            if how == "killed":
                patch.setattr(WindowWriter, "__exit__", lambda *_: None)
            with pytest.raises(Killed):
                scene.extract(route="bulk", on_progress=stop, **options)
        if how == "killed":
            [marker] = scene.paths("landing/demo/Contact/windows/*.open")
            files.write_json(marker, {**files.read_json(marker), "pid": dead_pid()})

    return cut_short


def dead_pid() -> int:
    return next(pid for pid in range(4_000_000, 5_000_000) if not psutil.pid_exists(pid))


def calls(scene: Scene, method: str, part: str) -> list[str]:
    entries = scene.sandbox.journal.as_rows(method=method)
    return [f"{e['path']}?{e['query']}" for e in entries if part in e["path"]]


def jobs(scene: Scene) -> int:
    return sum(path.split("?")[0].endswith("/jobs/query") for path in calls(scene, "POST", "/jobs"))


def downloads(scene: Scene) -> list[str]:
    return calls(scene, "GET", "/results")


@pytest.mark.parametrize("how", ["interrupted", "killed"])
@pytest.mark.parametrize("after", [1, 140])
def test_a_read_that_was_cut_short_goes_on(scene: Scene, cut: Any, after: int, how: str) -> None:
    """The next run takes the living job over: one job, each record once, hardly a page twice."""
    cut(scene, after, how=how)
    assert scene.landing.watermark("demo", "Contact") is None
    done = scene.extract(route="bulk")
    rows = [batch.records for batch in scene.landing.batches("demo", "Contact")]
    assert set(landed(scene)) == ids(scene)
    assert (sum(rows), done.records, done.read) == (len(ids(scene)),) * 3
    assert sum(done.months.values()) == done.records
    assert (jobs(scene), done.reconciled) == (1, True)
    assert "resumed" in done.reason
    fetched = downloads(scene)
    assert len(fetched) - len(set(fetched)) <= bulk_results.DOWNLOADS
    assert scene.paths("landing/demo/Contact/spool/*/*") == []
    assert scene.paths("landing/demo/Contact/windows/*.open") == []


def test_pages_that_are_in_batches_are_not_fetched_again(scene: Scene, cut: Any) -> None:
    """What was downloaded before the cut is on the disk; only what was not comes from the vendor."""
    cut(scene, 200)
    before = downloads(scene)
    done = scene.landing.root.glob("landing/demo/Contact/spool/*/*.done.json")
    finished = len(list(done))
    assert finished * PAGE >= 160
    scene.sandbox.journal.clear()
    scene.extract(route="bulk")
    assert not set(before[:finished]) & set(downloads(scene))


def test_what_changed_meanwhile_is_read_behind_it(scene: Scene, cut: Any) -> None:
    """The old job's window ends where it ended; edits, deletions and new records follow in a second."""
    cut(scene, 100)
    scene.advance(3600)
    first, second, *_ = sorted(row["Id"] for row in scene.org.rows("Contact"))
    scene.org.edit("Contact", first, Title="Chief")
    scene.org.delete("Contact", second)
    new = scene.org.create("Contact", LastName="New")
    scene.advance()
    done = scene.extract(route="bulk")
    rows = landed(scene)
    assert set(rows) == ids(scene)
    assert rows[first]["Title"] == "Chief"
    assert (rows[second]["_deleted"], rows[new]["_deleted"]) == (True, False)
    assert done.watermark == scene.sandbox.clock.now().replace(microsecond=0)
    assert len(scene.landing.windows("demo", "Contact")) == 2


def test_a_refresh_goes_on_with_a_refresh(scene: Scene, cut: Any) -> None:
    """A refresh that was cut short is finished by the next, which then reads the rest."""
    scene.extract(route="bulk")
    scene.advance()
    edited = sorted(row["Id"] for row in scene.org.rows("Contact"))[:45]
    for record in edited:
        scene.org.edit("Contact", record, Title="Edited")
    scene.advance()
    cut(scene, 20, mode="refresh")
    scene.advance()
    done = scene.extract(route="bulk", mode="refresh")
    assert "resumed" in done.reason
    assert done.records == 45
    assert {landed(scene)[record]["Title"] for record in edited} == {"Edited"}


@pytest.mark.parametrize("change", ["job gone", "other fields", "other window"])
def test_what_cannot_be_gone_on_with_is_read_anew(scene: Scene, cut: Any, change: str) -> None:
    """A job that is gone, other fields, or another window: nothing of the old read is kept."""
    cut(scene, 100)
    window = None
    if change == "job gone":
        scene.advance(8 * 86_400)
    elif change == "other fields":
        scene.org.add_field("Contact", field="New__c", kind="string", value="x")
    else:
        window = Window(Month.parse("2020-01").start_at, scene.clock.now())
    done = scene.extract(route="bulk", window=window)
    assert "resumed" not in done.reason
    assert jobs(scene) == 2
    batches = scene.landing.batches("demo", "Contact")
    assert sum(batch.records for batch in batches) == done.records == done.vendor_count
    names = {batch.path.stem for batch in batches}
    assert {p.stem for p in scene.paths("landing/demo/Contact/????-??/*.parquet")} == names


@pytest.mark.parametrize("path", ["/results", "/resultPages.*locator"])
def test_a_lost_place_in_the_result_makes_a_new_job(scene: Scene, path: str) -> None:
    """A locator that the vendor has forgotten ends the job, not the run, and loses nothing."""
    body = '[{"errorCode":"INVALID_QUERY_LOCATOR","message":"invalid query locator"}]'
    scene.sandbox.faults.order("status", path=path, status=400, body=body, nth=2)
    done = scene.extract(route="bulk")
    assert set(landed(scene)) == ids(scene)
    assert (jobs(scene), done.records) == (2, len(ids(scene)))


def test_parallel_pages_are_not_offered(scene: Scene) -> None:
    """Where the vendor has no list of result pages, they are read one after the other."""
    body = '[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]'
    scene.sandbox.faults.order("status", path="/resultPages", status=404, body=body)
    done = scene.extract(route="bulk")
    assert set(landed(scene)) == ids(scene)
    assert done.reconciled
    assert all("maxRecords=" in path for path in downloads(scene))


@pytest.mark.parametrize(
    ("head", "records", "error", "words"),
    [
        ('"Id","Other"\n"003","x"\n', "1", ProtocolError, "other columns than were asked for"),
        ("", "0", CountMismatch, "its pages"),
        ("", "7", ProtocolError, "announced 7 records and held 0"),
        ("", "9" * 300, MalformedAnswer, "a number of records that is none"),
    ],
    ids=["other header", "fewer records than the job", "fewer than the page", "no number"],
)
def test_a_page_that_is_not_what_it_says(
    scene: Scene, head: str, records: str, error: type[Exception], words: str
) -> None:
    """Another header on a later page, or missing records, refuse the window; what landed before stays."""
    scene.extract(route="bulk")
    before = {path: path.stat().st_mtime_ns for path in scene.paths("landing/**/*.parquet")}
    names = ",".join(f'"{f.name}"' for f in scene.extract(route="bulk").schema.fields)
    scene.sandbox.faults.order(
        "status",
        path=r"/results\?.*locator",
        status=200,
        body=head or f"{names}\n",
        headers={"Sforce-NumberOfRecords": records, "Sforce-Locator": "null"},
        times=99,
    )
    committed = len(scene.landing.windows("demo", "Contact"))
    with pytest.raises(error, match=words):
        scene.extract(route="bulk")
    assert len(scene.landing.windows("demo", "Contact")) == committed
    after = {path: path.stat().st_mtime_ns for path in scene.paths("landing/**/*.parquet")}
    assert before.items() <= after.items()


def test_a_connection_that_stays_away_leaves_the_job(scene: Scene) -> None:
    """When the network goes for longer than the retries last, the next run goes on with the job."""
    scene.sandbox.faults.order("drop", path="/results", nth=6, times=200)
    with pytest.raises(ConnectionLost):
        scene.extract(route="bulk")
    scene.sandbox.faults.clear()
    done = scene.extract(route="bulk")
    assert (jobs(scene), done.records) == (1, len(ids(scene)))
    assert "resumed" in done.reason


def test_a_database_that_goes_away_leaves_the_job(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When PostgreSQL is gone in the middle of a download, the next run goes on with the job."""
    permit, calls = RateLimiter.permit, count()

    def gone(self: RateLimiter, *arguments: Any, **options: Any) -> Any:
        if next(calls) > 6:
            raise DatabaseUnavailable("PostgreSQL is gone.")
        return permit(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(RateLimiter, "permit", gone)
        with pytest.raises(DatabaseUnavailable):
            scene.extract(route="bulk")
    done = scene.extract(route="bulk")
    assert (jobs(scene), done.records) == (1, len(ids(scene)))
    assert "resumed" in done.reason


def test_the_daily_jobs_are_used_up(scene: Scene) -> None:
    """Without a Bulk job to be had, an object that REST can read is read by REST."""
    body = '[{"errorCode":"LIMIT_EXCEEDED","message":"Max query jobs per rolling day"}]'
    scene.sandbox.faults.order("status", method="POST", path="/jobs/query", status=400, body=body)
    done = scene.extract(route="bulk")
    assert (done.route, set(landed(scene))) == ("rest", ids(scene))


def test_jobs_are_counted(scene: Scene) -> None:
    """Each Bulk job counts against the jobs of a day, of which we take our share only."""
    scene.extract(route="bulk")
    with scene.account() as account:
        [jobs_of_a_day] = [
            limit
            for limit in account._context.limiter.usage("demo")  # type: ignore[attr-defined]
            if limit.name == "daily_bulk_query_jobs"
        ]
    assert (jobs_of_a_day.used, jobs_of_a_day.ceiling) == (1, 9000)


def test_one_of_two_takes_over(scene: Scene, cut: Any) -> None:
    """Of two processes that find the same dead window, one goes on with it; the other leaves it."""
    cut(scene, 100)
    landing = scene.landing
    [left] = landing.interrupted("demo", "Contact")
    with scene.account() as account:
        schema = account.describe("Contact")
    assert landing.resume("demo", "Contact", left, schema) is not None
    assert landing.resume("demo", "Contact", left, schema) is None
    assert landing.interrupted("demo", "Contact") == []
    assert landing.clear_interrupted("demo", "Contact") == 0


def test_a_window_that_is_being_cleared_is_not_taken_over(scene: Scene, cut: Any) -> None:
    """While one process holds a dead window's lock, another neither clears it nor goes on with it."""
    cut(scene, 100)
    [left] = scene.landing.interrupted("demo", "Contact")
    with recovery.claimed(left.marker, scene.clock.now()) as record:
        assert record is not None
        with recovery.claimed(left.marker, scene.clock.now()) as second:
            assert second is None


def test_bytes_from_before_a_power_cut_are_not_believed(
    scene: Scene, cut: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a new start of the machine, pages come again; batches, which were flushed, stay."""
    cut(scene, 100)
    finished = len(scene.paths("landing/demo/Contact/spool/*/*.done.json"))
    for page in scene.paths("landing/demo/Contact/spool/*/*.csv*"):
        page.write_bytes(bytes(page.stat().st_size))  # as a file system leaves what was not flushed
    monkeypatch.setattr(recovery, "_boot", lambda: "another")
    done = scene.extract(route="bulk")
    assert finished > 0
    assert (jobs(scene), done.records) == (1, len(ids(scene)))
    assert set(landed(scene)) == ids(scene)


def test_a_window_that_committed_is_not_gone_on_with(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that dies while it clears up behind its commit leaves the commit's batches alone."""

    def killed_half_way(folder: Path) -> None:
        for note in sorted(folder.glob("*.done.json"))[:5]:
            note.unlink()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(recovery.shutil, "rmtree", killed_half_way)
        with pytest.raises(Killed):
            scene.extract(route="bulk")
    [marker] = scene.paths("landing/demo/Contact/windows/*.open")
    files.write_json(marker, {**files.read_json(marker), "pid": dead_pid()})
    [committed] = scene.landing.windows("demo", "Contact")
    assert scene.landing.interrupted("demo", "Contact") == []
    scene.extract(route="bulk")
    assert all(batch.path.exists() for batch in committed.batches)
    assert set(landed(scene)) == ids(scene)
    assert scene.paths("landing/demo/Contact/windows/*.open") == []


def test_a_damaged_note_costs_a_page(scene: Scene, cut: Any) -> None:
    """Of a page whose note cannot be read nothing is believed: it is fetched and landed once."""
    cut(scene, 100)
    notes: list[Path] = scene.paths("landing/demo/Contact/spool/*/*.done.json")
    notes[0].write_text("{")
    done = scene.extract(route="bulk")
    rows = [batch.records for batch in scene.landing.batches("demo", "Contact")]
    assert (sum(rows), done.records) == (len(ids(scene)),) * 2
