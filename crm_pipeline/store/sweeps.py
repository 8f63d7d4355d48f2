"""How far sweeps of values without a modification time have come: per object, where the next one goes on.

There is one small file per connection, `sweeps/<connection>.json`, replaced in one step. It holds a place among the records
of each object whose sweep stopped there, and no ids or values. If it is lost, the next sweep begins again; no landed data depend on it.
"""

import fcntl
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from crm_pipeline.kernel.clock import format_instant, parse_instant
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.identity import path_name
from crm_pipeline.store import files

_log = structlog.get_logger(__name__)
CURE = "Remove it, or wait: the next sweep begins with the first record."
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True)
class Progress:
    """How far the sweep of one object has come.

    Attributes:
        after: the place of the last record that was compared, see `stages.raw.unstamped.landed`; "" where the next sweep begins with the first one.
        completed_at: when the last sweep came to the end; None where none has.
        compared, differing, landed: records of the running or last sweep: compared, of which the values differed, and
            of which a new version landed.
    """

    after: str = ""
    completed_at: datetime | None = None
    compared: int = 0
    differing: int = 0
    landed: int = 0


class Sweeps:
    """The progress of sweeps below one data folder (`settings.data`); safe with several processes."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "sweeps"

    def at(self, connection: str) -> Mapping[str, Progress]:
        """Return the progress of a connection by object; none where the file is missing or damaged."""
        path = self._path(connection)
        try:
            return read_sweeps(files.read_json(path))
        except FileNotFoundError:
            return {}
        except (CorruptFile, *_UNREADABLE) as error:
            _log.warning("sweeps begin again", path=str(path), error=type(error).__name__)
            return {}

    def note(self, connection: str, obj: str, progress: Progress) -> None:
        """Record how far the sweep of an object has come.

        Raises:
            StoreError: the folder is not writable.
        """
        files.make_folder(self._folder)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            objects = {**self.at(connection), obj: progress}
            rows = {name: _record(each) for name, each in objects.items()}
            files.write_json(self._path(connection), {"objects": rows}, "sweeps")
        finally:
            os.close(folder)

    def _path(self, connection: str) -> Path:
        return self._folder / f"{path_name(connection)}.json"


def read_sweeps(record: Mapping[str, Any]) -> dict[str, Progress]:
    """Return the progress of a stored record by object.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is not of our form.
    """
    return {name: _progress(row) for name, row in record["objects"].items()}


def _record(progress: Progress) -> dict[str, object]:
    at = progress.completed_at
    return {**asdict(progress), "completed_at": format_instant(at) if at else None}


def _progress(row: Mapping[str, object]) -> Progress:
    # Unknown keys of another version are ignored.
    values = {each.name: row[each.name] for each in fields(Progress) if each.name in row}
    at = values.get("completed_at")
    values["completed_at"] = parse_instant(str(at)) if at else None
    return Progress(**values)  # type: ignore[arg-type]
