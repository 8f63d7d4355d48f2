"""Refuse to build a table if a mapped source field is no longer in the vendor's object.

A field that was never there (hidden from the API user, or not in this edition) is simply NULL. A field that
was there before was renamed, removed or hidden: a build without it would empty a column that people rely on.
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.model.mapping import RECORD, FieldMap, ObjectMap
from crm_pipeline.model.schema import Field
from crm_pipeline.model.schema_changes import FieldChange
from crm_pipeline.model.selection import tables_of, with_overrides
from crm_pipeline.settings import Connection
from crm_pipeline.settings.drift import DriftPolicies, DriftPolicy
from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.store.drift import Change, Register
from crm_pipeline.store.drift.register import Noticed
from crm_pipeline.store.drift.texts import CHANGES_CURE, changes_text


@dataclass(frozen=True)
class DriftGuard:
    """Where changed fields are noted, and what they do to a table.

    Attributes:
        register: the noted changes.
        policies: what each kind of change does.
    """

    register: Register
    policies: DriftPolicies = field(default_factory=DriftPolicies)

    def changes(self, connection: str, obj: str) -> list[Change]:
        """Return the changes of an object that wait for a person."""
        return self.register.open(connection, obj)

    def evaluate(
        self, connection: str, table: str, parent: str, noticed: Sequence[Noticed]
    ) -> list[Change]:
        """Note what has happened to the values of a table since a version; return the changes that hold it back.

        What was accepted against the same version does not hold it back; what is not there any more is resolved.
        """
        noted = self.register.note(
            connection, noticed, self._policy, origin=f"{table} after {parent}", table=table
        )
        numbers = {change.number for change in noted}
        self.register.resolve(
            change
            for change in self.register.of_connection(connection)
            if change.is_open
            and change.table == table
            and change.origin.endswith(f" {parent}")
            and change.number not in numbers
        )
        return [change for change in noted if change.is_blocking]

    def _policy(self, fact: FieldChange) -> DriftPolicy:
        """Return the policy of a change of values: a field that feeds no column holds nothing back by itself."""
        policy = self.policies.of(fact.kind)
        is_usual = fact.kind not in self.policies.chosen
        return "warn" if policy == "block" and is_usual and not fact.is_loss else policy


def check_fields(connection: str, landed: ObjectInput, changes: Sequence[Change] = ()) -> None:
    """Check that every mapped field that earlier reads had is in the newest schema as well.

    The user's overrides are part of the mapping: a field that they set to null is not mapped.

    Args:
        connection: the connection of the object.
        landed: what has landed of it.
        changes: its changed fields that wait for a person.

    Raises:
        ContractError: a field is gone, or a changed field holds the table back; the text names the column, likely
            successors and the cure.
    """
    for entry in landed.entry.fields:
        source = _field_of(landed, entry)
        linked = None if source is None else landed.linked.get(source)
        if linked is None or linked.is_live:
            continue
        gone = linked.field
        last = next(
            (s for s in reversed(landed.schemas[:-1]) if gone.name in s.by_name),
            landed.latest_schema,
        )
        new = [each for each in landed.latest_schema.fields if each.name not in last.by_name]
        proven = next((c for c in changes if c.kind == "removed" and c.field == gone.name), None)
        raise _vanished(connection, landed, gone, entry.column, new, proven)
    blocking = [change for change in changes if change.is_blocking and not change.table]
    if blocking:
        raise held_back(f"{connection}.{landed.entry.table}", blocking)


def held_back(name: str, changes: Sequence[Change]) -> ContractError:
    """Return the error that says which changed fields hold a table back."""
    return ContractError(
        f"{name} is held back by changed fields: {changes_text(changes)}. The table keeps its current version.",
        failures=[(f"[{change.number}] {change.text}", 0, []) for change in changes],
        cure=f"Look at the CRM, then: {CHANGES_CURE}",
    )


def columns_fed(
    connection: Connection, maps: Sequence[ObjectMap], obj: str, field_name: str
) -> str | None:
    """Return the column that a field of an object feeds, the user's mapping included; None for none."""
    for entries in tables_of((o.name for o in connection.objects), maps).values():
        for entry in entries:
            if entry.object != obj or not entry.is_own:
                continue
            for fed in with_overrides(entry, connection.mapping).fields:
                if fed.source == field_name and not fed.at:
                    return fed.column
    return None


def mapping_line(obj: str, columns: Mapping[str, str | None]) -> str:
    """Return the line of connections.yaml that maps fields of an object to columns."""
    pairs = ", ".join(f"{_key(name)}: {column or 'null'}" for name, column in columns.items())
    return f"`mapping: {{{_key(obj)}: {{{pairs}}}}}`"


def _field_of(landed: ObjectInput, entry: FieldMap) -> str | None:
    """Return the record's field that feeds a column; None where it is fed by something else in the record."""
    if entry.at:
        return None
    if not landed.entry.each:
        return entry.source
    return entry.source.removeprefix(RECORD) if entry.source.startswith(RECORD) else None


def candidates(gone: Field, new: list[Field]) -> list[Field]:
    """Return new fields, ordered by how much their name or label resembles that of the missing field."""

    def likeness(field: Field) -> float:
        pairs = ((field.name, gone.name), (field.label, gone.label))
        close = max(difflib.SequenceMatcher(None, a.lower(), b.lower()).ratio() for a, b in pairs)
        return close + (0.25 if field.type == gone.type else 0.0)

    return sorted(new, key=lambda field: (-likeness(field), field.name))


def _key(name: str) -> str:
    """Return a name as a key in YAML."""
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name) else json.dumps(name)


def _vanished(  # noqa: PLR0917 - each argument is plain at the call
    connection: str,
    landed: ObjectInput,
    gone: Field,
    column: str,
    new: list[Field],
    proven: Change | None,
) -> ContractError:
    ordered = candidates(gone, new)
    if proven is not None and proven.proposal:
        return _renamed(connection, landed, gone, column, proven)
    listed = ", ".join(f"{f.name} ('{f.label}', {f.type})" for f in ordered[:5])

    def line(name: str, target: str | None) -> str:
        return mapping_line(landed.object, {name: target})

    where = f"under {connection} in connections.yaml"
    without = f"to go on without it, write {line(gone.name, None)}"
    cure = (
        f"If it was renamed, write {line(ordered[0].name, column)} {where}: records read before keep "
        f"the value of the old field; {without}."
        if ordered
        else f"{without[0].upper()}{without[1:]} {where}."
    )
    seen = f"New fields that may be its successor: {listed}." if listed else "No field is new."
    return ContractError(
        f"{landed.object}.{gone.name} ('{gone.label}') is gone from {connection}; it fed "
        f"{landed.entry.table}.{column}. {seen} The table {landed.entry.table} keeps its current version.",
        failures=[(f"{landed.object}.{gone.name} is present", 0, [])],
        cure=cure,
    )


def _renamed(
    connection: str, landed: ObjectInput, gone: Field, column: str, change: Change
) -> ContractError:
    """Return the error about a field whose successor is known by its values."""
    successor = landed.latest_schema.by_name[change.proposal]
    same, compared = (
        change.evidence.get(name) for name in ("records_with_the_same_value", "records_compared")
    )
    return ContractError(
        f"{landed.object}.{gone.name} ('{gone.label}') is gone from {connection}; it fed "
        f"{landed.entry.table}.{column}. {successor.name} ('{successor.label}') looks like its new name: it holds the "
        f"same value in {same} of {compared} records that were read again. The table {landed.entry.table} keeps its "
        "current version.",
        failures=[(f"{landed.object}.{gone.name} is present", 0, [])],
        cure=f"`crm-pipeline drift accept {change.number}` writes "
        f"{mapping_line(landed.object, {successor.name: column})} under {connection} in connections.yaml: records read "
        f"before keep the value of the old field. To go on without it, write "
        f"{mapping_line(landed.object, {gone.name: None})}.",
    )
