"""Which texts an object's mapping is made of, and where in the records they stand."""

from collections.abc import Iterable, Mapping, Sequence

from crm_pipeline.model.mapping import RECORD, RECORD_ID, ObjectMap
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.model.tables import TABLES
from crm_pipeline.stages.normalized.reading import Path, Source


def all_fields(schemas: Sequence[Schema]) -> tuple[Field, ...]:
    """Return the fields that records may carry: the newest schema's, then those that are gone."""
    found = dict(schemas[-1].by_name)
    for schema in reversed(schemas[:-1]):
        for field in schema.fields:
            found.setdefault(field.name, field)
    return tuple(found.values())


def record_sources(entry: ObjectMap, schemas: Sequence[Schema]) -> tuple[Source, ...]:
    """Return what is read from records: every field, and what the mapping names by its path."""
    # In the table of a custom object every field has a column.
    wanted = None if entry.table not in TABLES else set(_wanted(entry))
    fields = {
        field.name: _of_field(field, schemas, is_mapped=wanted is None or field.name in wanted)
        for field in all_fields(schemas)
    }
    lists = {f.source for f in entry.fields if f.is_list}
    more = {
        name: Source(name, "", (_path(name, fields),))
        for f in entry.fields
        for name in f.sources
        if name not in fields and ("." in name or name in lists)
    }
    return (*fields.values(), *more.values())


def exploded_sources(
    entry: ObjectMap, schemas: Sequence[Schema]
) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Return what an exploded table reads from the record, and what from each element."""
    fields = {field.name: _of_field(field, schemas) for field in all_fields(schemas)}
    wanted = _wanted(entry)
    of_record = []
    for name in wanted:
        plain = name.removeprefix(RECORD)
        if name.startswith(RECORD) and name != RECORD_ID and plain in fields:
            found = fields[plain]
            of_record.append(Source(name, found.column, found.paths, found.multiple))
    of_element = tuple(
        Source(name, "", (tuple(name.split(".")),))
        for name in wanted
        if not name.startswith(RECORD)
    )
    return tuple(of_record), of_element


def merge_sources(entry: ObjectMap, schemas: Sequence[Schema]) -> tuple[Source, ...]:
    """Return the fields in which winners name their losers, those that there are."""
    named = {merge.source for merge in entry.merges}
    return tuple(_of_field(f, schemas) for f in all_fields(schemas) if f.name in named)


def _wanted(entry: ObjectMap) -> Iterable[str]:
    named = [name for f in entry.fields for name in (*f.sources, *f.former)]
    return dict.fromkeys([*named, *entry.identity])


def _of_field(field: Field, schemas: Sequence[Schema], *, is_mapped: bool = True) -> Source:
    """Return where a field stands; records read before it moved have it at its earlier path."""
    paths = [s.by_name[field.name].keys for s in reversed(schemas) if field.name in s.by_name]
    return Source(
        field.name, field.name, tuple(dict.fromkeys(paths)), field.multiple, is_mapped=is_mapped
    )


def _path(name: str, fields: Mapping[str, Source]) -> Path:
    first, *rest = name.split(".")
    start = fields[first].paths[0] if first in fields else (first,)
    return (*start, *rest)
