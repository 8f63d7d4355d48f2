"""A full disk is one sentence that names the disk, in every writer, and no half-written file stays."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from crm_pipeline.kernel.errors import DiskFull, StoreError
from crm_pipeline.store import files
from crm_pipeline.store.files.disk import is_full, mentioned, named
from crm_pipeline.store.postgres.server_lock import Use
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.published import Snapshots
from crm_pipeline.store.tokens.state_key import StateKey

SIZE_MB = 6
WIDE = "SELECT i, hash(i)::VARCHAR || hash(i + 1)::VARCHAR AS text FROM range({}) t(i)"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of its own, of a few megabytes."""
    place = tmp_path_factory.mktemp("small")
    size = f"size={SIZE_MB}m"
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", place], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("this user may not mount a small disk")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def publish(disk: Path, rows: int) -> None:
    """Build a snapshot as a publish does."""
    with (
        Engine(disk / "tmp", threads=1) as engine,
        Snapshots(disk).building("crm-1.duckdb", None) as path,
    ):
        engine.run(f"ATTACH '{path}' AS building")
        engine.run("BEGIN")
        engine.run(f"CREATE TABLE building.big AS {WIDE.format(rows)}")
        engine.run("COMMIT")
        engine.run("CHECKPOINT building")
        engine.run("DETACH building")


def spill(disk: Path) -> None:
    with Engine(disk / "tmp", memory_limit="32MB", threads=1) as engine:
        engine.run(f"CREATE TEMP TABLE big AS {WIDE.format(3_000_000)}")


def write_parquet(disk: Path) -> None:
    with (
        Engine(disk.parent / "elsewhere", threads=1) as engine,
        files.replacing(disk / "a.parquet") as path,
    ):
        engine.copy_to(WIDE.format(1_000_000), path)


def write_json(disk: Path) -> None:
    files.write_json(disk / "a.json", {"text": "x" * (SIZE_MB << 20)})


@pytest.mark.parametrize(
    ("work", "ballast_mb"),
    [
        pytest.param(lambda disk: publish(disk, 400_000), 0, id="commit"),
        pytest.param(lambda disk: publish(disk, 10), SIZE_MB, id="attach"),
        pytest.param(spill, 0, id="spill"),
        pytest.param(write_parquet, 0, id="parquet"),
        pytest.param(write_json, 0, id="json"),
    ],
)
def test_a_full_disk_is_named(small: Path, work: Callable[[Path], None], ballast_mb: int) -> None:
    """Publishing, spilling, writing tables and small files: the error names the disk and its free space and quotes
    no statement, and the half-written file is removed."""
    ballast = small / "ballast"
    with ballast.open("wb") as file:
        room = min(ballast_mb << 20, files_free(small))
        file.write(b"\0" * room)
    with pytest.raises(DiskFull) as caught:
        work(small)
    ballast.unlink()
    assert f"the disk at {small} (" in caught.value.cure
    assert f" of {small_mb(small)} MB free)" in caught.value.cure
    for word in ("COMMIT", "statement", "TransactionContext", "\n"):
        assert word not in str(caught.value)
    assert [path for path in small.rglob("*") if path.is_file()] == []


def test_with_room_the_next_publish_ends_well(small: Path) -> None:
    """A publish after one that failed on a full disk succeeds."""
    with pytest.raises(DiskFull):
        publish(small, 400_000)
    assert Snapshots(small).current() is None
    publish(small, 10)
    assert Snapshots(small).current() == small / "snapshots" / "crm-1.duckdb"


def files_free(place: Path) -> int:
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def small_mb(place: Path) -> str:
    found = os.statvfs(place)
    return f"{found.f_blocks * found.f_frsize / 1e6:,.0f}"


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "x"), True),
        (OSError(errno.EDQUOT, "x"), True),
        (OSError(errno.EIO, "x"), False),
        (RuntimeError("IO Error: Could not write: No space left on device"), True),
        (RuntimeError("Disk quota exceeded"), True),
        (StoreError("a table is full of surprises"), False),
    ],
)
def test_what_says_full(error: Exception, full: bool) -> None:
    """The system's codes and texts for a full disk and for a quota are recognised in every library's error."""
    assert is_full(error) is full


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ('IO Error: Could not write file "/d/a.tmp": No space left', Path("/d/a.tmp")),
        (
            '{"exception_message":"Could not write file \\"/d/a b.parquet\\": No',
            Path("/d/a b.parquet"),
        ),
        ('could not extend file "base/16384/16696": No space left', None),
        ("No space left on device", None),
    ],
)
def test_which_file_an_error_names(text: str, file: Path | None) -> None:
    """DuckDB names absolute paths; PostgreSQL's paths are relative to its own folder."""
    assert mentioned(text) == file


def test_a_disk_of_a_path_that_is_not_there(tmp_path: Path) -> None:
    """A disk is named by its mount point, also for a file that could not be made."""
    mount, _, free = named(tmp_path).partition(" (")
    assert named(tmp_path / "no" / "such" / "file").startswith(f"{mount} (")
    assert free.endswith(" MB free)")


def test_whoever_meets_it_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers with an error text of their own for a closed folder distinguish a full disk from it."""

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "open", full)
    settings = SimpleNamespace(data=tmp_path / "data", environ={})
    for work in (lambda: Use(tmp_path), lambda: StateKey.of(settings)):
        with pytest.raises(DiskFull, match="The disk is full"):
            work()
