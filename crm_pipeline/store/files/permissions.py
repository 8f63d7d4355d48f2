"""File permissions of the data folder: private to its owner; published files may be shared with a group.

Folders are 0700 and files 0600 (`files.make_folder`, `files.replacing`). With `CRM_SHARE_GROUP` the files for
analysts are 0750 and 0640 for that group: `snapshots/`, which `crm.duckdb` points into, and `published/`. A file
there gets the group of its folder, so that writers need not know the group.
"""

import grp
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from crm_pipeline.kernel.errors import ConfigError, CorruptFile
from crm_pipeline.store.files import atomic as files

GROUP_VARIABLE = "CRM_SHARE_GROUP"
SHARED = ("snapshots", "published")
_STATE = ".permissions.json"
_RULES = 1
"""Raised when files of older versions have to be checked again."""
_OTHERS = 0o077
_OF_GIT = "README.md"


class SharingSettings(Protocol):
    """The part of the settings that permissions depend on."""

    @property
    def data(self) -> Path:
        """The data folder."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment, `.env` included."""


@dataclass(frozen=True)
class Group:
    """A group of the operating system."""

    name: str
    gid: int

    @classmethod
    def configured(cls, environ: Mapping[str, str]) -> "Group | None":
        """Return the group that published files are shared with; None if there is none.

        Raises:
            ConfigError: this machine has no such group.
        """
        name = environ.get(GROUP_VARIABLE, "").strip()
        if not name:
            return None
        if name.isascii() and name.isdigit():  # containers often have only numbers
            return cls(name, int(name))
        try:
            return cls(name, grp.getgrnam(name).gr_gid)
        except KeyError:
            raise ConfigError(
                f"{GROUP_VARIABLE} names the group '{name}', which this machine does not have.",
                cure=f"Make it (`sudo groupadd {name}`), name one of yours ({_own_groups()}), or unset "
                "the variable: then only this user reads the data folder.",
            ) from None


def settle(settings: SharingSettings) -> list[str]:
    """Set the data folder's permissions as configured; cheap where they are set already.

    Files of older versions are checked once. Another user's folder is not changed.

    Returns:
        sentences for the user: what changed, and how to share.

    Raises:
        ConfigError: the group is not there, or this user may not hand files to it.
        StoreError: the folder is not writable.
    """
    data = settings.data
    if not data.is_dir() or os.geteuid() not in {0, data.stat().st_uid}:
        return []
    group = Group.configured(settings.environ)
    before = _state(data)
    with files.explained(data):
        closed = _close_all(data) if before.get("rules") != _RULES else 0
        _open_way(data, group)
    after = {"rules": _RULES, "group": group.name if group else None}
    if before == after:
        return []
    files.write_json(data / _STATE, after)
    return [*_closed(data, closed, group), *_shared(data, group, before.get("group"))]


def follow(folder: Path, file: Path) -> None:
    """Let the group of a shared folder read a file in it, and nobody else.

    Raises:
        ConfigError: this user may not hand files to that group.
    """
    shared = folder.stat()
    is_shared = bool(shared.st_mode & stat.S_IRGRP)
    _set(file, 0o640 if is_shared else 0o600, _named(shared.st_gid) if is_shared else None)


def exposed(folder: Path, uid: int) -> str:
    """Say why a folder is unsafe for a socket of this user; "" where it is safe.

    Another user who may write there could replace our socket by his own and receive our secrets.
    """
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return f"{folder} is no folder"
    if status.st_uid != uid:
        return f"{folder} belongs to another user (number {status.st_uid})"
    if stat.S_IMODE(status.st_mode) & _OTHERS:
        return f"{folder} is open to others (mode {stat.S_IMODE(status.st_mode):04o})"
    return ""


def _state(data: Path) -> Mapping[str, object]:
    try:
        return files.read_json(data / _STATE)
    except (FileNotFoundError, CorruptFile):
        return {}


def _open_way(data: Path, group: Group | None) -> None:
    """Set the permissions of the data folder itself and of the shared folders."""
    # Root runs the embedded PostgreSQL as another user, which has to reach its own folder below.
    server = data / "postgres"
    passable = server.is_dir() and server.stat().st_uid != data.stat().st_uid
    _set(data, 0o700 | (0o010 if group else 0) | (0o001 if passable else 0), group)
    for name in SHARED:
        folder = data / name
        if group:
            files.make_folder(folder)
        if folder.is_dir() and not folder.is_symlink():
            _set(folder, 0o750 if group else 0o700, group)
            for file in folder.iterdir():
                if file.is_file() and not file.is_symlink() and not file.name.startswith("."):
                    _set(file, 0o640 if group else 0o600, group)


def _named(gid: int) -> Group:
    try:
        return Group(grp.getgrgid(gid).gr_name, gid)
    except KeyError:
        return Group(str(gid), gid)


def _set(path: Path, mode: int, group: Group | None) -> None:
    try:
        status = path.stat()
        if group and status.st_gid != group.gid:
            os.chown(path, -1, group.gid)
        if status.st_mode & 0o777 != mode:
            path.chmod(mode | status.st_mode & 0o7000)
    except FileNotFoundError:
        pass  # a collector has removed it
    except PermissionError as error:
        if group is None:
            return  # a disk without modes, or another user's folder
        raise ConfigError(
            f"{path} cannot be handed to the group '{group.name}' ({GROUP_VARIABLE}).",
            cure=f"Add this user to it (`sudo usermod -aG {group.name} $USER`, and log in again), or "
            f"name one of its own: {_own_groups()}.",
        ) from error


def _close_all(data: Path) -> int:
    """Remove all rights of others below a folder from what is ours; return how many were readable.

    A file that git made is closed as well, but not counted: its content is public.
    """
    closed = [path for path in _below(data) if _close(path)]
    return len(closed) - (data / _OF_GIT in closed)


def _close(path: Path) -> bool:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & _OTHERS:
            path.chmod(mode & ~_OTHERS)
    except (FileNotFoundError, PermissionError):  # removed by a collector, or not ours
        return False
    return bool(mode & (stat.S_IRGRP | stat.S_IROTH))


def _below(folder: Path) -> Iterator[Path]:
    """Yield files and folders; links are not followed, and PostgreSQL's folder is left out."""
    for entry in list(os.scandir(folder)):
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if entry.name != "postgres" or path.parent != folder:
                yield path
                yield from _below(path)
        elif entry.is_file(follow_symlinks=False):
            yield path


def _closed(data: Path, count: int, group: Group | None) -> list[str]:
    if not count:
        return []
    number = "one file or folder" if count == 1 else f"{count:,} files and folders"
    message = (
        f"Other accounts of this machine could read {number} of {data}; now only this user can."
    )
    if group is None:
        message += (
            f" To let a group read what is published, set {GROUP_VARIABLE}; see 'Who may read the "
            "data' in docs/operations.md."
        )
    return [message]


def _shared(data: Path, group: Group | None, before: object) -> list[str]:
    if group is None:
        return [f"The group '{before}' can no longer read what is published."] if before else []
    message = (
        f"The group '{group.name}' can read {data / 'crm.duckdb'} (`duckdb -readonly`) and the files of "
        "published/, and nothing else."
    )
    if closed := [str(folder) for folder in data.parents if not _lets_pass(folder, group)]:
        message += (
            f" It does not get there yet: let it pass with `chmod o+x {' '.join(closed)}`, or set CRM_DATA "
            "to a folder that it can reach."
        )
    return [message]


def _lets_pass(folder: Path, group: Group) -> bool:
    status = folder.stat()
    bit = stat.S_IXGRP if status.st_gid == group.gid else stat.S_IXOTH
    return bool(status.st_mode & bit)


def _own_groups() -> str:
    return ", ".join(_named(gid).name for gid in sorted({*os.getgroups(), os.getegid()}))
