"""Checksums of database files by block."""

import shutil
from pathlib import Path

import duckdb
import pytest

from crm_pipeline.store.files.blocks import BLOCK_BYTES, HEAD_BYTES, BlockSums
from crm_pipeline.store.files.copying import copy_file
from crm_pipeline_tests.rot.flips import flip_bit

ROWS = "SELECT i, md5(i::VARCHAR) AS text FROM range(60000) t(i)"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of several blocks."""
    path = tmp_path_factory.mktemp("blocks") / "a.duckdb"
    with duckdb.connect(str(path)) as file:
        file.execute(f"CREATE TABLE a AS {ROWS}")
    return path


@pytest.mark.parametrize("place", [9, HEAD_BYTES + 100, HEAD_BYTES + BLOCK_BYTES, -1])
def test_any_flipped_bit_is_found(original: Path, tmp_path: Path, place: int) -> None:
    """A bit of the head, of a block, or of the last byte changes the checksums."""
    path = Path(shutil.copyfile(original, tmp_path / "a.duckdb"))
    known = BlockSums.of(path)
    assert BlockSums.from_dict(known.to_dict()) == known
    flip_bit(path, place if place >= 0 else path.stat().st_size - 1)
    assert BlockSums.of(path) != known


def test_those_of_a_changed_copy_are_those_of_its_bytes(original: Path, tmp_path: Path) -> None:
    """After rows were replaced, only blocks that changed are read, and the result is that of reading all."""
    known, path = BlockSums.of(original), tmp_path / "b.duckdb"
    assert copy_file(original, path) in {"copy", "reflink"}
    assert path.read_bytes() == original.read_bytes()
    with duckdb.connect(str(path)) as file:
        file.execute("DELETE FROM a WHERE i % 999 = 0")
        file.execute(f"INSERT INTO a {ROWS} LIMIT 50")
    assert BlockSums.after(path, original, known) == BlockSums.of(path) != known


def test_a_block_that_was_damaged_before_is_found_in_the_copy(
    original: Path, tmp_path: Path
) -> None:
    """The checksums of a copy are not taken from a damaged block."""
    known = BlockSums.of(original)
    damaged, path = tmp_path / "a.duckdb", tmp_path / "b.duckdb"
    shutil.copyfile(original, damaged)
    flip_bit(damaged, HEAD_BYTES + BLOCK_BYTES + 5_000)
    copy_file(damaged, path)
    assert BlockSums.after(path, damaged, known) == known != BlockSums.of(path)


def test_a_copy_never_replaces_a_file(original: Path, tmp_path: Path) -> None:
    """A file that exists is left as it is."""
    path = tmp_path / "b.duckdb"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        copy_file(original, path)
    assert path.read_text() == "mine"
