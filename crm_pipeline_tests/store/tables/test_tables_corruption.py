import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_pipeline.kernel.errors import CorruptFile, DiskFull, StoreError
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import FileSum, Verifier
from crm_pipeline.store.files.corruption import blamed_on
from crm_pipeline.store.tables import Release, Tables, TableVersion
from crm_pipeline.store.tables.corruption import check_versions, damaged_version
from crm_pipeline_tests.rot.flips import flip_bit

NAME = "normalized/acme/contacts"


def commit(tables: Tables, values: Sequence[str] = ("a",)) -> TableVersion:
    parent = tables.version(NAME)
    with tables.stage(NAME, ("k",)) as staged:
        for part in ("base", "delta"):
            rows = pa.table({"k": [f"{part}{n}" for n, _ in enumerate(values)], "v": values})
            pq.write_table(rows, staged.path(part))  # type: ignore[arg-type]
        staged.commit(parent, 2 * len(values), {"from": "here"})
    made = tables.version(NAME)
    assert made is not None
    return made


def without_sums(version: TableVersion) -> None:
    """Rewrite the record of a version as earlier versions of this package wrote it."""
    path = version.base[0].with_name("version.json")
    record = files.read_json(path)
    del record["files"]
    path.write_text(json.dumps(record, ensure_ascii=False, indent=1))


def test_a_version_says_what_its_files_were(tables: Tables) -> None:
    """Each part has size and SHA-256 in the record, and comes back with the version."""
    version = commit(tables)
    assert version.sums == {path: FileSum.of(path) for path in version.paths}
    assert len(version.sums) == 2
    check_versions(tables, [version])


@pytest.mark.parametrize("number", [0, 1])
def test_a_flipped_bit_in_a_part(tables: Tables, number: int) -> None:
    """A reader in another process gets an error that names the file and the command that builds the table again."""
    path = commit(tables).paths[number]
    flip_bit(path)
    other = Tables(tables.root.parent)
    version = other.version(NAME)
    assert version is not None
    with pytest.raises(CorruptFile) as caught:
        check_versions(other, [version])
    assert str(path) in caught.value.message
    assert "`crm-pipeline refresh acme`" in caught.value.cure


def test_versions_from_before_there_were_sums(tables: Tables) -> None:
    """They are read; a file that cannot be read to its end is found, with the same cure."""
    version = commit(tables, [str(number) for number in range(5000)])
    without_sums(version)
    older = Tables(tables.root.parent)
    found = older.version(NAME)
    assert found is not None
    assert (found.sums, found.rows, found.meta) == ({}, 10_000, {"from": "here"})
    check_versions(older, [found])
    part = found.base[0]
    content = part.read_bytes()
    part.write_bytes(content[:4] + bytes(len(content) // 2) + content[4 + len(content) // 2 :])
    with pytest.raises(CorruptFile, match=r"base-00000\.parquet is damaged or gone") as caught:
        check_versions(older, [found])
    assert "`crm-pipeline refresh acme`" in caught.value.cure


def test_a_step_that_fails_looks_for_a_culprit(tables: Tables) -> None:
    """Files are compared once more after an error; after a full disk they are not."""
    version = commit(tables)
    check_versions(tables, [version])
    flip_bit(version.paths[0])
    searched: list[str] = []

    def find() -> CorruptFile | None:
        searched.append("all")
        return damaged_version([version], Verifier())

    with pytest.raises(DiskFull), blamed_on(find):
        raise DiskFull("no room.")
    assert searched == []
    with pytest.raises(CorruptFile, match=str(version.paths[0])), blamed_on(find):
        raise StoreError("DuckDB: something else.")


@pytest.mark.parametrize("place", [20, -20])
def test_a_flipped_bit_in_the_record_of_a_version(tables: Tables, place: int) -> None:
    """The version cannot be read, and the text names the record."""
    path = commit(tables).base[0].with_name("version.json")
    flip_bit(path, place)
    with pytest.raises(CorruptFile, match="is damaged or gone") as caught:
        tables.version(NAME)
    assert str(path) in caught.value.message


def test_the_whole_record_of_another_version(tables: Tables) -> None:
    """A record that a restore has put into another folder is damage: the text names it, and a new version replaces it."""
    strange = commit(tables).base[0].with_name("version.json").read_bytes()
    path = commit(tables).base[0].with_name("version.json")
    path.unlink()
    path.write_bytes(strange)
    with pytest.raises(CorruptFile, match="is damaged or gone") as caught:
        tables.version(NAME)
    assert str(path) in caught.value.message


def test_the_copy_of_the_newest_release_stands_in_for_it(tables: Tables) -> None:
    """A damaged release is read from `release.json`, and the next commit gets the next number."""
    first = commit(tables)
    expected = tables.current()
    flip_bit(tables.releases / "1.json")
    other = Tables(tables.root.parent)
    assert other.current() == expected
    assert other.version(NAME) == first
    assert commit(other).parent == first.version
    assert other.current().number == 2


@pytest.mark.parametrize("how", ["gone", "behind", "damaged", "unsealed"])
def test_a_release_without_a_copy(tables: Tables, how: str) -> None:
    """Where the copy proves nothing, the release is an error with a cure, never replaced by the one before."""
    commit(tables)
    older = tables.pointer.read_bytes()
    commit(tables)
    flip_bit(tables.releases / "2.json")
    if how == "gone":
        tables.pointer.unlink()
    elif how == "behind":
        tables.pointer.write_bytes(older)
    elif how == "damaged":
        flip_bit(tables.pointer)
    else:
        record = files.read_json(tables.pointer)
        tables.pointer.write_text(json.dumps(record, indent=1))
    with pytest.raises(CorruptFile, match=r"releases/2\.json is damaged") as caught:
        tables.current()
    assert "refresh --all" in caught.value.cure


def test_releases_of_earlier_versions(tables: Tables, tmp_path: Path) -> None:
    """A release without a checksum of its own is read as it is."""
    commit(tables)
    expected = tables.current()
    path = tables.releases / "1.json"
    path.write_text(json.dumps(files.read_json(path), indent=1))
    assert isinstance(expected, Release)
    assert Tables(tmp_path).current() == expected
    path.write_text("{}")
    tables.pointer.unlink()
    with pytest.raises(CorruptFile, match=r"1\.json is damaged"):
        Tables(tmp_path).current()
