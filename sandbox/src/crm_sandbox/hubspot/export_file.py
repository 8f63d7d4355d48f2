"""The file of an export: labels and names of choices, unless internal values were asked for."""

import io
import zipfile
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.schema import ObjectType, Property
from crm_sandbox.hubspot.search_filters import Condition
from crm_sandbox.hubspot.storage import links_of

LARGEST_PLAIN = 2 << 20
MOST_LINKS = 1_000


@dataclass(frozen=True)
class Wanted:
    """What an export shall hold.

    Attributes:
        properties: its columns.
        linked: object types whose ids stand in further columns.
        condition: which records.
        names: internal names as headers, not labels.
        values: internal values of choices, not their labels.
    """

    properties: tuple[Property, ...]
    linked: tuple[ObjectType, ...]
    condition: Condition
    names: bool
    values: bool


@dataclass(frozen=True)
class ExportFile:
    """A file that is ready."""

    name: str
    content: bytes
    content_type: str
    rows: int

    @classmethod
    def of(cls, portal: Portal, one: ObjectType, name: str, wanted: Wanted) -> "ExportFile":
        """Write the file; a large one is zipped."""
        columns = ['_id::VARCHAR AS "Record ID"']
        columns += [_column(portal, prop, wanted) for prop in wanted.properties]
        columns += [_links(one, other) for other in wanted.linked]
        sql = f'SELECT {", ".join(columns)} FROM "{one.table}" t WHERE {wanted.condition.sql} ORDER BY _id'
        table = _read(portal, sql, wanted.condition.params)
        buffer = io.BytesIO()
        pa_csv.write_csv(table, buffer)
        content, kind, ending = buffer.getvalue(), "text/csv;charset=UTF-8", "csv"
        if len(content) > LARGEST_PLAIN:
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                archive.writestr(f"{name}.csv", content)
            content, kind, ending = packed.getvalue(), "application/zip", "zip"
        return cls(f"{name}.{ending}", content, kind, table.num_rows)


def _read(portal: Portal, sql: str, params: list[Any]) -> pa.Table:
    return portal.tables.cursor().sql(sql, params=params).to_arrow_table()


def _column(portal: Portal, prop: Property, wanted: Wanted) -> str:
    header = prop.name if wanted.names else prop.label
    value = prop.expression
    labels = dict(prop.options)
    if prop.name == "hubspot_owner_id":
        labels = {
            one["id"]: f"{one['firstName']} {one['lastName']}" for one in portal.owners.listed
        }
    if labels and not wanted.values:
        value = _labelled(value, labels, prop)
    quoted = header.replace('"', '""')
    return f"coalesce({value}, '') AS \"{quoted}\""


def _labelled(value: str, labels: dict[str, str], prop: Property) -> str:
    keys = ", ".join(_text(key) for key in labels)
    words = ", ".join(_text(word) for word in labels.values())
    mapped = f"map([{keys}], [{words}])"
    if prop.is_multiple:
        return (
            f"array_to_string(list_transform(string_split({value}, ';'), "
            f"lambda v: coalesce({mapped}[v], v)), ';')"
        )
    return f"coalesce({mapped}[{value}], {value})"


def _links(one: ObjectType, other: ObjectType) -> str:
    """Return a column with the ids of linked records, at most so many a row."""
    table = links_of(one.name, other.name)
    return (
        f"coalesce((SELECT string_agg(to_id::VARCHAR, ';') FROM (SELECT DISTINCT to_id FROM \"{table}\" l "
        f"WHERE l.from_id = t._id ORDER BY to_id LIMIT {MOST_LINKS})), '') "
        f'AS "Associated {other.label} IDs"'
    )


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
