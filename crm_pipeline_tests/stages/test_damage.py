"""Damaged files are named with a cure that works, or made again."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from structlog.testing import capture_logs

from crm_pipeline.kernel.errors import CorruptFile, StoreError
from crm_pipeline.store import files
from crm_pipeline_tests.rot.flips import copied, flip_bit

FIELDS = ("Contact", "LastName:string:Last Name", "Email:email:Email")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, new_org: Any, make_schema: Any) -> Any:
    """Fifty contacts, landed, normalized and published."""
    org = new_org(tmp_path_factory.mktemp("whole") / "data")
    org.schema = make_schema(*FIELDS)
    org.rows_landed = [{"Id": f"003{number:015d}", "LastName": "Ng"} for number in range(50)]
    org.land(org.schema, org.rows_landed)
    org.normalize("contacts")
    org.publish()
    return org


@pytest.fixture
def published(whole: Any, tmp_path: Path, new_org: Any) -> Any:
    """A copy of the org in a folder that may be damaged."""
    org = new_org(copied(whole.data, tmp_path / "data"))
    org.schema, org.rows_landed, org.objects = whole.schema, whole.rows_landed, whole.objects
    org.clock.advance(60)
    return org


def restarted(org: Any) -> Any:
    """Forget which files were checked, as a new process has."""
    org.landing = type(org.landing)(org.data, org.clock)
    org.tables = type(org.tables)(org.data)
    return org


def damage(path: Path, how: str) -> None:
    if how == "flipped":
        flip_bit(path)
        return
    content = path.read_bytes()
    path.unlink()  # the bytes may be shared with other names
    third = len(content) // 3
    if how != "gone":
        garbled = content[:third] + bytes(third) + content[2 * third :]
        path.write_bytes({"cut off": content[:-third], "empty": b"", "garbled": garbled}[how])


def one(org: Any, pattern: str) -> Path:
    [path] = org.data.glob(pattern)
    assert isinstance(path, Path)
    return path


@pytest.mark.parametrize("how", ["flipped", "cut off", "gone"])
def test_a_landed_batch(published: Any, how: str) -> None:
    """The error names the file and the window to move away; then the window is read again."""
    path = one(published, "landing/*/*/????-??/*.parquet")
    commit = one(published, "landing/*/*/windows/*.json")
    damage(path, how)
    restarted(published).land(published.schema, [{"Id": "003X", "LastName": "New"}])
    with pytest.raises(CorruptFile) as caught:
        published.normalize("contacts")
    assert str(path) in str(caught.value)
    assert f"({commit.parents[1]}/*/{commit.stem}*)" in caught.value.cure
    assert published.query("SELECT count(*) FROM crm.contacts") == [(50,)]
    commit.unlink()
    restarted(published)
    published.land(published.schema, published.rows_landed)
    published.normalize("contacts")
    published.publish()
    assert published.query("SELECT count(*) FROM crm.contacts") == [(51,)]


@pytest.mark.parametrize("file", ["base-00000.parquet", "version.json"])
@pytest.mark.parametrize("how", ["flipped", "cut off", "gone"])
def test_a_table(published: Any, file: str, how: str) -> None:
    """A damaged version is built again from landing, though nothing new has landed, and the result says so."""
    path = one(published, f"tables/normalized/acme/contacts/*/{file}")
    damage(path, how)
    restarted(published)
    with capture_logs() as logs:
        done = published.normalize("contacts")
    assert done.changed
    assert str(path) in done.repaired
    assert [(log["log_level"], log["why"]) for log in logs] == [("warning", done.repaired)]
    published.publish()
    assert published.query("SELECT count(*) FROM crm.contacts") == [(50,)]
    again = published.normalize("contacts")
    assert (again.changed, again.repaired) == (False, "")


@pytest.mark.parametrize("how", ["flipped", "garbled"])
def test_a_table_that_is_damaged_before_a_publish(published: Any, how: str) -> None:
    """A damaged table is not published: the error names the file and a command that builds the table again."""
    path = one(published, "tables/normalized/acme/contacts/*/base-00000.parquet")
    damage(path, how)
    with pytest.raises(CorruptFile) as caught:
        restarted(published).publish(is_forced=True)
    assert str(path) in caught.value.message
    assert "`crm-pipeline refresh acme`" in caught.value.cure
    assert published.query("SELECT count(*) FROM crm.contacts") == [(50,)]
    assert published.normalize("contacts").repaired
    published.publish()
    assert published.query("SELECT count(*) FROM crm.contacts") == [(50,)]


def test_a_table_of_an_earlier_version_that_is_damaged_in_the_middle(published: Any) -> None:
    """A file without a checksum is read to its end by a publish, and by the build that makes it again."""
    path = one(published, "tables/normalized/acme/contacts/*/base-00000.parquet")
    record = path.with_name("version.json")
    older = {key: value for key, value in files.read_json(record).items() if key != "files"}
    record.write_text(json.dumps(older, indent=1))
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:4] + bytes(len(content) // 2) + content[4 + len(content) // 2 :])
    with pytest.raises(CorruptFile) as caught:
        restarted(published).publish(is_forced=True)
    assert str(path) in str(caught.value)
    assert "`crm-pipeline refresh acme`" in caught.value.cure
    assert str(path) in published.normalize("contacts").repaired
    published.publish()
    assert published.query("SELECT count(*) FROM crm.contacts") == [(50,)]


@pytest.mark.parametrize("how", ["empty", "gone"])
def test_a_snapshot(published: Any, how: str) -> None:
    """The error names the command that makes the snapshot again, even if its release is published."""
    damage(one(published, "snapshots/*.duckdb"), how)
    with pytest.raises(StoreError, match="crm-pipeline refresh"):
        published.query("SELECT 1")
    assert published.publish().changed
    assert published.query("SELECT count(*) FROM crm.contacts") == [(50,)]


@pytest.mark.parametrize("pattern", ["snapshots/*.duckdb", "published/contacts_deleted.parquet"])
def test_a_bit_of_what_is_published(published: Any, pattern: str) -> None:
    """A refresh that finds nothing new publishes again what is damaged, and says so."""
    path = one(published, pattern)
    kept = path.read_bytes()
    damage(path, "flipped")
    assert not published.normalize("contacts").changed
    with capture_logs() as logs:
        done = restarted(published).publish()
    assert (done.changed, done.repaired) == (True, (str(path),))
    assert [log["files"] for log in logs] == [(str(path),)]
    assert path.read_bytes() == kept or pattern.startswith("snapshots")
    assert published.query("SELECT count(*) FROM crm.contacts") == [(50,)]
    assert not restarted(published).publish().changed


def test_a_snapshot_object_is_not_compared_with_damaged_bytes(org: Any, schema_of: Any) -> None:
    """A complete read that finds its predecessor damaged is refused by name, not taken for unchanged."""
    from crm_pipeline.kernel.clock import Window
    from crm_pipeline.stages.raw.snapshot import evaluate_snapshot

    org.land(schema_of(*FIELDS), [{"Id": "003A", "LastName": "Ng"}], complete=True)
    path = one(org, "landing/*/*/????-??/*.parquet")
    damage(path, "flipped")
    landing = restarted(org).landing
    window = Window(None, org.clock.now())
    with landing.begin("acme", "Contact", window, schema_of(*FIELDS)) as writer:
        writer.manifests = [*landing.batches("acme", "Contact")]
        with pytest.raises(CorruptFile, match=path.name):
            evaluate_snapshot(SimpleNamespace(landing=landing), None, writer)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["flipped", "cut off", "gone"])
def test_a_published_file(published: Any, how: str) -> None:
    """A damaged Parquet file is written again by the next publish."""
    path = published.data / "published" / "contacts_deleted.parquet"
    damage(path, how)
    restarted(published)
    published.land(published.schema, [{"Id": "003X", "LastName": "New"}])
    published.normalize("contacts")
    published.publish()
    with duckdb.connect() as other:
        assert other.execute(f"SELECT count(*) FROM '{path}'").fetchall() == [(0,)]


def test_rows_that_a_build_set_aside(org: Any, schema_of: Any) -> None:
    """Quarantined rows have their checksum recorded, and a damaged file is written by the next build."""
    org.land(schema_of(*FIELDS), [{"Id": "", "LastName": "Nobody"}, {"Id": "003A"}])
    org.normalize("contacts")
    path = one(org, "quarantine/acme/Contact/normalized/*.parquet")
    kept, written_at = path.read_bytes(), path.stat().st_mtime_ns
    damage(path, "flipped")
    for version in org.data.glob("tables/normalized/acme/contacts/*/version.json"):
        version.unlink()
    assert restarted(org).normalize("contacts").changed
    assert path.stat().st_mtime_ns > written_at
    recorded = files.read_json(path.with_name(f"{path.name.removesuffix('-csv.parquet')}.json"))
    assert recorded["files"][path.name]["sha256"] == files.sha256_of(path)
    assert len(path.read_bytes()) == len(kept)
