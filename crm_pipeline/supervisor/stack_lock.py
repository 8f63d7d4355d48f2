"""The lock that `crm-pipeline up` holds on a data folder: one stack per folder.

It is a lock of the operating system on `run/up.lock`, which ends with its process. The file holds the
process id for people; only the lock says whether a stack is up.
"""

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from crm_pipeline.kernel.errors import ConfigError, StoreError
from crm_pipeline.store import files
from crm_pipeline.store.files.disk import disk_full, is_full

_NAME = "up.lock"


@dataclass(frozen=True)
class Holder:
    """The process that holds the lock.

    Attributes:
        pid: None where an older version, which did not write it, holds the lock.
    """

    pid: int | None

    def __str__(self) -> str:
        return "`crm-pipeline up`" + (f" (process {self.pid})" if self.pid else "")


def lock_stack(data: Path) -> int:
    """Take the lock, and return the open file that holds it until it is closed.

    Raises:
        ConfigError: another stack runs on the data folder.
        StoreError: the folder is not writable.
    """
    folder = data / "run"
    try:
        files.make_private(folder)
        handle = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if is_full(error):
            raise disk_full(f"{folder} cannot be written", folder) from error
        raise StoreError(
            f"the data folder {data} is not writable ({error.strerror}).",
            cure="Give this user write permission, or set CRM_DATA to another folder.",
        ) from error
    while not _is_taken(handle, fcntl.LOCK_EX):
        holder = stack_of(data)  # None: another process was checking the lock just now
        if holder is not None:
            os.close(handle)
            raise ConfigError(
                f"{holder} is running already on {data}.",
                cure="Use that one, stop it first, or set CRM_DATA to another folder.",
            )
    with suppress(OSError):  # the lock counts without it
        os.truncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


def stack_of(data: Path) -> Holder | None:
    """Return the process of the stack that is up on a data folder; None where none is."""
    try:
        handle = os.open(data / "run" / _NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if _is_taken(handle, fcntl.LOCK_SH):
            return None
        written = os.pread(handle, 32, 0).strip()
        return Holder(int(written) if written.isdigit() else None)
    finally:
        os.close(handle)


def _is_taken(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
