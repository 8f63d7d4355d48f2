"""Views of objects as people know them: one column per source field, under its label.

The SQL of a view runs in the DuckDB that opens the file. So it uses only functions that DuckDB 1.2 has, and does not
depend on the time zone of the session.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from crm_pipeline.model.casts import cast, is_nothing
from crm_pipeline.model.json_paths import Layout
from crm_pipeline.model.names import literal, quoted, shown
from crm_pipeline.model.schema import Field
from crm_pipeline.model.tables import DELETED_SUFFIX, TABLES, column_type
from crm_pipeline.model.view_names import KEY, UNCONVERTED, Named, ViewNames

_CUSTOM = "_j"
_NAMES = {"users": "full_name", "pipelines": "label"}


@dataclass(frozen=True)
class ViewColumn:
    """One column of a view.

    Attributes:
        column: the column of the table; None where the value is in `custom`.
        sql: selects the value.
        cast: where the view casts a text, the SQL of the cast; `sql` is the name of its result.
        lost: where the view casts a text, the condition that the text does not fit.
    """

    name: str
    field: str
    label: str
    type: str
    column: str | None
    sql: str
    cast: str = ""
    lost: str = ""

    @property
    def comment(self) -> str:
        """The description of the column."""
        return f"{shown(self.label)}: source field {shown(self.field)} ({shown(self.type)})."


@dataclass(frozen=True)
class _NameColumn:
    """A column with the names of the records whose ids are in another column."""

    name: str
    table: str
    key: str
    index: int

    @property
    def sql(self) -> str:
        return quoted(f"view.name.{self.index}")

    @property
    def join(self) -> str:
        key, own = quoted(f"view.key.{self.index}"), TABLES[self.table].key
        both = " UNION ALL ".join(
            f"SELECT {quoted(own)} AS {key}, {quoted(_NAMES[self.table])} AS {self.sql} FROM crm.{quoted(name)}"
            for name in (self.table, f"{self.table}{DELETED_SUFFIX}")
        )
        return f" LEFT JOIN ({both}) ON {self.key} = {key}"


@dataclass(frozen=True)
class View:
    """The view of one object of one connection.

    Attributes:
        columns: one for each field.
        more: the descriptions of the other columns, by name.
    """

    schema: str
    name: str
    comment: str
    columns: tuple[ViewColumn, ...]
    sql: str
    more: Mapping[str, str] = field(default_factory=dict)


def view_of(
    connection: str, table: str, key: str, description: Mapping[str, Any], types: Mapping[str, str]
) -> View:
    """Return the view of an object.

    Args:
        connection: the connection that the object belongs to.
        table: the table of schema `crm` that holds the rows.
        key: its key column.
        description: an entry of `objects` in the version's meta: object, label, view, fields.
        types: the type of each column of the table.
    """
    types = {name.lower(): kind for name, kind in types.items()}
    fields = description["fields"]
    names = description.get("names") or ViewNames(Named(f[0], f[1]) for f in fields).listed
    layout = Layout((f[0],) for f in fields if _type(f[4], types) is None)
    columns = [
        _column(index, name, f, types, layout, description.get("time_zone", ""))
        for index, (name, f) in enumerate(zip(names, fields, strict=True))
    ]
    name_columns = _name_columns(connection, columns, description.get("beside", {}), types)
    more = {
        added.name: f"{TABLES[added.table].singular} of the column before."
        for added in name_columns.values()
    }
    listed = []
    for column in columns:
        listed.append((column.name, column.sql))
        if (added := name_columns.get(column.field)) is not None:
            listed.append((added.name, added.sql))
    if marked := _unconverted(columns, types):
        listed.append((UNCONVERTED, marked))
        more[UNCONVERTED] = "Columns of the row that are NULL because their text did not fit them."
    listed.append((KEY, quoted(key)))
    more[KEY] = "Key by which the row joins schema crm."
    obj = description["object"]
    selected = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in listed)
    joined = "".join(added.join for added in name_columns.values())
    return View(
        schema=f"crm_{connection}",
        name=description["view"],
        comment=f"{shown(description['label'])} ({obj}) of {connection}, live records, by its own field "
        f"names; {KEY} joins crm.{table}.{key}.",
        columns=tuple(columns),
        sql=f"SELECT {selected} FROM {_rows(connection, table, obj, columns, layout)}{joined}",
        more=more,
    )


def _rows(
    connection: str, table: str, obj: str, columns: Sequence[ViewColumn], layout: Layout
) -> str:
    """Return SQL for the rows, with `custom` taken apart and texts cast."""
    is_apart = any(column.column is None for column in columns)
    unpacked = f", {layout.columns('custom', _CUSTOM)}" if is_apart else ""
    rows = (
        f"(SELECT *{unpacked} FROM crm.{quoted(table)} "
        f"WHERE connection = {literal(connection)} AND object = {literal(obj)})"
    )
    typed = ", ".join(f"{column.cast} AS {column.sql}" for column in columns if column.cast)
    return f"(SELECT *, {typed} FROM {rows})" if typed else rows


def _column(  # noqa: PLR0917 - its position and its description
    index: int,
    name: str,
    description: Sequence[Any],
    types: Mapping[str, str],
    layout: Layout,
    zone: str,
) -> ViewColumn:
    api_name, label, kind, common_type, column, scale, *more = description
    field = Field.from_dict(
        {
            **(more[0] if more else {}),
            "name": api_name,
            "label": label,
            "type": kind,
            "common_type": common_type,
            "scale": scale,
        }
    )
    made = ViewColumn(name, api_name, label, kind, column, "")
    table_type = _type(column, types)
    if column is None or table_type is None:
        made, text = replace(made, column=None), layout.text(_CUSTOM, (api_name,))
    elif column == "merged_into":
        return replace(made, sql="regexp_replace(merged_into, '^[^:]*:[^:]*:', '')")
    elif table_type != "VARCHAR" or column == "source_id" or column.endswith("_source_id"):
        return replace(made, sql=quoted(column))
    else:
        text = quoted(column)
    wanted = column_type(field)
    if wanted == "VARCHAR":
        label_column = f"{column}_label" if column and f"{column}_label" in types else ""
        value = _value(field, text)
        # A label that equals the name was not looked up: the pick list's label counts then.
        is_own = label_column and not field.multiple
        return replace(
            made,
            sql=f"coalesce(nullif({quoted(label_column)}, {text}), {value})" if is_own else value,
        )
    value = quoted(f"view.{index}")
    unless = is_nothing(text, wanted, field.nothing)
    is_lost = f"{text} IS NOT NULL AND {value} IS NULL"
    return replace(
        made,
        sql=value,
        cast=_cast(text, wanted, field, zone),
        lost=is_lost if unless == "false" else f"{is_lost} AND NOT ({unless})",
    )


def _cast(text: str, wanted: str, field: Field, zone: str) -> str:
    value = cast(text, wanted, field.form, zone)
    if not field.nothing:
        return value
    return f"CASE WHEN NOT ({is_nothing(text, 'VARCHAR', field.nothing)}) THEN {value} END"


def _unconverted(columns: Sequence[ViewColumn], types: Mapping[str, str]) -> str:
    """Return SQL for the names of a row's columns whose text did not fit; "" where every text fits."""
    view_names = {
        c.field: c.name
        for c in columns
        if not c.cast and _type(c.column, types) not in {None, "VARCHAR"}
    }
    lost = ", ".join(f"CASE WHEN {c.lost} THEN {literal(c.name)} END" for c in columns if c.lost)
    parts = []
    if view_names and UNCONVERTED in types:
        named = f"list_transform({UNCONVERTED}, lambda f: {_lookup(view_names, 'f')})"
        parts.append(f"coalesce({named}, []::VARCHAR[])")
    if lost:
        parts.append(f"[{lost}]")
    if not parts:
        return ""
    listed = parts[0] if len(parts) == 1 else f"list_concat({', '.join(parts)})"
    return f"nullif(list_filter({listed}, lambda c: c IS NOT NULL), []::VARCHAR[])"


def _name_columns(
    connection: str,
    columns: Sequence[ViewColumn],
    description: Mapping[str, Sequence[str]],
    types: Mapping[str, str],
) -> dict[str, _NameColumn]:
    """Return the columns with names of records, by the field that has the records' ids."""
    added = {}
    for index, column in enumerate(columns):
        if column.field not in description:
            continue
        name, table, obj = description[column.field]
        key = f"{(column.column or '').removesuffix('_source_id')}_key"
        if column.column is not None and key in types:
            added[column.field] = _NameColumn(name, table, quoted(key), index)
        elif obj:
            made = f"{literal(f'{connection}:{obj}:')} || {column.sql}"
            added[column.field] = _NameColumn(name, table, f"({made})", index)
    return added


def _type(column: str | None, types: Mapping[str, str]) -> str | None:
    return None if column is None else types.get(column.lower())


def _value(field: Field, text: str) -> str:
    """Return SQL that shows a text: pick lists by their labels, several values as a list."""
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
    return f"coalesce({_lookup(dict(field.options), value)}, {value})"


def _lookup(named: Mapping[str, str], value: str) -> str:
    """Return SQL for the name of a value, NULL where it has none."""
    # A single constant: with lists of pairs, a query over a thousand pick lists would take seconds to plan.
    constant = literal(json.dumps(dict(named), ensure_ascii=False))
    return f"({constant}::JSON::MAP(VARCHAR, VARCHAR))[{value}]"
