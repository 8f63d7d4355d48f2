"""Which source fields each column of a table is made of, told by mappings alone: nothing is read.

A column's *origins* are fields of the vendor's objects whose values can change it. `custom`, `unconverted` and the
names of connection, object and batch have none: they are made of all fields, or of none.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from crm_pipeline.model.mapping import (
    CUSTOM,
    LOSER,
    RECORD,
    RECORD_ID,
    WINNER,
    FieldMap,
    ObjectMap,
)
from crm_pipeline.model.table import URL, Table

WITHOUT = frozenset({"connection", "object", "custom", "unconverted", "batch_id"})
"""Columns of every table that have no origins."""
_TEXT = re.compile(r"'[^']*'")
_WORD = re.compile(r"[a-z_][a-z0-9_]*")


class Origin(NamedTuple):
    """A field of an object of the vendor, or a column of a table."""

    of: str
    name: str


Origins = Mapping[str, tuple[Origin, ...]]


def origins_of(
    table: Table,
    entries: Iterable[ObjectMap],
    ids: Mapping[str, str],
    kept_out: Mapping[str, Collection[str]] | None = None,
) -> Origins:
    """Return the origins of the columns of a common table.

    Args:
        table: the table.
        entries: the mappings of the objects that feed it, with the user's additions.
        ids: the field with the id of each object's records, see `id_fields`.
        kept_out: fields of each object that connections.yaml excludes or hashes; they feed nothing.
    """
    found: dict[str, dict[Origin, None]] = {column.name: {} for column in table.columns}
    for entry in entries:
        own = _without(entry, (kept_out or {}).get(entry.object, ()))
        for column, fields in _of_entry(table, own, ids.get(entry.object, "id")).items():
            found[column].update(dict.fromkeys(Origin(entry.object, name) for name in fields))
    return {column: tuple(origins) for column, origins in found.items() if origins}


def filled_columns(table: Table, entries: Iterable[ObjectMap], origins: Origins) -> frozenset[str]:
    """Return the columns that are not empty in every row: those with origins, those with constants, and the rest of the head."""
    constant = {name for entry in entries for name in entry.constants}
    return frozenset({*origins, *(constant & set(table.by_name)), *WITHOUT, "is_deleted"})


def id_fields(maps: Iterable[ObjectMap]) -> dict[str, str]:
    """Return the field with the id of each object's records, as far as a mapping says it."""
    ids: dict[str, str] = {}
    for entry in maps:
        named = entry.feeding("source_id")
        if entry.is_own and named is not None:
            ids.setdefault(entry.object, named.source)
    return ids


def _without(entry: ObjectMap, out: Collection[str]) -> ObjectMap:
    """Return a mapping without the fields that are kept out, as `stages.normalized` leaves them out."""
    if not out or not entry.is_own:
        return entry
    fold = str.casefold if entry.ignores_case else str
    gone = set(map(fold, out))

    def kept(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if fold(name) not in gone)

    fields = tuple(
        replace(f, fallback=kept(f.fallback), joined=kept(f.joined), any_of=kept(f.any_of))
        for f in entry.fields
        if fold(f.source) not in gone
    )
    return replace(entry, fields=fields)


def _of_entry(table: Table, entry: ObjectMap, id_field: str) -> dict[str, tuple[str, ...]]:
    """Return the fields that each column of a table is made of in the rows of one object."""
    if entry.single_row:
        return {}
    mapped: dict[str, list[str]] = {}
    # Where a column has several field maps, the first one whose field exists counts.
    for field in entry.fields:
        mapped.setdefault(field.column, []).extend(_sources(entry, field, id_field))
    _complete(table, entry, mapped, id_field)
    read = {column.name: _columns_in(column.expression, table) for column in table.columns}
    changes = [entry.over_rows_from, table.over_rows_from]
    direct = {column: tuple(dict.fromkeys(mapped.get(column, ()))) for column in table.by_name}
    made = {column: _followed(column, direct, read, frozenset()) for column in direct}
    for change in changes:
        made |= {column: tuple(_read(inputs, made)) for column, inputs in change.items()}
    return {column: fields for column, fields in made.items() if fields and column not in WITHOUT}


def _complete(table: Table, entry: ObjectMap, mapped: dict[str, list[str]], id_field: str) -> None:
    """Add the fields of columns that have no field map: keys, addresses, merges."""
    own = _row_ids(entry, id_field)
    mapped["source_id"] = mapped[table.key] = own
    if entry.page and entry.is_own and URL in table.by_name:
        mapped.setdefault(URL, own)
    for column in table.by_name:
        if column.endswith("_key") and column != table.key and column not in mapped:
            reference = entry.feeding(f"{column.removesuffix('_key')}_source_id")
            if reference is not None and (reference.references or reference.object_in):
                beside = [reference.object_in] if reference.object_in else []
                mapped[column] = [*mapped[reference.column], *beside]
    if entry.merges and not entry.lists_merged:
        mapped.setdefault("merged_into", []).extend(merge.source for merge in entry.merges)
        mapped.setdefault("is_deleted", []).extend(merge.source for merge in entry.merges)


def _row_ids(entry: ObjectMap, id_field: str) -> list[str]:
    if entry.lists_merged:
        return [merge.source for merge in entry.merges]
    if not entry.each:
        return [id_field]
    return [id_field, *(_path(entry, source) for source in entry.identity)]


def _sources(entry: ObjectMap, field: FieldMap, id_field: str) -> Iterator[str]:
    for name in field.sources:
        if name == field.object_in:  # says which object's key it is, and leaves the id as it is
            continue
        if name == RECORD_ID or (entry.lists_merged and name == WINNER):
            yield id_field
        elif entry.lists_merged and name == LOSER:
            yield from (merge.source for merge in entry.merges)
        elif field.at and name == field.source:
            yield ".".join(field.at)
        elif entry.each:
            yield _path(entry, name)
        else:
            yield name


def _path(entry: ObjectMap, name: str) -> str:
    """Return the name of a source of an exploded table, from the root of the record."""
    if name.startswith(RECORD):
        return name.removeprefix(RECORD)
    return ".".join((*entry.each, name))


def _followed(
    column: str,
    direct: Mapping[str, tuple[str, ...]],
    read: Mapping[str, tuple[str, ...]],
    seen: frozenset[str],
) -> tuple[str, ...]:
    """Return the fields of a column, and of the columns in its expression."""
    deeper = (
        name
        for other in read[column]
        if other not in seen
        for name in _followed(other, direct, read, seen | {column})
    )
    return tuple(dict.fromkeys((*direct[column], *deeper)))


def _read(inputs: Iterable[str], made: Mapping[str, tuple[str, ...]]) -> dict[str, None]:
    fields: dict[str, None] = {}
    for name in inputs:
        is_field = name.startswith(CUSTOM)
        fields |= dict.fromkeys([name.removeprefix(CUSTOM)] if is_field else made[name])
    return fields


def _columns_in(expression: str, table: Table) -> tuple[str, ...]:
    """Return the columns that an expression reads."""
    return tuple(word for word in _words(expression) if word in table.by_name) if expression else ()


@cache
def _words(expression: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_WORD.findall(_TEXT.sub("''", expression))))
