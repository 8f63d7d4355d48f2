"""Files that are whole or not there: atomic writes, and the one error for a full disk.

Every file of `data/` is written here, readable by its owner alone; `permissions.py` says what a group may read.
A write goes to a temporary name in the same folder, is flushed to the disk and renamed, and the folder is flushed
as well. So a reader sees the old file or the new one, also after a crash at any moment. JSON files are sealed
(`store.files.seal`).
"""

import errno
import hashlib
import os
import stat
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from crm_pipeline.kernel.errors import CorruptFile, CrmError, StoreError
from crm_pipeline.kernel.failpoint import reached
from crm_pipeline.store.files.disk import FULL, disk_full
from crm_pipeline.store.files.seal import sealed, unsealed

TEMPORARY_SUFFIX = ".tmp"
_FOLDER, _FILE = 0o700, 0o600
_ABANDONED = timedelta(days=1)


def sync_file(path: Path) -> None:
    """Flush a finished file to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to the disk, so that a rename survives a power cut."""
    sync_file(path)


def make_folder(path: Path) -> Path:
    """Make a folder and those above it for this user alone, and flush their entries to the disk.

    Raises:
        StoreError: the parent folder is not writable.
    """
    with explained(path):
        for folder in make_private(path):
            sync_folder(folder.parent)
    return path


def make_private(path: Path) -> list[Path]:
    """Make a folder and those above it, as far as they are missing, for this user alone; return them.

    Raises:
        OSError: the parent folder is not writable.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=_FOLDER, exist_ok=True)
    path.mkdir(exist_ok=True)  # raises where a file has this name
    return missing


@contextmanager
def created(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write to, emptied or made for this user alone.

    Raises:
        StoreError: it cannot be written.
    """
    with explained(path):
        path.touch(mode=_FILE)
        with path.open("wb") as file:
            yield file


def _narrow(file: Path) -> None:
    """Remove the right to read a file from users who cannot list its folder."""
    mode, around = file.stat().st_mode, file.parent.stat().st_mode
    if mode & ~around & 0o044:
        with suppress(PermissionError):  # a disk that knows no modes
            file.chmod(stat.S_IMODE(mode) & (_FILE | around & 0o044))


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the operating system's errors about a path into one sentence with a cure."""
    try:
        yield
    except CrmError:
        raise  # some are also OSErrors (a lost connection), but not about this path
    except OSError as error:
        failure = f"cannot write {path}: {error.strerror or error}"
        if error.errno in FULL:
            raise disk_full(failure, path) from error
        raise StoreError(f"{failure}.", cure=_cure(error.errno)) from error


def _cure(code: int | None) -> str:
    if code in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return "Make the folder writable for this user, or set CRM_DATA to another folder."
    if code in {errno.ENOTDIR, errno.EEXIST, errno.ENOENT}:
        return "A file stands where a folder is needed: move it away, or set CRM_DATA."
    return "Nothing was overwritten."


@contextmanager
def replacing(path: Path, kind: str = "", *, is_the_users: bool = False) -> Iterator[Path]:
    """Yield a temporary path; on success the file there replaces `path` in one step.

    Args:
        path: the file.
        kind: of file, for failpoints (`kernel.failpoint`).
        is_the_users: the file lies outside of the data folder, so its mode is left to the user.

    Raises:
        StoreError: writing failed; `path` is as it was.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{TEMPORARY_SUFFIX}")
    try:
        with explained(path):
            reached(kind, "begin")
            yield temporary
            if not is_the_users:
                _narrow(temporary)
            reached(kind, "written")
            sync_file(temporary)
            reached(kind, "flushed")
            temporary.replace(path)
            reached(kind, "named")
            sync_folder(path.parent)
    finally:
        discard(temporary)


def discard(*temporaries: Path) -> None:
    """Remove temporary files, as far as possible.

    A file that stays does no harm, and a collector removes it later. An error here would hide the original
    error, or make a successful write fail.
    """
    for path in temporaries:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def abandoned(paths: Iterable[Path], now: datetime) -> Iterator[Path]:
    """Yield the temporary files among `paths` of dead writers: those older than a day."""
    for path in paths:
        if path.name.startswith(".") and TEMPORARY_SUFFIX in path.name:
            with suppress(FileNotFoundError):  # another process has removed it
                if now - datetime.fromtimestamp(path.lstat().st_mtime, UTC) > _ABANDONED:
                    yield path


def write_json(path: Path, value: Mapping[str, Any], kind: str = "") -> None:
    """Write a JSON file in one step; `kind` as in `replacing`."""
    with replacing(path, kind) as temporary:
        temporary.write_bytes(sealed(value))


def create_json(path: Path, value: Mapping[str, Any], kind: str = "") -> bool:
    """Write a JSON file in one step unless it exists already; say whether it was written.

    A hard link is the one file operation that both checks and creates, on every POSIX file system.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{TEMPORARY_SUFFIX}")
    try:
        with explained(path):
            reached(kind, "begin")
            temporary.touch(mode=_FILE)
            temporary.write_bytes(sealed(value))
            reached(kind, "written")
            sync_file(temporary)
            reached(kind, "flushed")
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            reached(kind, "named")
            sync_folder(path.parent)
            return True
    finally:
        discard(temporary)


def read_json(path: Path, *, cure: str = "") -> dict[str, Any]:
    """Return the content of one of our JSON files; `cure` says what to do where it is damaged.

    Raises:
        CorruptFile: the file is not as it was written, or no JSON.
        FileNotFoundError: it does not exist.
    """
    return read_sealed(path, cure=cure)[0]


def read_sealed(path: Path, *, cure: str = "") -> tuple[dict[str, Any], bool]:
    """Return the content of one of our JSON files, and whether it has a seal; earlier versions wrote none.

    Raises:
        CorruptFile, FileNotFoundError: as `read_json`.
    """
    cure = cure or "Restore it from a backup, or move it away."
    try:
        value, is_sealed = unsealed(path.read_bytes())
    except ValueError as error:
        raise CorruptFile(f"{path} is damaged: {error}.", cure=cure) from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise CorruptFile(f"{path} is damaged: it is no file.", cure=cure) from error
    if not isinstance(value, dict):
        raise CorruptFile(f"{path} is damaged: an object was expected.", cure=cure)
    return value, is_sealed


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
