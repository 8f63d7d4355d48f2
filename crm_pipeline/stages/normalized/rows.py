"""SQL that turns the folded records of one object into rows of a common table.

Three named steps: `<object> folded` (text), `<object> typed` (one column per column of the table)
and `<object> rows` (derived columns, `custom`, `unconverted`).
"""

import json
from collections.abc import Mapping

from crm_pipeline.model.casts import is_nothing
from crm_pipeline.model.mapping import FieldMap
from crm_pipeline.model.names import inner, literal, quoted
from crm_pipeline.model.table import URL, Column, Table
from crm_pipeline.stages.normalized.choices import key_of, typed
from crm_pipeline.stages.normalized.elements import ELEMENT
from crm_pipeline.stages.normalized.feed import Feed
from crm_pipeline.stages.normalized.lists import contact_points, parsed_list, parsed_lists
from crm_pipeline.stages.normalized.reading import raw
from crm_pipeline.store.tables.engine import Engine

_SYSTEM = frozenset({"source_id", "is_deleted", "merged_into"})
_FED = "fed."
"""Prefix of columns with mapped values for columns that have an expression."""


def define_rows(engine: Engine, connection: str, feed: Feed, folded: str) -> str:
    """Define the rows of an object in the table's columns and return the relation's name."""
    if feed.entry.single_row:
        return _single_row_of(engine, connection, feed, folded)
    typed_rows = f"({_typed(connection, feed, folded)}) AS {quoted(f'{feed.landed.name} typed')}"
    return f"({_final(feed, typed_rows)})"


def _typed(connection: str, feed: Feed, folded: str) -> str:
    lists = "".join(f", {column}" for column in parsed_lists(feed))
    columns = [
        f"{literal(connection)} AS connection",
        f"{literal(feed.landed.object)} AS object",
        "_source_id AS source_id",
        f"{literal(f'{connection}:{feed.landed.object}:')} || _source_id AS {quoted(feed.table.key)}",
        *(
            f"{_value(connection, feed, column)} AS {quoted(column.name)}"
            for column in (*feed.table.body, *_times(feed.table))
            if not column.expression
        ),
        *_fed(feed),
        f"{_deleted(feed)} AS is_deleted",
        f"{_merged(connection, feed)} AS merged_into",
        "_batch_id AS batch_id",
        *(raw(name) for name in sorted(feed.landed.names)),
        *((ELEMENT,) if feed.entry.each else ()),
        *(parsed_list(f.source) for f in _point_lists(feed)),
    ]
    source = f"(SELECT *{lists} FROM {folded})" if lists else folded
    return f"SELECT {', '.join(columns)} FROM {source}"


def _times(table: Table) -> tuple[Column, ...]:
    return (table.by_name["created_at"], table.by_name["modified_at"])


def _value(connection: str, feed: Feed, column: Column) -> str:
    if column.name == URL and feed.table.is_common and feed.feeding(URL) is None:
        return _url(feed)
    constant = feed.entry.constants.get(column.name)
    fallback = (
        f"CAST({literal(_filled(constant, connection, feed))} AS {column.type})"
        if constant is not None
        else "_modified_at"
        if column.name == "modified_at"
        else None
    )
    entry = feed.feeding(column.name)
    if entry is None and column.name.endswith("_key"):
        source = feed.feeding(f"{column.name.removesuffix('_key')}_source_id")
        if source is not None:
            return key_of(connection, feed, source)
    if entry is None:
        return fallback or f"NULL::{column.type}"
    value = typed(feed, entry, column.type)
    return f"coalesce({value}, {fallback})" if fallback else value


def _url(feed: Feed) -> str:
    """Return SQL for the address at which a browser shows the record."""
    before, _, after = f"{feed.account.web_address}{feed.entry.page}".partition("{id}")
    if not (feed.account.web_address and feed.entry.page):
        return "NULL::VARCHAR"
    return f"{literal(before)} || _source_id || {literal(after)}"


def _filled(constant: str, connection: str, feed: Feed) -> str:
    obj = feed.landed.object
    names = {"{connection}": connection, "{object}": obj, "{table}": feed.tables.get(obj, obj)}
    for placeholder, name in names.items():
        constant = constant.replace(placeholder, name)
    return constant


def _fed(feed: Feed) -> list[str]:
    """Return the mapped values of columns that have an expression, except lists of contact points."""
    return [
        f"{typed(feed, f, feed.table.by_name[f.column].type)} AS {_fed_column(f.column)}"
        for f in feed.mapped
        if f.column not in _SYSTEM and feed.table.by_name[f.column].expression and not f.points
    ]


def _point_lists(feed: Feed) -> list[FieldMap]:
    return [f for f in feed.mapped if f.points is not None and not f.points.separator]


def _deleted(feed: Feed) -> str:
    entry = feed.feeding("is_deleted")
    by_field = f" OR coalesce({typed(feed, entry, 'BOOLEAN')}, false)" if entry else ""
    by_merge = " OR _winner IS NOT NULL" if feed.entry.merges else ""
    return f"(_deleted OR NOT _is_seen{by_field}{by_merge})"


def _merged(connection: str, feed: Feed) -> str:
    entry = feed.feeding("merged_into")
    own = key_of(connection, feed, entry) if entry else "NULL::VARCHAR"
    if not feed.entry.merges:
        return own
    return f"coalesce({own}, {literal(f'{connection}:{feed.landed.object}:')} || _winner)"


def _final(feed: Feed, values: str) -> str:
    kept = {f.source: _is_lost(f) for f in feed.mapped if _may_be_lost(feed, f)}
    unfit = {
        f.source: f"({kept[f.source]} AND NOT coalesce({_is_nothing(feed, f)}, false))"
        for f in feed.mapped
        if f.source in kept and feed.table.by_name[f.column].type != "VARCHAR"
    }
    computed = {"custom": _custom(feed, kept), "unconverted": _unconverted(unfit)}
    columns = []
    for column in feed.table.columns:
        sql = computed.get(column.name) or _derived(feed, column)
        columns.append(f"{sql} AS {quoted(column.name)}" if sql else quoted(column.name))
    return f"SELECT {', '.join(columns)} FROM {values}"


def _may_be_lost(feed: Feed, entry: FieldMap) -> bool:
    """Say whether a text may be missing from its column because it does not fit."""
    if entry.column in _SYSTEM or not entry.is_whole or feed.gone(entry):
        return False
    column = feed.table.by_name[entry.column]
    has_default = entry.column in feed.entry.constants or entry.column == "modified_at"
    is_unchanged = column.type == "VARCHAR" and not feed.nothing(entry)
    return not (column.expression or has_default or is_unchanged)


def _is_lost(entry: FieldMap) -> str:
    return f"({raw(entry.source)} IS NOT NULL AND {quoted(entry.column)} IS NULL)"


def _is_nothing(feed: Feed, entry: FieldMap) -> str:
    kind = feed.table.by_name[entry.column].type
    return is_nothing(raw(entry.source), kind, feed.nothing(entry))


def _derived(feed: Feed, column: Column) -> str:
    """Return the expression of a derived column; a mapped value takes precedence over it."""
    entry = feed.feeding(column.name) if column.expression else None
    if entry is None:
        return column.expression
    if entry.points:
        return contact_points(entry, entry.points, _labelled_points(feed, entry, column.expression))
    return f"coalesce({_fed_column(column.name)}, {column.expression})"


def _labelled_points(feed: Feed, entry: FieldMap, derived: str) -> str:
    """Return a column's own points; a point that a fallback took from the further ones gets their label."""
    borrower = next((f for f in feed.mapped if entry.source in f.fallback), None)
    if borrower is None or entry.points is None or not entry.points.separator:
        return derived
    is_borrowed = f"p.value = {quoted(borrower.column)} AND {raw(borrower.source)} IS NULL"
    label = f"CASE WHEN {is_borrowed} THEN {literal(entry.points.label)} ELSE p.label END"
    point = f"{{'value': p.value, 'label': {label}, 'is_primary': p.is_primary}}"
    return f"list_transform({derived}, lambda p: {point})"


def _fed_column(column: str) -> str:
    return quoted(_FED + inner(column))


def _custom(feed: Feed, lost: dict[str, str]) -> str:
    """Return SQL for `custom`: the texts that cannot be recovered from columns.

    Args:
        feed: the object.
        lost: by source, SQL for whether its text is missing from its column.
    """
    rest = feed.rest
    bad = {name: sql for name, sql in lost.items() if name not in rest}
    if feed.entry.each:
        return _rest_of_element(feed, bad)
    packed = _object({name: raw(name) for name in rest})
    # Quotes in texts are escaped, so `:""` occurs only as an empty value after a key.
    base = f"""replace({packed}::VARCHAR, '":""', '":null')""" if rest else "'{}'"
    base = _with_beside(feed, base)
    if not bad:
        return base
    kept = _object({name: f"CASE WHEN {sql} THEN {raw(name)} END" for name, sql in bad.items()})
    merged = f"json_merge_patch({base}::JSON, {kept})::VARCHAR"
    return f"CASE WHEN {' OR '.join(bad.values())} THEN {merged} ELSE {base} END"


def _with_beside(feed: Feed, base: str) -> str:
    """Return `base` with the values that only some records have beside their fields."""
    names = [name for name in feed.entry.beside if feed.field(name) is None]
    if not names:
        return base
    is_any = " OR ".join(f"{raw(name)} IS NOT NULL" for name in names)
    kept = _object({name: raw(name) for name in names})
    merged = f"json_merge_patch({base}::JSON, {kept})::VARCHAR"
    return f"CASE WHEN {is_any} THEN {merged} ELSE {base} END"


def _object(values: Mapping[str, str]) -> str:
    """Return SQL for a JSON object; a struct cannot have keys that differ in case only."""
    entries = (f"{literal(name)}, {sql}" for name, sql in values.items())
    return f"json_object({', '.join(entries)})"


def _rest_of_element(feed: Feed, bad: dict[str, str]) -> str:
    """Return the element without the keys that columns hold; an element with a misfit stays whole."""
    held = {f.source: None for f in feed.mapped if feed.is_recoverable(f) and "." not in f.source}
    rest = f"CAST(json_merge_patch({ELEMENT}, {literal(json.dumps(held))}) AS VARCHAR)"
    if not bad:
        return rest
    return f"CASE WHEN {' OR '.join(bad.values())} THEN CAST({ELEMENT} AS VARCHAR) ELSE {rest} END"


def _unconverted(bad: dict[str, str]) -> str:
    if not bad:
        return "NULL::VARCHAR[]"
    named = ", ".join(f"CASE WHEN {sql} THEN {literal(name)} END" for name, sql in bad.items())
    listed = f"list_filter([{named}], lambda n: n IS NOT NULL)"
    return f"CASE WHEN {' OR '.join(bad.values())} THEN {listed} END"


def _single_row_of(engine: Engine, connection: str, feed: Feed, folded: str) -> str:
    constants = feed.entry.constants
    obj = constants.get("object", feed.landed.object)
    given = {
        **constants,
        "connection": connection,
        "object": obj,
        feed.table.key: f"{connection}:{obj}:{constants['source_id']}",
        "custom": "{}",
        "is_deleted": "false",
    }
    columns = ["max(_batch_id) AS batch_id"]
    for column in feed.table.columns:
        if column.name == "batch_id":
            continue
        value = literal(given.get(column.name))
        columns.append(f"CAST({value} AS {column.type}) AS {quoted(column.name)}")
    ordered = ", ".join(quoted(column.name) for column in feed.table.columns)
    rows = f"SELECT {', '.join(columns)} FROM {folded} HAVING count(*) > 0"
    return engine.view(f"{feed.landed.name} single row", f"SELECT {ordered} FROM ({rows})")
