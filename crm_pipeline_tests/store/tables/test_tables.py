# ruff: noqa: PT012 - what must fail is a block of several steps
import errno
import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.kernel.errors import CommitConflict, CorruptFile, StoreError
from crm_pipeline.store import files
from crm_pipeline.store.tables import Release, Staged, Tables, TableVersion

DUCKDB = duckdb.connect(config={"threads": 1})
NAME = "normalized/acme/contacts"
Rows = Mapping[int, str]
ROWS = st.dictionaries(st.integers(0, 9), st.sampled_from("abc"), max_size=8)


def write(staged: Staged, part: Any, rows: Rows, **more: list[Any]) -> None:
    columns = {"k": pa.array(rows, pa.int64()), "v": pa.array(rows.values(), pa.string()), **more}
    pq.write_table(pa.table(columns), staged.path(part))


def commit(tables: Tables, rows: Rows, name: str = NAME) -> Release:
    parent = tables.version(name)
    with tables.stage(name, ("k",)) as staged:
        write(staged, "base", rows)
        return staged.commit(parent, len(rows), {"from": parent.version if parent else None})


def rows_of(version: TableVersion | None) -> dict[int, str]:
    assert version is not None
    found = DUCKDB.sql(f"SELECT k, v FROM {Tables.relation(version)}").fetchall()
    assert len(found) == len(dict(found))
    return dict(found)


def test_at_first_there_is_nothing(tables: Tables) -> None:
    """An empty folder is release 0 with no tables; nothing is created by looking."""
    assert tables.current() == Release(0, {}, None)
    assert tables.version(NAME) is None
    assert tables.names() == []
    assert not tables.root.exists()


def test_a_version_is_read_back_as_it_was_committed(tables: Tables) -> None:
    """All arguments of the commit are read back with the version."""
    release = commit(tables, {1: "a"})
    version = tables.version(NAME)
    assert version is not None
    assert release == tables.current()
    assert release.tables == {NAME: version.version}
    assert (version.name, version.parent, version.rows, version.key) == (NAME, None, 1, ("k",))
    assert version.meta == {"from": None}
    assert version.committed_at.tzinfo is not None
    assert rows_of(version) == {1: "a"}


def test_readers_of_a_release_are_not_disturbed(tables: Tables) -> None:
    """A reader with a release reads its versions, also after newer ones were committed."""
    held = commit(tables, {1: "a"})
    commit(tables, {2: "b"})
    assert rows_of(tables.version(NAME, held)) == {1: "a"}
    assert rows_of(tables.version(NAME)) == {2: "b"}
    assert tables.release(1) == held


def test_a_commit_leaves_other_tables_alone(tables: Tables) -> None:
    """A release differs from the one before by one table only."""
    commit(tables, {1: "a"}, "normalized/acme/contacts")
    before = tables.current().tables
    commit(tables, {2: "b"}, "normalized/other/contacts")
    assert {**tables.current().tables, "normalized/other/contacts": ""} == {
        **before,
        "normalized/other/contacts": "",
    }
    assert tables.names("normalized/acme/") == ["normalized/acme/contacts"]
    assert len(tables.names()) == 2


def test_the_second_of_two_with_one_parent_loses(tables: Tables) -> None:
    """A commit on a parent that is no longer current is refused; its files go, the winner's stay."""
    commit(tables, {1: "a"})
    parent = tables.version(NAME)
    with tables.stage(NAME, ("k",)) as first, pytest.raises(CommitConflict):
        write(first, "base", {1: "first"})
        with tables.stage(NAME, ("k",)) as second:
            write(second, "base", {1: "second"})
            first.commit(parent, 1)
            second.commit(parent, 1)
    assert rows_of(tables.version(NAME)) == {1: "first"}
    assert first.folder.exists()
    assert not second.folder.exists()
    assert tables.current().number == 2


def test_a_first_commit_needs_a_table_that_is_not_there(tables: Tables) -> None:
    """Of two first commits of a table one wins."""
    commit(tables, {1: "a"})
    with tables.stage(NAME) as staged, pytest.raises(CommitConflict, match="another run"):
        write(staged, "base", {2: "b"})
        staged.commit(None, 1)


def test_leaving_without_commit_leaves_nothing(tables: Tables) -> None:
    """A version that was staged and not committed is removed, with or without an error."""
    with tables.stage(NAME) as staged:
        write(staged, "base", {1: "a"})
    assert not staged.folder.exists()
    with pytest.raises(ZeroDivisionError), tables.stage(NAME) as staged:
        write(staged, "base", {1: "a"})
        raise ZeroDivisionError
    assert not staged.folder.exists()
    assert tables.current().number == 0


def test_a_staged_file_must_be_written(tables: Tables) -> None:
    """A staged path that was not written is an error before anything is committed."""
    with pytest.raises(StoreError, match="never written"), tables.stage(NAME) as staged:
        staged.path("base")
        staged.commit(None, 0)
    assert tables.current().number == 0


def test_an_error_behind_the_commit_keeps_the_version(tables: Tables) -> None:
    """A committed version stays, whatever happens before the block is left."""
    with pytest.raises(ZeroDivisionError), tables.stage(NAME) as staged:
        write(staged, "base", {1: "a"})
        staged.commit(None, 1)
        raise ZeroDivisionError
    assert rows_of(tables.version(NAME)) == {1: "a"}


@pytest.mark.parametrize("call", range(1, 9))
def test_a_disk_that_fills_up_anywhere_in_a_commit(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Whichever flush of a commit fails, the current release never names files that are gone."""
    commit(tables, {1: "a"})
    parent = tables.version(NAME)
    sync, calls = os.fsync, iter(range(1, 100))

    def failing(handle: int) -> None:
        if next(calls) >= call:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    with tables.stage(NAME, ("k",)) as staged:
        write(staged, "base", {2: "b"})
        monkeypatch.setattr(os, "fsync", failing)
        try:
            staged.commit(parent, 1)
        except StoreError as error:
            assert "disk is full" in error.cure  # noqa: PT017 - it may also succeed
        finally:
            monkeypatch.setattr(os, "fsync", sync)
    is_new = tables.current().number == 2
    assert rows_of(tables.version(NAME)) == ({2: "b"} if is_new else {1: "a"})
    assert staged.folder.exists() == is_new
    commit(tables, {3: "c"})
    assert rows_of(tables.version(NAME)) == {3: "c"}


def test_an_interrupted_commit_keeps_what_a_release_names(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between the release and the pointer does not remove the files of the release."""

    def interrupt(path: Path, value: object, what: str) -> None:
        if path.name == "release.json":
            raise KeyboardInterrupt
        write_json(path, value, what)  # type: ignore[arg-type]

    write_json = files.write_json
    monkeypatch.setattr(files, "write_json", interrupt)
    with pytest.raises(KeyboardInterrupt):
        commit(tables, {1: "a"})
    monkeypatch.undo()
    assert rows_of(tables.version(NAME)) == {1: "a"}


def test_a_pointer_that_is_behind_or_lost(tables: Tables) -> None:
    """Readers find the latest release with an old pointer and with none, also after old releases were removed."""
    commit(tables, {1: "a"})
    pointer = tables.root / "release.json"
    old = pointer.read_text()
    for number in range(2, 5):
        commit(tables, {number: "x"})
    pointer.write_text(old)
    assert tables.current().number == 4
    pointer.unlink()
    assert tables.current().number == 4
    (tables.root / "releases" / "1.json").unlink()
    assert tables.current().number == 4
    with pytest.raises(StoreError, match="no release 1"):
        tables.release(1)


@pytest.mark.parametrize("damage", ["gone", "empty", "partial"])
def test_a_version_that_cannot_be_read_is_an_error(tables: Tables, damage: str) -> None:
    """A named version whose record is damaged is CorruptFile, never "no such table"."""
    commit(tables, {1: "a"})
    path = tables.folder(NAME) / tables.current().tables[NAME] / "version.json"
    if damage == "gone":
        path.unlink()
    else:
        path.write_text("" if damage == "empty" else "{}")
    with pytest.raises(CorruptFile):
        tables.version(NAME)


def test_files_that_are_not_ours_beside_the_releases(tables: Tables) -> None:
    """Foreign files are ignored and stay."""
    tables.releases.mkdir(parents=True)
    others = [
        tables.releases / name for name in ("notes.json", "7 (copy).json", "08.json", "².json")
    ]
    for path in others:
        path.write_text("{}")
    assert tables.current().number == 0
    tables.collect(datetime.now(UTC))
    assert all(path.exists() for path in others)


def test_old_versions_are_collected(tables: Tables) -> None:
    """Versions that were current within the last day stay; those replaced before are removed, and so are releases."""
    releases = [commit(tables, {number: "a"}) for number in range(4)]
    commit(tables, {1: "b"}, "normalized/acme/deals")
    torn = tables.folder(NAME).parent / "never" / "0123456789abcdef0123456789"
    torn.mkdir(parents=True)
    leftover = tables.root / "releases" / ".6.json.0a1b2c3d.tmp"
    leftover.write_text("{")
    with tables.stage(NAME, ("k",)) as staged:
        write(staged, "base", {9: "z"})
        now = datetime.now(UTC)
        assert tables.collect(now + timedelta(hours=23)) == []
        gone = tables.collect(now + timedelta(days=2))
        assert {path.name for path in gone} == {
            *(release.tables[NAME] for release in releases[:3]),
            *(f"{number}.json" for number in range(1, 5)),
            staged.version,
            torn.name,
            leftover.name,
        }
    assert tables.collect(now + timedelta(days=2)) == []
    assert tables.current().number == 5
    assert commit(tables, {7: "n"}, "normalized/acme/users").number == 6
    assert rows_of(tables.version(NAME)) == {3: "a"}
    assert rows_of(tables.version("normalized/acme/deals")) == {1: "b"}
    assert rows_of(tables.version(NAME, releases[-1])) == {3: "a"}


def test_table_names_stay_below_the_tables(tables: Tables) -> None:
    """No part of a table's name leads out of the folder."""
    folder = tables.folder("normalized/../../etc//x")
    assert folder.is_relative_to(tables.root)
    assert ".." not in folder.parts
    assert tables.folder("a//b") != tables.folder("a/b")


@settings(max_examples=40)
@given(st.lists(ROWS, min_size=1, max_size=2), st.data())
def test_a_relation_is_base_less_tombstones_with_deltas(
    tmp_path_factory: pytest.TempPathFactory, bases: list[Rows], data: st.DataObject
) -> None:
    """The SQL of a version yields what a dictionary does: delete the tombstones, then update."""
    taken: set[int] = set()
    oracle: dict[int, str] = {}
    folder = tmp_path_factory.mktemp("t")
    with Tables(folder).stage("t", ("k",)) as staged:
        for rows in bases:
            fresh = {k: v for k, v in rows.items() if k not in oracle}
            oracle |= fresh
            write(staged, "base", fresh)
        gone = data.draw(st.none() | ROWS)
        if gone is not None:
            write(staged, "tombstones", gone)
            for key in gone:
                oracle.pop(key, None)
        for rows in data.draw(st.lists(ROWS, max_size=2)):
            fresh = {k: v for k, v in rows.items() if k not in taken}
            taken |= set(fresh)
            oracle |= fresh
            # A delta may bring a column that the base has not.
            write(staged, "delta", fresh, extra=pa.array([1] * len(fresh), pa.int64()))
        staged.commit(None, len(oracle))
        assert rows_of(Tables(folder).version("t")) == oracle
    shutil.rmtree(folder)


def test_a_key_may_have_several_columns_and_odd_names(tables: Tables) -> None:
    """Keys of two columns, with quotes in their names, replace rows only where all are equal."""
    with tables.stage("t", ('a"b', "c d")) as staged:
        for part, rows in {"base": [(1, 1, "x"), (1, 2, "y")], "delta": [(1, 2, "z")]}.items():
            columns = list(zip(*rows, strict=True))
            pq.write_table(
                pa.table({'a"b': columns[0], "c d": columns[1], "v": columns[2]}),
                staged.path(part),  # type: ignore[arg-type]
            )
        staged.commit(None, 2)
    version = tables.version("t")
    assert version is not None
    found = DUCKDB.sql(f"SELECT v FROM {Tables.relation(version)} ORDER BY v").fetchall()
    assert found == [("x",), ("z",)]


@pytest.mark.parametrize(
    ("key", "parts", "words"),
    [((), ("base", "delta"), "no key"), (("k",), ("delta",), "no base"), ((), (), "no base")],
)
def test_a_version_that_makes_no_sense(key: tuple[str, ...], parts: Any, words: str) -> None:
    """Deltas without key and versions without base are errors in words, not in SQL."""
    path = (Path("/x.parquet"),)
    given = {part: path if part in parts else () for part in ("base", "delta", "tombstones")}
    version = TableVersion("t", "1", None, key, 0, meta={}, committed_at=datetime.now(UTC), **given)
    with pytest.raises(CorruptFile, match=words):
        Tables.relation(version)


def test_a_pinned_release_outlives_its_time(tables: Tables) -> None:
    """The release that analysts see keeps its versions, however old it is."""
    for rows in ({1: "a"}, {1: "b"}, {1: "c"}):
        commit(tables, rows)
    later = datetime.now(UTC) + timedelta(days=9)
    tables.collect(later, pinned=[1])
    pinned = tables.version(NAME, tables.release(1))
    assert rows_of(pinned) == {1: "a"}
    with pytest.raises(StoreError):
        tables.release(2)
