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
    """A second window, interrupted with a finished page and quarantined rows."""
    with pytest.raises(Unavailable), landing.begin("acme", "Contact", LATER, SCHEMA) as writer:
        writer.checkpoint.begin({"job": "750A"})
        batch = write(writer, "c")
        refused = writer.quarantine([Reject("no id", b"x")])
        writer.checkpoint.done(1, PageDone((batch, str(refused)), {}, 2, 1, 0, "bulk"))
        raise Unavailable("down.")
    return writer


def again(landing: Landing) -> Landing:
    """Return the same landing as another process opens it."""
    return Landing(landing.root, landing.clock)


def single(landing: Landing, pattern: str) -> Path:
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
    ids=["seen_versions", "landed_since", "check"],
)
def test_a_flipped_bit_in_a_batch(landing: Landing, read: Callable[[Landing], Any]) -> None:
    """Every reader of the batch gets an error that names it and says how to read its window again."""
    path, commit = (
        single(landing, "*/*/*/????-??/*.parquet"),
        single(landing, "*/*/*/windows/*.json"),
    )
    read(again(landing))
    flip_bit(path)
    with pytest.raises(CorruptFile) as caught:
        read(again(landing))
    assert str(path) in caught.value.message
    assert f"{commit.parents[1]}/*/{commit.stem}*" in caught.value.cure
    assert "`crm-pipeline backfill acme --object Contact`" in caught.value.cure


def test_a_flipped_bit_in_a_commit(landing: Landing) -> None:
    """Watermark, batches and notes are not taken from it; the text names the file."""
    path = single(landing, "*/*/*/windows/*.json")
    offset = path.read_bytes().index(b"2026-01-01T01")
    flip_bit(path, offset + 3)  # 2026 becomes 2027: the watermark would be a year ahead
    for read in (Landing.watermark, Landing.batches, Landing.notes):
        with pytest.raises(CorruptFile) as caught:
            read(again(landing), "acme", "Contact")
        assert str(path) in caught.value.message
        assert "`crm-pipeline backfill acme --object Contact`" in caught.value.cure


def test_a_schema_is_what_its_name_stands_for(landing: Landing) -> None:
    """A flipped bit, and whole content under another's name, are errors that name the file."""
    path = single(landing, "*/*/*/schemas/*.json")
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
    """Their fingerprints left out most of a field; schemas with such names are read as before."""
    stored = SCHEMA.to_dict()
    name = fingerprint([["Id", "ID", "id", 0, False]])
    path = landing.folder("acme", "Contact") / "schemas" / f"{name}.json"
    path.write_text(json.dumps(stored, indent=1))
    assert landing.schema("acme", "Contact", name) == SCHEMA
    path.write_text(json.dumps(stored, indent=1).replace('"label": "ID"', '"label": "IE"'))
    with pytest.raises(CorruptFile):
        landing.schema("acme", "Contact", name)


def test_what_earlier_versions_wrote_is_read_as_it_is(landing: Landing, left: WindowWriter) -> None:
    """Commits, manifests, schemas, markers and checkpoints without checksums of their own are valid."""
    expected = again(landing).windows("acme", "Contact")
    for path in [*landing.root.rglob("*.json"), *landing.root.rglob("*.open")]:
        record = files.read_json(path)
        older = {key: record[key] for key in record if key not in {"bytes", "sha256", "crc32"}}
        kept = record if "batch_id" in record and "schema_fingerprint" in record else older
        path.write_text(json.dumps(kept, ensure_ascii=False, indent=1))
    reopened = again(landing)
    assert reopened.windows("acme", "Contact") == expected
    assert reopened.latest_schema("acme", "Contact") == SCHEMA
    [interrupted] = reopened.interrupted("acme", "Contact")
    writer = reopened.resume("acme", "Contact", interrupted, SCHEMA)
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
    """The window is not resumed, all its files are removed, and it can be read again."""
    flip_bit(next(landing.root.glob(pattern.format(left.window_id))))
    reopened = again(landing)
    [interrupted] = reopened.interrupted("acme", "Contact")
    assert reopened.resume("acme", "Contact", interrupted, SCHEMA) is None
    assert reopened.interrupted("acme", "Contact") == []
    assert not list(landing.root.rglob(f"*{left.window_id}*"))
    with reopened.begin("acme", "Contact", LATER, SCHEMA) as writer:
        write(writer, "c")
        writer.commit(Counts())
    assert reopened.watermark("acme", "Contact") == LATER.to_at


def test_a_damaged_marker_is_believed_for_two_days(landing: Landing, left: WindowWriter) -> None:
    """The window's writer is unknown: its files are not touched, and nothing waits for it."""
    marker = left._marker
    flip_bit(marker)
    at = landing.clock.now()
    for age, is_there in ((timedelta(hours=47), True), (timedelta(hours=49), False)):
        written_at = (at - age).timestamp()
        os.utime(marker, (written_at, written_at))
        assert again(landing).interrupted("acme", "Contact") == []
        assert again(landing).clear_interrupted("acme", "Contact") == (0 if is_there else 2)
        assert marker.exists() == is_there
