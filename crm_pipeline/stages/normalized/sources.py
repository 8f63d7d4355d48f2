"""The sources of an object's mapping: the texts that it uses, and where they are in records."""

from collections.abc import Iterable

from crm_pipeline.model.json_paths import Path
from crm_pipeline.model.mapping import RECORD, RECORD_ID, ObjectMap
from crm_pipeline.model.tables import TABLES
from crm_pipeline.stages.normalized.fields import Fields, LinkedField
from crm_pipeline.stages.normalized.reading import Source


def record_sources(entry: ObjectMap, fields: Fields) -> tuple[Source, ...]:
    """Return what is read from records: every field, and the paths that the mapping names."""
    # In the table of a custom object every field has a column.
    wanted = None if entry.table not in TABLES else set(_wanted(entry))
    of_fields = {
        linked.name: _of_field(linked, is_mapped=wanted is None or linked.name in wanted)
        for linked in fields.all
    }
    beside = {f.source: f.at for f in entry.fields if f.at}
    lists = {f.source for f in entry.fields if f.is_list}
    more = {
        name: Source(name, (), (beside.get(name) or _path(name, fields),))
        for f in entry.fields
        for name in f.sources
        if name not in of_fields and ("." in name or name in lists or name in beside)
    }
    extra = {
        name: Source(name, (), ((name,),))
        for name in entry.beside
        if name not in of_fields and name not in more
    }
    return (*of_fields.values(), *more.values(), *extra.values())


def exploded_sources(
    entry: ObjectMap, fields: Fields
) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Return what an exploded table reads from the record, and what from each element."""
    wanted = tuple(_wanted(entry))
    of_record = []
    for name in wanted:
        linked = fields.get(name.removeprefix(RECORD)) if name.startswith(RECORD) else None
        if linked is not None and name != RECORD_ID:
            of_record.append(_of_field(linked, name=name))
    of_element = tuple(
        Source(name, (), (tuple(name.split(".")),))
        for name in wanted
        if not name.startswith(RECORD)
    )
    return tuple(of_record), of_element


def merge_sources(entry: ObjectMap, fields: Fields) -> tuple[Source, ...]:
    """Return the existing fields in which winners of merges list their losers."""
    named = {merge.source for merge in entry.merges}
    return tuple(_of_field(linked) for linked in fields.all if linked.name in named)


def _wanted(entry: ObjectMap) -> Iterable[str]:
    named = [name for f in entry.fields for name in (*f.sources, *f.former)]
    return dict.fromkeys([*named, *entry.identity])


def _of_field(linked: LinkedField, *, name: str = "", is_mapped: bool = True) -> Source:
    """Return the source of a field; records read before the field moved have it at its earlier path."""
    return Source(
        name or linked.name,
        tuple(linked.columns),
        tuple(linked.paths),
        linked.field.multiple,
        is_mapped=is_mapped,
    )


def _path(name: str, fields: Fields) -> Path:
    first, *rest = name.split(".")
    linked = fields.get(first)
    return (*(linked.paths[0] if linked else (first,)), *rest)
