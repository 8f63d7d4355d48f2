"""Proposes custom fields of an account for columns of the common model.

Consent, lost reason and lifecycle stage have standard fields at some vendors only. The name of a field is no
proof of its meaning: a person decides, and writes the line into connections.yaml.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from crm_pipeline.model.mapping import ObjectMap
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.model.selection import own_tables, tables_of
from crm_pipeline.model.tables import TABLES

# Usual names of such fields, in the order in which columns are proposed.
_CALLED: Mapping[str, tuple[str, ...]] = {
    "do_not_call": (
        "do not call",
        "dont call",
        "do not phone",
        "do not contact by phone",
        "no calls",
        "call opt out",
        "phone opt out",
        "opted out of calls",
    ),
    "email_opt_out": (
        "email opt out",
        "e mail opt out",
        "opted out of email",
        "opted out of e mail",
        "do not email",
        "do not e mail",
        "no email",
        "unsubscribed",
    ),
    "lawful_basis": ("lawful basis", "legal basis", "legal ground", "gdpr basis", "consent basis"),
    "lost_reason": (
        "lost reason",
        "loss reason",
        "reason lost",
        "reason for loss",
        "reason for losing",
        "reason of loss",
        "closed lost reason",
    ),
    "lifecycle_stage": ("lifecycle stage", "life cycle stage", "customer lifecycle"),
}
_TRUTH = frozenset({"true", "false", "0", "1"})
_LISTS = frozenset({"json", "binary"})


@dataclass(frozen=True)
class Proposal:
    """One line of `mapping`: a field of an object and the column that it may feed."""

    object: str
    field: str
    label: str
    column: str


def proposals(
    schemas: Iterable[Schema],
    maps: Sequence[ObjectMap],
    chosen: Mapping[str, Mapping[str, str | None]],
) -> tuple[Proposal, ...]:
    """Return proposals for the fields of some objects.

    Nothing is proposed for a column that a field of the account feeds already, nor for a field that
    connections.yaml mentions.

    Args:
        schemas: of the objects.
        maps: the vendor's mapping.
        chosen: the connection's own, `Object: {Field: column}`.
    """
    listed = {schema.object: schema for schema in schemas}
    own = own_tables(listed, maps)
    return tuple(
        proposal
        for table, entries in tables_of(listed, maps).items()
        for entry in entries
        if table in TABLES and entry.is_own and own.get(entry.object) == table
        for proposal in _of(listed[entry.object], entry, chosen.get(entry.object, {}))
    )


def lines(proposals: Sequence[Proposal]) -> str:
    """Return proposals as lines for an entry of connections.yaml."""
    text = ["    mapping:"]
    for obj in dict.fromkeys(proposal.object for proposal in proposals):
        text.append(f"      {_quoted(obj)}:")
        text.extend(
            f"        {_quoted(proposal.field)}: {proposal.column}  # {' '.join(proposal.label.split())}"
            for proposal in proposals
            if proposal.object == obj
        )
    return "\n".join(text)


def _quoted(name: str) -> str:
    """Return a name as a key of YAML, where `1e5` would be a number."""
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else json.dumps(name)


def _of(schema: Schema, entry: ObjectMap, mapped: Mapping[str, str | None]) -> Iterator[Proposal]:
    table = TABLES[entry.table]
    taken = set(mapped)
    fed = {
        f.column
        for f in entry.fields
        if f.source not in mapped and _is_there(schema, f.source, f.fallback)
    }
    for column, names in _CALLED.items():
        if column not in table.mappable or column in fed or column in mapped.values():
            continue
        fitting = [f for f in schema.fields if f.custom and _fits(f, table.by_name[column].type)]
        best = max(
            (f for f in fitting if f.name not in taken),
            key=lambda field: _likeness(field, names),
            default=None,
        )
        if best is not None and _likeness(best, names):
            taken.add(best.name)
            yield Proposal(schema.object, best.name, best.label, column)


def _is_there(schema: Schema, source: str, fallback: Iterable[str]) -> bool:
    names = {name.casefold() for name in schema.names} | {
        f.keys[-1].casefold() for f in schema.fields
    }
    return any(name.rpartition(".")[2].casefold() in names for name in (source, *fallback))


def _fits(field: Field, kind: str) -> bool:
    """Say whether a field's values can stand in a column of a type."""
    if field.multiple or field.common_type in _LISTS or field.reference_to:
        return False
    if kind != "BOOLEAN":
        # Numbers, days and truth values are no reasons.
        return field.common_type == "string"
    stored = {value.casefold() for value in field.values}
    return field.common_type == "boolean" or (bool(stored) and stored <= _TRUTH)


def _likeness(field: Field, names: Sequence[str]) -> int:
    """Return 2 where the name is one of `names`, 1 where it contains one, else 0."""
    variants = {_words(field.label), _words(field.name)}
    if variants & set(names):
        return 2
    return int(any(f" {name} " in f" {words} " for name in names for words in variants))


def _words(name: str) -> str:
    """Return a name in lower-case words: `Loss_Reason__c`, `lossReason` and `Loss reason` are alike."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.removesuffix("__c").replace("'", ""))
    return " ".join(re.findall(r"[^\W_]+", apart.lower()))
