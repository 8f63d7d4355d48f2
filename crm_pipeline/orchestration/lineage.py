"""Column lineage: what each column of an asset is made of, as Dagster's metadata and in words.

Dagster's open-source pages do not show lineage of columns, so the description of each column says it as well;
catalogues and Dagster+ read the metadata.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

import dagster as dg

from crm_pipeline.connectors.registry import connector
from crm_pipeline.model.lineage import Origin, Origins, filled_columns, id_fields, origins_of
from crm_pipeline.model.mapping import ObjectMap
from crm_pipeline.model.selection import tables_of, with_overrides
from crm_pipeline.model.table import Column
from crm_pipeline.model.tables import TABLES
from crm_pipeline.settings import Connection

LINEAGE = "dagster/column_lineage"
_MOST_NAMES = 6
"""More sources than these are counted in a column's description, not named."""


@dataclass(frozen=True)
class Made:
    """How a table of a connection is made.

    Attributes:
        entries: the mappings that feed it, with the user's additions.
        origins: what its columns are made of; empty for the table of a custom object, whose fields are not known yet.
        filled: the columns that are not always empty.
    """

    entries: tuple[ObjectMap, ...]
    origins: Origins
    filled: frozenset[str]


def made(connection: Connection) -> Mapping[str, Made]:
    """Return how the normalized tables of a connection are made, by table."""
    objects = tuple((obj.name, (*obj.exclude, *obj.hash)) for obj in connection.objects)
    mapping = tuple((obj, tuple(own.items())) for obj, own in connection.mapping.items())
    return _made(connection.vendor, objects, mapping)


@lru_cache(maxsize=256)
def _made(
    vendor: str,
    objects: tuple[tuple[str, tuple[str, ...]], ...],
    mapping: tuple[tuple[str, tuple[tuple[str, str | None], ...]], ...],
) -> Mapping[str, Made]:
    """Compute `made` once: definitions ask for each table many times, and several connections may be alike."""
    maps = connector(vendor).mapping
    own = {obj: dict(pairs) for obj, pairs in mapping}
    out = {name: fields for name, fields in objects if fields}
    ids = id_fields(maps)
    found = {}
    for table, plain in tables_of((name for name, _ in objects), maps).items():
        entries = tuple(with_overrides(entry, own) for entry in plain)
        model = TABLES.get(table)
        origins = origins_of(model, entries, ids, out) if model else {}
        filled = filled_columns(model, entries, origins) if model else frozenset()
        found[table] = Made(entries, origins, filled)
    return MappingProxyType(found)


def lineage(origins: Origins, key_of: Callable[[str], dg.AssetKey]) -> dg.TableColumnLineage:
    """Return origins as Dagster's column lineage.

    Args:
        origins: by column.
        key_of: returns the asset of an object or a table.
    """
    keys = {origin.of: key_of(origin.of) for each in origins.values() for origin in each}
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(keys[origin.of], origin.name) for origin in each]
            for column, each in origins.items()
        }
    )


def described(columns: Iterable[Column], origins: Origins, *, by_table: bool) -> list[Column]:
    """Return columns whose descriptions end with what they are made of; objects are named where there are several."""
    named = by_table or is_from_several(origins)
    return [
        replace(column, description=f"{column.description} {words(made_of, named=named)}")
        if (made_of := origins.get(column.name))
        else column
        for column in columns
    ]


def is_from_several(origins: Origins) -> bool:
    """Say whether columns are made of several objects or tables."""
    return len({origin.of for each in origins.values() for origin in each}) > 1


def words(origins: Iterable[Origin], *, named: bool) -> str:
    """Say what a column is made of, as Markdown, with the names of objects or without."""
    names = list(dict.fromkeys(f"`{o.of}.{o.name}`" if named else f"`{o.name}`" for o in origins))
    shown = ", ".join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"From {shown} and {more} more." if more > 0 else f"From {shown}."
