import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store import files
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.records import KEY_COLUMNS, TIMESTAMP, RecordHasher
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.window import Counts, WindowWriter

ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = Schema("Contact", "Contact", (Field("Id", "ID", "id"),))


def hours(number: float) -> datetime:
    return ORIGIN + timedelta(hours=number)


def batch_of(*ids: str, at: datetime | None = ORIGIN, value: str = "") -> pa.RecordBatch:
    count = len(ids)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(ids, pa.string()),
            pa.array([at] * count, TIMESTAMP),
            pa.array([False] * count, pa.bool_()),
            pa.array([value or one for one in ids], pa.string()),
        ],
        names=[*KEY_COLUMNS, "Id"],
    )


def write(writer: WindowWriter, *ids: str, shape: Any = "csv", **options: Any) -> None:
    page = [batch_of(*ids, **options)]
    writer.write(page, shape=shape, route="bulk", extracted_at=ORIGIN)


def land(landing: Landing, window: Window, *ids: str, kind: Any = "window", **options: Any) -> str:
    with landing.begin("acme", "Contact", window, SCHEMA, kind) as writer:
        write(writer, *ids, **options)
        writer.commit(Counts())
    return writer.window_id


def die(writer: WindowWriter) -> None:
    """Leave everything as it is, marked as of a dead process."""
    marker = files.read_json(writer._marker)
    files.write_json(writer._marker, {**marker, "pid": _dead_pid()})


def _dead_pid() -> int:
    pid = 4_000_000
    while psutil.pid_exists(pid):
        pid += 1
    return pid


def ids_in(landing: Landing) -> list[str]:
    found = []
    for manifest in landing.batches("acme", "Contact"):
        assert files.sha256_of(manifest.path) == manifest.sha256
        found += pq.read_table(manifest.path).column("_source_id").to_pylist()
    return sorted(found)


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path, FrozenClock(hours(100)))


def test_objects_are_found_by_their_own_names(landing: Landing) -> None:
    """An object with any name is listed by that name and stays in its folder."""
    for name in ("Contact", "../Odd", "a/b", ".x"):
        with landing.begin("acme", name, Window(None, ORIGIN), SCHEMA) as writer:
            write(writer, "1")
            writer.commit(Counts())
    assert landing.objects("acme") == sorted(["Contact", "../Odd", "a/b", ".x"])
    assert landing.objects("other") == []
    assert {path.name for path in landing.root.iterdir()} == {"landing"}
    assert {path.name for path in (landing.root / "landing").iterdir()} == {"acme"}


def test_batches_come_in_the_order_of_commits(landing: Landing) -> None:
    """Windows are in the order of their commits; within a window the order of writing holds."""
    clock = landing.clock
    assert isinstance(clock, FrozenClock)
    with (
        landing.begin("acme", "Contact", Window(None, hours(1)), SCHEMA) as early,
        landing.begin("acme", "Contact", Window(hours(1), hours(2)), SCHEMA) as late,
    ):
        for writer in (late, early, early):
            write(writer, "1")
        clock.advance(1)
        late.commit(Counts())
        clock.advance(1)
        early.commit(Counts())
    batches = landing.batches("acme", "Contact")
    assert [b.window_id for b in batches] == [late.window_id, early.window_id, early.window_id]
    assert [b.sequence for b in batches] == [1, 1, 2]


def test_a_commit_is_read_back_as_it_was_made(landing: Landing) -> None:
    """Every figure of a commit and its manifests survives its file."""
    with landing.begin("acme", "Contact", Window(None, hours(1)), SCHEMA) as writer:
        write(writer, "1", "2")
        writer.quarantine([Reject("no id", b"x"), Reject("no id", b"y")])
        made = writer.commit(
            Counts(
                vendor_count=5,
                vendor_count_before=4,
                known=1,
                complete=True,
                route="bulk+rest",
                reason="because",
                calls=7,
            )
        )
    [read] = landing.windows("acme", "Contact")
    assert read == made
    assert (read.records, read.known, read.quarantined) == (2, 1, 2)
    assert list(read.batches) == writer.manifests == landing.batches("acme", "Contact")


def test_landing_may_move(landing: Landing, tmp_path: Path) -> None:
    """Files name each other by relative paths: a data folder that was moved is read as before."""
    land(landing, Window(None, hours(1)), "1")
    moved = shutil.copytree(landing.root / "landing", tmp_path / "elsewhere" / "landing").parent
    shutil.rmtree(landing.root / "landing")
    assert ids_in(Landing(moved)) == ["1"]


@pytest.mark.parametrize("text", ["", "{}", '{"window": {}}', "\x00"])
def test_a_damaged_commit_is_an_error(landing: Landing, text: str) -> None:
    """A commit that cannot be read stops the reader; it is not skipped."""
    window_id = land(landing, Window(None, hours(1)), "1")
    (landing.folder("acme", "Contact") / "windows" / f"{window_id}.json").write_text(text)
    with pytest.raises(CorruptFile):
        landing.windows("acme", "Contact")


def test_a_damaged_schema_is_an_error(landing: Landing) -> None:
    """A schema that is gone or broken is CorruptFile."""
    with pytest.raises(CorruptFile):
        landing.schema("acme", "Contact", "0000")


def test_points_and_sweeps_do_not_move_the_watermark(landing: Landing) -> None:
    """Only windows state that a time was read."""
    land(landing, Window(None, hours(1)), "1")
    land(landing, Window(None, hours(9)), "1", kind="sweep")
    land(landing, Window(None, hours(9)), "1", kind="point")
    assert landing.watermark("acme", "Contact") == hours(1)
    assert landing.watermark("acme", "Nothing") is None


def test_the_latest_schema_is_that_of_the_last_commit(landing: Landing) -> None:
    """A field that came with the last window is in the latest schema; earlier ones are kept."""
    assert landing.latest_schema("acme", "Contact") is None
    land(landing, Window(None, hours(1)), "1")
    newer = Schema("Contact", "Contact", (*SCHEMA.fields, Field("Name", "Name", "string")))
    assert isinstance(landing.clock, FrozenClock)
    landing.clock.advance(1)
    with landing.begin("acme", "Contact", Window(hours(1), hours(2)), newer) as writer:
        writer.commit(Counts())
    assert landing.latest_schema("acme", "Contact") == newer
    assert landing.schema("acme", "Contact", SCHEMA.fingerprint) == SCHEMA


def test_known_versions_by_shape(landing: Landing) -> None:
    """Landed versions are seen by content in their own shape and by modification time in the other, from `since` on."""
    hasher = RecordHasher()
    land(landing, Window(None, hours(2)), "old", at=hours(0))
    land(landing, Window(hours(2), hours(4)), "a", "b", at=hours(3))
    read = batch_of("old", "a", "b", "c", at=hours(3))
    edited = batch_of("a", at=hours(3), value="edited within the second")

    same = landing.seen_versions("acme", "Contact", hours(2), "csv")
    assert same.rest_of(read, hasher).column("_source_id").to_pylist() == ["old", "c"]
    assert same.rest_of(edited, hasher).num_rows == 1
    other = landing.seen_versions("acme", "Contact", hours(2), "json")
    assert other.rest_of(read, hasher).column("_source_id").to_pylist() == ["old", "c"]
    assert landing.seen_versions("acme", "Contact", hours(4), "csv").is_empty()
    assert landing.seen_versions("acme", "Nothing", hours(0), "csv").is_empty()


def test_what_is_known_comes_from_every_kind_of_batch(landing: Landing) -> None:
    """A sweep says nothing about time, so its records count whatever its window."""
    land(landing, Window(None, hours(0)), "a", kind="sweep", at=hours(3))
    assert len(landing.seen_versions("acme", "Contact", hours(2), "csv").exact) == 1
    assert landing.landed_since("acme", "Contact", hours(2)) == (1, hours(3))


def test_newest_counts_records_not_versions(landing: Landing) -> None:
    """A record that landed twice counts once; the latest modification is that of all records."""
    assert landing.landed_since("acme", "Contact", hours(0)) == (0, None)
    land(landing, Window(None, hours(2)), "a", "b", at=hours(1))
    land(landing, Window(hours(0), hours(4)), "a", at=hours(3))
    assert landing.landed_since("acme", "Contact", hours(1)) == (2, hours(3))
    assert landing.landed_since("acme", "Contact", hours(2)) == (1, hours(3))
    assert landing.landed_since("acme", "Contact", hours(4)) == (0, None)


def test_uncommitted_records_are_not_known(landing: Landing) -> None:
    """What a window has written but not committed is read again."""
    with landing.begin("acme", "Contact", Window(None, hours(2)), SCHEMA) as writer:
        write(writer, "a")
        assert landing.seen_versions("acme", "Contact", hours(-1), "csv").is_empty()
        assert landing.landed_since("acme", "Contact", hours(-1)) == (0, None)


def test_clearing_counts_the_batches_of_the_dead(landing: Landing) -> None:
    """Clearing removes batches, quarantine and checkpoint of a killed writer, and returns the number of batches."""
    writer = landing.begin("acme", "Contact", Window(None, hours(2)), SCHEMA)
    write(writer, "a")
    write(writer, "b")
    writer.checkpoint.path(1, ".csv").write_text("x")
    writer.quarantine([Reject("no id", b"x")])
    assert landing.clear_interrupted("acme", "Contact") == 0
    die(writer)
    assert landing.clear_interrupted("acme", "Contact") == 3
    assert landing.clear_interrupted("acme", "Contact") == 0
    left = [path for path in landing.root.rglob("*") if path.is_file()]
    assert [path.parent.name for path in left] == ["schemas"]


def test_a_marker_that_goes_while_we_look(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that finishes while another process clears up does not disturb that process."""
    landing.begin("acme", "Contact", Window(None, hours(2)), SCHEMA)

    def gone(path: Path) -> dict[str, Any]:
        path.unlink()
        raise FileNotFoundError(path)

    monkeypatch.setattr(files, "read_json", gone)
    assert landing.clear_interrupted("acme", "Contact") == 0


def test_many_clear_the_same_window_at_once(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clearing goes on to the end, whatever another process removes at the same time."""
    writer = landing.begin("acme", "Contact", Window(None, hours(2)), SCHEMA)
    write(writer, "a")
    writer.quarantine([Reject("no id", b"x")])
    writer.checkpoint.path(1, ".csv").write_text("x")
    die(writer)
    unlink, rmtree = Path.unlink, shutil.rmtree

    def second(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok=True)
        unlink(path, missing_ok=missing_ok)

    def late(path: Path) -> None:
        rmtree(path)
        rmtree(path)

    monkeypatch.setattr(Path, "unlink", second)
    monkeypatch.setattr(shutil, "rmtree", late)
    landing.clear_interrupted("acme", "Contact")
    left = [path for path in landing.root.rglob("*") if path.is_file()]
    assert [path.parent.name for path in left] == ["schemas"]
