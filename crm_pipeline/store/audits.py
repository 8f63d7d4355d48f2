"""Results of audits: what the CRM had and what we had, per object and month, and when that was compared.

There is one small file per connection, `audits/<connection>.json`, replaced in one step. It holds the last result of
each month, and the last results that were not equal. It has no ids and no values of records. An audit goes on with
the months whose last comparison is the oldest, so no other state says where it stopped. If the file is lost, the
next audits fill it again; no landed data depend on it. A damaged one is moved aside.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import structlog

from crm_pipeline.kernel.clock import Clock, SystemClock, format_instant, parse_instant
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.identity import path_name
from crm_pipeline.store import files

By = Literal["count", "ids", "content", "log"]
State = Literal["equal", "healed", "differs", "unknown"]
CURE = "Remove it, or wait: the next audit fills it again, and the one after it deletes what the CRM has no more."
MOST_PAST = 50
"""So many results of an object that were not equal are kept, beside the last one of each month."""
_log = structlog.get_logger(__name__)
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True)
class Audited:
    """The result of one comparison.

    Attributes:
        month: of modification, as 2026-11; "" for the whole object.
        by: what was compared: the vendor's count, all ids with their modification times, whole records, or the vendor's log of
            deletions.
        state: `equal`; `healed`: what differed is right now; `differs`: it is not; `unknown`: no comparison was possible.
        in_crm: live records in the CRM; None where they could not be counted.
        with_us: live records here, before anything was healed.
        missing: records of the CRM that were not here.
        ghosts: records here that the CRM has no more.
        stale: records of which an older version was here.
        apart: records of the CRM that are not here for a reason: they are quarantined, or their persons were erased.
        healed: the records among `missing`, `ghosts` and `stale` that are right now.
        calls: to the vendor; `cost` in its `unit`.
        verdict: all this as a sentence.
    """

    connection: str
    object: str
    month: str
    audited_at: datetime
    by: By
    state: State
    in_crm: int | None
    with_us: int
    missing: int = 0
    ghosts: int = 0
    stale: int = 0
    apart: int = 0
    healed: int = 0
    calls: int = 0
    cost: int = 0
    unit: str = "calls"
    verdict: str = ""

    @property
    def is_open(self) -> bool:
        """Whether something differs that was not healed."""
        return self.state == "differs"


@dataclass(frozen=True)
class ObjectAudits:
    """The results of one object.

    Attributes:
        months: the last one of each month; "" is the whole object.
        past: earlier and last ones that were not equal, oldest first.
    """

    months: Mapping[str, Audited] = field(default_factory=dict)
    past: tuple[Audited, ...] = ()

    def audited_at(self, month: str) -> datetime | None:
        """Return when a month was compared last; None for never."""
        last = self.months.get(month)
        return last.audited_at if last else None

    @property
    def open(self) -> list[Audited]:
        """The last results that differ."""
        return [each for each in self.months.values() if each.is_open]

    def with_result(self, result: Audited) -> "ObjectAudits":
        """Return the results with a new one."""
        past = self.past if result.state == "equal" else (*self.past, result)[-MOST_PAST:]
        return ObjectAudits({**self.months, result.month: result}, past)

    @property
    def all(self) -> list[Audited]:
        """Every result that is kept, oldest first."""
        each = {(one.month, one.audited_at): one for one in (*self.past, *self.months.values())}
        return sorted(each.values(), key=lambda one: (one.audited_at, one.month))


@dataclass(frozen=True)
class ConnectionAudits:
    """The results of one connection.

    Attributes:
        objects: by name.
        sight: fingerprint of what the login could see at the last audit; "" where it is unknown.
        spent: cost of the audits of a day, by the day in UTC; only the last day is kept.
        damage: which file is damaged, and what to do; "" where it is whole.
    """

    objects: Mapping[str, ObjectAudits] = field(default_factory=dict)
    sight: str = ""
    spent: Mapping[str, int] = field(default_factory=dict)
    damage: str = ""

    def of(self, obj: str) -> ObjectAudits:
        """Return the results of an object."""
        return self.objects.get(obj, ObjectAudits())


class Audits:
    """The results of audits below one data folder (`settings.data`)."""

    def __init__(self, data: Path, clock: Clock | None = None) -> None:
        self._folder = data / "audits"
        self._clock = clock or SystemClock()

    def at(self, connection: str) -> ConnectionAudits:
        """Return the results of a connection; those of a damaged file are empty, with `damage` set."""
        path = self._path(connection)
        try:
            return read_audits(files.read_json(path), connection)
        except FileNotFoundError:
            return ConnectionAudits()
        except (CorruptFile, *_UNREADABLE) as error:
            _log.warning("audits_damaged", path=str(path), error=type(error).__name__)
            text = f"{path} is damaged, so what earlier audits found and cost is not known. {CURE}"
            return ConnectionAudits(damage=text)

    def note(
        self, connection: str, results: Iterable[Audited], *, sight: str = "", cost: int = 0
    ) -> None:
        """Add results.

        Args:
            connection: its name.
            results: of its objects.
            sight: what the login can see; "" leaves what is known.
            cost: what was spent, beside the cost of other notes.

        Raises:
            StoreError: the folder is not writable.
        """
        with files.locked(self._folder):
            audits = self.at(connection)
            if audits.damage:
                files.set_aside(self._path(connection))
            objects = dict(audits.objects)
            for result in results:
                objects[result.object] = audits.of(result.object).with_result(result)
                audits = replace(audits, objects=objects)
            day = f"{self._clock.now():%Y-%m-%d}"
            spent = {day: audits.spent.get(day, 0) + cost}
            files.write_json(
                self._path(connection),
                _record(replace(audits, sight=sight or audits.sight, spent=spent)),
                "audits",
            )

    def spent_today(self, connection: str) -> int:
        """Return what audits of a connection have cost today, in UTC and in the vendor's unit."""
        return self.at(connection).spent.get(f"{self._clock.now():%Y-%m-%d}", 0)

    def _path(self, connection: str) -> Path:
        return self._folder / f"{path_name(connection)}.json"


_NAMES = tuple(
    entry.name for entry in fields(Audited) if entry.name not in ("connection", "object")
)


def _record(audits: ConnectionAudits) -> dict[str, Any]:
    return {
        "objects": {
            name: {
                "months": [_row(each) for each in results.months.values()],
                "past": [_row(each) for each in results.past],
            }
            for name, results in audits.objects.items()
        },
        "sight": audits.sight,
        "spent": dict(audits.spent),
    }


def _row(result: Audited) -> dict[str, Any]:
    values = {name: getattr(result, name) for name in _NAMES}
    return {**values, "audited_at": format_instant(result.audited_at)}


def read_audits(record: Mapping[str, Any], connection: str) -> ConnectionAudits:
    """Return the results of a stored record.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is not of our form.
    """
    objects = {}
    for name, stored in record["objects"].items():
        months = [_result(row, connection, name) for row in stored["months"]]
        past = tuple(_result(row, connection, name) for row in stored["past"])
        objects[name] = ObjectAudits({each.month: each for each in months}, past)
    spent = {str(day): int(cost) for day, cost in record.get("spent", {}).items()}
    return ConnectionAudits(objects, str(record.get("sight", "")), spent)


def _result(row: Mapping[str, Any], connection: str, obj: str) -> Audited:
    values = files.row_values(Audited, row)
    at = parse_instant(row["audited_at"])
    return Audited(**{**values, "audited_at": at, "connection": connection, "object": obj})
