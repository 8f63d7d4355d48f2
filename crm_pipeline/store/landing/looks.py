"""Results of the last looks at each object (time, error, since when), and the tables that are held back.

Landing says what was read; looks say whether automation still works. There is one small file per connection,
`looks/<connection>.json`, replaced in one step, so that it can be read without PostgreSQL. No landed data depend
on it. If it is lost, the next looks fill it again, and pauses, retries and pacing start again; if it is damaged,
the status says so until then.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import structlog

from crm_pipeline.kernel.clock import Clock, SystemClock, format_instant, parse_instant
from crm_pipeline.kernel.errors import CorruptFile, CrmError, StoreError
from crm_pipeline.kernel.identity import path_name
from crm_pipeline.kernel.secret import redacted
from crm_pipeline.store import files

_log = structlog.get_logger(__name__)
_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=1)
_LONGEST_TEXT = 1_000
# Ticks are sometimes a little early; the next one would be a whole interval later.
_EARLY = timedelta(seconds=5)
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)
CURE = "Remove it, or wait: the next look fills it again."

During = Literal["", "probe", "read"]


@dataclass(frozen=True)
class Look:
    """The last looks at one object; a look is a probe or a read.

    Attributes:
        looked_at: the last look, whatever its result; `good_at` the last successful one.
        tried_at: the last read, `tried_in` its run; `read_at` the last successful read.
        current_at: nothing before it is missing: it was read, or the vendor said that nothing changed.
        error: why the object cannot be read, redacted; "" where it can.
        failing_since: the first failure; `failed_at` the last one.
        during: the kind of look that failed. Only a read proves that an object can be read again.
    """

    looked_at: datetime | None = None
    good_at: datetime | None = None
    tried_at: datetime | None = None
    read_at: datetime | None = None
    current_at: datetime | None = None
    error: str = ""
    failing_since: datetime | None = None
    failed_at: datetime | None = None
    during: During = ""
    tried_in: str = ""

    @property
    def next_try_at(self) -> datetime | None:
        """When a failing object is tried again: the pause equals the time it has been failing, one minute to one hour."""
        if not self.error or self.failed_at is None or self.failing_since is None:
            return None
        pause = self.failed_at - self.failing_since
        return self.failed_at + min(max(pause, _FIRST_PAUSE), _LONGEST_PAUSE)

    def is_waiting(self, now: datetime) -> bool:
        """Say whether the object is failing and not due for another try."""
        return self.next_try_at is not None and now < self.next_try_at - _EARLY

    def answered(self, now: datetime, up_to: datetime | None) -> "Look":
        """Return the look after a successful probe; where nothing had changed, `up_to` is until when."""
        look = replace(self, looked_at=now, good_at=now)
        if up_to is not None:
            look = replace(look, current_at=_later(self.current_at, min(up_to, now)))
        return _recovered(look) if self.during == "probe" else look

    def was_read(self, now: datetime, up_to: datetime | None, run: str = "") -> "Look":
        """Return the look after a successful read; `up_to` is None where there is a gap before it."""
        look = replace(self, looked_at=now, good_at=now, tried_at=now, tried_in=run, read_at=now)
        if up_to is not None:
            look = replace(look, current_at=_later(self.current_at, up_to))
        return _recovered(look)

    def failed(self, now: datetime, error: str, during: During, run: str = "") -> "Look":
        """Return the look after a failed one."""
        tried = replace(self, tried_at=now, tried_in=run) if during == "read" else self
        return replace(
            tried,
            looked_at=now,
            error=error,
            failing_since=self.failing_since or now,
            failed_at=now,
            during="read" if self.during == "read" else during,
        )


@dataclass(frozen=True)
class BuiltFrom:
    """What a table was built from, of one object.

    Attributes:
        landed_at: when records landed last; None where none had.
        current_at: up to when nothing was missing.
    """

    landed_at: datetime | None = None
    current_at: datetime | None = None


@dataclass(frozen=True)
class ConnectionLooks:
    """The looks at a connection.

    Attributes:
        objects: by name; objects without a look are missing.
        probed_at: the start of the last round of probes.
        day_ceiling: the vendor's daily limit, as last stated by the vendor.
        probe_every_s, refresh_every_s: seconds between automatic looks, where pacing has stretched them.
        held: tables whose last build was refused by their contract -> since when.
        built: tables -> what their last good build was made with, besides the landed records; a fingerprint.
        built_from: tables -> objects -> what their last good build was made from; none in files of earlier releases.
        damage: what is wrong with a damaged file, and the cure; "" where the file is whole.
    """

    objects: Mapping[str, Look] = field(default_factory=dict)
    probed_at: datetime | None = None
    day_ceiling: int | None = None
    probe_every_s: float | None = None
    refresh_every_s: float | None = None
    held: Mapping[str, datetime] = field(default_factory=dict)
    built: Mapping[str, str] = field(default_factory=dict)
    built_from: Mapping[str, Mapping[str, BuiltFrom]] = field(default_factory=dict)
    damage: str = ""

    def of(self, obj: str) -> Look:
        """Return the looks at an object."""
        return self.objects.get(obj, Look())

    def waiting(
        self, objects: Iterable[str], now: datetime, probes_for: timedelta = timedelta(0)
    ) -> list[str]:
        """Return those of the objects that are failing and not due for another try.

        Args:
            objects: by name.
            now: the moment.
            probes_for: the longer pause of objects that failed in a probe, so that the sensor tries them first.
        """
        return [
            name
            for name in objects
            if (look := self.of(name)).is_waiting(
                now - probes_for if look.during == "probe" else now
            )
        ]


class Looks:
    """The looks below one data folder (`settings.data`); safe with several processes.

    A look that cannot be written (a full disk) is logged and is no error for the caller.
    """

    def __init__(self, data: Path, clock: Clock | None = None) -> None:
        self._folder = data / "looks"
        self._clock = clock or SystemClock()

    def at(self, connection: str) -> ConnectionLooks:
        """Return the looks at a connection; empty where the file is missing or damaged."""
        path = self._path(connection)
        try:
            return read_looks(files.read_json(path), self._clock.now())
        except FileNotFoundError:
            return ConnectionLooks()
        except (CorruptFile, *_UNREADABLE) as error:
            _log.warning("looks_damaged", path=str(path), error=type(error).__name__)
            return ConnectionLooks(
                damage=f"{path} is damaged, so what the last looks came to is not known. {CURE}"
            )

    def probed(
        self,
        connection: str,
        answered: Mapping[str, datetime | None],
        failed: Mapping[str, Exception],
    ) -> None:
        """Note a round of probes; objects that were skipped are in neither.

        Args:
            connection: its name.
            answered: objects with a successful probe -> until when nothing had changed, None where something had.
            failed: the others -> the error.
        """
        now = self._clock.now()

        def change(looks: ConnectionLooks) -> ConnectionLooks:
            objects = dict(looks.objects)
            for name, up_to in answered.items():
                objects[name] = looks.of(name).answered(now, up_to)
            for name, error in failed.items():
                objects[name] = looks.of(name).failed(now, error_text(error), "probe")
            return replace(looks, objects=objects, probed_at=now)

        self._change(connection, change)

    def was_read(self, connection: str, obj: str, up_to: datetime | None, *, run: str = "") -> None:
        """Note a successful read; all changes before `up_to`, where it is known, have landed."""
        now = self._clock.now()

        def change(looks: ConnectionLooks) -> ConnectionLooks:
            read = looks.of(obj).was_read(now, up_to, run)
            return replace(looks, objects={**looks.objects, obj: read})

        self._change(connection, change)

    def failed(self, connection: str, obj: str, error: Exception, *, run: str = "") -> None:
        """Note a read that failed."""
        now, text = self._clock.now(), error_text(error)

        def change(looks: ConnectionLooks) -> ConnectionLooks:
            failed = looks.of(obj).failed(now, text, "read", run)
            return replace(looks, objects={**looks.objects, obj: failed})

        self._change(connection, change)

    def held_back(self, connection: str, table: str) -> None:
        """Note that a table stays as it was, because its contract refused the build or the build failed."""
        now = self._clock.now()

        def change(looks: ConnectionLooks) -> ConnectionLooks:
            return replace(looks, held={table: now, **looks.held})

        self._change(connection, change)

    def was_built(
        self,
        connection: str,
        table: str,
        made_with: str = "",
        made_from: Mapping[str, BuiltFrom] | None = None,
    ) -> None:
        """Note that a table was built from all that has landed.

        Args:
            connection: of the table.
            table: its name.
            made_with: stands for what else it is made with.
            made_from: by object, taken before the build, so that what landed meanwhile is none of it.
        """

        def change(looks: ConnectionLooks) -> ConnectionLooks:
            held = {name: since for name, since in looks.held.items() if name != table}
            return replace(
                looks,
                held=held,
                built={**looks.built, table: made_with},
                built_from={**looks.built_from, table: made_from or {}},
            )

        self._change(connection, change)

    def stated(self, connection: str, day_ceiling: int | None) -> None:
        """Note the vendor's daily limit, if it was stated."""
        if day_ceiling is not None:
            self._change(connection, lambda looks: replace(looks, day_ceiling=day_ceiling))

    def paced(
        self, connection: str, probe_every_s: float | None, refresh_every_s: float | None
    ) -> None:
        """Note the seconds between automatic looks, where pacing has stretched them."""

        def change(looks: ConnectionLooks) -> ConnectionLooks:
            return replace(looks, probe_every_s=probe_every_s, refresh_every_s=refresh_every_s)

        self._change(connection, change)

    def _change(
        self, connection: str, change: Callable[[ConnectionLooks], ConnectionLooks]
    ) -> None:
        try:
            files.make_folder(self._folder)
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX)
                before = self.at(connection)
                after = replace(change(before), damage="")
                if after != before:
                    files.write_json(self._path(connection), _record(after))
            finally:
                os.close(folder)
        except (StoreError, OSError) as error:
            _log.warning("look_not_written", connection=connection, error=redacted(str(error)))

    def _path(self, connection: str) -> Path:
        return self._folder / f"{path_name(connection)}.json"


def error_text(error: Exception) -> str:
    """Return an error as one sentence, with its cure if it has one, and without secrets."""
    text = str(error) if isinstance(error, CrmError) else f"{type(error).__name__}: {error}"
    return " ".join(redacted(text).split())[:_LONGEST_TEXT]


def _recovered(look: Look) -> Look:
    return replace(look, error="", failing_since=None, failed_at=None, during="")


def _later(first: datetime | None, second: datetime) -> datetime:
    return second if first is None else max(first, second)


_TEXTS = frozenset({"error", "during", "tried_in"})
_INSTANTS = frozenset(entry.name for entry in fields(Look)) - _TEXTS


def _record(looks: ConnectionLooks) -> dict[str, Any]:
    objects = {
        name: {
            key: format_instant(value) if isinstance(value, datetime) else value
            for key, value in vars(look).items()
            if value
        }
        for name, look in looks.objects.items()
    }
    probed_at = format_instant(looks.probed_at) if looks.probed_at else None
    held = {table: format_instant(since) for table, since in looks.held.items()}
    built_from = {
        table: {obj: _instants(made_from) for obj, made_from in each.items()}
        for table, each in looks.built_from.items()
    }
    record = {
        **vars(looks),
        "objects": objects,
        "probed_at": probed_at,
        "held": held,
        "built_from": built_from,
    }
    del record["damage"]
    return record


def _instants(made_from: BuiltFrom) -> dict[str, str]:
    return {key: format_instant(at) for key, at in vars(made_from).items() if at is not None}


def read_looks(record: Mapping[str, Any], now: datetime) -> ConnectionLooks:
    """Return the looks of a record in `looks/<connection>.json`; invalid records raise various errors.

    Times in the future, noted by a wrong clock, become `now`.
    """
    probed_at = record.get("probed_at")
    return ConnectionLooks(
        objects={name: _look(look, now) for name, look in record["objects"].items()},
        probed_at=min(parse_instant(probed_at), now) if probed_at else None,
        day_ceiling=record.get("day_ceiling"),
        probe_every_s=record.get("probe_every_s"),
        refresh_every_s=record.get("refresh_every_s"),
        held={
            table: min(parse_instant(since), now) for table, since in record.get("held", {}).items()
        },
        built=dict(record.get("built", {})),
        built_from={
            table: {
                obj: BuiltFrom(**{key: min(parse_instant(at), now) for key, at in instants.items()})
                for obj, instants in each.items()
            }
            for table, each in record.get("built_from", {}).items()
        },
    )


def _look(record: Mapping[str, Any], now: datetime) -> Look:
    # Unknown keys of another version are ignored.
    keys = {entry.name for entry in fields(Look)} & record.keys()
    values: dict[str, Any] = {
        key: min(parse_instant(record[key]), now) if key in _INSTANTS else record[key]
        for key in keys
    }
    return Look(**values)
