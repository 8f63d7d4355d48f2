"""Files that are whole or not there: atomic writes, and the one error for a full disk.

Every file of `data/` goes through here. A write goes to a temporary name in the same folder, is
flushed to the disk, renamed, and the folder is flushed as well: a reader sees the old file or the
new one, after a crash at any moment.
"""

import errno
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from crm_pipeline.kernel.errors import CorruptFile, CrmError, StoreError
from crm_pipeline.kernel.failpoint import reached

TEMPORARY_SUFFIX = ".tmp"
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
    """Make a folder and those above it, and flush their entries to the disk.

    Raises:
        StoreError: the place is not writable.
    """
    with explained(path):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            sync_folder(folder.parent)
    return path


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the operating system's errors about a path into one sentence with a cure."""
    try:
        yield
    except CrmError:
        raise  # some are OSErrors as well (a lost connection), but none is about this path
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}.", cure=_cure(error.errno)
        ) from error


def _cure(code: int | None) -> str:
    if code in {errno.ENOSPC, errno.EDQUOT}:
        return "The disk is full: free some space and start again; nothing was overwritten."
    if code in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return "Make the folder writable for this user, or set CRM_DATA to another folder."
    if code in {errno.ENOTDIR, errno.EEXIST, errno.ENOENT}:
        return "A file stands where a folder is needed: move it away, or set CRM_DATA."
    return "Nothing was overwritten."


@contextmanager
def replacing(path: Path, what: str = "") -> Iterator[Path]:
    """Yield a temporary path; what was written there replaces `path` in one step on success.

    Args:
        path: the file.
        what: its name among the failpoints (`kernel.failpoint`).

    Raises:
        StoreError: writing failed; `path` is as it was.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{TEMPORARY_SUFFIX}")
    try:
        with explained(path):
            reached(what, "begin")
            yield temporary
            reached(what, "written")
            sync_file(temporary)
            reached(what, "flushed")
            temporary.replace(path)
            reached(what, "named")
            sync_folder(path.parent)
    finally:
        discard(temporary)


def discard(*temporaries: Path) -> None:
    """Remove temporary files, as far as the disk lets us.

    One that stays is in nobody's way, and collectors take it; an error here would hide the one that
    is being told, or make one of a write that succeeded.
    """
    for path in temporaries:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def abandoned(paths: Iterable[Path], now: datetime) -> Iterator[Path]:
    """Yield the temporary files among `paths` whose writer died: a living one is never a day old."""
    for path in paths:
        if path.name.startswith(".") and TEMPORARY_SUFFIX in path.name:
            with suppress(FileNotFoundError):  # somebody else collects as well
                if now - datetime.fromtimestamp(path.lstat().st_mtime, UTC) > _ABANDONED:
                    yield path


def write_json(path: Path, value: Mapping[str, Any], what: str = "") -> None:
    """Write a JSON file in one step; `what` as in `replacing`."""
    with replacing(path, what) as temporary:
        temporary.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def create_json(path: Path, value: Mapping[str, Any], what: str = "") -> bool:
    """Write a JSON file in one step unless it is there already; say whether it was written.

    A hard link is the one file operation that both checks and creates, on every POSIX file system.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{TEMPORARY_SUFFIX}")
    try:
        with explained(path):
            reached(what, "begin")
            temporary.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
            reached(what, "written")
            sync_file(temporary)
            reached(what, "flushed")
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            reached(what, "named")
            sync_folder(path.parent)
            return True
    finally:
        discard(temporary)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of ours.

    Raises:
        CorruptFile: it is there but is not JSON.
        FileNotFoundError: it is not there.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CorruptFile(
            f"{path} is damaged: {error}.", cure="Restore it from a backup, or move it away."
        ) from error
    if not isinstance(value, dict):
        raise CorruptFile(f"{path} is damaged: an object was expected.", cure="Move it away.")
    return value


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
