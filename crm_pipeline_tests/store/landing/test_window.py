# ruff: noqa: PT012 - what must fail is a block of several steps
import errno
import json
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.kernel.errors import ConnectionLost, StoreError
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store import files
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.records import KEY_COLUMNS, STATE_COLUMNS, TIMESTAMP
from crm_pipeline.store.landing.recovery import is_being_written
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.window import Counts, WindowWriter

ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = Schema("Contact", "Contact", (Field("Id", "ID", "id"), Field("Name", "Name", "string")))
ODD = ["01234", "NA", "NULL", "null", "nan", "1e5", "1234567890123456789", 'a\n"b"', "😀", "", "\0"]


def batch_of(values: list[str], at: datetime | None = ORIGIN) -> pa.RecordBatch:
    count = len(values)
    return pa.RecordBatch.from_arrays(
        [
            pa.array([str(n) for n in range(count)], pa.string()),
            pa.array([at] * count, TIMESTAMP),
            pa.array([False] * count, pa.bool_()),
            pa.array(values, pa.string()),
        ],
        names=[*KEY_COLUMNS, "Name"],
    )


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path, FrozenClock("2026-06-01T00:00Z"))


@pytest.fixture
def writer(landing: Landing) -> Iterator[WindowWriter]:
    with begin(landing) as writer:
        yield writer


def begin(landing: Landing, to_at: datetime = ORIGIN) -> WindowWriter:
    return landing.begin("acme", "Contact", Window(None, to_at), SCHEMA)


def page_manifest(writer: WindowWriter, batches: Any, **options: Any) -> Any:
    return page(writer, batches, **options).manifest


def page(writer: WindowWriter, batches: Any, **options: Any) -> Any:
    given = {"shape": "csv", "route": "bulk", "extracted_at": ORIGIN, **options}
    return writer.write(batches, **given)


def test_odd_values_survive(writer: WindowWriter) -> None:
    """Leading zeros, words for null, long numbers, line breaks and emoji land unchanged."""
    manifest = page_manifest(writer, [batch_of(ODD)])
    table = pq.read_table(manifest.path)
    assert table.column_names == [*STATE_COLUMNS, "Name"]
    assert table.column("Name").to_pylist() == ODD
    assert table.schema.field("_modified_at").type == TIMESTAMP
    assert table.schema.field("_extracted_at").type == TIMESTAMP


def test_the_manifest_says_what_is_in_the_file(writer: WindowWriter) -> None:
    """Records, bytes, checksum, counts and costs of the manifest fit the file beside it."""
    manifest = page_manifest(
        writer, [batch_of(["a"]), batch_of(["b", "c"])], calls=2, vendor_count=3
    )
    assert manifest.records == pq.read_metadata(manifest.path).num_rows == 3
    assert manifest.bytes == manifest.path.stat().st_size
    assert manifest.sha256 == files.sha256_of(manifest.path)
    assert (manifest.calls, manifest.vendor_count, manifest.sequence) == (2, 3, 1)
    record = files.read_json(manifest.path.with_suffix(".json"))
    assert record["window"] == {
        "from": None,
        "from_side": "inclusive",
        "to": "2026-01-01T00:00:00Z",
        "to_side": "exclusive",
    }
    assert record["path"] == manifest.path.name


def test_the_month_is_that_of_the_last_instant_inside(landing: Landing) -> None:
    """A window up to the first of a month belongs to the month before it."""
    with (
        begin(landing, ORIGIN) as december,
        begin(landing, ORIGIN + timedelta(seconds=1)) as january,
    ):
        assert (december.month, january.month) == ("2025-12", "2026-01")


def test_a_page_without_records_leaves_nothing(writer: WindowWriter) -> None:
    """No records, no file and no manifest, but a window that can be committed."""
    assert page(writer, []) is None
    assert page(writer, [batch_of([])]) is None
    assert not list(writer.folder.rglob("*.parquet"))
    assert writer.commit(Counts(vendor_count=0)).records == 0


def test_wide_records_make_small_row_groups(writer: WindowWriter) -> None:
    """JSON records are parsed a row group at a time, so memory is bounded however wide the records are."""
    texts = [json.dumps({"id": n, "text": "x" * 100_000}) for n in range(200)]
    plain = batch_of(texts)
    wide = plain.rename_columns([*KEY_COLUMNS, "record"])
    for batch, groups in ((wide, 3), (plain, 1)):
        manifest = page_manifest(writer, [batch])
        metadata = pq.read_metadata(manifest.path)
        assert (metadata.num_rows, metadata.num_row_groups) == (200, groups)


def test_small_batches_share_a_row_group(writer: WindowWriter) -> None:
    """Thousands of small batches make few row groups, in their order; large ones are cut."""
    numbers = iter(range(150_000))
    batches = (batch_of([str(next(numbers)) for _ in range(1_000)]) for _ in range(150))
    manifest = page_manifest(writer, batches)
    sizes = [
        pq.read_metadata(manifest.path).row_group(n).num_rows
        for n in range(pq.read_metadata(manifest.path).num_row_groups)
    ]
    assert sizes == [60_000, 60_000, 30_000]
    assert pq.read_table(manifest.path).column("Name").to_pylist() == [
        str(n) for n in range(150_000)
    ]


def test_months_are_counted_over_all_pages(writer: WindowWriter) -> None:
    """The writer counts its landed records by month of modification."""
    page(writer, [batch_of(["a", "b"]), batch_of(["c"], at=None)])
    page(writer, [batch_of(["d"])])
    assert writer.months == {"2026-01": 3, "": 1}


def test_pages_are_written_by_threads(landing: Landing) -> None:
    """Parallel pages get their own sequence and file, and all are in the commit in order."""
    with begin(landing) as writer:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: page(writer, [batch_of([str(n)])]), range(24)))
        commit = writer.commit(Counts())
    assert [batch.sequence for batch in commit.batches] == list(range(1, 25))
    found = [pq.read_table(b.path).column("Name")[0].as_py() for b in commit.batches]
    assert sorted(found, key=int) == [str(n) for n in range(24)]
    assert commit.records == 24


def test_a_page_that_fails_leaves_the_others(landing: Landing) -> None:
    """A source that fails in the middle of a page raises its own error; no half file stays."""

    def broken() -> Iterator[pa.RecordBatch]:
        yield batch_of(["a"] * 70_000)
        raise ConnectionLost("gone.")

    with begin(landing) as writer:
        page(writer, [batch_of(["a"])])
        with pytest.raises(ConnectionLost, match="gone"):
            page(writer, broken())
        page(writer, [batch_of(["b"])])
        assert len(list(writer.folder.rglob("*.parquet"))) == 2
        assert not list(writer.folder.rglob("*.tmp"))
        writer.commit(Counts())
    assert [b.sequence for b in landing.batches("acme", "Contact")] == [1, 3]


def test_leaving_without_commit_leaves_nothing(landing: Landing) -> None:
    """An error inside the window removes batches, quarantine, checkpoint and marker."""
    with pytest.raises(ZeroDivisionError), begin(landing) as writer:
        page(writer, [batch_of(["a"])])
        writer.quarantine([Reject("no id", b"x")])
        writer.checkpoint.path(1, ".csv").write_text("x")
        raise ZeroDivisionError
    assert landing.windows("acme", "Contact") == []
    assert {p.parent.name for p in landing.root.rglob("*") if p.is_file()} == {"schemas"}


def test_an_error_behind_the_commit_keeps_the_window(landing: Landing) -> None:
    """A committed window stays, whatever happens before the block is left."""
    with pytest.raises(ZeroDivisionError), begin(landing) as writer:
        page(writer, [batch_of(["a"])])
        writer.commit(Counts())
        raise ZeroDivisionError
    assert [b.records for b in landing.batches("acme", "Contact")] == [1]


def test_a_full_disk_at_the_commit_keeps_nothing(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that cannot be written is an error with a cure, and the window does not exist."""
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if "windows" in str(target):
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, target)

    with pytest.raises(StoreError, match="disk is full"), begin(landing) as writer:
        page(writer, [batch_of(["a"])])
        monkeypatch.setattr(Path, "replace", full)
        writer.commit(Counts())
    assert landing.windows("acme", "Contact") == []
    assert not list(landing.root.rglob("*.parquet"))


def test_a_full_disk_in_a_page(writer: WindowWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that does not fit on the disk is an error with a cure and leaves no files."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "Error writing bytes to file")

    monkeypatch.setattr(pq.ParquetWriter, "write_batch", full)
    with pytest.raises(StoreError, match="disk is full"):
        page(writer, [batch_of(["a"])])
    assert not list(writer.folder.rglob("*.parquet*"))
    assert writer.manifests == []


def test_quarantined_rows_are_kept_as_received(landing: Landing) -> None:
    """Rows that cannot be landed are kept with reason and text, and counted."""
    with begin(landing) as writer:
        writer.quarantine([])
        writer.quarantine([Reject("no id", b'a,"b\n'), Reject("3 cells", "😀".encode())])
        commit = writer.commit(Counts())
    [path] = (landing.root / "quarantine").rglob("*.parquet")
    assert commit.quarantined == 2
    assert pq.read_table(path).column("_text").to_pylist() == ['a,"b\n', "😀"]
    assert files.read_json(path.with_suffix(".json"))["reasons"] == {"no id": 1, "3 cells": 1}


def marker_of(writer: WindowWriter) -> dict[str, Any]:
    return files.read_json(writer._marker)


def test_this_process_is_at_work(writer: WindowWriter, landing: Landing) -> None:
    """A marker of this living process counts, today and in a year."""
    assert is_being_written(marker_of(writer), ORIGIN)
    assert is_being_written(marker_of(writer), ORIGIN + timedelta(days=400))


def test_a_clock_that_is_set_does_not_kill(
    writer: WindowWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer stays alive when the machine's clock jumps by hours (time synchronisation, sleep)."""
    marker = marker_of(writer)
    boot, create = psutil.boot_time, psutil.Process.create_time
    monkeypatch.setattr(psutil, "boot_time", lambda: boot() + 7_200)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: create(self) + 7_200)
    assert is_being_written(marker, ORIGIN)


def test_a_process_id_is_used_again(writer: WindowWriter) -> None:
    """Another process with the same id is not the writer, nor is one of an earlier boot of the machine."""
    marker = marker_of(writer)
    other = {**marker, "process_started": marker["process_started"] - 60}
    assert not is_being_written(other, ORIGIN)
    assert not is_being_written({**marker, "boot": "another"}, ORIGIN)


def test_another_host_is_believed_for_two_days(writer: WindowWriter) -> None:
    """Another host's writer cannot be looked up: its window is not touched for two days."""
    marker = {**marker_of(writer), "host": platform.node() + "x", "pid": 1}
    started = datetime(2026, 6, 1, tzinfo=UTC)
    assert is_being_written(marker, started + timedelta(hours=47))
    assert not is_being_written(marker, started + timedelta(hours=49))


WRITER = """
import sys
from pathlib import Path
from datetime import datetime, UTC
from crm_pipeline.kernel.clock import Window
from crm_pipeline.model.schema import Schema
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.rejects import Reject
writer = Landing(Path(sys.argv[1])).begin(
    "acme", "Contact", Window(None, datetime(2026, 1, 1, tzinfo=UTC)), Schema("Contact", "C", ())
)
writer.quarantine([Reject("no id", b"x")])
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_killed_process_nobody_waited_for(landing: Landing) -> None:
    """Another process's window is not touched while it lives, and removed after it was killed, collected or not."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(landing.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert landing.clear_interrupted("acme", "Contact") == 0
        assert len(list(landing.root.rglob("*.open"))) == 1
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
        assert landing.clear_interrupted("acme", "Contact") == 1
        assert not list(landing.root.rglob("*.open"))


def test_the_schema_is_written_once(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows that begin at the same time share one schema file."""
    barrier = threading.Barrier(4)

    def one(_: int) -> None:
        barrier.wait()
        with begin(landing) as writer:
            writer.commit(Counts())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))
    assert len(landing.windows("acme", "Contact")) == 4
    [path] = (landing.folder("acme", "Contact") / "schemas").iterdir()
    assert Schema.from_json(path.read_text()) == SCHEMA
