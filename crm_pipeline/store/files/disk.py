"""The disk below a path: which errors of the system and of libraries say that it is full, and its name.

DuckDB and PostgreSQL hand on what the system says, in their own errors; both are read here.
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
_DISK_FULL = "53100"  # PostgreSQL's code; its words may be in any language


def is_full(error: BaseException) -> bool:
    """Say whether an error came from a full disk, or from a quota that is used up."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    if getattr(error, "pgcode", None) == _DISK_FULL:
        return True
    return tells_full(str(error))


def tells_full(text: str) -> bool:
    """Say whether a text repeats what the system says of a full disk."""
    return any(words in text for words in _WORDS)


def disk_full(
    what: str, near: Path, after: str = "start again; nothing was overwritten"
) -> DiskFull:
    """Return the error about a full disk.

    Args:
        what: what could not be done, a sentence without its full stop.
        near: a path on that disk; it need not exist.
        after: what to do when there is room.
    """
    return DiskFull(
        f"{what}.", cure=f"The disk is full: free some space on {named(near)} and {after}."
    )


def named(near: Path) -> str:
    """Name the disk that a path is on, with its free space."""
    place = near.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        usage, mount = shutil.disk_usage(place), _mount(place)
        files_left = os.statvfs(place).f_favail
    except OSError:
        return f"the disk of {near}"
    free, size = usage.free / _MEGA, usage.total / _MEGA
    none_left = "" if files_left else ", and no file more can be made there"
    return f"the disk at {mount} ({free:,.1f} of {size:,.0f} MB free{none_left})"


def mentioned(text: str) -> Path | None:
    """Return the file that an error of DuckDB names, if it names one with its folder."""
    found = _FILE.search(text)
    return Path(found[1]) if found and found[1].startswith("/") else None


def _mount(place: Path) -> Path:
    while not place.is_mount():
        place = place.parent
    return place
