"""Files that a disk, or somebody, has damaged: named with a cure that works, or made anew."""

from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.kernel.errors import CorruptFile, StoreError

FIELDS = ("Contact", "LastName:string:Last Name", "Email:email:Email")


@pytest.fixture
def published(org: Any, described: Any) -> Any:
    """Fifty contacts, landed, normalized and published."""
    org.schema = described(*FIELDS)
    org.rows_landed = [{"Id": f"003{number:015d}", "LastName": "Ng"} for number in range(50)]
    org.land(org.schema, org.rows_landed)
    org.normalize("contacts")
    org.publish()
    return org


def damage(path: Path, how: str) -> None:
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


@pytest.mark.parametrize("how", ["cut off", "empty", "garbled", "gone"])
def test_a_landed_batch(published: Any, how: str) -> None:
    """The error names the file and the commit to move away; then the window is read again."""
    path = one(published, "landing/*/*/????-??/*.parquet")
    commit = one(published, "landing/*/*/windows/*.json")
    damage(path, how)
    published.land(published.schema, [{"Id": "003X", "LastName": "New"}])
    with pytest.raises(CorruptFile) as caught:
        published.normalize("contacts")
    assert str(path) in str(caught.value)
    assert f"move {commit} away" in caught.value.cure
    assert published.query("SELECT count(*) FROM crm.contacts") == [(50,)]
    commit.unlink()
    published.landing = type(published.landing)(published.data, published.clock)  # a new process
    published.land(published.schema, published.rows_landed)
    published.normalize("contacts")
    published.publish()
    assert published.query("SELECT count(*) FROM crm.contacts") == [(51,)]


@pytest.mark.parametrize("file", ["base-00000.parquet", "version.json"])
@pytest.mark.parametrize("how", ["cut off", "empty", "gone"])
def test_a_table(published: Any, file: str, how: str) -> None:
    """A version that cannot be read is built again from landing, though nothing new has landed."""
    path = one(published, f"tables/normalized/acme/contacts/*/{file}")
    damage(path, how)
    assert published.normalize("contacts").changed
    published.publish()
    assert published.query("SELECT count(*) FROM crm.contacts") == [(50,)]
    assert not published.normalize("contacts").changed


def test_a_table_that_is_damaged_in_the_middle(published: Any) -> None:
    """What only a publish notices is named with its folder; without that the table is built again."""
    path = one(published, "tables/normalized/acme/contacts/*/base-00000.parquet")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:4] + bytes(len(content) // 2) + content[4 + len(content) // 2 :])
    with pytest.raises(CorruptFile) as caught:
        published.publish(is_forced=True)
    assert str(path) in str(caught.value)
    assert str(path.parent) in caught.value.cure
    for part in path.parent.iterdir():
        part.unlink()
    path.parent.rmdir()
    assert published.normalize("contacts").changed
    published.publish()
    assert published.query("SELECT count(*) FROM crm.contacts") == [(50,)]


@pytest.mark.parametrize("how", ["empty", "gone"])
def test_a_snapshot(published: Any, how: str) -> None:
    """The error says what makes it again, and that does so although its release is published."""
    damage(one(published, "snapshots/*.duckdb"), how)
    with pytest.raises(StoreError, match="crm-pipeline refresh"):
        published.query("SELECT 1")
    assert published.publish().changed
    assert published.query("SELECT count(*) FROM crm.contacts") == [(50,)]


@pytest.mark.parametrize("how", ["cut off", "empty", "garbled", "gone"])
def test_a_published_file(published: Any, how: str) -> None:
    """It is written again with the next publish."""
    path = published.data / "published" / "contacts_deleted.parquet"
    damage(path, how)
    published.land(published.schema, [{"Id": "003X", "LastName": "New"}])
    published.normalize("contacts")
    published.publish()
    assert published.query(f"SELECT count(*) FROM '{path}'") == [(0,)]
