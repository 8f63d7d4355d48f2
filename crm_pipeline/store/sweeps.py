"""How far sweeps of values without a modification time have come, and what each of the last ones saw and landed.

There is one small file per connection, `sweeps/<connection>.json`, replaced in one step. For lists (such as associations)
and for computed fields of an object it holds a place among the records where the sweep stopped, and the last results. It
holds no ids and no values. If it is lost, the next sweep begins again; no landed data depend on it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import structlog

from crm_pipeline.kernel.clock import format_instant, parse_instant
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.identity import path_name
from crm_pipeline.store import files

_log = structlog.get_logger(__name__)
CURE = "Remove it, or wait: the next sweep begins with the first record."
Kind = Literal["lists", "fields"]
MOST_RESULTS = 50
"""So many results of an object and kind are kept."""
_PLACES: Mapping[Kind, str] = {"lists": "objects", "fields": "fields"}
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True)
class Progress:
    """How far the sweep of one object has come.

    Attributes:
        after: the place of the last record that was compared, see `stages.raw.unstamped`; "" where the next sweep begins
            with the first one.
        completed_at: when the last sweep came to the end; None where none has.
        compared, differing, landed: records of the running or last sweep: compared, of which the values differed, and
            of which a new version landed.
    """

    after: str = ""
    completed_at: datetime | None = None
    compared: int = 0
    differing: int = 0
    landed: int = 0


@dataclass(frozen=True)
class SweepResult:
    """What one sweep saw and landed.

    Attributes:
        kind, what: of the values that were compared, for programs and for people.
        swept_at: when it ended.
        compared: records whose values were compared; `differing` ones were read whole, and of them `landed` ones landed.
        calls: to the vendor; `cost` in its `unit`.
        is_complete: whether it came to the end of the object; else the next one goes on where it stopped.
        error: why it stopped before; "" where nothing failed.
    """

    object: str
    kind: Kind
    what: str
    swept_at: datetime
    compared: int = 0
    differing: int = 0
    landed: int = 0
    calls: int = 0
    cost: int = 0
    unit: str = "calls"
    is_complete: bool = False
    error: str = ""


class Sweeps:
    """The progress and the results of sweeps below one data folder (`settings.data`); safe with several processes."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "sweeps"

    def at(self, connection: str, kind: Kind = "lists") -> Mapping[str, Progress]:
        """Return the progress of a connection by object; none where the file is missing or damaged."""
        return _progresses(self._record(connection), kind)

    def results(self, connection: str) -> list[SweepResult]:
        """Return the last results of each object of a connection, the oldest first; none where the file is damaged."""
        return _results(self._record(connection))

    def note(self, connection: str, obj: str, progress: Progress, kind: Kind = "lists") -> None:
        """Record how far the sweep of an object has come.

        Raises:
            StoreError: the folder is not writable.
        """
        with files.locked(self._folder):
            record = self._record(connection, is_written=True)
            objects = {**_progresses(record, kind), obj: progress}
            rows = {name: _row(each) for name, each in objects.items()}
            self._write(connection, {**record, _PLACES[kind]: rows})

    def add(self, connection: str, results: Iterable[SweepResult]) -> None:
        """Record what a sweep saw and landed; the oldest results of the same objects beyond `MOST_RESULTS` go.

        Raises:
            StoreError: the folder is not writable.
        """
        with files.locked(self._folder):
            record = self._record(connection, is_written=True)
            every = sorted([*_results(record), *results], key=lambda each: each.swept_at)
            kept: list[SweepResult] = []
            counts = Counter[tuple[str, Kind]]()
            for each in reversed(every):
                counts[each.object, each.kind] += 1
                if counts[each.object, each.kind] <= MOST_RESULTS:
                    kept.append(each)
            self._write(connection, {**record, "results": [_row(each) for each in reversed(kept)]})

    def _record(self, connection: str, *, is_written: bool = False) -> Mapping[str, Any]:
        """Return what the file of a connection holds; nothing where it is missing, or damaged: it is moved aside if written."""
        path = self._path(connection)
        try:
            record = files.read_json(path)
            read_sweeps(record)
            _results(record)
        except FileNotFoundError:
            return {}
        except (CorruptFile, *_UNREADABLE) as error:
            _log.warning("sweeps begin again", path=str(path), error=type(error).__name__)
            if is_written:
                files.set_aside(path)
            return {}
        return record

    def _write(self, connection: str, record: Mapping[str, Any]) -> None:
        whole = {"objects": {}, **{key: each for key, each in record.items() if key in _KEYS}}
        files.write_json(self._path(connection), whole, "sweeps")

    def _path(self, connection: str) -> Path:
        return self._folder / f"{path_name(connection)}.json"


_KEYS = frozenset({*_PLACES.values(), "results"})


def read_sweeps(record: Mapping[str, Any]) -> dict[str, Progress]:
    """Return the progress of the lists of a stored record by object.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is not of our form.
    """
    _progresses(record, "fields")
    _results(record)
    return {name: _progress(row) for name, row in record["objects"].items()}


def _progresses(record: Mapping[str, Any], kind: Kind) -> dict[str, Progress]:
    return {name: _progress(row) for name, row in record.get(_PLACES[kind], {}).items()}


def _results(record: Mapping[str, Any]) -> list[SweepResult]:
    return [_result(row) for row in record.get("results", ())]


def _row(each: Progress | SweepResult) -> dict[str, object]:
    values = asdict(each)
    return {
        key: format_instant(value) if isinstance(value, datetime) else value
        for key, value in values.items()
    }


def _progress(row: Mapping[str, object]) -> Progress:
    values = files.row_values(Progress, row)
    at = values.get("completed_at")
    values["completed_at"] = parse_instant(str(at)) if at else None
    return Progress(**values)


def _result(row: Mapping[str, Any]) -> SweepResult:
    values = files.row_values(SweepResult, row)
    return SweepResult(**{**values, "swept_at": parse_instant(row["swept_at"])})
