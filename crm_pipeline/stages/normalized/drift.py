"""Refuse to build a table if a mapped source field is no longer in the vendor's object.

A field that was never there (hidden from the API user, or not in this edition) is simply NULL. A field that
was there before was renamed, removed or hidden: a build without it would empty a column that people rely on.
"""

import difflib
import json
import re

from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.model.mapping import RECORD, FieldMap
from crm_pipeline.model.schema import Field
from crm_pipeline.stages.normalized.inputs import ObjectInput


def check_fields(connection: str, landed: ObjectInput) -> None:
    """Check that every mapped field that earlier reads had is in the newest schema as well.

    The user's overrides are part of the mapping: a field that they set to null is not mapped.

    Raises:
        ContractError: a field is gone; the text names the column, likely successors and the cure.
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
        new = [field for field in landed.latest_schema.fields if field.name not in last.by_name]
        raise _vanished(connection, landed, gone, entry.column, new)


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


def _vanished(
    connection: str, landed: ObjectInput, gone: Field, column: str, new: list[Field]
) -> ContractError:
    ordered = candidates(gone, new)
    listed = ", ".join(f"{f.name} ('{f.label}', {f.type})" for f in ordered[:5])

    def line(field: str, target: str) -> str:
        return f"`mapping: {{{landed.object}: {{{_key(field)}: {target}}}}}`"

    where = f"under {connection} in connections.yaml"
    without = f"to go on without it, write {line(gone.name, 'null')}"
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
