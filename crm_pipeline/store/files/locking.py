"""A lock on a folder, for the small files in it that several processes replace."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crm_pipeline.store.files.atomic import make_folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder where there is none, and keep other processes and threads from its lock meanwhile.

    Raises:
        StoreError: the folder is not writable.
    """
    make_folder(folder)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
