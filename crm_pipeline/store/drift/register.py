"""The register of changed fields: one small file per change, so that it can be read without PostgreSQL.

`drift/<number>.json` holds a change. `drift/described/<connection>/<object>.json` names the description up to which the
changes of an object have been noted; it is written after them, so a crash in between notes them again, once.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from crm_pipeline.kernel.clock import Clock, SystemClock
from crm_pipeline.kernel.errors import ConfigError, CorruptFile
from crm_pipeline.kernel.identity import path_name
from crm_pipeline.model.schema_changes import FieldChange
from crm_pipeline.store import files
from crm_pipeline.store.drift.change import Change, Policy, State

FOLDER = "drift"
_CURE = "Move it away: the change is noted again if it is still there. What was decided about it is lost."
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)
_CONNECTION = re.compile(rb'^ "connection": "([A-Za-z0-9_-]+)",$', re.MULTILINE)
PolicyOf = Callable[[FieldChange], Policy]
_Identity = tuple[int, int, int]


@dataclass(frozen=True)
class Noticed:
    """A fact to be noted, with what it is concluded from."""

    fact: FieldChange
    evidence: Mapping[str, float | int | str]
    proposal: str = ""


class Register:
    """All changes of one data folder.

    Args:
        data: the data folder.
        clock: says when changes are noticed and decided.
    """

    def __init__(self, data: Path, clock: Clock | None = None) -> None:
        self.folder = data / FOLDER
        self.clock = clock or SystemClock()
        # A build reads the register for each object, and changes hardly ever change: by path and identity of the file.
        self._known: dict[Path, tuple[_Identity, Change]] = {}

    def all(self) -> list[Change]:
        """Return every change, ordered by number.

        Raises:
            CorruptFile: a file is damaged.
        """
        return [self._read(path) for path in self._paths()]

    def readable(self) -> list[Change]:
        """Return the changes whose files are not damaged, ordered by number; remarks say that others are."""
        return list(self._without(lambda _: True))

    def of_connection(self, connection: str) -> list[Change]:
        """Return the changes of one connection, ordered by number.

        Raises:
            CorruptFile: a file is damaged that may be about this connection: what is left of it names no other one.
        """
        found = self._without(lambda path: _names_another(path, connection))
        return [change for change in found if change.connection == connection]

    def of(self, connection: str, obj: str) -> list[Change]:
        """Return the changes of one object, ordered by number."""
        return [change for change in self.of_connection(connection) if change.object == obj]

    def open(self, connection: str, obj: str) -> list[Change]:
        """Return the changes of one object that wait for a person."""
        return [change for change in self.of(connection, obj) if change.is_open]

    def note(
        self,
        connection: str,
        noticed: Iterable[Noticed],
        policy_of: PolicyOf,
        *,
        origin: str,
        table: str = "",
    ) -> list[Change]:
        """Note what was noticed in one event, and return the changes as they stand now.

        A change that is open already is only brought up to date. One that undoes an open change resolves it, and is
        not noted where both are of one kind: then all is as it was.

        Args:
            connection: the connection.
            noticed: the facts of the event.
            policy_of: what a change does while it is open; one of policy `evolve` is accepted at once.
            origin: identifies the event.
            table: where the facts were seen, for facts about values.
        """
        known = self.of_connection(connection)
        now = self.clock.now()
        noted = []
        for item in noticed:
            fact = item.fact
            same = [
                c for c in known if c.subject == (connection, fact.object, fact.field, fact.kind)
            ]
            undone = list(_undone(known, fact))
            self.resolve(undone)
            if any(change.kind == fact.kind for change in undone):
                continue
            again = next((c for c in same if c.is_open or c.origin == origin), None)
            if again is not None:
                # Somebody may have decided about it since the register was read.
                fresh = _seen_again(self._read(self._path(again.number)), item, now)
                self._write(fresh)
            else:
                fresh = self._create(
                    self._change(connection, item, policy_of(fact), origin, table, now)
                )
            noted.append(fresh)
        return noted

    def resolve(self, changes: Iterable[Change]) -> None:
        """Note that changes are no longer there."""
        for change in changes:
            self._write(change.decided("resolved", self.clock.now(), "vendor"))

    def change(self, number: int) -> Change:
        """Return one change.

        Raises:
            ConfigError: there is none of this number.
        """
        path = self._path(number)
        try:
            return self._read(path)
        except FileNotFoundError:
            open_ones = [str(c.number) for c in self.all() if c.is_open]
            raise ConfigError(
                f"there is no change {number}.",
                cure=f"Open are: {', '.join(open_ones) or 'none'}; `crm-pipeline drift` lists them.",
            ) from None

    def decide(self, number: int, state: State) -> Change:
        """Note a person's decision, and return the change.

        Raises:
            ConfigError: there is none of this number.
        """
        change = self.change(number).decided(state, self.clock.now(), "person")
        self._write(change)
        return change

    def propose(
        self, number: int, proposal: str, evidence: Mapping[str, float | int | str]
    ) -> None:
        """Add to a removed field which field seems to have taken its place."""
        self._write(replace(self.change(number), proposal=proposal, evidence=dict(evidence)))

    def described(self, connection: str, obj: str) -> str:
        """Return the fingerprint of the description up to which changes were noted; "" for none."""
        try:
            return str(files.read_json(self._described(connection, obj), cure=_CURE)["fingerprint"])
        except FileNotFoundError:
            return ""

    def note_described(self, connection: str, obj: str, fingerprint: str) -> None:
        """Note that all changes up to a description are in the register."""
        files.write_json(self._described(connection, obj), {"fingerprint": fingerprint})

    def _described(self, connection: str, obj: str) -> Path:
        return self.folder / "described" / path_name(connection) / f"{path_name(obj)}.json"

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:07}.json"

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.json"))

    def _without(self, is_left_out: Callable[[Path], bool]) -> Iterator[Change]:
        """Yield all changes except damaged ones that may be left out."""
        for path in self._paths():
            try:
                change = self._read(path)
            except CorruptFile:
                if not is_left_out(path):
                    raise
            else:
                yield change

    def _create(self, change: Change) -> Change:
        """Write a change under the next free number; another process may take one at the same time."""
        numbers = [int(path.stem) for path in self._paths()]
        number = max(numbers, default=0)
        while True:
            number += 1
            numbered = replace(change, number=number)
            if files.create_json(self._path(number), numbered.to_dict(), "drift"):
                return numbered

    def _write(self, change: Change) -> None:
        files.write_json(self._path(change.number), change.to_dict(), "drift")

    def _read(self, path: Path) -> Change:
        status = path.stat()
        identity = (status.st_ino, status.st_mtime_ns, status.st_size)
        known = self._known.get(path)
        if known is not None and known[0] == identity:
            return known[1]
        record: dict[str, Any] = files.read_json(path, cure=_CURE)
        try:
            change = Change.from_dict(record)
        except _UNREADABLE as error:
            raise CorruptFile(f"{path} is damaged: {error!r}.", cure=_CURE) from error
        self._known[path] = identity, change
        return change

    @staticmethod
    def _change(  # noqa: PLR0917 - each argument is plain at the call
        connection: str,
        item: Noticed,
        policy: Policy,
        origin: str,
        table: str,
        now: datetime,
    ) -> Change:
        fact = item.fact
        is_taken_over = policy == "evolve"
        return Change(
            number=0,
            connection=connection,
            object=fact.object,
            field=fact.field,
            kind=fact.kind,
            policy=policy,
            state="accepted" if is_taken_over else "open",
            old=fact.old,
            new=fact.new,
            text=fact.text,
            origin=origin,
            seen_at=now,
            last_seen_at=now,
            table=table,
            proposal=item.proposal,
            evidence=dict(item.evidence),
            decided_at=now if is_taken_over else None,
            decided_by="policy" if is_taken_over else "",
        )


def _names_another(path: Path, connection: str) -> bool:
    """Say whether what is left of a damaged file is about another connection."""
    found = _CONNECTION.search(path.read_bytes()) if path.is_file() else None
    return found is not None and found[1] != connection.encode()


def _undone(known: Iterable[Change], fact: FieldChange) -> Iterator[Change]:
    """Yield the open changes that a fact undoes: a field is back, or a property is as it was."""
    for change in known:
        if not change.is_open or (change.object, change.field) != (fact.object, fact.field):
            continue
        is_back = change.kind == "removed" and fact.kind == "added"
        is_as_before = change.kind == fact.kind and change.old == fact.new and change.old != ""
        if is_back or is_as_before:
            yield change


def _seen_again(change: Change, item: Noticed, now: datetime) -> Change:
    evidence = dict(item.evidence) or change.evidence
    fact = item.fact
    return replace(
        change,
        old=fact.old,
        new=fact.new,
        text=fact.text,
        last_seen_at=now,
        evidence=evidence,
        proposal=item.proposal or change.proposal,
    )
