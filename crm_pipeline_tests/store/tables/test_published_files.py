from pathlib import Path

import pytest

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.store.files.checksums import FileSum, Verifier
from crm_pipeline.store.tables.published_files import RECORD, PublishedFiles
from crm_pipeline_tests.rot.flips import flip_bit

NAMES = ("contacts.parquet", "deals.parquet")


@pytest.fixture
def published(tmp_path: Path) -> PublishedFiles:
    """Two files that are recorded, and one that is not."""
    made = PublishedFiles(tmp_path / "published", Verifier())
    made.folder.mkdir()
    for name in (*NAMES, "unknown.parquet"):
        (made.folder / name).write_text(f"rows of {name}")
    made.record({name: made.taken(made.folder / name) for name in NAMES})
    return made


def again(published: PublishedFiles) -> PublishedFiles:
    return PublishedFiles(published.folder, Verifier())


def test_files_are_known_by_name(published: PublishedFiles) -> None:
    """Another process reads the checksums of recorded files; other files have none."""
    found = again(published)
    assert found.recorded() == {name: FileSum.of(found.folder / name) for name in NAMES}
    assert found.damaged() == []
    assert [found.is_whole(name) for name in (*NAMES, "unknown.parquet")] == [True, True, False]


@pytest.mark.parametrize("name", [*NAMES, RECORD])
def test_a_flipped_bit_is_found(published: PublishedFiles, name: str) -> None:
    """A flipped bit is found in a file or in the record; a damaged record is not used."""
    flip_bit(published.folder / name)
    found = again(published)
    assert found.damaged() == [published.folder / name]
    assert not found.is_whole(NAMES[0]) or name == NAMES[1]
    if name == RECORD:
        with pytest.raises(CorruptFile, match="crm-pipeline refresh"):
            found.recorded()
        assert found.sum_of(NAMES[0]) is None


def test_what_is_about_to_change_is_forgotten_first(published: PublishedFiles) -> None:
    """A publisher that dies while it changes a file leaves nothing that seems damaged."""
    published.forget(["contacts.parquet", "new.parquet"])
    (published.folder / "contacts.parquet").write_text("half of the new rows")
    found = again(published)
    assert found.damaged() == []
    assert set(found.recorded()) == {"deals.parquet"}


def test_a_file_that_is_gone_is_damaged(published: PublishedFiles) -> None:
    """A recorded file must exist."""
    (published.folder / "deals.parquet").unlink()
    assert again(published).damaged() == [published.folder / "deals.parquet"]


def test_at_first_nothing_is_known(tmp_path: Path) -> None:
    """Before the first publish, and after one by an earlier version, no file is called damaged."""
    found = PublishedFiles(tmp_path / "published", Verifier())
    assert (found.recorded(), found.damaged()) == ({}, [])


def test_an_unchanged_record_is_not_written(published: PublishedFiles) -> None:
    """A publish that changes no file leaves the record as it is."""
    path = published.folder / RECORD
    before = path.stat().st_ino
    published.forget(["other.parquet"])
    published.record(published.recorded())
    assert path.stat().st_ino == before
