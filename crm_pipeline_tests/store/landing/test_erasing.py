"""A person leaves landing whatever was merged, before or after, and wherever a process dies."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crm_pipeline.erasure.needles import Needles
from crm_pipeline.erasure.search import search
from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.kernel.failpoint import watching
from crm_pipeline.store import files
from crm_pipeline.store.erasing import Erased, RecordKey, Subject
from crm_pipeline.store.files import atomic
from crm_pipeline.store.landing import Landing, compaction, rewriting
from crm_pipeline.store.landing.erasing import LandingStore
from crm_pipeline.store.landing.outstanding import outstanding
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.scrub import scrub
from crm_pipeline_tests.store.landing.test_landing import SCHEMA, batch_of, hours, write

EMAIL, WORD = "quilla@canary-of-landing.example", "sassafrasbusch"
CANARIES = Needles([("address", EMAIL), ("word", WORD)])
SUBJECT = Subject(frozenset({RecordKey("acme", "Contact", "person")}), frozenset({EMAIL}))
BROKEN = (
    Reject("no date", f'{{"Id": "person", "x": "{WORD}'.encode(), "person"),
    Reject("no date", f'{{"Id": "other", "x": "ask {EMAIL}'.encode(), "other"),
    Reject("no date", b"of nobody", "nobody"),
)


class Killed(BaseException):
    pass


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Landing:
    """Ten windows: of the person alone, of others who mention the person, of neither; all may be merged."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(compaction, "is_worthwhile", lambda _: False)
    monkeypatch.setattr(compaction, "KEPT", 2)
    monkeypatch.setattr(compaction, "FEWEST", 2)
    made = Landing(tmp_path / "data", FrozenClock(hours(100)))
    for number in range(10):
        refresh(made, number)
    return made


def refresh(landing: Landing, number: int) -> None:
    assert isinstance(landing.clock, FrozenClock)
    landing.clock.advance(3600)
    window = Window(hours(number - 0.5) if number else None, hours(number + 1))
    notes = {"last": f"<{EMAIL}>" if number == 3 else "none"}
    with landing.begin("acme", "Contact", window, SCHEMA) as writer:
        who, value = (("person", WORD), ("other", f"ask {EMAIL}"), ("nobody", "-"))[number % 3]
        batch = batch_of(who, at=hours(number), value=value)
        # Batches of the person alone are merged with each other.
        route = "rest" if who == "person" else "bulk"
        writer.write([batch], shape="csv", route=route, extracted_at=hours(number))
        if number % 4 == 0:
            write(writer, "person", "nobody", at=hours(number), value=f"{EMAIL} {number % 2}")
        if number in {5, 7}:
            writer.quarantine([BROKEN[0]] if number == 7 else BROKEN)
        writer.commit(Counts(route="bulk", notes=notes))


def erase(landing: Landing, *, apply: bool = True) -> Erased:
    return LandingStore(landing.root, landing.clock).erase(SUBJECT, apply=apply)


def rows(landing: Landing) -> list[dict[str, Any]]:
    batches = landing.batches("acme", "Contact")
    landing.check(batches)
    read = [row for batch in batches for row in pq.read_table(batch.path).to_pylist()]
    return sorted(read, key=lambda row: (row["_modified_at"], row["_source_id"], row["_batch_id"]))


def totals(landing: Landing) -> list[int]:
    """Return what the commits count: in all, of that erased, quarantined."""
    commits = landing.windows("acme", "Contact")
    return [
        sum(c.records + c.quarantined + c.erased for c in commits),
        sum(c.erased for c in commits),
        sum(c.quarantined for c in commits),
    ]


def assert_whole(landing: Landing) -> None:
    """Every number is that of the files, and nothing on the disk is unnamed."""
    assert_counted(landing)
    assert scrub(landing.root).corruption == ()
    folder = landing.folder("acme", "Contact")
    named = {batch.path.stem for batch in landing.batches("acme", "Contact")}
    assert {path.stem for path in folder.glob("????-??/*")} == named
    kept = {path.suffix for path in (folder / "windows").iterdir() if path.name != ".merging"}
    assert kept <= {".json", ".origins"}


def assert_counted(landing: Landing) -> None:
    """Every number that is told, of merged commits as well, is that of the files."""
    held = Counter(row["_batch_id"] for row in rows(landing))
    for commit in landing.windows("acme", "Contact"):
        merged = [one for one, _ in landing.merged_commits("acme", "Contact", commit)]
        for one in merged or [commit]:
            assert one.records == sum(batch.records for batch in one.batches)
            for batch in one.batches if merged or not commit.supersedes else ():
                assert batch.records == held[batch.batch_id]
        if merged:
            facts = landing.merged_facts("acme", "Contact", commit).to_pylist()
            assert all(fact["records"] == held[fact["batch_id"]] for fact in facts)
            for name in ("records", "erased", "quarantined", "unnamed"):
                assert getattr(commit, name) == sum(getattr(one, name) for one in merged)


@pytest.mark.parametrize("order", ["me", "em", "mreme", "ermre"])
def test_a_person_leaves_merged_windows(landing: Landing, order: str) -> None:
    """Erased before a merge (m), after it, between reads (r): the rows, counts and what is missing are the same.

    What a merge has replaced goes with the erasure and not a day later.
    """
    assert search(landing.root, CANARIES).found
    whole, _, _ = totals(landing)
    reads = iter(range(10, 30))
    for step in order:
        if step == "m":
            assert landing.merge("acme", "Contact") > 1
            assert_counted(landing)
        elif step == "r":
            for _ in range(4):
                refresh(landing, next(reads))
        else:
            planned = erase(landing, apply=False)
            assert erase(landing) == planned
            assert search(landing.root, CANARIES).found == {}
            assert_whole(landing)
    assert isinstance(landing.clock, FrozenClock)
    landing.clock.advance(2 * 86_400)
    landing.merge("acme", "Contact")
    erase(landing)
    assert_whole(landing)
    assert search(landing.root, CANARIES).found == {}
    assert {row["_source_id"] for row in rows(landing)} == {"other", "nobody"}
    more = next(reads) - 10
    expected = whole + more + sum(2 for number in range(10, 10 + more) if number % 4 == 0)
    in_all, erased, quarantined = totals(landing)
    assert (in_all, quarantined) == (expected, 2)
    assert erased == in_all - quarantined - len(rows(landing))
    left = outstanding(landing, "acme", "Contact")
    assert left.records == 0
    assert len([r for w in landing.windows("acme", "Contact") for r in landing.rejects(w)]) == 2


@contextmanager
def leaving_temporary_files() -> Iterator[None]:
    """Let errors remove no temporary file, as a killed process removes none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "discard", lambda *_: None)
        yield


def kills(landing: Landing, act: Callable[[Landing], object]) -> Iterator[tuple[str, Landing]]:
    """Yield a copy of landing in which an act was killed, for each of its points in turn at the first or the last time."""
    points: list[str] = []
    copy = landing.root.parent / "copy"
    shutil.copytree(landing.root, copy)
    with watching(points.append):
        act(Landing(copy, landing.clock))
    last = {name: number for number, name in enumerate(points)}
    for number, point in enumerate(last):
        step = last[point] if number % 2 else points.index(point)
        shutil.rmtree(copy)
        shutil.copytree(landing.root, copy)
        left = iter(range(step))

        def watch(_: str, left: Any = left) -> None:
            if next(left, None) is None:
                raise Killed

        with leaving_temporary_files(), watching(watch), pytest.raises(Killed):
            act(Landing(copy, landing.clock))
        yield points[step], Landing(copy, landing.clock)


def test_killed_at_any_step(landing: Landing) -> None:
    """After a kill at any step all that counts can be read, and the next erasure leaves nothing."""
    landing.merge("acme", "Contact")
    refresh(landing, 10)
    [commit] = [c for c in landing.windows("acme", "Contact") if c.origins]
    copy = landing.folder("acme", "Contact") / "reread" / "1" / "copy.parquet"
    copy.parent.mkdir(parents=True)
    shutil.copyfile(commit.batches[0].path, copy)
    seen = set()
    for point, killed in kills(landing, erase):
        seen.add(point)
        places = killed.places("acme", "Contact", killed.windows("acme", "Contact"))
        assert {row["_batch_id"] for row in rows(killed)} <= {place.batch_id for place in places}
        assert [c for c in scrub(killed.root).corruption if c.is_used] == []
        erase(killed)
        assert search(killed.root, CANARIES).found == {}, point
        assert_whole(killed)
        assert totals(killed)[1] > 0
    kinds = ("replaced", "batch", "batch_manifest", "origins", "commit", "rejects")
    steps = ("begin", "written", "named")
    assert seen >= {f"{kind}.{step}" for kind in kinds for step in steps}


def test_what_dead_merges_left_goes_as_well(landing: Landing) -> None:
    """An erasure behind a merge that was killed at any step, with a damaged list, leaves nothing."""
    for _, killed in kills(landing, lambda one: one.merge("acme", "Contact")):
        for path in killed.root.rglob("*.replaced"):
            path.write_bytes(b"{")
        erase(killed)
        assert search(killed.root, CANARIES).found == {}
        assert_whole(killed)


def test_the_files_of_a_living_writer_stay(landing: Landing) -> None:
    """What is being written is nobody's to remove: neither with its marker nor after its commit."""
    folder = landing.folder("acme", "Contact")
    with landing.begin("acme", "Contact", Window(hours(10), hours(11)), SCHEMA) as writer:
        write(writer, "nobody", at=hours(10))
        before = set(folder.glob("????-??/*"))
        rewriting.remove_unnamed(folder, lambda: landing.windows("acme", "Contact"))
        assert set(folder.glob("????-??/*")) == before
        writer.commit(Counts())
    assert files.read_json(folder / "windows" / f"{writer.window_id}.json")
