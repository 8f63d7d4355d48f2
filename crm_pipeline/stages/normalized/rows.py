"""SQL that turns the folded records of one object into rows of a common table.

Three named steps: `<object> folded` (text), `<object> typed` (one column per column of the table)
and `<object> rows` (derived columns, `custom`, `unconverted`).
"""

from dataclasses import dataclass

from crm_pipeline.model.casts import cast
from crm_pipeline.model.mapping import FieldMap, ObjectMap
from crm_pipeline.model.table import Column, Table
from crm_pipeline.model.tables import custom_columns, custom_table
from crm_pipeline.stages.normalized.choices import chosen, key_of
from crm_pipeline.stages.normalized.fold import raw
from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.store.engine import Engine, literal, quoted

_SYSTEM = frozenset({"source_id", "is_deleted", "merged_into"})


@dataclass(frozen=True)
class Feed:
    """One object with its mapping completed against the fields that it really has."""

    one: ObjectInput
    entry: ObjectMap
    table: Table

    @property
    def mapped(self) -> tuple[FieldMap, ...]:
        """The field maps whose field exists."""
        return tuple(f for f in self.entry.fields if f.source in self._names)

    @property
    def rest(self) -> tuple[str, ...]:
        """The source fields that go to `custom` because no column tells their text."""
        told = {f.source for f in self.mapped if self.is_told(f)}
        return tuple(field.name for field in self.one.fields if field.name not in told)

    @property
    def _names(self) -> frozenset[str]:
        return frozenset(field.name for field in self.one.fields)

    def gone(self, entry: FieldMap) -> tuple[str, ...]:
        """Return the former fields of a column that the vendor has no more: they were renamed."""
        live = self.one.newest.by_name
        return tuple(name for name in entry.former if name in self._names and name not in live)

    def is_told(self, entry: FieldMap) -> bool:
        """Say whether the field's text can be told from its column."""
        return entry.is_lossless and not self.gone(entry)

    def references(self, entry: FieldMap) -> tuple[tuple[str, str], ...]:
        """Return what a field's ids point to: the mapping's word, else the schema's."""
        if entry.references:
            return entry.references
        field = next((f for f in self.one.fields if f.name == entry.source), None)
        return (("", field.reference_to[0]),) if field and len(field.reference_to) == 1 else ()


def custom_feed(one: ObjectInput, ignored: frozenset[str] = frozenset()) -> Feed:
    """Complete the mapping of a custom object: a typed column of its own for every field.

    `ignored` are fields that the user wants left in `custom`.
    """
    head = tuple(entry for entry in one.entry.fields if entry.column in _HEAD)
    named = {f.source: f for f in one.entry.fields if f.column not in _HEAD}
    left_out = ignored | {entry.source for entry in head}
    own = [field for field in one.fields if field.name not in left_out]
    names = {source: entry.column for source, entry in named.items()}
    columns = custom_columns(one.entry.table, own, names)
    fields = [
        FieldMap(f.name, column, named[f.name].references if f.name in named else ())
        for column, f in columns.items()
    ]
    table = custom_table(one.entry.table, one.newest.label, columns)
    return Feed(one, ObjectMap(one.object, table.name, (*head, *fields)), table)


_HEAD = frozenset({"source_id", "is_deleted", "created_at", "modified_at", "merged_into"})


def define_rows(engine: Engine, connection: str, feed: Feed, folded: str) -> str:
    """Define the rows of an object in the table's columns and return the relation's name."""
    if feed.entry.single_row:
        return _single_row(engine, connection, feed, folded)
    name = feed.one.object
    typed = engine.view(f"{name} typed", _typed(connection, feed, folded))
    return engine.view(f"{name} rows", _final(feed, typed))


def _typed(connection: str, feed: Feed, folded: str) -> str:
    columns = [
        f"{literal(connection)} AS connection",
        f"{literal(feed.one.object)} AS object",
        "_source_id AS source_id",
        f"{literal(f'{connection}:{feed.one.object}:')} || _source_id AS {feed.table.key}",
        *(
            f"{_value(connection, feed, column)} AS {quoted(column.name)}"
            for column in (*feed.table.body, *_stamps(feed.table))
            if not column.expression
        ),
        f"{_deleted(feed)} AS is_deleted",
        f"{_merged(connection, feed)} AS merged_into",
        "_batch_id AS batch_id",
        *(raw(field.name) for field in feed.one.fields),
    ]
    return f"SELECT {', '.join(columns)} FROM {folded}"


def _stamps(table: Table) -> tuple[Column, ...]:
    return (table.by_name["created_at"], table.by_name["modified_at"])


def _value(connection: str, feed: Feed, column: Column) -> str:
    constant = feed.entry.constants.get(column.name)
    fallback = (
        f"CAST({literal(constant.replace('{connection}', connection))} AS {column.type})"
        if constant is not None
        else "_modified_at"
        if column.name == "modified_at"
        else None
    )
    entry = next((f for f in feed.mapped if f.column == column.name), None)
    if entry is None and column.name.endswith("_key"):
        base = f"{column.name.removesuffix('_key')}_source_id"
        source = next((f for f in feed.mapped if f.column == base), None)
        if source is not None:
            text = chosen(_text(feed, source), source)
            return key_of(connection, text, feed.references(source))
    if entry is None:
        return fallback or f"NULL::{column.type}"
    value = cast(chosen(_text(feed, entry), entry), column.type)
    return f"coalesce({value}, {fallback})" if fallback else value


def _text(feed: Feed, entry: FieldMap) -> str:
    """Return SQL for a field's text; records read before it was renamed have it in the former one."""
    texts = [raw(name) for name in (entry.source, *feed.gone(entry))]
    return texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"


def _deleted(feed: Feed) -> str:
    entry = next((f for f in feed.mapped if f.column == "is_deleted"), None)
    said = f" OR coalesce({cast(raw(entry.source), 'BOOLEAN')}, false)" if entry else ""
    return f"(_deleted OR NOT _is_seen{said})"


def _merged(connection: str, feed: Feed) -> str:
    entry = next((f for f in feed.mapped if f.column == "merged_into"), None)
    if entry is None:
        return "NULL::VARCHAR"
    return key_of(connection, raw(entry.source), feed.references(entry))


def _final(feed: Feed, typed: str) -> str:
    bad = {
        f.source: f"({raw(f.source)} IS NOT NULL AND {quoted(f.column)} IS NULL)"
        for f in feed.mapped
        if f.column not in _SYSTEM
        and feed.is_told(f)
        and feed.table.by_name[f.column].type != "VARCHAR"
        and f.column not in feed.entry.constants
        and f.column != "modified_at"
    }
    computed = {"custom": _custom(feed, bad), "unconverted": _unconverted(bad)}
    columns = []
    for column in feed.table.columns:
        sql = computed.get(column.name, column.expression)
        columns.append(f"{sql} AS {quoted(column.name)}" if sql else quoted(column.name))
    return f"SELECT {', '.join(columns)} FROM {typed}"


def _custom(feed: Feed, bad: dict[str, str]) -> str:
    entries = ", ".join(f"{quoted(name)} := {raw(name)}" for name in feed.rest)
    base = f"to_json(struct_pack({entries}))::VARCHAR" if entries else "'{}'"
    if not bad:
        return base
    kept = ", ".join(f"{quoted(n)} := CASE WHEN {sql} THEN {raw(n)} END" for n, sql in bad.items())
    merged = f"json_merge_patch({base}::JSON, to_json(struct_pack({kept})))::VARCHAR"
    return f"CASE WHEN {' OR '.join(bad.values())} THEN {merged} ELSE {base} END"


def _unconverted(bad: dict[str, str]) -> str:
    if not bad:
        return "NULL::VARCHAR[]"
    named = ", ".join(f"CASE WHEN {sql} THEN {literal(name)} END" for name, sql in bad.items())
    listed = f"list_filter([{named}], lambda n: n IS NOT NULL)"
    return f"CASE WHEN {' OR '.join(bad.values())} THEN {listed} END"


def _single_row(engine: Engine, connection: str, feed: Feed, folded: str) -> str:
    constants = feed.entry.constants
    obj = constants.get("object", feed.one.object)
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
    inner = f"SELECT {', '.join(columns)} FROM {folded} HAVING count(*) > 0"
    return engine.view(f"{feed.one.object} single row", f"SELECT {ordered} FROM ({inner})")
