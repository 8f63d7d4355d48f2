"""Builds one normalized table of one connection: gather, fold, type, judge, commit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crm_pipeline.kernel.errors import CorruptFile, UnknownName
from crm_pipeline.model.mapping import ObjectMap
from crm_pipeline.model.schema import Field
from crm_pipeline.model.selection import own_tables, tables_of, with_overrides
from crm_pipeline.model.table import Table
from crm_pipeline.model.tables import TABLES, normalized_name, view_name
from crm_pipeline.settings import Connection
from crm_pipeline.stages.normalized.contract import (
    RuleResult,
    Verdict,
    column_schema,
    judge,
    refuse,
)
from crm_pipeline.stages.normalized.drift import check_fields
from crm_pipeline.stages.normalized.elements import exploded
from crm_pipeline.stages.normalized.feed import Feed, custom_feed
from crm_pipeline.stages.normalized.fold import folded
from crm_pipeline.stages.normalized.inputs import ObjectInput, collect, inputs_fingerprint
from crm_pipeline.stages.normalized.quarantine import keep_unusable
from crm_pipeline.stages.normalized.rows import define_rows
from crm_pipeline.store.damage import blamed_on, damaged_batch, has_footers
from crm_pipeline.store.engine import Engine
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.tables import Staged, Tables, TableVersion

CODE_VERSION = 1
"""Raise it when the same landed bytes would give other rows."""
_LATER = frozenset({"options", "multiple", "form"})


@dataclass(frozen=True)
class Normalized:
    """What a build did.

    Attributes:
        version: the table's current version; None where nothing has landed yet.
        rows: rows of the version, deleted ones included; `live` leaves those out.
        changed: False where inputs, mapping and code were those of the current version.
        batches: landed batches that the table is made of.
        unconverted: `<object>.<field>` -> values that did not fit their column.
        quarantined: landed rows without an id, kept under quarantine/.
        results: every rule of the contract with its count.
        columns: name, type and description of each column.
    """

    table: str
    version: TableVersion | None
    changed: bool
    rows: int = 0
    live: int = 0
    batches: int = 0
    quarantined: int = 0
    unconverted: Mapping[str, int] = field(default_factory=dict)
    results: tuple[RuleResult, ...] = ()
    columns: Sequence[Mapping[str, Any]] = ()

    @property
    def warnings(self) -> tuple[RuleResult, ...]:
        """The broken rules that do not forbid the commit."""
        return tuple(r for r in self.results if r.severity == "warning" and r.failures)


def tables_for(connection: Connection, maps: Sequence[ObjectMap]) -> dict[str, tuple[str, ...]]:
    """Return the normalized tables of a connection, each with the objects that feed it."""
    tables = tables_of((o.name for o in connection.objects), maps)
    return {
        name: tuple(dict.fromkeys(entry.object for entry in entries))
        for name, entries in tables.items()
    }


def check_mapping(connection: Connection, maps: Sequence[ObjectMap]) -> None:
    """Check the user's `mapping` of a connection against the columns that there are.

    Raises:
        UnknownName: it names a column that its table does not have.
    """
    for entries in tables_of((o.name for o in connection.objects), maps).values():
        for entry in entries:
            with_overrides(entry, connection.mapping, where=connection.name)


def normalize(  # noqa: PLR0917 - what, from where, to where, how: each is plain at the call
    connection: Connection,
    table: str,
    landing: Landing,
    tables: Tables,
    maps: Sequence[ObjectMap],
    engine: Engine,
) -> Normalized:
    """Bring one table of the common model up to what has landed.

    Raises:
        UnknownName: the connection has no such table, or connections.yaml maps to no such column.
        ContractError: a mapped field is gone or the new version breaks its contract; the table
            keeps its current version.
        CommitConflict: somebody else built the same table at the same time.
    """
    known = tables_of((o.name for o in connection.objects), maps)
    if table not in known:
        raise UnknownName("table", table, known, where=f"connection '{connection.name}'")
    entries = [
        with_overrides(entry, connection.mapping, where=connection.name) for entry in known[table]
    ]
    name = normalized_name(connection.name, table)
    # First the version, then what landed: a build that is overtaken in between must not commit.
    parent = _parent(tables, name)
    gathered = [collect(connection.name, entry, landing) for entry in entries]
    inputs = [one for one in gathered if one is not None]
    if not inputs:
        return _unchanged(table, parent)
    owners = own_tables((o.name for o in connection.objects), maps)
    feeds = [_feed(one, connection.mapping, owners) for one in inputs]
    state = inputs_fingerprint(inputs, CODE_VERSION, [(f.entry, f.table) for f in feeds])
    if parent is not None and parent.meta.get("inputs") == state:
        return _unchanged(table, parent)
    for one in inputs:
        check_fields(connection.name, one)
    with blamed_on(lambda: damaged_batch(batch for one in inputs for batch in one.batches)):
        return _Build(connection, name, parent, feeds, state, landing, tables, engine).run()


def _parent(tables: Tables, name: str) -> TableVersion | None:
    """Return the current version; one that cannot be read is as if of nothing, and replaced."""
    try:
        version = tables.version(name)
    except CorruptFile:
        return tables.unreadable(name)
    return version if version is None or has_footers(version) else tables.unreadable(name)


@dataclass(frozen=True)
class _Build:
    connection: Connection
    name: str
    parent: TableVersion | None
    feeds: Sequence[Feed]
    state: str
    landing: Landing
    tables: Tables
    engine: Engine

    @property
    def table(self) -> Table:
        return self.feeds[0].table

    def run(self) -> Normalized:
        connection = self.connection.name
        quarantined = sum(
            keep_unusable(self.engine, connection, feed.one, self.landing)
            for feed in self.feeds
            if not feed.entry.each
        )
        parts = []
        for feed in self.feeds:
            records = (exploded if feed.entry.each else folded)(self.engine, feed.one)
            rows = define_rows(self.engine, connection, feed, records)
            parts.append(f"SELECT * FROM {rows}")
        with self.tables.stage(self.name, (self.table.key,)) as staged:
            paths = self._write(staged, " UNION ALL BY NAME ".join(parts))
            verdict = judge(self.engine, self.table, paths, self._fed())
            if verdict.errors:
                raise refuse(f"{connection}.{self.table.name}", verdict)
            staged.commit(self.parent, verdict.rows, self._meta(verdict, quarantined))
        version = self.tables.version(self.name)
        return _result(self.table.name, version, changed=True)

    def _write(self, staged: Staged, rows: str) -> list[Path]:
        """Write live and deleted rows to files of their own, so that analysts get the former as is."""
        live = staged.path("base")
        # Rows that are neither, which the contract refuses, must be in what it looks at.
        written = self.engine.copy_to(f"SELECT * FROM ({rows}) WHERE is_deleted IS NOT TRUE", live)
        # Counting all rows, unlike the deleted ones, reads no record again.
        if self.engine.row(f"SELECT count(*) FROM ({rows})")[0] == written:
            return [live]
        deleted = staged.path("base")
        self.engine.copy_to(f"SELECT * FROM ({rows}) WHERE is_deleted", deleted)
        return [live, deleted]

    def _fed(self) -> dict[str, str | None]:
        return {
            f"{feed.one.object}.{entry.source}": entry.column
            for feed in self.feeds
            for entry in feed.mapped
        }

    def _meta(self, verdict: Verdict, quarantined: int) -> dict[str, Any]:
        return {
            "inputs": self.state,
            "live": verdict.rows - verdict.deleted,
            "batches": sum(len(feed.one.batches) for feed in self.feeds),
            "quarantined": quarantined,
            "unconverted": dict(verdict.unconverted),
            "results": [
                [r.rule, r.severity, r.failures, list(r.examples)] for r in verdict.results
            ],
            "table": {
                "name": self.table.name,
                "singular": self.table.singular,
                "description": self.table.description,
            },
            "columns": [dict(column) for column in column_schema(self.table)],
            "objects": [self._object(feed) for feed in self.feeds if feed.entry.is_own],
        }

    def _object(self, feed: Feed) -> dict[str, Any]:
        """Describe an object for the views that show it field by field."""
        one = feed.one
        told = {f.source: f.column for f in reversed(feed.mapped) if feed.is_told(f)}
        return {
            "object": one.object,
            "label": one.newest.label,
            "view": view_name(one.object, [o.name for o in self.connection.objects]),
            "fields": [
                [f.name, f.label, f.type, f.common_type, told.get(f.name), f.scale, *_later(f)]
                for f in one.fields
            ],
        }


def _later(field: Field) -> list[dict[str, Any]]:
    """Return what a view has to know of some fields only."""
    stored = field.to_dict()
    known = {name: value for name, value in stored.items() if name in _LATER}
    return [known] if known else []


def _feed(
    one: ObjectInput, overrides: Mapping[str, Mapping[str, str | None]], owners: Mapping[str, str]
) -> Feed:
    table = TABLES.get(one.entry.table)
    if table is not None:
        return Feed(one, one.entry, table, owners)
    wanted = overrides.get(one.object, {})
    left_out = frozenset(name for name, column in wanted.items() if column is None)
    return custom_feed(one, left_out, owners)


def _unchanged(table: str, version: TableVersion | None) -> Normalized:
    return _result(table, version, changed=False)


def _result(table: str, version: TableVersion | None, *, changed: bool) -> Normalized:
    if version is None:
        return Normalized(table, None, changed)
    meta = version.meta
    return Normalized(
        table=table,
        version=version,
        changed=changed,
        rows=version.rows,
        live=meta["live"],
        batches=meta["batches"],
        quarantined=meta["quarantined"],
        unconverted=meta["unconverted"],
        results=tuple(RuleResult(r, s, n, tuple(e)) for r, s, n, e in meta["results"]),
        columns=meta["columns"],
    )


__all__ = ["CODE_VERSION", "Normalized", "normalize", "tables_for"]
