"""Apply a vendor's mapping to a connection: its tables, and the user's additions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from crm_pipeline.kernel.errors import UnknownName
from crm_pipeline.model.mapping import ANY_OBJECT, FieldMap, ObjectMap
from crm_pipeline.model.tables import TABLES, custom_table_name


def tables_of(
    objects: Iterable[str], maps: Sequence[ObjectMap]
) -> dict[str, tuple[ObjectMap, ...]]:
    """Return the normalized tables of a connection, each with the maps of the objects feeding it.

    Args:
        objects: the objects that the connection reads.
        maps: the vendor's mapping; its entries for `ANY_OBJECT` apply to all objects without an entry, and
            an empty table name means the object's own table.
    """
    names = sorted(set(objects))
    mapped = {entry.object for entry in maps}
    tables: dict[str, tuple[ObjectMap, ...]] = {}
    for entry in maps:
        if entry.object in names:
            tables[entry.table] = (*tables.get(entry.table, ()), entry)
    templates = [entry for entry in maps if entry.object == ANY_OBJECT]
    for name in names:
        if name in mapped:
            continue
        for template in templates:
            table = template.table or custom_table_name(name, names)
            made = replace(template, object=name, table=table)
            tables[table] = (*tables.get(table, ()), made)
    return tables


def own_tables(objects: Iterable[str], maps: Sequence[ObjectMap]) -> dict[str, str]:
    """Return the table of the records of each object, including mapped objects that are not read."""
    tables = {entry.object: entry.table for entry in maps if entry.is_own and entry.table}
    for table, entries in tables_of(objects, maps).items():
        tables.update({entry.object: table for entry in entries if entry.is_own})
    return tables


def with_overrides(
    entry: ObjectMap, overrides: Mapping[str, Mapping[str, str | None]], *, where: str = ""
) -> ObjectMap:
    """Return a mapping with the user's additions of connections.yaml applied.

    A field that the user maps replaces the field that fed the column, which becomes a former one; `None`
    leaves the field in `custom`. Of several fields that are mapped to one column the last one feeds it, and
    those before it are former ones: so a renamed field that had a line of its own keeps it.

    Raises:
        UnknownName: the user names a column that the table does not have or that cannot be mapped.
    """
    wanted = overrides.get(entry.object, {})
    table = TABLES.get(entry.table)
    if not wanted or not entry.is_own:
        return entry
    if table is not None:
        for source, column in wanted.items():
            if column is not None and column not in table.mappable:
                key = f"mapping.{entry.object}.{source}{f' of {where}' if where else ''}"
                raise UnknownName(f"column of {table.name}", column, table.mappable, where=key)
    taken = {column for column in wanted.values() if column is not None}
    kept = [f for f in entry.fields if not _is_named(f, wanted) and f.column not in taken]
    mapped: dict[str, list[str]] = {}
    for source, column in wanted.items():
        if column is not None:
            mapped.setdefault(column, []).insert(0, source)
    added = [
        FieldMap(
            source,
            column,
            former=(
                *earlier,
                *(f.source for f in entry.fields if f.column == column and f.source not in wanted),
            ),
        )
        for column, (source, *earlier) in mapped.items()
    ]
    replaced = taken | {f"{column.removesuffix('_source_id')}_key" for column in taken}
    constants = {k: v for k, v in entry.constants.items() if k not in replaced}
    return replace(entry, fields=(*kept, *added), constants=constants)


def _is_named(entry: FieldMap, wanted: Mapping[str, str | None]) -> bool:
    """Say whether the user maps a source; a source beside the fields can only be set to null, not mapped."""
    return entry.source in wanted and not (entry.at and wanted[entry.source] is not None)
