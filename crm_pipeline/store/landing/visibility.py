"""Note what a login could see, where a repeated read with the same records found it changed.

Such a read lands nothing, so the note stands beside the commit that it repeats: `windows/<id>.sight`.
"""

from datetime import datetime
from pathlib import Path

from crm_pipeline.kernel.clock import format_instant, parse_instant
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.store import files
from crm_pipeline.store.landing.manifest import WindowCommit

_SUFFIX = ".sight"


def sight_at(folder: Path, commit: WindowCommit) -> str:
    """Return the visibility's fingerprint at the last read of a commit; "" where it is unknown."""
    try:
        return str(files.read_json(_path(folder, commit))["sight"])
    except FileNotFoundError:
        return commit.sight
    except (CorruptFile, KeyError):
        return ""  # the next read notes it again


def noted_at(folder: Path, commit: WindowCommit) -> datetime:
    """Return when the visibility was asked for last."""
    try:
        return parse_instant(files.read_json(_path(folder, commit))["noted_at"])
    except (FileNotFoundError, CorruptFile, KeyError, TypeError, ValueError):
        return commit.committed_at


def note_sight(folder: Path, commit: WindowCommit, sight: str, now: datetime) -> None:
    """Note the visibility's fingerprint at a repeated read of a commit."""
    files.write_json(_path(folder, commit), {"sight": sight, "noted_at": format_instant(now)})


def _path(folder: Path, commit: WindowCommit) -> Path:
    return folder / "windows" / f"{commit.window_id}{_SUFFIX}"
