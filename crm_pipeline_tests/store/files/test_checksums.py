import hashlib
import os
import zlib
from pathlib import Path

import pytest

from crm_pipeline.store.files import checksums
from crm_pipeline.store.files.checksums import FileSum, Verifier, crc32_of, flushed
from crm_pipeline_tests.rot.flips import flip_bit


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were hashed, in order."""
    names: list[str] = []
    plain = checksums._sha256

    def noted(file: object) -> str:
        names.append(Path(file.name).name)  # type: ignore[attr-defined]
        return plain(file)  # type: ignore[arg-type]

    monkeypatch.setattr(checksums, "_sha256", noted)
    return names


def file(folder: Path, name: str = "a", content: bytes = b"rows" * 9) -> tuple[Path, FileSum]:
    path = folder / name
    path.write_bytes(content)
    return path, FileSum(len(content), hashlib.sha256(content).hexdigest())


def test_a_file_is_hashed_once_in_a_process(tmp_path: Path, hashed: list[str]) -> None:
    """A process hashes a file once for all reads, also under another name; another process hashes it again."""
    path, recorded = file(tmp_path)
    other = tmp_path / "other"
    os.link(path, other)
    verifier = Verifier()
    assert all(verifier.is_whole(one, recorded) for one in (path, path, other))
    assert verifier.damaged([(path, recorded), (other, recorded)]) == []
    assert hashed == ["a"]
    assert Verifier().is_whole(path, recorded)
    assert hashed == ["a", "a"]


def test_what_was_just_written_is_known(tmp_path: Path, hashed: list[str]) -> None:
    """The checksum computed at the flush counts as the hash for the first reader."""
    path, recorded = file(tmp_path)
    verifier = Verifier()
    assert flushed(path, verifier) == recorded == FileSum.of(path)
    moved = path.rename(tmp_path / "b")
    assert verifier.is_whole(moved, recorded)
    assert hashed == ["a", "a"]


@pytest.mark.parametrize("damage", ["bit", "byte more", "byte less", "other file", "gone"])
def test_what_is_not_as_recorded_is_damaged(tmp_path: Path, damage: str) -> None:
    """The damaged ones among whole files are named, whatever the damage."""
    whole, recorded = file(tmp_path)
    path, expected = file(tmp_path, "b", b"other rows")
    content = path.read_bytes()
    if damage == "bit":
        flip_bit(path)
    elif damage == "gone":
        path.unlink()
    else:
        other = {"byte more": content + b"x", "byte less": content[:-1]}
        path.write_bytes(other.get(damage, content[::-1]))
    given = [(whole, recorded), (path, expected), (whole, recorded)]
    assert Verifier().damaged(given) == [path]


def test_a_file_that_changes_after_it_was_compared(tmp_path: Path) -> None:
    """A new file under the same name is hashed again, also in a process that has hashed the first."""
    path, recorded = file(tmp_path)
    verifier = Verifier()
    assert verifier.is_whole(path, recorded)
    path.unlink()
    path.write_bytes(b"wors" * 9)
    assert not verifier.is_whole(path, recorded)
    assert not verifier.is_whole(tmp_path, recorded)


def test_the_crc_is_the_usual_one(tmp_path: Path) -> None:
    """The checksum equals zlib's for files of many blocks and for empty ones."""
    for content in (b"", b"abc", bytes(range(256)) * 9000):
        (tmp_path / "a").write_bytes(content)
        assert crc32_of(tmp_path / "a") == f"{zlib.crc32(content):08x}"
