"""Copy a large file at the least cost: as a reflink where the file system has them, else within the kernel."""

import errno
import fcntl
import os
import shutil
from pathlib import Path
from typing import Literal

Way = Literal["reflink", "copy"]
_FICLONE = 0x40049409  # of linux/fs.h
_CHUNK_BYTES = 1 << 30
_NOT_POSSIBLE = {
    errno.EOPNOTSUPP,
    errno.ENOTTY,
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOSYS,
    errno.EPERM,
}


def copy_file(source: Path, target: Path) -> Way:
    """Copy a file to a new path, and return how.

    Raises:
        OSError: the source is gone, the target exists, or the disk is full.
    """
    with source.open("rb") as read, target.open("xb") as written:
        try:
            fcntl.ioctl(written.fileno(), _FICLONE, read.fileno())
        except OSError as error:
            if error.errno not in _NOT_POSSIBLE:
                raise
        else:
            return "reflink"
        try:
            while os.copy_file_range(read.fileno(), written.fileno(), _CHUNK_BYTES):
                pass
        except OSError as error:
            if error.errno not in _NOT_POSSIBLE:
                raise
            read.seek(0)
            written.seek(0)
            shutil.copyfileobj(read, written, 1 << 20)
    return "copy"
