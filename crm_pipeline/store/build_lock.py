"""The lock between builds and an erasure: many builds at a time, or one erasure.

A build that has read a batch before it was rewritten would bring the person back into its table. The lock is one of the
operating system on `run/build.lock`, so it ends with its process, and covers runs that no `up` has started. A build
waits for an erasure; an erasure refuses while a step builds, because that may take long.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.store import files

_NAME = "build.lock"


class Building(StoreError):
    """A step of a run is building or publishing tables."""


@contextmanager
def building(data: Path) -> Iterator[None]:
    """Hold off erasures while a step builds; wait for one that is under way.

    Raises:
        StoreError: the folder is not writable.
    """
    handle = _opened(data)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


@contextmanager
def erasing(data: Path) -> Iterator[None]:
    """Hold off builds while a person is erased.

    Raises:
        Building: a step is building; nothing was erased.
        StoreError: the folder is not writable.
    """
    handle = _opened(data)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Building(
                f"a run is building tables in {data}, or another erasure is under way, so nothing was erased.",
                cure="Wait for it, or stop it, and run the same again.",
            ) from None
        yield
    finally:
        os.close(handle)


def _opened(data: Path) -> int:
    folder = data / "run"
    with files.explained(folder):
        files.make_private(folder)
        return os.open(folder / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
