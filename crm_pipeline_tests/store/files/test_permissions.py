import grp
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.store import files
from crm_pipeline.store.files import permissions
from crm_pipeline.store.files.permissions import settle
from crm_pipeline.store.tables.published import Snapshots, share
from crm_pipeline_tests.modes import mode, open_to_others

NOBODY = 65_534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another account")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder of an earlier version, which everybody may read."""
    return made_open(tmp_path / "data")


def made_open(data: Path) -> Path:
    for name in ("landing/acme/batch.parquet", "tables/t.parquet", "snapshots/crm-1.duckdb"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(name)
    (data / "published").mkdir()
    (data / "published" / "deals.parquet").write_text("rows")
    (data / "crm.duckdb").symlink_to("snapshots/crm-1.duckdb")
    for path in (data, *data.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    return data


@pytest.fixture
def group() -> grp.struct_group:
    """A group that this user may hand files to."""
    return grp.getgrgid(1 if os.geteuid() == 0 else os.getegid())


def settled(data: Path, group: str = "") -> list[str]:
    return settle(SimpleNamespace(data=data, environ={"CRM_SHARE_GROUP": group}))


def test_what_was_open_is_closed_once(data: Path) -> None:
    """Files of older versions are closed at the first start, with one message that says how to share."""
    [told] = settled(data)
    assert open_to_others(data) == []
    assert "9 files and folders" in told
    assert "CRM_SHARE_GROUP" in told
    assert settled(data) == []


def test_a_new_folder_says_nothing(tmp_path: Path) -> None:
    """With nothing to close there is no message, and no folder is made."""
    assert settled(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
    assert settled(files.make_folder(tmp_path / "fresh")) == []
    assert mode(tmp_path / "fresh") == 0o700


def test_what_git_made_is_closed_and_not_told(tmp_path: Path) -> None:
    """The README of a fresh clone, which everybody may read, is not counted in the message."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "README.md").write_text("# data/")
    (data / "README.md").chmod(0o644)
    assert settled(data) == []
    assert mode(data / "README.md") == 0o600
    (data / ".permissions.json").unlink()
    for name in ("README.md", "state.key"):
        (data / name).touch()
        (data / name).chmod(0o644)
    [told] = settled(data)
    assert "could read one file or folder of" in told


def test_links_are_not_followed(data: Path, tmp_path: Path) -> None:
    """What a link in the data folder points to keeps its permissions."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "file").touch(mode=0o644)
    (data / "landing" / "folder").symlink_to(outside)
    (data / "landing" / "file").symlink_to(outside / "file")
    settled(data)
    assert (mode(outside), mode(outside / "file")) == (0o755, 0o644)


def test_a_group_gets_what_is_published(data: Path, group: grp.struct_group) -> None:
    """A configured group can reach the snapshots and Parquet files, and read nothing else."""
    told = settled(data, group.gr_name)
    assert any(f"'{group.gr_name}' can read" in line for line in told)
    shared = {data, *(data / name for name in ("snapshots", "published"))}
    assert {mode(path) for path in shared} == {0o710, 0o750}
    inside = [data / "snapshots" / "crm-1.duckdb", data / "published" / "deals.parquet"]
    assert {mode(path) for path in inside} == {0o640}
    assert {path.stat().st_gid for path in (*shared, *inside)} == {group.gr_gid}
    rest = set(open_to_others(data)) - {str(path) for path in (*shared, *inside)}
    assert rest == set()
    assert settled(data, group.gr_name) == []
    assert "no longer" in settled(data)[0]
    assert open_to_others(data) == []


def test_what_is_published_later_takes_after_its_folder(
    data: Path, group: grp.struct_group
) -> None:
    """A new snapshot and a new Parquet file are shared as those before them; a new table is not."""
    for name, wanted in ((group.gr_name, 0o640), ("", 0o600)):
        settled(data, name)
        with Snapshots(data).building(f"crm-2{name}.duckdb", None) as path:
            path.write_text("new")
        with files.replacing(data / "tables" / f"new{name}") as path:
            path.write_text("new")
            path.chmod(0o664)
        share(data / "tables" / f"new{name}", data / "published" / f"new{name}.parquet")
        assert mode((data / "crm.duckdb").resolve()) == wanted
        assert mode(data / "published" / f"new{name}.parquet") == wanted
        if name:
            files_of_it = (data / "crm.duckdb", data / "published" / f"new{name}.parquet")
            assert {file.stat().st_gid for file in files_of_it} == {group.gr_gid}
        assert mode(data / "tables") == 0o700


def test_files_are_made_private(tmp_path: Path) -> None:
    """Whatever the umask, files below a private folder are readable by their owner alone."""
    before = os.umask(0)
    try:
        folder = files.make_folder(tmp_path / "data" / "a" / "b")
        with files.replacing(folder / "one") as path:
            path.write_text("1")
        files.write_json(folder / "two", {})
        files.create_json(folder / "three", {})
        with files.created(folder / "four") as file:
            file.write(b"4")
    finally:
        os.umask(before)
    assert len(list(folder.iterdir())) == 4
    assert open_to_others(tmp_path / "data") == []


def test_a_file_of_the_users_keeps_its_mode(tmp_path: Path) -> None:
    """Outside of the data folder, as beside connections.yaml, the umask decides as usual."""
    tmp_path.chmod(0o700)
    before = os.umask(0o022)
    try:
        with files.replacing(tmp_path / ".gitignore", is_the_users=True) as path:
            path.write_text("data/")
    finally:
        os.umask(before)
    assert mode(tmp_path / ".gitignore") == 0o644


def test_an_unknown_group(data: Path) -> None:
    """A group that the machine does not have is refused before anything is changed."""
    with pytest.raises(ConfigError, match="'no-such-group'") as caught:
        settled(data, "no-such-group")
    assert "groupadd no-such-group" in caught.value.cure
    assert mode(data) == 0o755


def test_a_way_that_is_closed_is_told(tmp_path: Path, group: grp.struct_group) -> None:
    """Where the group cannot get to the data folder, the folders that are closed are named."""
    closed = files.make_folder(tmp_path / "home")
    told = settled(made_open(closed / "data"), group.gr_name)
    assert str(closed) in told[-1].partition("chmod o+x")[2]


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A data folder that other accounts can reach, unlike pytest's own folders."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield made_open(folder / "data")
    shutil.rmtree(folder)


def can_read(path: Path, gid: int) -> bool:
    command = ["ls", str(path)] if path.is_dir() else ["cat", str(path)]
    done = subprocess.run(
        command, user=NOBODY, group=gid, extra_groups=[], capture_output=True, check=False
    )
    return done.returncode == 0


@as_root
def test_other_accounts_cannot_read(reachable: Path, group: grp.struct_group) -> None:
    """Another account reads nothing; a member of the group reads published files and nothing else."""
    published = [reachable / "crm.duckdb", reachable / "published" / "deals.parquet"]
    others = [reachable, *(reachable / name for name in ("landing", "tables", "tables/t.parquet"))]
    assert all(can_read(path, NOBODY) for path in (*published, *others))
    settled(reachable)
    assert not any(can_read(path, group.gr_gid) for path in (*published, *others))
    settled(reachable, group.gr_name)
    assert all(can_read(path, group.gr_gid) for path in published)
    assert not any(can_read(path, group.gr_gid) for path in others)
    assert not any(can_read(path, NOBODY) for path in (*published, *others))


@as_root
def test_the_servers_account_gets_through(data: Path) -> None:
    """Where root runs PostgreSQL as another account, that account can pass through the data folder and no more."""
    (data / "postgres").mkdir(mode=0o700)
    os.chown(data / "postgres", NOBODY, NOBODY)
    settled(data)
    assert mode(data) == 0o701
    assert mode(data / "postgres") == 0o700
    assert (data / "postgres").stat().st_uid == NOBODY


@as_root
def test_a_folder_of_somebody_else_is_left_alone(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who only reads a data folder changes nothing there."""
    monkeypatch.setattr(permissions.os, "geteuid", lambda: NOBODY)  # type: ignore[attr-defined]
    assert settled(data, "no-such-group") == []
    assert mode(data) == 0o755


@pytest.mark.parametrize("wrong", ["open", "writable", "a link", "a file", "somebody's"])
def test_socket_folders(tmp_path: Path, wrong: str) -> None:
    """A socket is made only in a folder of this user that nobody else can enter."""
    uid, folder = os.geteuid(), tmp_path / "sockets"
    (tmp_path / "private").mkdir(mode=0o700)
    assert permissions.exposed(tmp_path / "private", uid) == ""
    if wrong == "a link":
        folder.symlink_to(tmp_path / "private")
    elif wrong == "a file":
        folder.touch(mode=0o600)
    else:
        folder.mkdir()
        folder.chmod({"open": 0o750, "writable": 0o1777}.get(wrong, 0o700))
    found = permissions.exposed(folder, uid + (wrong == "somebody's"))
    assert found.startswith(str(folder))
