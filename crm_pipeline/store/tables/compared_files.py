"""When the base files of a version were last compared with their checksums.

A version that is made from the one before takes its base over, and looks up only the rows of what changed. To hash it
each time would make a refresh grow with the table. So for a day it is enough that no file was written, replaced or cut
since: its inode, size and time are as noted. All other files that are read are hashed as ever.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from crm_pipeline.kernel.clock import format_instant, parse_instant
from crm_pipeline.store.files.checksums import Verifier
from crm_pipeline.store.tables.corruption import check_paths, damaged_version
from crm_pipeline.store.tables.release import TableVersion
from crm_pipeline.store.tables.tables import Tables

COMPARED = "compared"
"""The entry in a version's meta."""
LASTS = timedelta(days=1)


def noted(paths: Iterable[Path], at: datetime) -> dict[str, Any]:
    """Return what is stored of files that were compared, or written, at a time."""
    return {"at": format_instant(at), "files": sorted(map(_identity, paths))}


def compared_at(version: TableVersion, now: datetime) -> datetime | None:
    """Return when the base files of a version were compared; None where they have to be compared again."""
    stored: Mapping[str, Any] = version.meta.get(COMPARED, {})
    if not stored:
        return None
    at = parse_instant(stored["at"])
    try:
        present = sorted(map(_identity, version.base))
    except OSError:
        return None
    is_same = [list(one) for one in present] == [list(one) for one in stored["files"]]
    return at if is_same and timedelta(0) <= now - at < LASTS else None


def corruption_of(version: TableVersion, verifier: Verifier, now: datetime) -> str:
    """Return what is damaged of a version, for people; "" for nothing."""
    is_known = compared_at(version, now) is not None
    if is_known:
        version = replace(version, base=())
    found = damaged_version([version], verifier)
    return found.message if found else ""


def check_base(tables: Tables, version: TableVersion, now: datetime) -> None:
    """Make sure, before base files of a version are read, that they are as they were written.

    Raises:
        CorruptFile: a file is not; the text names it and the cure.
    """
    if compared_at(version, now) is None:
        check_paths(tables, version, version.base)


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
