"""Builds one normalized table of one connection: gather, fold, type, judge, commit."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import structlog

from crm_pipeline.connectors.base import RecordKeys
from crm_pipeline.kernel.errors import CorruptFile, UnfitValue, UnknownName
from crm_pipeline.model.mapping import ObjectMap
from crm_pipeline.model.selection import own_tables, tables_of, with_overrides
from crm_pipeline.model.table import Table
from crm_pipeline.model.tables import normalized_name
from crm_pipeline.settings import Connection, QuarantineLimit
from crm_pipeline.stages.normalized.contract import (
    Former,
    Verdict,
    column_schema,
    refuse,
    unfit,
    verify,
)
from crm_pipeline.stages.normalized.drift import check_fields
from crm_pipeline.stages.normalized.elements import exploded
from crm_pipeline.stages.normalized.emptied import Doubt, doubts_of
from crm_pipeline.stages.normalized.feed import Feed, feed_of
from crm_pipeline.stages.normalized.fold import folded
from crm_pipeline.stages.normalized.inputs import collect, inputs_fingerprint
from crm_pipeline.stages.normalized.merges import merged_away
from crm_pipeline.stages.normalized.metadata import described
from crm_pipeline.stages.normalized.number_formats import (
    NumberFormats,
    noted_in,
    number_formats_of,
)
from crm_pipeline.stages.normalized.over_rows import over, own_columns, settled, with_own
from crm_pipeline.stages.normalized.quarantine import keep_unusable, refuse_many
from crm_pipeline.stages.normalized.ranking import Ranking, ranked
from crm_pipeline.stages.normalized.result import Normalized, result_of, unchanged
from crm_pipeline.stages.normalized.rows import define_rows
from crm_pipeline.stages.normalized.tally import Tally, tally_of
from crm_pipeline.stages.normalized.unreadable import unreadable
from crm_pipeline.store.files.corruption import blamed_on
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.account_facts import account_facts
from crm_pipeline.store.landing.corruption import damaged_batch
from crm_pipeline.store.landing.manifest import Manifest
from crm_pipeline.store.tables import Staged, Tables, TableVersion
from crm_pipeline.store.tables.corruption import damaged_version
from crm_pipeline.store.tables.engine import Engine, parquet_files

CODE_VERSION = 4
"""Raise it when the same landed bytes would give other rows."""
_log = structlog.get_logger("crm_pipeline.normalized")
_USUAL = QuarantineLimit()


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
    keys: RecordKeys | None = None,
    limit: QuarantineLimit = _USUAL,
) -> Normalized:
    """Bring one table of the common model up to what has landed.

    With `keys`, the connector's rules for ids, time stamps and deletions count as they are today, also for
    what landed under other ones.
    A version that the disk has damaged is built again, though nothing new has landed.

    Raises:
        CorruptFile: a landed batch is not as it was landed.
        UnknownName: the connection has no such table, or connections.yaml maps to no such column.
        ContractError: a mapped field is gone, the new version breaks its contract, or more records
            than `limit` allows cannot be used; the table keeps its current version.
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
    parent, repaired = _parent(tables, name)
    owners = own_tables((o.name for o in connection.objects), maps)
    feeds, state = _gathered(connection, entries, landing, keys, owners, parent)
    if not feeds:
        return unchanged(table, None if repaired else parent)
    if parent is not None and parent.meta.get("inputs") == state:
        broken = damaged_version([parent], tables.verifier)
        if broken is None and not _reads_more(parent):
            return unchanged(table, parent)
        repaired = broken.message if broken else ""
    if repaired:
        _log.warning("a damaged table is built again from data/landing", table=name, why=repaired)
    if landing.discard_damaged_copies(_batches(feeds)):
        feeds, state = _gathered(connection, entries, landing, keys, owners, parent)
    for feed in feeds:
        check_fields(connection.name, feed.one)
    batches = _batches(feeds)
    landing.check(batches)
    with blamed_on(lambda: damaged_batch(batches)):
        build = _Build(connection, name, parent, feeds, state, landing, tables, engine, limit)
        return replace(build.run(), repaired=repaired)


def _gathered(  # noqa: PLR0917 - of whom, from where, by whose rules
    connection: Connection,
    entries: Sequence[ObjectMap],
    landing: Landing,
    keys: RecordKeys | None,
    owners: Mapping[str, str],
    parent: TableVersion | None,
) -> tuple[list[Feed], str]:
    """Return what feeds a table, and what stands for it."""
    found = [
        collect(connection.name, entry, landing, keys, connection.shrink_bounds)
        for entry in entries
    ]
    inputs = [one for one in found if one is not None]
    account = account_facts(landing, connection.name)
    feeds = [
        replace(feed_of(one, connection.mapping, owners, parent), account=account) for one in inputs
    ]
    made_by = [(f.entry, f.table, f.facts_used) for f in feeds]
    state = inputs_fingerprint(inputs, CODE_VERSION, made_by)
    return feeds, state


def _batches(feeds: Sequence[Feed]) -> list[Manifest]:
    return [batch for feed in feeds for batch in feed.one.batches]


def _reads_more(parent: TableVersion) -> bool:
    """Say whether records that could not be read are worth another try: the reader is another one."""
    return bool(parent.meta.get("unreadable")) and parent.meta["reader"] != duckdb.__version__


def _parent(tables: Tables, name: str) -> tuple[TableVersion | None, str]:
    """Return the current version, and what is wrong with one that has no readable record.

    Of the version itself nothing is read: a build begins with what has landed.
    """
    try:
        return tables.version(name), ""
    except CorruptFile as error:
        return tables.unreadable(name), error.message


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
    limit: QuarantineLimit

    @property
    def table(self) -> Table:
        return self.feeds[0].table

    @property
    def title(self) -> str:
        return f"{self.connection.name}.{self.table.name}"

    def run(self) -> Normalized:
        """Build the table; records are looked at one by one only where one of them stops it."""
        if self.parent is not None and self.parent.meta.get("unreadable"):
            return self._checked().build()
        try:
            return self.build()
        except UnfitValue:
            checked = self._checked()
            if not checked.unread:
                raise
        return checked.build()

    def _checked(self) -> "_Build":
        found = {f.one.object: unreadable(self.engine, f.one) for f in self.feeds}
        feeds = [replace(f, one=replace(f.one, unread=found[f.one.object])) for f in self.feeds]
        return replace(self, feeds=feeds)

    @property
    def unread(self) -> frozenset[str]:
        """Relations with records that cannot be read."""
        return frozenset(feed.one.unread for feed in self.feeds if feed.one.unread)

    def build(self) -> Normalized:
        """Build and commit a version, twice where the numbers of a field turn out to be written oddly."""
        tally = Tally()
        records = []
        for feed in self.feeds:
            if feed.entry.each or feed.entry.lists_merged:
                listed = exploded if feed.entry.each else merged_away
                records.append(listed(self.engine, feed.one))
            else:
                ranking = ranked(self.engine, feed.one)
                records.append(folded(self.engine, feed.one, ranking))
                tally += self._tallied(feed, ranking)
        formats = self._formats_of(records, noted_in(self.parent))
        while (more := self._attempt(records, formats, tally)) is not None:
            formats += more
        version = self.tables.version(self.name)
        return result_of(self.table.name, version, changed=True)

    def _attempt(
        self, records: Sequence[str], formats: NumberFormats, tally: Tally
    ) -> NumberFormats | None:
        """Commit a version, or return what its numbers say of how they are to be read instead."""
        parts = [
            f"SELECT * FROM {self._rows(formats.over(feed), one)}"
            for feed, one in zip(self.feeds, records, strict=True)
        ]
        with self.tables.stage(self.name, (self.table.key,)) as staged:
            paths = self._write(staged, self._whole(" UNION ALL BY NAME ".join(parts)))
            bad = unfit(self.engine, parquet_files(paths))
            more = self._formats_of(
                records, {name: "" for name in bad if name not in formats.known}
            )
            if any(more.known.values()):
                return more
            formats += more
            verdict = verify(
                self.engine,
                self.table,
                paths,
                self._fed(),
                former=Former(self.parent),
                told=formats.told,
            )
            self._check(verdict, tally)
            staged.commit(self.parent, verdict.rows, self._meta(verdict, tally, formats))
        return None

    def _rows(self, feed: Feed, records: str) -> str:
        """Define the rows that an object has in the table."""
        rows = define_rows(self.engine, self.connection.name, feed, records)
        rows = with_own(rows, own_columns(feed, self.connection.mapping))
        if not feed.entry.over_rows:
            return rows
        return self.engine.view(f"{feed.one.name} over rows", over(feed.entry.over_rows, rows))

    def _formats_of(
        self, records: Sequence[str], names: Mapping[tuple[str, str], str]
    ) -> NumberFormats:
        found = NumberFormats()
        for feed, one in zip(self.feeds, records, strict=True):
            found += number_formats_of(self.engine, feed, one, names)
        return found

    def _tallied(self, feed: Feed, ranking: Ranking) -> Tally:
        if feed.entry.single_row:
            return Tally()
        connection = self.connection.name
        unusable = keep_unusable(self.engine, connection, feed.one, self.landing, ranking)
        return tally_of(self.engine, feed.one, ranking, unusable)

    def _check(self, verdict: Verdict, tally: Tally) -> None:
        if verdict.errors:
            raise refuse(self.title, verdict)
        if all(feed.entry.is_own for feed in self.feeds):
            tally.check(self.title, verdict.rows)
        refuse_many(self.title, tally.quarantined, verdict.rows, self.limit)

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

    def _whole(self, rows: str) -> str:
        """Return SQL for the rows with the columns that depend on several of them."""
        mapping = self.connection.mapping
        own = dict.fromkeys(name for feed in self.feeds for name in own_columns(feed, mapping))
        if not self.table.over_rows:
            return settled(f"({rows})", tuple(own))
        # Computed once, though live and deleted rows are written apart.
        made = over(self.table.over_rows, f"({rows})")
        return settled(self.engine.table(f"{self.table.name} whole", made), tuple(own))

    def _fed(self) -> dict[tuple[str, str], str]:
        return {
            (feed.one.object, entry.source): entry.column
            for feed in self.feeds
            for entry in feed.mapped
        }

    def _meta(self, verdict: Verdict, tally: Tally, formats: NumberFormats) -> dict[str, Any]:
        return {
            "inputs": self.state,
            "live": verdict.rows - verdict.deleted,
            "batches": sum(len(feed.one.batches) for feed in self.feeds),
            "landed": tally.landed,
            "superseded": tally.superseded,
            "quarantined": tally.quarantined.total(),
            "reasons": dict(tally.quarantined),
            "unreadable": sum(
                self.engine.row(f"SELECT count(*) FROM {one}")[0] for one in self.unread
            ),
            "reader": duckdb.__version__,
            "time_zone": self.feeds[0].account.zone,
            "unconverted": dict(verdict.unconverted),
            "fed": sorted({entry.column for feed in self.feeds for entry in feed.mapped}),
            "misfits": list(verdict.misfits),
            "number_formats": formats.noted,
            "doubts": [asdict(doubt) for doubt in self._doubts()],
            "results": [
                [r.rule, r.severity, r.failures, list(r.examples)] for r in verdict.results
            ],
            "table": {
                "name": self.table.name,
                "singular": self.table.singular,
                "description": self.table.description,
            },
            "columns": [dict(column) for column in column_schema(self.table)],
            "objects": described(
                self.feeds, [o.name for o in self.connection.objects], self.parent
            ),
        }

    def _doubts(self) -> list[Doubt]:
        lists = [feed.one for feed in self.feeds if feed.entry.each]
        return [doubt for one in lists for doubt in doubts_of(self.engine, one)]


__all__ = ["CODE_VERSION", "Normalized", "normalize", "tables_for"]
