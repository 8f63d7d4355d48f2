"""Recognise errors of the system and of libraries that mean a full disk, and name the disk.

DuckDB and PostgreSQL repeat the system's text in their own errors; both are recognised here.
"""

import errno
import os
import re
import shutil
from pathlib import Path

from crm_pipeline.kernel.errors import DiskFull

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_WORDS = tuple(os.strerror(code) for code in sorted(FULL))
_FILE = re.compile(
    r'(?:file|directory) \\?"([^"\\]+)'
)  # in JSON within a text quotes have backslashes
_MEGA = 1e6
_DISK_FULL = "53100"  # PostgreSQL's code; its text may be in any language


def is_full(error: BaseException) -> bool:
    """Say whether an error came from a full disk or an exhausted quota."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    if getattr(error, "pgcode", None) == _DISK_FULL:
        return True
    return tells_full(str(error))


def tells_full(text: str) -> bool:
    """Say whether a text contains the system's message about a full disk."""
    return any(words in text for words in _WORDS)


def disk_full(
    failure: str, near: Path, after: str = "start again; nothing was overwritten"
) -> DiskFull:
    """Return the error about a full disk.

    Args:
        failure: what could not be done, a sentence without its full stop.
        near: a path on the disk; it need not exist.
        after: what to do when there is room.
    """
    return DiskFull(
        f"{failure}.", cure=f"The disk is full: free some space on {named(near)} and {after}."
    )


def named(near: Path) -> str:
    """Return the name of the disk that a path is on, with its free space."""
    existing = near.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        usage, mount = shutil.disk_usage(existing), _mount(existing)
        files_left = os.statvfs(existing).f_favail
    except OSError:
        return f"the disk of {near}"
    free, size = usage.free / _MEGA, usage.total / _MEGA
    none_left = "" if files_left else ", and no file more can be made there"
    return f"the disk at {mount} ({free:,.1f} of {size:,.0f} MB free{none_left})"


def mentioned(text: str) -> Path | None:
    """Return the absolute path of the file that a DuckDB error names; None if it names none."""
    match = _FILE.search(text)
    return Path(match[1]) if match and match[1].startswith("/") else None


def _mount(path: Path) -> Path:
    while not path.is_mount():
        path = path.parent
    return path
