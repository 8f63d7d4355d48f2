"""Locks between processes for one embedded server: starting or stopping it, and using it.

Both are locks of the operating system on files in the data folder, released when their process ends in any way. They
apply to one data folder, not to the machine.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from crm_pipeline.kernel.errors import DatabaseUnavailable, StoreError
from crm_pipeline.store import files
from crm_pipeline.store.files.disk import disk_full, is_full


@contextlib.contextmanager
def start_lock(data: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock for starting or stopping the server of a data folder.

    Raises:
        StoreError: the folder is not writable.
        DatabaseUnavailable: another process holds the lock for longer than `timeout_s`.
    """
    handle = _opened(data, ".postgres.lock")
    until = time.monotonic() + timeout_s
    try:
        while not _locked(handle, fcntl.LOCK_EX):
            if time.monotonic() > until:
                raise DatabaseUnavailable(
                    f"another process has been starting or stopping the server in {data} for"
                    f" {timeout_s:.0f} s.",
                    cure="End that process (`fuser -v` on .postgres.lock there shows it) and retry.",
                )
            time.sleep(0.02)
        yield
    finally:
        os.close(handle)


class Use:
    """The shared lock of one user of the server; made and ended while holding `start_lock`."""

    def __init__(self, data: Path) -> None:
        self._handle = _opened(data, ".postgres.users")
        _locked(self._handle, fcntl.LOCK_SH)

    def end(self) -> bool:
        """Release the lock; say whether it was the last."""
        try:
            return _locked(self._handle, fcntl.LOCK_EX)
        finally:
            os.close(self._handle)


def _opened(data: Path, name: str) -> int:
    try:
        files.make_private(data)
        return os.open(data / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if is_full(error):
            raise disk_full(f"{data / name} cannot be made", data) from error
        raise StoreError(
            f"the data folder {data} is not writable ({error.strerror}).",
            cure="Give this user write permission, or set CRM_DATA to another folder.",
        ) from error


def _locked(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
