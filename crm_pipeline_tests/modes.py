"""Who may read files, asked of the file system."""

import stat
from pathlib import Path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(folder: Path) -> list[str]:
    """Return what somebody else than its owner may read, change or enter."""
    paths = (folder, *folder.rglob("*"))
    return [str(p) for p in paths if not p.is_symlink() and mode(p) & 0o077]
