# ruff: noqa: PT012 - what must fail is a block of several steps
import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.kernel.errors import AuthFailed, ConnectionLost, CorruptFile, StoreError
from crm_pipeline.store import files

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='aé漢😀"\\\n\0', max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@given(st.dictionaries(st.text(alphabet="abé", max_size=4), JSON, max_size=4))
def test_json_survives_its_file(tmp_path: Path, value: dict[str, object]) -> None:
    """A JSON value is read back equal."""
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value


def test_replacing_is_all_or_nothing(tmp_path: Path) -> None:
    """A write that fails half way leaves the old file and no temporary one."""
    path = tmp_path / "a.txt"
    with files.replacing(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as temporary:
        temporary.write_text("half of the new")
        raise ZeroDivisionError
    assert content(tmp_path) == {"a.txt": "old"}


def test_a_reader_never_sees_a_half_written_file(tmp_path: Path) -> None:
    """While one thread rewrites a file, readers find the whole old content or the whole new one."""
    path = tmp_path / "a.json"
    files.write_json(path, {"n": 0, "pad": "x" * 20_000})

    def read(_: int) -> bool:
        value = files.read_json(path)
        return len(value["pad"]) == 20_000 + value["n"]

    with ThreadPoolExecutor(2) as pool:
        reads = pool.map(read, range(300))
        for number in range(1, 60):
            files.write_json(path, {"n": number, "pad": "x" * (20_000 + number)})
        assert all(reads)


def test_the_order_of_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is flushed before it gets its name, and its folder after it."""
    log: list[str] = []
    sync, replace = os.fsync, Path.replace

    def traced_sync(handle: int) -> None:
        log.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        sync(handle)

    def traced_replace(self: Path, target: Path) -> Path:
        log.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", traced_sync)
    monkeypatch.setattr(Path, "replace", traced_replace)
    files.write_json(tmp_path / "a.json", {})
    assert log == ["file", "rename", "folder"]
    log.clear()
    monkeypatch.setattr(os, "link", lambda *_: log.append("link"))
    files.create_json(tmp_path / "b.json", {})
    assert log == ["file", "link", "folder"]


def test_new_folders_survive_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry of each new folder is flushed in the folder above it."""
    synced: set[Path] = set()
    monkeypatch.setattr("crm_pipeline.store.files.atomic.sync_folder", synced.add)
    files.make_folder(tmp_path / "a" / "b" / "c")
    assert synced == {tmp_path, tmp_path / "a", tmp_path / "a" / "b"}
    synced.clear()
    files.make_folder(tmp_path / "a" / "b" / "c")
    assert synced == set()


def test_create_is_won_by_one(tmp_path: Path) -> None:
    """Of many who create the same file exactly one succeeds, and its content stays."""
    path = tmp_path / "1.json"
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: files.create_json(path, {"by": n}), range(40)))
    assert won.count(True) == 1
    assert files.read_json(path) == {"by": won.index(True)}
    assert list(content(tmp_path)) == ["1.json"]


@pytest.mark.parametrize(
    "text", ["", "{", '{"a": 1', "[1]", "null", "\x00\x00\x00"], ids=["empty", *"bcdef"]
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    """A file of ours that is not a JSON object is CorruptFile, with its path and a cure."""
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(CorruptFile, match=r"a\.json is damaged") as caught:
        files.read_json(tmp_path / "a.json")
    assert caught.value.cure


def test_a_file_that_is_no_text_is_damaged(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are a damaged file like any other."""
    (tmp_path / "a.json").write_bytes(b'{"a": "\xff\xfe"}')
    with pytest.raises(CorruptFile, match="damaged"):
        files.read_json(tmp_path / "a.json")


def test_a_missing_file_is_not_damaged(tmp_path: Path) -> None:
    """Callers can distinguish a missing file from an unreadable one."""
    with pytest.raises(FileNotFoundError):
        files.read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "disk is full"),
        (errno.EACCES, "writable"),
        (errno.EROFS, "writable"),
        (errno.EIO, "Nothing was overwritten"),
    ],
)
def test_a_failing_disk_is_one_sentence_with_a_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    """The operating system's refusal names the path and says what to do; the old file stays."""
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})

    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    for write in (files.write_json, files.create_json):
        with pytest.raises(StoreError, match=words) as caught:
            write(path, {"new": 1})
        assert str(path) in str(caught.value)
        assert os.strerror(code) in str(caught.value)
    assert list(content(tmp_path)) == ["a.json"]
    assert files.read_json(path) == {"old": 1}


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    """Where a file has the name of a needed folder, the text says so."""
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreError, match="A file stands where a folder is needed"):
        files.write_json(tmp_path / "data" / "x" / "a.json", {})


@pytest.mark.parametrize("error", [ConnectionLost("lost."), AuthFailed("refused.")])
def test_our_own_errors_pass_through(tmp_path: Path, error: Exception) -> None:
    """A connection that is lost while a file is written is not taken for a full disk."""
    with pytest.raises(type(error)) as caught, files.replacing(tmp_path / "a") as temporary:
        temporary.write_text("half")
        raise error
    assert caught.value is error
    assert content(tmp_path) == {}


def test_sha256_is_the_usual_one(tmp_path: Path) -> None:
    """The sum is the one that sha256sum prints."""
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256_of(tmp_path / "a") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
