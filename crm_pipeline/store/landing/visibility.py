"""What a login could see at a whole read, where a later read that said the same found it changed.

Such a read lands nothing, so it is noted beside the commit that it repeats: `windows/<id>.sight`.
"""

from datetime import datetime
from pathlib import Path

from crm_pipeline.kernel.clock import format_instant, parse_instant
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.store import files
from crm_pipeline.store.landing.manifest import WindowCommit

_SUFFIX = ".sight"


def sight_at(folder: Path, commit: WindowCommit) -> str:
    """Return what stood for it at the last read that a commit stands for; "" where that is not known."""
    try:
        return str(files.read_json(_place(folder, commit))["sight"])
    except FileNotFoundError:
        return commit.sight
    except (CorruptFile, KeyError):
        return ""  # the next read notes it again


def noted_at(folder: Path, commit: WindowCommit) -> datetime:
    """Return when it was asked for last."""
    try:
        return parse_instant(files.read_json(_place(folder, commit))["noted_at"])
    except (FileNotFoundError, CorruptFile, KeyError, TypeError, ValueError):
        return commit.committed_at


def note_sight(folder: Path, commit: WindowCommit, sight: str, now: datetime) -> None:
    """Note it for a commit that was read again."""
    files.write_json(_place(folder, commit), {"sight": sight, "noted_at": format_instant(now)})


def _place(folder: Path, commit: WindowCommit) -> Path:
    return folder / "windows" / f"{commit.window_id}{_SUFFIX}"
