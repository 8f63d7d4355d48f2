import errno
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from crm_pipeline.kernel.errors import CorruptFile, StoreError
from crm_pipeline.store import files
from crm_pipeline.store.files.blocks import BlockSums
from crm_pipeline.store.tables.published import Snapshots, open_published, recorded_sum, share
from crm_pipeline_tests.rot.flips import flip_bit

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def publish(snapshots: Snapshots, number: int) -> None:
    """Publish two tables that both hold `number`, so that a reader notices a torn state."""
    name = f"crm-{number:08d}.duckdb"
    with (
        snapshots.building(name, snapshots.current()) as path,
        duckdb.connect(str(path)) as database,
    ):
        for table in ("a", "b"):
            database.execute(f"CREATE TABLE {table} AS SELECT {number} AS n FROM range(1000)")


def test_publishes_under_readers(tmp_path: Path):
    """Readers that open the file in a loop see no error and no torn state; `benchmarks/readers.py` has a hundred."""
    snapshots = Snapshots(tmp_path)
    publish(snapshots, 0)
    done = threading.Event()
    problems: list[str] = []
    seen: set[int] = set()

    def read() -> None:
        while not done.is_set():
            try:
                with open_published(tmp_path) as database:
                    low, high, rows = database.execute(
                        "SELECT min(n), max(n), count(*) FROM (FROM a UNION ALL FROM b)"
                    ).fetchall()[0]
                if low != high or rows != 2000:
                    problems.append(f"torn: {low}, {high}, {rows}")
                seen.add(low)
            except Exception as error:  # noqa: BLE001 - whatever a reader meets is a failure
                problems.append(repr(error))
                return

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for number in range(1, 21):
            publish(snapshots, number)
            snapshots.collect(datetime.now(UTC), keep_last=1, keep_days=0)
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert problems == []
    assert len(seen) > 1


def test_a_slower_publisher_of_an_older_release_gives_way(tmp_path: Path):
    """A later release published meanwhile stays, and so do the files that belong to its snapshot."""
    snapshots = Snapshots(tmp_path)
    publish(snapshots, 1)
    touched: list[str] = []
    shown = snapshots.current()
    publish(snapshots, 3)
    with snapshots.building("crm-00000002.duckdb", shown, lambda: touched.append("also")) as path:
        path.touch()
    assert snapshots.current() == snapshots.folder / "crm-00000003.duckdb"
    assert touched == []
    assert not (snapshots.folder / "crm-00000002.duckdb").exists()


def test_an_older_release_can_be_published_again(tmp_path: Path):
    """After older tables are restored, they are published: only a release during the build counts as later."""
    snapshots = Snapshots(tmp_path)
    publish(snapshots, 7)
    publish(snapshots, 4)
    assert snapshots.current() == snapshots.folder / "crm-00000004.duckdb"


def test_where_links_cannot_be_a_copy_is_made(tmp_path: Path, monkeypatch):
    """On a file system without hard links the shared file is a copy with the same bytes."""
    source, path = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"rows")

    def refuse(*args: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse)
        share(source, path)
    assert path.read_bytes() == b"rows"
    assert not path.samefile(source)


def test_the_link_is_relative(tmp_path: Path):
    """The data folder can be moved or mounted elsewhere."""
    snapshots = Snapshots(tmp_path / "data")
    publish(snapshots, 1)
    assert str(snapshots.link.readlink()) == "snapshots/crm-00000001.duckdb"
    (tmp_path / "data").rename(tmp_path / "moved")
    with open_published(tmp_path / "moved") as database:
        assert database.execute("SELECT max(n) FROM a").fetchall() == [(1,)]


def test_the_file_opens_by_its_stable_name(tmp_path: Path):
    """`duckdb data/crm.duckdb` is all that an analyst types."""
    publish(Snapshots(tmp_path), 1)
    with duckdb.connect(str(tmp_path / "crm.duckdb"), read_only=True) as database:
        assert database.execute("SELECT max(n) FROM a").fetchall() == [(1,)]


def test_a_reader_cannot_write(tmp_path: Path):
    """The published database is opened read-only."""
    publish(Snapshots(tmp_path), 1)
    with open_published(tmp_path) as database, pytest.raises(duckdb.Error, match="read-only"):
        database.execute("CREATE TABLE x (y INT)")


def test_a_failed_build_changes_nothing(tmp_path: Path):
    """The current snapshot stays and the half-built one goes."""
    snapshots = Snapshots(tmp_path)
    publish(snapshots, 1)

    def fail() -> None:
        with snapshots.building("crm-00000002.duckdb", snapshots.current()) as path:
            path.write_text("half")
            raise StoreError("the build failed.")

    with pytest.raises(StoreError):
        fail()
    assert [p.name for p in snapshots.folder.glob("*.duckdb")] == ["crm-00000001.duckdb"]
    assert snapshots.current() == snapshots.folder / "crm-00000001.duckdb"


def test_retention_keeps_the_last_few_and_one_a_day(tmp_path: Path):
    """Older snapshots go, except the last of each of the last days and the current one."""
    snapshots = Snapshots(tmp_path)
    ages_h = {1: 24 * 40, 2: 30, 3: 29, 4: 5, 5: 4, 6: 3, 7: 2}
    for number, hours in ages_h.items():
        publish(snapshots, number)
        at = (NOW - timedelta(hours=hours)).timestamp()
        os.utime(snapshots.folder / f"crm-{number:08d}.duckdb", (at, at))
    snapshots.collect(NOW, keep_last=2, keep_days=14)
    kept = {p.name for p in snapshots.folder.iterdir()}
    names = {f"crm-{number:08d}.duckdb" for number in (3, 6, 7)}
    assert kept == names | {f"{name}.json" for name in names}


def test_leftovers_of_killed_publishers_are_collected(tmp_path: Path):
    """A day-old temporary file is abandoned; a fresh one may be in use."""
    snapshots = Snapshots(tmp_path)
    publish(snapshots, 1)
    old, fresh = (snapshots.folder / f".crm-2.duckdb.{n}.tmp" for n in ("old", "fresh"))
    for path in (old, fresh):
        path.write_text("")
    at = (NOW - timedelta(days=2)).timestamp()
    os.utime(old, (at, at))
    os.utime(fresh, (NOW.timestamp(), NOW.timestamp()))
    snapshots.collect(NOW)
    assert (old.exists(), fresh.exists()) == (False, True)


def test_nothing_published_says_what_to_do(tmp_path: Path):
    """Before the first publish the error names the command."""
    with pytest.raises(StoreError, match="crm-pipeline demo"):
        open_published(tmp_path)


def test_a_snapshot_has_its_checksum_beside_it(tmp_path: Path):
    """Any flipped bit is found, also in a part that no query reads; a new file has a new checksum."""
    publish(Snapshots(tmp_path), 1)
    path = Snapshots(tmp_path).current()
    assert path is not None
    assert recorded_sum(path) == BlockSums.of(path)
    for place in (9, path.stat().st_size // 2, path.stat().st_size - 1):
        flip_bit(path, place)
        assert not Snapshots(tmp_path).is_whole(path)
        flip_bit(path, place)
    publish(Snapshots(tmp_path), 1)
    assert Snapshots(tmp_path).is_whole(path)


def test_a_damaged_checksum_makes_its_snapshot_doubtful(tmp_path: Path):
    """A snapshot with a damaged record is published again."""
    publish(Snapshots(tmp_path), 1)
    path = Snapshots(tmp_path).current()
    assert path is not None
    flip_bit(path.with_name(f"{path.name}.json"))
    assert not Snapshots(tmp_path).is_whole(path)


def test_a_snapshot_of_an_earlier_version(tmp_path: Path):
    """Without a checksum a snapshot is valid if it opens."""
    publish(Snapshots(tmp_path), 1)
    path = Snapshots(tmp_path).current()
    assert path is not None
    path.with_name(f"{path.name}.json").unlink()
    assert recorded_sum(path) is None
    assert Snapshots(tmp_path).is_whole(path)
    path.write_bytes(b"no database")
    assert not Snapshots(tmp_path).is_whole(path)


def test_a_checksum_without_a_snapshot_is_collected(tmp_path: Path):
    """The record of a removed snapshot is removed after a killed collection; that of a kept one stays."""
    snapshots = Snapshots(tmp_path)
    publish(snapshots, 1)
    left = snapshots.folder / "crm-00000000.duckdb.json"
    files.write_json(left, {"bytes": 1, "sha256": "0" * 64})
    snapshots.collect(NOW)
    assert not left.exists()
    assert (snapshots.folder / "crm-00000001.duckdb.json").exists()


def test_a_file_whose_head_is_damaged_does_not_open(tmp_path: Path):
    """The error names the link and the command that makes the file again."""
    publish(Snapshots(tmp_path), 1)
    path = Snapshots(tmp_path).current()
    assert path is not None
    flip_bit(path, 4100)
    with pytest.raises(CorruptFile, match=r"crm\.duckdb is damaged") as caught:
        open_published(tmp_path)
    assert "crm-pipeline refresh" in caught.value.cure
