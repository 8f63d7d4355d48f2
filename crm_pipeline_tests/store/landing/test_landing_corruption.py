# ruff: noqa: PT012 - what must fail is a block of several steps
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.kernel.errors import CorruptFile, Unavailable
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store import files
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.checkpoint import PageDone
from crm_pipeline.store.landing.records import KEY_COLUMNS, TIMESTAMP
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.window import Counts, WindowWriter
from crm_pipeline_tests.rot.flips import flip_bit

ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = Window(None, ORIGIN + timedelta(hours=1))
LATER = Window(WINDOW.to_at, ORIGIN + timedelta(hours=2))
SCHEMA = Schema("Contact", "Contact", (Field("Id", "ID", "id"),))


def write(writer: WindowWriter, *ids: str) -> str:
    columns = [
        pa.array(ids, pa.string()),
        pa.array([ORIGIN] * len(ids), TIMESTAMP),
        pa.array([False] * len(ids)),
        pa.array(ids, pa.string()),
    ]
    page = pa.RecordBatch.from_arrays(columns, names=[*KEY_COLUMNS, "Id"])
    written = writer.write([page], shape="csv", route="bulk", extracted_at=ORIGIN)
    assert written is not None
    return written.manifest.batch_id


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    """A landing with one window of two records."""
    made = Landing(tmp_path, FrozenClock(ORIGIN + timedelta(hours=100)))
    with made.begin("acme", "Contact", WINDOW, SCHEMA) as writer:
        write(writer, "a", "b")
        writer.commit(Counts(notes={"cursor": 7}))
    return made


@pytest.fixture
def left(landing: Landing) -> WindowWriter:
    """A second window, left with a page that is done and rows that were set aside."""
    with pytest.raises(Unavailable), landing.begin("acme", "Contact", LATER, SCHEMA) as writer:
        writer.checkpoint.begin({"job": "750A"})
        batch = write(writer, "c")
        refused = writer.quarantine([Reject("no id", b"x")])
        writer.checkpoint.done(1, PageDone((batch, str(refused)), {}, 2, 1, 0, "bulk"))
        raise Unavailable("down.")
    return writer


def again(landing: Landing) -> Landing:
    """Return the same landing as another process finds it."""
    return Landing(landing.root, landing.clock)


def one(landing: Landing, pattern: str) -> Path:
    [path] = landing.root.glob(pattern)
    assert isinstance(path, Path)
    return path


@pytest.mark.parametrize(
    "read",
    [
        lambda landing: landing.seen_versions("acme", "Contact", ORIGIN, "csv"),
        lambda landing: landing.landed_since("acme", "Contact", ORIGIN),
        lambda landing: landing.check(landing.batches("acme", "Contact")),
    ],
    ids=["known", "newest", "check"],
)
def test_a_flipped_bit_in_a_batch(landing: Landing, read: Callable[[Landing], Any]) -> None:
    """Whoever reads the batch is told which it is and how its window is read again."""
    path, commit = one(landing, "*/*/*/????-??/*.parquet"), one(landing, "*/*/*/windows/*.json")
    read(again(landing))
    flip_bit(path)
    with pytest.raises(CorruptFile) as caught:
        read(again(landing))
    assert str(path) in caught.value.message
    assert f"{commit.parents[1]}/*/{commit.stem}*" in caught.value.cure
    assert "`crm-pipeline backfill acme --object Contact`" in caught.value.cure


def test_a_flipped_bit_in_a_commit(landing: Landing) -> None:
    """Watermark, batches and notes are not told from it; the text names the file."""
    path = one(landing, "*/*/*/windows/*.json")
    place = path.read_bytes().index(b"2026-01-01T01")
    flip_bit(path, place + 3)  # 2026 becomes 2027: the watermark would be a year ahead
    for read in (Landing.watermark, Landing.batches, Landing.notes):
        with pytest.raises(CorruptFile) as caught:
            read(again(landing), "acme", "Contact")
        assert str(path) in caught.value.message
        assert "`crm-pipeline backfill acme --object Contact`" in caught.value.cure


def test_a_schema_is_what_its_name_stands_for(landing: Landing) -> None:
    """A flipped bit, and whole content under another's name, are errors that name the file."""
    path = one(landing, "*/*/*/schemas/*.json")
    kept = path.read_bytes()
    flip_bit(path)
    with pytest.raises(CorruptFile, match=path.name):
        landing.latest_schema("acme", "Contact")
    other = Schema("Contact", "Contact", (Field("Id", "Another label", "id"),))
    files.write_json(path, other.to_dict())
    with pytest.raises(CorruptFile, match="not what its name stands for") as caught:
        landing.latest_schema("acme", "Contact")
    assert "backfill acme" in caught.value.cure
    path.write_bytes(kept)
    assert landing.latest_schema("acme", "Contact") == SCHEMA


def test_a_schema_of_the_first_versions(landing: Landing) -> None:
    """Their fingerprints left out most of a field; what such a name stands for is read as before."""
    stored = SCHEMA.to_dict()
    name = fingerprint([["Id", "ID", "id", 0, False]])
    path = landing.folder("acme", "Contact") / "schemas" / f"{name}.json"
    path.write_text(json.dumps(stored, indent=1))
    assert landing.schema("acme", "Contact", name) == SCHEMA
    path.write_text(json.dumps(stored, indent=1).replace('"label": "ID"', '"label": "IE"'))
    with pytest.raises(CorruptFile):
        landing.schema("acme", "Contact", name)


def test_what_earlier_versions_wrote_is_read_as_it_is(landing: Landing, left: WindowWriter) -> None:
    """Commits, manifests, schemas, markers and spools without checksums of their own count."""
    expected = again(landing).windows("acme", "Contact")
    for path in [*landing.root.rglob("*.json"), *landing.root.rglob("*.open")]:
        record = files.read_json(path)
        older = {key: record[key] for key in record if key not in {"bytes", "sha256", "crc32"}}
        kept = record if "batch_id" in record and "schema_fingerprint" in record else older
        path.write_text(json.dumps(kept, ensure_ascii=False, indent=1))
    found = again(landing)
    assert found.windows("acme", "Contact") == expected
    assert found.latest_schema("acme", "Contact") == SCHEMA
    [interrupted] = found.interrupted("acme", "Contact")
    writer = found.resume("acme", "Contact", interrupted, SCHEMA)
    assert writer is not None
    with writer:
        assert (len(writer.manifests), writer.quarantined) == (1, 1)
        writer.commit(Counts())


@pytest.mark.parametrize(
    "pattern", ["landing/*/*/*/{}-*.parquet", "landing/*/*/*/{}-*.json", "quarantine/*/*/*/{}-*.*"]
)
def test_damage_to_what_an_unfinished_read_has_written(
    landing: Landing, left: WindowWriter, pattern: str
) -> None:
    """The window is not gone on with, everything of it goes, and it can be read anew."""
    flip_bit(next(landing.root.glob(pattern.format(left.window_id))))
    found = again(landing)
    [interrupted] = found.interrupted("acme", "Contact")
    assert found.resume("acme", "Contact", interrupted, SCHEMA) is None
    assert found.interrupted("acme", "Contact") == []
    assert not list(landing.root.rglob(f"*{left.window_id}*"))
    with found.begin("acme", "Contact", LATER, SCHEMA) as writer:
        write(writer, "c")
        writer.commit(Counts())
    assert found.watermark("acme", "Contact") == LATER.to_at


def test_a_damaged_marker_is_believed_for_two_days(landing: Landing, left: WindowWriter) -> None:
    """Whose window it is cannot be told: nothing of it is touched, and nothing waits for it."""
    marker = left._marker
    flip_bit(marker)
    at = landing.clock.now()
    for age, is_there in ((timedelta(hours=47), True), (timedelta(hours=49), False)):
        written_at = (at - age).timestamp()
        os.utime(marker, (written_at, written_at))
        assert again(landing).interrupted("acme", "Contact") == []
        assert again(landing).clear_interrupted("acme", "Contact") == (0 if is_there else 2)
        assert marker.exists() == is_there
