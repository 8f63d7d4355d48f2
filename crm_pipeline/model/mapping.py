"""How a vendor's fields feed the common model: dataclasses that vendors and users fill with data.

Belongs here: the words of a mapping, the user's additions from connections.yaml, and which tables a
connection has. The vendors' own mappings stand in `connectors/<vendor>/mapping.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from crm_pipeline.kernel.errors import UnknownName
from crm_pipeline.model.tables import TABLES, custom_table_name

ANY_OBJECT = "*"
"""The object name of the mapping that objects without one of their own use."""


@dataclass(frozen=True)
class FieldMap:
    """One source field and the column that it feeds.

    Attributes:
        references: for record ids, `(id prefix, object)`; the first prefix that the id starts with
            says which object the key names, and "" fits every id. Empty leaves it to the schema.
        only: take the value only where it starts with this.
        values: source text -> common text; anything else becomes `otherwise`.
        former: fields that fed the column before; where they are gone from the vendor (renamed), records
            that were read before still have their value there.
    """

    source: str
    column: str
    references: tuple[tuple[str, str], ...] = ()
    only: str = ""
    values: tuple[tuple[str, str], ...] = ()
    otherwise: str | None = None
    former: tuple[str, ...] = ()

    @property
    def is_lossless(self) -> bool:
        """Whether the source text can be told from the column."""
        return not self.only and not self.values


@dataclass(frozen=True)
class ObjectMap:
    """How one object of a vendor feeds one table.

    Attributes:
        constants: columns that are the same in every row, or where their field is empty;
            `{connection}` stands for the connection's name.
        single_row: the object only proves that the table has one row, made of the constants.
    """

    object: str
    table: str
    fields: tuple[FieldMap, ...]
    constants: Mapping[str, str] = field(default_factory=dict)
    single_row: bool = False

    def feeding(self, column: str) -> FieldMap | None:
        """Return the field map of a column."""
        return next((entry for entry in self.fields if entry.column == column), None)


def tables_of(
    objects: Iterable[str], maps: Sequence[ObjectMap]
) -> dict[str, tuple[ObjectMap, ...]]:
    """Return the normalized tables of a connection, each with the maps of the objects feeding it.

    Args:
        objects: the objects that the connection reads.
        maps: the vendor's mapping; its entry for `ANY_OBJECT` serves all other objects.
    """
    names = sorted(set(objects))
    mapped = {entry.object for entry in maps}
    tables: dict[str, tuple[ObjectMap, ...]] = {}
    for entry in maps:
        if entry.object in names:
            tables[entry.table] = (*tables.get(entry.table, ()), entry)
    template = next((entry for entry in maps if entry.object == ANY_OBJECT), None)
    for name in names:
        if name not in mapped and template is not None:
            table = custom_table_name(name, names)
            tables[table] = (replace(template, object=name, table=table),)
    return tables


def with_overrides(
    entry: ObjectMap, overrides: Mapping[str, Mapping[str, str | None]], *, where: str = ""
) -> ObjectMap:
    """Return a mapping with the user's additions of connections.yaml applied.

    A field that the user maps replaces what fed that column, which becomes its former one; `None`
    leaves the field in `custom`.

    Raises:
        UnknownName: the user names a column that the table does not have or that cannot be mapped.
    """
    wanted = overrides.get(entry.object, {})
    table = TABLES.get(entry.table)
    if not wanted or entry.single_row:
        return entry
    if table is not None:
        for source, column in wanted.items():
            if column is not None and column not in table.mappable:
                place = f"mapping.{entry.object}.{source}{f' of {where}' if where else ''}"
                raise UnknownName(f"column of {table.name}", column, table.mappable, where=place)
    taken = {column for column in wanted.values() if column is not None}
    kept = [f for f in entry.fields if f.source not in wanted and f.column not in taken]
    added = [
        FieldMap(
            source,
            column,
            former=tuple(
                f.source for f in entry.fields if f.column == column and f.source not in wanted
            ),
        )
        for source, column in wanted.items()
        if column is not None
    ]
    replaced = taken | {f"{column.removesuffix('_source_id')}_key" for column in taken}
    constants = {k: v for k, v in entry.constants.items() if k not in replaced}
    return replace(entry, fields=(*kept, *added), constants=constants)
