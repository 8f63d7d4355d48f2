"""Views that show an object as people know it: one column per source field under its human name."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_pipeline.model.casts import cast
from crm_pipeline.model.json_paths import Layout
from crm_pipeline.model.names import Taken, literal, quoted, shown
from crm_pipeline.model.schema import Field
from crm_pipeline.model.tables import column_type

KEY = "crm_key"
"""Last column of every view: the key by which its rows join schema `crm`."""
_CUSTOM = "_j"
_NAMELESS = "(no name)"


@dataclass(frozen=True)
class ViewColumn:
    """One column of a view."""

    name: str
    field: str
    label: str
    type: str
    column: str | None
    sql: str

    @property
    def comment(self) -> str:
        """What the column is, for people."""
        return f"{shown(self.label)}: source field {shown(self.field)} ({shown(self.type)})."


@dataclass(frozen=True)
class View:
    """The view of one object of one connection."""

    schema: str
    name: str
    comment: str
    columns: tuple[ViewColumn, ...]
    sql: str


def view_of(
    connection: str, table: str, key: str, described: Mapping[str, Any], types: Mapping[str, str]
) -> View:
    """Make the view of an object.

    Args:
        connection: the connection that the object belongs to.
        table: the table of schema `crm` that holds the rows.
        key: its key column.
        described: an entry of `objects` in the version's meta: object, label, view, fields.
        types: column -> type of the table.
    """
    names = _names(described["fields"])
    types = {name.lower(): kind for name, kind in types.items()}
    custom = [field[0] for field in described["fields"] if _type(field[4], types) is None]
    layout = Layout((field,) for field in custom)
    columns = tuple(
        _column(name, field, types, layout)
        for name, field in zip(names, described["fields"], strict=True)
    )
    obj = described["object"]
    unpacked = f", {layout.columns('custom', _CUSTOM)}" if custom else ""
    rows = (
        f"SELECT *{unpacked} FROM crm.{quoted(table)} "
        f"WHERE connection = {literal(connection)} AND object = {literal(obj)}"
    )
    listed = ", ".join(f"{column.sql} AS {quoted(column.name)}" for column in columns)
    last = f"{quoted(key)} AS {quoted(KEY)}"
    return View(
        schema=f"crm_{connection}",
        name=described["view"],
        comment=f"{shown(described['label'])} ({obj}) of {connection}, live records, by its own field "
        f"names; {KEY} joins crm.{table}.{key}.",
        columns=columns,
        sql=f"SELECT {', '.join(part for part in (listed, last) if part)} FROM ({rows})",
    )


def _names(fields: Sequence[Sequence[Any]]) -> list[str]:
    """Name the columns by label; labels that several fields share carry the API name as well."""
    told = [(shown(str(name)), shown(str(label or name))) for name, label, *_ in fields]
    labels = [(name, label or name or _NAMELESS) for name, label in told]
    shared = Counter(label.lower() for _, label in labels)
    taken = Taken([KEY])
    names = []
    for name, label in labels:
        is_shared = shared[label.lower()] > 1 or label in taken
        marked = f"{label} ({name})" if name else label
        names.append(taken.take(marked, name or label) if is_shared else taken.take(label))
    return names


def _column(
    name: str, described: Sequence[Any], types: Mapping[str, str], layout: Layout
) -> ViewColumn:
    api_name, label, kind, common_type, column, scale, *more = described
    later = more[0] if more else {}
    field = Field.from_dict(
        {
            **later,
            "name": api_name,
            "label": label,
            "type": kind,
            "common_type": common_type,
            "scale": scale,
        }
    )
    if (type_of_column := _type(column, types)) is None:
        text = layout.text(_CUSTOM, (api_name,))
        return ViewColumn(name, api_name, label, kind, None, _value(field, text))
    if column == "merged_into":
        sql = "regexp_replace(merged_into, '^[^:]*:[^:]*:', '')"
    elif type_of_column == "VARCHAR":
        sql = _value(field, quoted(column))
    else:
        sql = quoted(column)
    return ViewColumn(name, api_name, label, kind, column, sql)


def _type(column: str | None, types: Mapping[str, str]) -> str | None:
    return None if column is None else types.get(column.lower())


def _value(field: Field, text: str) -> str:
    """Return SQL that shows a field's text: typed, pick lists by their labels."""
    wanted = column_type(field)
    if wanted != "VARCHAR":
        return cast(text, wanted, field.form)
    if field.multiple == ";":
        parts = f"list_transform(string_split({text}, ';'), lambda v: trim(v))"
    elif field.multiple in {"json", ","}:
        parsed = f"from_json({text}, '[\"VARCHAR\"]')"
        parts = f"CASE WHEN json_valid({text}) THEN {parsed} END"
    else:
        return _label(field, text)
    kept = f"list_filter({parts}, lambda v: v <> '')"
    return f"list_transform({kept}, lambda v: {_label(field, 'v')})" if field.options else kept


def _label(field: Field, value: str) -> str:
    if not field.options:
        return value
    # One constant: as a list of pairs, a thousand pick lists would take a query seconds to plan.
    labels = literal(json.dumps(dict(field.options), ensure_ascii=False))
    return f"coalesce(({labels}::JSON::MAP(VARCHAR, VARCHAR))[{value}], {value})"
