from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crm_pipeline.kernel.clock import FrozenClock, Window, gap_free_edge
from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store import files
from crm_pipeline.store.landing import Landing, compaction
from crm_pipeline.store.landing.manifest import (
    Manifest,
    Missed,
    WindowCommit,
    commit_from,
    commit_record,
)
from crm_pipeline.store.landing.watermark import edge_of
from crm_pipeline.store.landing.window import Counts

ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = Schema("Contact", "Contact", (Field("Id", "ID", "id"),))


def hours(number: float) -> datetime:
    return ORIGIN + timedelta(hours=number)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merge all that may be merged, however few commits there are."""
    monkeypatch.setattr(compaction, "KEPT", 2)
    monkeypatch.setattr(compaction, "FEWEST", 2)


def refresh(landing: Landing, number: int, **counts: Any) -> str:
    """Commit an hour in which nothing changed, with a look-back of ten minutes."""
    # Never before the end of the window, which would not be believed.
    assert isinstance(landing.clock, FrozenClock)
    landing.clock.advance(max(3600, (hours(number + 1) - landing.clock.now()).total_seconds()))
    window = Window(hours(number - 1 / 6) if number else None, hours(number + 1))
    with landing.begin("acme", "Contact", window, SCHEMA) as writer:
        writer.commit(Counts(**{"vendor_count": 0, "calls": 3, **counts}))
    return writer.window_id


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path, FrozenClock(ORIGIN))


def commit(number: int, start: int | None, length: int, fields: str, special: str) -> WindowCommit:
    return WindowCommit(
        window_id=f"w{number:03d}",
        kind="point" if special == "point" else "window",
        connection="acme",
        object="Contact",
        window=Window(None if start is None else hours(start), hours((start or 0) + length)),
        batches=(_batch(number, start or 0, length),) if special == "batches" else (),
        records=7 if special == "batches" else 0,
        known=4,
        quarantined=1 if special == "quarantined" else 0,
        vendor_count=9
        if special == "differs"
        else 4 + 7 * (special == "batches") + (special == "quarantined"),
        vendor_count_before=8 if special == "differs" else None,
        calls=number + 1,
        route="rest",
        reason="",
        complete=special == "complete",
        schema_fingerprint=fields,
        committed_at=hours(number + 20),
        planned_cost=number + 2,
    )


def _batch(number: int, start: int, length: int) -> Manifest:
    return Manifest(
        batch_id=f"w{number:03d}-00001",
        window_id=f"w{number:03d}",
        kind="window",
        connection="acme",
        object="Contact",
        route="rest",
        shape="csv",
        window=Window(hours(start), hours(start + length)),
        records=7,
        bytes=10,
        sha256="",
        vendor_count=None,
        calls=1,
        schema_fingerprint="a",
        extractor="",
        started_at=hours(number + 19),
        finished_at=hours(number + 20),
        sequence=1,
        month="2026-01",
        path=Path("x.parquet"),
    )


def merged(commits: list[WindowCommit]) -> list[WindowCommit]:
    """Return merged commits, without their batches."""
    return [merge.commit() for merge in compaction.merges(commits)]


drawn = st.lists(
    st.tuples(
        st.none() | st.integers(0, 12),
        st.integers(0, 3),
        st.sampled_from("aaab"),
        st.sampled_from(["", "", "", "", "batches", "complete", "quarantined", "point", "differs"]),
    ),
    max_size=14,
)


def covered(commits: list[WindowCommit]) -> set[int]:
    """Return the hours that windows cover, -1 for all before."""
    hours: set[int] = set()
    for commit in commits:
        if commit.kind == "window":
            start = commit.window.from_at
            first = -1 if start is None else int((start - ORIGIN).total_seconds() // 3600)
            hours |= set(range(first, int((commit.window.to_at - ORIGIN).total_seconds() // 3600)))
    return hours


def field_changes(commits: list[WindowCommit]) -> list[tuple[str, datetime]]:
    found: list[tuple[str, datetime]] = []
    for one in commits:
        if one.is_point:  # single records do not say which fields the object has
            continue
        if not found or found[-1][0] != one.schema_fingerprint:
            found.append((one.schema_fingerprint, one.committed_at))
    return found


@given(drawn)
def test_merging_changes_no_answer(eager: None, plan: list[tuple]) -> None:
    """Watermark, covered time, records, calls, plans, reads and changes of fields are as before.

    Commits that differ from the vendor's count stay, and with files of both (a crash before the old
    ones went) readers see the same. Single records are merged among themselves, and still cover no time.
    """
    old = [commit(number, *one) for number, one in enumerate(plan)]
    made = merged(old)
    order = lambda one: (one.committed_at, one.window_id)  # noqa: E731
    new = compaction.current(sorted([*old, *made], key=order))
    assert len(new) == len(old) + len(made) - sum(len(one.supersedes) for one in made)
    assert gap_free_edge(c.window for c in new if c.kind == "window") == gap_free_edge(
        c.window for c in old if c.kind == "window"
    )
    assert covered(new) == covered(old)
    assert sum(one.calls for one in new) == sum(one.calls for one in old)
    assert sum(one.planned_cost for one in new) == sum(one.planned_cost for one in old)
    assert sum(one.reads for one in new) == len(old)
    assert field_changes(new) == field_changes(old)
    for is_point in (False, True):
        last = [one.window_id for one in old if one.is_point is is_point][-2:]
        assert [one.window_id for one in new if one.is_point is is_point][-2:] == last
    assert {one.window.from_at == one.window.to_at for one in made if one.is_point} <= {True}
    kinds = {one.window_id: one.kind for one in old}
    assert all({kinds[name] for name in one.supersedes} == {one.kind} for one in made)
    assert sum(one.records for one in new) == sum(one.records for one in old)
    assert sum(one.known for one in new) == sum(one.known for one in old)
    assert [one.differs_by for one in made if one.differs_by] == []
    set_aside = {one.window_id for one in old if one.quarantined}
    assert {name for one in new if one.quarantined for name in one.rejected_ids} == set_aside
    kept = {id(one) for one in new}
    # And whole reads since the last proof; see the test of that.
    assert all(id(o) in kept for o, (*_, kind) in zip(old, plan, strict=True) if kind == "differs")


clocks = st.lists(
    st.tuples(
        st.none() | st.integers(0, 9),
        st.integers(0, 9),
        st.none() | st.integers(0, 12),
        st.sampled_from(["", "", "", "complete"]),
    ),
    max_size=14,
)


_NOTHING: tuple[None, int, None, str] = (None, 0, None, "")


@given(clocks)
# A window that ends after it was read, among those that do not; and one that a later present sets back.
@example(plan=[_NOTHING, (None, 2, None, ""), *[_NOTHING] * 3])
@example(plan=[(None, 1, 0, ""), (None, 0, 0, ""), *[_NOTHING] * 3])
def test_merging_believes_no_window_further(eager: None, plan: list[tuple]) -> None:
    """With ends in the future, and presents that set them back, the watermark is the same before and after."""
    old = [
        replace(
            commit(number, start, length, "a", special),
            committed_at=hours(number),
            present=None if present is None else hours(present),
        )
        for number, (start, length, present, special) in enumerate(plan)
    ]
    # Who notes a present goes on to do so.
    first = next((n for n, one in enumerate(old) if one.present), len(old))
    old = [*old[:first], *(replace(o, present=o.present or hours(12)) for o in old[first:])]
    made = merged(old)
    new = compaction.current(sorted([*old, *made], key=lambda c: (c.committed_at, c.window_id)))
    assert edge_of(new).at == edge_of(old).at


def test_years_of_unchanged_refreshes_stay_few_files(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many refreshes found nothing, the number of commits is bounded, and one of them has the past."""
    monkeypatch.setattr(compaction, "KEPT", 5)
    monkeypatch.setattr(compaction, "FEWEST", 5)
    for number in range(40):
        refresh(landing, number)
        assert len(compaction.commit_names(landing.folder("acme", "Contact"))) <= 16
        assert landing.watermark("acme", "Contact") == hours(number + 1)
    read = Landing(landing.root).windows("acme", "Contact")
    assert read == landing.windows("acme", "Contact")
    assert sum(one.reads for one in read) == 40
    assert sum(one.calls for one in read) == 120


def test_merged_with_one_whose_plan_is_not_known(eager: None) -> None:
    """A sum with a missing part is unknown."""
    old = [replace(commit(n, n, 1, "a", ""), planned_cost=None if n == 1 else 5) for n in range(9)]
    assert {one.planned_cost for one in merged(old)} == {None}


def test_what_nights_have_found_is_added_up(eager: None) -> None:
    """Merged commits say it as well, and which month was done last; None where no night is among them."""
    nights = {1: Missed(new=1, month="2026-01"), 3: Missed(changed=2, unstamped=1)}
    old = [replace(commit(n, n, 1, "a", ""), missed=nights.get(n)) for n in range(9)]
    assert [one.missed for one in merged(old)] == [Missed(1, 2, 0, 1, "2026-01")]
    assert commit_from(commit_record(old[1]), Path()) == old[1]
    assert {one.missed for one in merged([commit(n, n, 1, "a", "") for n in range(9)])} == {None}


def test_what_was_noted_last_stays(eager: None, landing: Landing) -> None:
    """A connector finds its notes of the last window, whatever was merged before it."""
    assert landing.notes("acme", "Contact") == {}
    for number in range(8):
        refresh(landing, number, notes={"pages": number, "until": None})
        assert landing.notes("acme", "Contact")["pages"] == number
    assert Landing(landing.root).notes("acme", "Contact") == {"pages": 7, "until": None}


class Killed(BaseException):
    pass


@pytest.fixture
def killed_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Die at the n-th step that changes the disk; counts down in the one item."""
    left = [10**6]

    def dying(function):
        def step(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return function(*args, **kwargs)

        return step

    monkeypatch.setattr(Path, "unlink", dying(Path.unlink))
    for name in ("sync_file", "sync_folder"):
        one = dying(getattr(files, name))
        monkeypatch.setattr(files, name, one)
        monkeypatch.setattr(f"crm_pipeline.store.files.atomic.{name}", one)
    return left


def test_killed_anywhere(eager: None, landing: Landing, killed_at: list[int]) -> None:
    """After a kill at any step readers see the same as before, and the next merge leaves no files behind."""
    for number in range(9):
        refresh(landing, number)
    folder = landing.folder("acme", "Contact")
    for step in range(100):
        before = landing.windows("acme", "Contact")
        facts = (landing.watermark("acme", "Contact"), sum(c.calls for c in before))
        killed_at[0] = step
        try:
            landing.merge("acme", "Contact")
        except Killed:
            pass
        else:
            break
        finally:
            killed_at[0] = 10**6
        read = Landing(landing.root, landing.clock)
        calls = sum(one.calls for one in read.windows("acme", "Contact"))
        assert (read.watermark("acme", "Contact"), calls) == facts
        read.merge("acme", "Contact")
        left = {f"{one.window_id}.json" for one in read.windows("acme", "Contact")}
        assert compaction.commit_names(folder) == left
        for number in range(len(left) + step, len(left) + step + 6):
            refresh(read, number + 9)
        landing = read
    else:
        pytest.fail("a merge of a few files has a hundred steps?")
    assert step > 3


def test_readers_while_merging(
    landing: Landing, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader whose listing a merge has overtaken or torn lists again."""
    for number in range(8):
        refresh(landing, number)
    request.getfixturevalue("eager")
    whole = compaction.commit_names(landing.folder("acme", "Contact"))
    listed = compaction.commit_names
    overtaken = Landing(landing.root)
    assert Landing(landing.root, landing.clock).merge("acme", "Contact") > 2
    listings = [whole, whole & listed(landing.folder("acme", "Contact"))]
    monkeypatch.setattr(
        compaction, "commit_names", lambda folder: listings.pop(0) if listings else listed(folder)
    )
    assert overtaken.watermark("acme", "Contact") == hours(8)
    assert listings == []


def test_one_at_a_time(landing: Landing, request: pytest.FixtureRequest) -> None:
    """While another process merges, nothing is done."""
    for number in range(6):
        refresh(landing, number)
    request.getfixturevalue("eager")
    with compaction.merge_lock(landing.folder("acme", "Contact")) as is_locked:
        assert is_locked
        assert landing.merge("acme", "Contact") == 0
    assert landing.merge("acme", "Contact") > 1


def test_a_full_disk(
    landing: Landing, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A merge that cannot write says so and leaves every commit."""
    for number in range(8):
        refresh(landing, number)
    request.getfixturevalue("eager")
    before = landing.windows("acme", "Contact")

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crm_pipeline.store.files.atomic.sync_file", full)
    with pytest.raises(StoreError, match="No space left"):
        landing.merge("acme", "Contact")
    assert landing.windows("acme", "Contact") == before
