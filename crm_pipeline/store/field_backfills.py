"""How far the histories of new fields are filled: per object, which fields, how many records, and what it has cost today.

There is one small file per connection, `field_backfills/<connection>.json`, replaced in one step. It holds a place among
the records of each object, and no ids or values. If it is lost, landing still says which records lack the fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import structlog

from crm_pipeline.kernel.clock import Clock, SystemClock, format_instant, parse_instant
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.identity import path_name
from crm_pipeline.store import files

FOLDER = "field_backfills"
CURE = "Remove it, or wait: the next refresh finds anew which records lack fields, and writes it again."
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)
_INSTANTS = ("started_at", "completed_at")
_log = structlog.get_logger(__name__)
State = Literal["filling", "complete", "impossible"]


@dataclass(frozen=True)
class FieldBackfill:
    """How far the history of an object's new fields is filled.

    Attributes:
        key: fingerprint of the description and of the batches that were read with another one; while it stays, a
            backfill that is not `filling` has nothing to do.
        names: the new fields; none where nothing was ever filled.
        state: `filling` goes on with the next refresh; `impossible`: records of the object cannot be read by their ids.
        after: the place of the last record that was read, see `stages.raw.new_fields`.
        records: live records without the fields when it began.
        filled: those of them that were read and have landed since.
        read_last: those among them that the last refresh has read.
        absent: those that did not land: the vendor did not show them, because they are merged or hidden, or refused them, or
            they cannot be read.
        refused: those among them that the vendor refused to show in this pass.
        calls, cost: of all reads; `cost` in the vendor's unit.
        reason: why it stopped before its end; "" where it did not.
        waits_on: the day, in UTC, whose budget is spent; "" for none.
    """

    key: str
    names: tuple[str, ...] = ()
    state: State = "complete"
    after: str = ""
    records: int = 0
    filled: int = 0
    read_last: int = 0
    absent: int = 0
    refused: int = 0
    calls: int = 0
    cost: int = 0
    reason: str = ""
    waits_on: str = ""
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether records are left to read."""
        return self.state == "filling"

    @property
    def left(self) -> int:
        """The number of records that are left to read."""
        return max(0, self.records - self.filled - self.absent) if self.is_open else 0


@dataclass(frozen=True)
class ConnectionBackfills:
    """The backfills of one connection.

    Attributes:
        objects: the last one of each object, by name.
        spent: what backfills have cost, by the day in UTC; only the last day is kept.
    """

    objects: Mapping[str, FieldBackfill] = field(default_factory=dict)
    spent: Mapping[str, int] = field(default_factory=dict)


class FieldBackfills:
    """The backfills below one data folder (`settings.data`); safe with several processes."""

    def __init__(self, data: Path, clock: Clock | None = None) -> None:
        self._folder = data / FOLDER
        self._clock = clock or SystemClock()

    @property
    def today(self) -> str:
        """The day that costs are counted for, in UTC."""
        return f"{self._clock.now():%Y-%m-%d}"

    def at(self, connection: str) -> ConnectionBackfills:
        """Return the backfills of a connection; none where the file is missing or damaged."""
        return self._read(connection)

    def _read(self, connection: str, *, is_written: bool = False) -> ConnectionBackfills:
        path = self._path(connection)
        try:
            return read_backfills(files.read_json(path))
        except FileNotFoundError:
            return ConnectionBackfills()
        except (CorruptFile, *_UNREADABLE) as error:
            _log.warning("field backfills begin again", path=str(path), error=type(error).__name__)
            if is_written:
                files.set_aside(path)
            return ConnectionBackfills()

    def of(self, connection: str, obj: str) -> FieldBackfill | None:
        """Return the last backfill of an object; None where there was none."""
        return self.at(connection).objects.get(obj)

    def spent_today(self, connection: str) -> int:
        """Return what backfills of a connection have cost today, in the vendor's unit."""
        return self.at(connection).spent.get(self.today, 0)

    def note(self, connection: str, obj: str, backfill: FieldBackfill, *, cost: int = 0) -> None:
        """Record how far the backfill of an object has come, and what was spent since the last note.

        Raises:
            StoreError: the folder is not writable.
        """
        with files.locked(self._folder):
            known = self._read(connection, is_written=True)
            objects = {**known.objects, obj: backfill}
            rows = {name: _record(each) for name, each in objects.items()}
            spent = {self.today: known.spent.get(self.today, 0) + cost}
            files.write_json(
                self._path(connection), {"objects": rows, "spent": spent}, "field_backfills"
            )

    def _path(self, connection: str) -> Path:
        return self._folder / f"{path_name(connection)}.json"


def read_backfills(record: Mapping[str, Any]) -> ConnectionBackfills:
    """Return the backfills of a stored record.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is not of our form.
    """
    objects = {name: _backfill(row) for name, row in record["objects"].items()}
    spent = {str(day): int(cost) for day, cost in record.get("spent", {}).items()}
    return ConnectionBackfills(objects, spent)


def _record(backfill: FieldBackfill) -> dict[str, Any]:
    values = {each.name: getattr(backfill, each.name) for each in fields(FieldBackfill)}
    for name in _INSTANTS:
        values[name] = format_instant(values[name]) if values[name] else None
    return {**values, "names": list(backfill.names)}


def _backfill(row: Mapping[str, Any]) -> FieldBackfill:
    values = files.row_values(FieldBackfill, row)
    for name in _INSTANTS:
        values[name] = parse_instant(str(values[name])) if values.get(name) else None
    values["names"] = tuple(values.get("names", ()))
    return FieldBackfill(**values)
