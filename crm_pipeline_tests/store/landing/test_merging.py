"""Small windows are merged without a trace in what landed, whoever dies or reads at the same time."""

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs

from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.kernel.failpoint import watching
from crm_pipeline.store import files
from crm_pipeline.store.landing import Landing, compaction, rewriting
from crm_pipeline.store.landing.manifest import WindowCommit
from crm_pipeline.store.landing.outstanding import outstanding
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.scrub import scrub
from crm_pipeline_tests.rot.flips import flip_bit
from crm_pipeline_tests.store.landing.test_landing import SCHEMA, die, hours, write


class Killed(BaseException):
    pass


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Landing:
    """Ten windows of one record each, one of them with a quarantined row; what may be merged is."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(compaction, "is_worthwhile", lambda _: False)
    made = Landing(tmp_path, FrozenClock(hours(100)))
    for number in range(10):
        refresh(made, number)
    monkeypatch.setattr(compaction, "KEPT", 2)
    monkeypatch.setattr(compaction, "FEWEST", 2)
    return made


def refresh(landing: Landing, number: int, **counts: Any) -> None:
    assert isinstance(landing.clock, FrozenClock)
    landing.clock.advance(3600)
    window = Window(hours(number - 0.5) if number else None, hours(number + 1))
    with landing.begin("acme", "Contact", window, SCHEMA) as writer:
        write(writer, f"id-{number % 3}", at=hours(number), value=str(number))
        if number == 4:
            writer.quarantine([Reject("no id", b"bytes", "id-7")])
        writer.commit(Counts(calls=2, route="bulk", **counts))


def rows(landing: Landing) -> list[dict[str, Any]]:
    batches = landing.batches("acme", "Contact")
    landing.check(batches)
    return sorted((r for b in batches for r in pq.read_table(b.path).to_pylist()), key=repr)


def stored(commits: list[WindowCommit]) -> list[WindowCommit]:
    return [replace(commit, is_accepted=False) for commit in commits]


def test_what_was_merged_stays_as_it_was(landing: Landing) -> None:
    """Every version keeps its batch, its times and its hash; every commit and manifest can be read as it was."""
    before, commits = rows(landing), landing.windows("acme", "Contact")
    places = landing.places("acme", "Contact", commits)
    assert landing.merge("acme", "Contact") == 7
    assert rows(landing) == before
    after = landing.windows("acme", "Contact")
    assert [w.reads for w in after] == [1, 7, 1, 1]
    merged = after[1]
    assert [one for one, _ in landing.merged_commits("acme", "Contact", merged)] == commits[1:8]
    moved = landing.places("acme", "Contact", after)
    assert [replace_file(place) for place in moved] == [replace_file(place) for place in places]
    [batch] = merged.batches
    assert (batch.merged, batch.records, merged.records, merged.calls) == (7, 7, 7, 14)
    assert merged.quarantined == 1
    assert [reject.source_id for reject in landing.rejects(merged)] == ["id-7"]
    assert scrub(landing.root).corruption == ()


def replace_file(place: Any) -> Any:
    return place._replace(file="")


def test_killed_at_any_step(landing: Landing) -> None:
    """After a kill at any step all versions are there once, and the next merge leaves no file behind."""
    for step in range(200):
        before = rows(landing)
        steps = iter(range(step))

        def watch(_: str, steps: Any = steps) -> None:
            if next(steps, None) is None:
                raise Killed

        with watching(watch):
            try:
                landing.merge("acme", "Contact")
            except Killed:
                pass
            else:
                break
        landing = Landing(landing.root, landing.clock)
        assert rows(landing) == before
        for _ in range(2):
            assert isinstance(landing.clock, FrozenClock)
            landing.clock.advance(86_401)
            landing.merge("acme", "Contact")
            assert rows(landing) == before
        batches = landing.batches("acme", "Contact")
        landed = landing.folder("acme", "Contact").glob("????-??/*")
        assert {path.stem for path in landed} == {batch.path.stem for batch in batches}
        for number in range(10 + 3 * step, 13 + 3 * step):
            refresh(landing, number)
    assert step > 20


def test_readers_of_old_files_have_a_day(landing: Landing) -> None:
    """A build that listed batches before a merge finds their files for a day; then they are removed."""
    listed = landing.batches("acme", "Contact")
    Landing(landing.root, landing.clock).merge("acme", "Contact")
    landing.check(listed)
    assert isinstance(landing.clock, FrozenClock)
    landing.clock.advance(86_399)
    landing.merge("acme", "Contact")
    landing.check(listed)
    assert isinstance(landing.clock, FrozenClock)
    landing.clock.advance(2)
    landing.merge("acme", "Contact")
    assert sum(batch.path.exists() for batch in listed) == 3
    assert rewriting.lists(landing.folder("acme", "Contact")) == []


def test_a_window_whose_writer_has_not_cleared_up_stays(landing: Landing) -> None:
    """A committed window with its marker is not merged: clearing up would take it for uncommitted."""
    writer = landing.begin("acme", "Contact", Window(hours(9), hours(11)), SCHEMA)
    write(writer, "id-9")
    writer.commit(Counts())
    die(writer)
    refresh_after = landing.windows("acme", "Contact")[-1].window_id
    for number in range(11, 15):
        assert isinstance(landing.clock, FrozenClock)
        landing.clock.advance(60)
        with_marker = landing.folder("acme", "Contact") / "windows" / f"{writer.window_id}.open"
        marker = files.read_json(with_marker)
        refresh(landing, number)  # beginning clears up
        files.write_json(with_marker, marker)
    landing.merge("acme", "Contact")
    assert refresh_after in {window.window_id for window in landing.windows("acme", "Contact")}
    landing.clear_interrupted("acme", "Contact")
    assert "id-9" in {row["_source_id"] for row in rows(landing)}


def test_a_damaged_batch_stops_no_refresh(landing: Landing) -> None:
    """A merge that finds a damaged file leaves all as it is and says so; the refresh goes on."""
    before = landing.windows("acme", "Contact")
    flip_bit(before[3].batches[0].path, 100)
    with capture_logs() as logs:
        assert landing.merge("acme", "Contact") == 0
    assert "is damaged or gone" in logs[0]["reason"]
    assert stored(Landing(landing.root).windows("acme", "Contact")) == stored(before)


def test_scrub_reports_a_damaged_file_of_what_was_merged(landing: Landing) -> None:
    """The file with the merged commits is compared like all others."""
    landing.merge("acme", "Contact")
    [path] = landing.root.rglob("*.origins")
    flip_bit(path, 200)
    [corruption] = scrub(landing.root).corruption
    assert corruption.path == path
    assert corruption.is_used


def test_scrub_gives_no_advice_about_replaced_files(landing: Landing) -> None:
    """A damaged file that was merged is not used, and nobody is told to remove what stays of its window."""
    batch = landing.batches("acme", "Contact")[4]
    landing.merge("acme", "Contact")
    flip_bit(batch.path, 100)
    [corruption] = scrub(landing.root).corruption
    assert not corruption.is_used
    assert corruption.cure == (
        "Nothing to do: its rows were merged into another file; a later read removes it."
    )


def test_quarantined_rows_are_missing_as_before(landing: Landing) -> None:
    """What is missing is the same behind a merge, also where the note of it was lost."""
    refresh(landing, 10)
    missing = outstanding(landing, "acme", "Contact")
    assert missing.records == 1
    landing.merge("acme", "Contact")
    assert outstanding(landing, "acme", "Contact") == missing
    [note] = landing.root.rglob("outstanding.json")
    note.unlink()
    assert outstanding(landing, "acme", "Contact") == missing


def test_whole_reads_are_merged_once_a_later_one_counts(landing: Landing) -> None:
    """Whole reads stay from the last one that proves absence; those before it are merged like others."""
    for number in range(10, 20):
        refresh(landing, number, complete=True)
    landing.merge("acme", "Contact")
    windows = landing.windows("acme", "Contact")
    assert [(w.reads, w.complete) for w in windows] == [
        *[(1, False), (17, False)],
        *[(1, True)] * 2,
    ]
    places = landing.places("acme", "Contact", windows)
    assert sum(place.is_complete for place in places) == 10


def test_a_row_is_rewritten_as_often_as_the_logarithm() -> None:
    """Of 20,000 windows of any size some thirty commits are left, and each record was written some ten times."""
    run: list[int] = []
    written = most = 0
    for number in range(20_000):
        run.append(1 + (number * 7919) % 13 ** (number % 3))
        while (chosen := compaction.segment(run, [1] * len(run))) is not None:
            merged = sum(run[slice(*chosen)])
            run[slice(*chosen)] = [merged]
            written += merged
        most = max(most, len(run))
    assert most <= compaction.FEWEST + 2 * math.log2(sum(run))
    assert written <= sum(run) * math.log2(sum(run))


def test_a_large_batch_is_not_rewritten() -> None:
    """Batches that are large by themselves gain nothing, and separate others."""
    mega = 20 << 20
    assert compaction.segment([1] * 20, [1] * 20) == (0, 20)
    assert compaction.segment([1] * 20, [*[1] * 5, mega, *[1] * 14]) == (6, 20)
    assert compaction.segment([1] * 20, [mega] * 20) is None


def test_what_no_commit_names_can_go_at_once(landing: Landing) -> None:
    """An erasure leaves readers no day: of both, old files and lists, nothing stays."""
    landing.merge("acme", "Contact")
    folder = landing.folder("acme", "Contact")
    commits = landing.windows("acme", "Contact")
    assert rewriting.collect(folder, commits, landing.clock.now()) == 0
    assert rewriting.remove_unnamed(folder, lambda: commits) == 15
    assert rewriting.lists(folder) == []


def test_windows_of_earlier_versions_are_merged(landing: Landing) -> None:
    """Commits and manifests without what merging has added are read, and merged like others."""
    for path in landing.root.rglob("*.json"):
        record = files.read_json(path)
        for one in (record, *record.get("batches", ())):
            for name in ("merged", "origins", "rejected_in"):
                one.pop(name, None)
        files.write_json(path, record)
    old = Landing(landing.root, landing.clock)
    before = rows(old)
    assert old.merge("acme", "Contact") == 7
    assert rows(old) == before
    assert scrub(landing.root).corruption == ()
