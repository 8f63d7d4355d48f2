"""Build a published file from nothing, and what every file has: its views, findings and tables of schema `ops`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.tables import DERIVED
from crm_pipeline.stages.published import budgets, operations, rates
from crm_pipeline.stages.published.accounts import (
    ZONE_RULE,
    Connected,
    connections_table,
    with_zones_of_rows,
    zone_findings,
)
from crm_pipeline.stages.published.budgets import ApiAccounts
from crm_pipeline.stages.published.carried import NOTHING_CARRIED, Carried, Finding
from crm_pipeline.stages.published.changed_fields import schema_changes
from crm_pipeline.stages.published.changes import Changes
from crm_pipeline.stages.published.consistency import Consistency
from crm_pipeline.stages.published.contactable import contactable_view
from crm_pipeline.stages.published.derived import MERGES, Derived
from crm_pipeline.stages.published.empty import EmptyTables
from crm_pipeline.stages.published.enrichment import CONTACTS_ENRICHED_VIEW, purchases
from crm_pipeline.stages.published.field_backfills import field_backfills_table
from crm_pipeline.stages.published.freshness import freshness_table
from crm_pipeline.stages.published.history import HistoryTable, fill, late_views
from crm_pipeline.stages.published.operations import FINDINGS, OpsTable, findings_of
from crm_pipeline.stages.published.past import Snapshot, snapshot_at, snapshot_before
from crm_pipeline.stages.published.quarantined import quarantine_table
from crm_pipeline.stages.published.rates import Earlier
from crm_pipeline.stages.published.reconciled import reconciliation_table
from crm_pipeline.stages.published.relations import Followed, PublishedTable, connection_of
from crm_pipeline.stages.published.stage_tables import StageRows
from crm_pipeline.stages.published.swept import sweeps_table
from crm_pipeline.stages.published.views import View, view_of
from crm_pipeline.store.audits import Audits
from crm_pipeline.store.drift import Register
from crm_pipeline.store.field_backfills import FieldBackfills
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.freshness import Freshness
from crm_pipeline.store.quarantine import Quarantine
from crm_pipeline.store.sweeps import Sweeps
from crm_pipeline.store.tables import Release, Tables
from crm_pipeline.store.tables.corruption import check_versions
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.published import STORAGE_VERSION

LAYOUT = 14
"""To be raised when the same release would give another file."""
DATABASE = "building"
LEFT_OUT = OpsTable(
    "left_out_links",
    "Links between records that the tables of links leave out, each with the reason.",
    {
        "table_name": (pa.string(), "The table of links in schema crm."),
        "connection": (pa.string(), "Name of the connection."),
        "left_key": (
            pa.string(),
            "Key of the record that the table's first key column would have.",
        ),
        "right_key": (
            pa.string(),
            "Key of the record that the table's second key column would have.",
        ),
        "missing": (
            pa.string(),
            "unknown: one of both was never read; deleted: one of both is deleted.",
        ),
    },
    (),
)

_ROWS_AT_ONCE = 500_000
"""About so many rows get their columns of contact points in one statement."""


@dataclass(frozen=True)
class Made:
    """What was written: the live and the deleted rows of each table, and how the rules between tables fared."""

    rows: Mapping[str, int]
    deleted: Mapping[str, int]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Build:
    """What a published file is built from.

    Attributes:
        published: the tables of the release.
        of_stages: those of stages across connections.
        derived: those that are derived from others.
        crms: the accounts.
        lists: the date or version of each list by which addresses are judged.
        accounts: the counters of calls.
        shown: the file that analysts see now.
        histories: the tables with the versions of records.
    """

    landing: Landing
    tables: Tables
    engine: Engine
    release: Release
    published: Sequence[PublishedTable]
    of_stages: Sequence[StageRows]
    derived: Sequence[Derived]
    crms: Sequence[Connected]
    freshness: Sequence[Freshness]
    lists: Mapping[str, str]
    accounts: ApiAccounts
    shown: Path | None
    histories: Sequence[HistoryTable] = ()

    @property
    def connections(self) -> list[str]:
        """The connections that have rows."""
        return sorted({connection_of(v) for table in self.published for v in table.versions})

    @property
    def plain(self) -> list[PublishedTable]:
        """The tables that are published as rows of records."""
        return [table for table in self.published if table.name not in DERIVED]

    @property
    def schemas(self) -> tuple[str, ...]:
        """The schemas of the file."""
        return ("crm", "ops", *(f"crm_{name}" for name in self.connections))

    @property
    def views(self) -> list[View]:
        """The views of the file."""
        own = [view for _, _, _, view in self.object_views]
        with_history = [each.table.name for each in self.histories]
        return [*own, contactable_view(with_history), CONTACTS_ENRICHED_VIEW]

    @cached_property
    def object_views(self) -> list[tuple[str, str, str, View]]:
        """Connection, object, table and view of each object."""
        views = []
        for table in self.plain:
            types = {name: kind for name, kind, _ in table.columns}
            for version in table.versions:
                connection = connection_of(version)
                key = f"{version.meta['table']['singular']}_key"
                for obj in version.meta["objects"]:
                    view = view_of(connection, table.name, key, obj, types)
                    views.append((connection, obj["object"], table.name, view))
        return views

    @property
    def merges(self) -> Derived:
        """The merges of all tables."""
        [merges] = (table for table in self.derived if table.name == MERGES)
        return merges

    def prepared(self) -> "Build":
        """Check all files that a build from nothing reads, compute the merges, and let references follow them.

        Raises:
            CorruptFile: a file is not as it was written.
        """
        versions = [v for table in self.published for v in table.versions]
        versions += [v for rows in self.of_stages for v in rows.versions]
        versions += [v for each in self.histories for v in each.stored]
        check_versions(self.tables, versions)
        self.merges.prepare(self.engine)
        return self.following_merges()

    def following_merges(self) -> "Build":
        """Return the build with references that lead to the survivors of merges, which have to be prepared."""
        merges = quoted(self.merges.relation)
        count, state = self.engine.row(
            f"SELECT count(*), coalesce(bit_xor(hash(old_key, new_key)), 0) FROM {merges}"
        )
        if not count:
            return self
        # A key belongs to one table.
        relation = self.engine.table(
            "survivors", f"SELECT old_key, min(new_key) AS new_key FROM {merges} GROUP BY old_key"
        )
        followed = Followed(relation, f"{count} {state}")
        published = [
            replace(table, followed=followed) if table.versions and table.references else table
            for table in self.published
        ]
        by_name = {table.name: table for table in published}
        histories = [replace(each, table=by_name[each.table.name]) for each in self.histories]
        return replace(self, published=published, histories=histories)

    def database(self, path: Path) -> Made:
        """Write the database file from nothing; the build is what `prepared` returned."""
        run, empty = self.engine.run, EmptyTables(self.engine, DATABASE)
        with self.attached(path):
            empty.create(
                self.schemas, self.plain, self.of_stages, self.derived, self.views, self.histories
            )
            run("BEGIN")
            counts = {table.name: self._table(table) for table in self.plain}
            judged = {rows.name: self._insert(rows.name, rows.sql) for rows in self.of_stages}
            made = {table.name: self._derived(table) for table in self.derived}
            fill(self.engine, DATABASE, self.histories)
            empty.ops(LEFT_OUT)
            for table in self.derived:
                if table.is_bridge:
                    run(f"INSERT INTO {DATABASE}.ops.{LEFT_OUT.name} {table.left_out}")
            findings = self.finish(empty, views=late_views(self.histories))
        live = {name: live for name, (live, _) in counts.items()}
        deleted = {name: gone for name, (_, gone) in counts.items()}
        return Made(live | judged | made, deleted, findings)

    @contextmanager
    def attached(self, path: Path) -> Iterator[None]:
        """Attach a file that is written; after an error nothing of the open transaction stays."""
        run = self.engine.run
        run(f"ATTACH {literal(str(path))} AS {DATABASE} (STORAGE_VERSION '{STORAGE_VERSION}')")
        try:
            yield
        except BaseException:
            self.engine.rollback()
            raise
        finally:
            run(f"DETACH {DATABASE}")

    def finish(
        self, target: EmptyTables, carried: Carried = NOTHING_CARRIED, views: Sequence[View] = ()
    ) -> tuple[Finding, ...]:
        """Write schema `ops` once all rows are there, commit the open transaction, and return the findings.

        Args:
            target: writes the tables.
            carried: what of the file that this one is a changed copy of still counts.
            views: those that read schema `ops`, where the file has none yet.
        """
        since = self._since()
        yesterday = Earlier.of(since["yesterday"])
        findings = tuple(self._findings(carried))
        present = target.ops_names()
        for ops in self._operations(yesterday, findings, carried):
            target.ops(ops, present)
        for view in views:
            target.view(view)
        self.engine.run("COMMIT")
        # In a transaction of its own, so that a damaged earlier file does not spoil this one.
        changes = Changes(self.engine, self.tables, DATABASE, self.plain).table(since)
        target.ops(changes, present)
        self.engine.run(f"CHECKPOINT {DATABASE}")
        return findings

    def _since(self) -> dict[str, Snapshot | None]:
        """Return the earlier snapshots that this one is compared with; None where there is none."""
        today = self.landing.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        return {
            "last publish": snapshot_at(self.shown) if self.shown else None,
            "yesterday": snapshot_before(self.landing.root, today),
        }

    def _table(self, table: PublishedTable) -> tuple[int, int]:
        return (
            sum(self._insert(table.name, part.live_sql) for part in table.parts(_ROWS_AT_ONCE)),
            self._insert(table.deleted_name, table.deleted_sql) if table.has_deleted else 0,
        )

    def _derived(self, table: Derived) -> int:
        if table.name != MERGES:
            table.prepare(self.engine)
        return self._insert(table.name, table.sql)

    def _insert(self, name: str, sql: str) -> int:
        return int(self.engine.row(f"INSERT INTO {DATABASE}.crm.{quoted(name)} {sql}")[0])

    def _operations(
        self, yesterday: Earlier, findings: Sequence[Finding], carried: Carried
    ) -> list[OpsTable]:
        return [
            operations.publication(self.release.number, LAYOUT, self.landing.clock.now()),
            connections_table(with_zones_of_rows(self.crms, self.published), self._currencies()),
            freshness_table(self.freshness, self._live_rows()),
            operations.windows(self.landing, self.connections),
            operations.batches(self.landing, self.connections),
            operations.table_versions(self.published, self.of_stages),
            operations.quality(self.plain, findings, yesterday.rules),
            rates.verdicts(self.engine, DATABASE, yesterday, carried.points),
            rates.verification_lists(self.lists),
            purchases(self.engine, f"{DATABASE}.crm"),
            schema_changes(Register(self.landing.root), self.connections),
            quarantine_table(Quarantine(self.landing), self.connections),
            reconciliation_table(Audits(self.landing.root), self.connections),
            sweeps_table(Sweeps(self.landing.root), self.connections),
            field_backfills_table(FieldBackfills(self.landing.root), self.connections),
            operations.fields(self.object_views, self.landing),
            budgets.api_usage(self.accounts.days),
            budgets.api_limits(self.accounts.limits),
        ]

    def _findings(self, carried: Carried) -> list[Finding]:
        read: dict[str, set[str]] = {}
        kept_out: set[tuple[str, str, str]] = set()
        for table in self.published:
            for version in table.versions:
                connection = connection_of(version)
                read.setdefault(connection, set()).add(table.name)
                for obj in version.meta.get("objects", ()):
                    kept_out |= {(connection, table.name, c) for c in obj.get("kept_out", ())}
        is_verified = any(table.added for table in self.published)
        known: tuple[Finding, ...] = ()
        if carried is not NOTHING_CARRIED:
            known = findings_of(self.engine.rows(FINDINGS.format(ops=f"{DATABASE}.ops")))
        rules = Consistency(
            self.engine,
            f"{DATABASE}.crm",
            read,
            is_verified,
            frozenset(kept_out),
            carried,
            [finding for finding in known if finding.rule != ZONE_RULE],
        )
        findings = rules.findings(table for table in self.derived if table.is_bridge)
        return [*findings, *zone_findings(self.crms, self.published)]

    def _currencies(self) -> dict[str, str]:
        """Return the main currency of each connection according to its exchange rates."""
        return dict(
            self.engine.rows(
                f"SELECT connection, min(currency) FROM {DATABASE}.crm.exchange_rates WHERE is_main "
                "GROUP BY connection HAVING count(DISTINCT currency) = 1"
            )
        )

    def _live_rows(self) -> dict[tuple[str, str], int]:
        return {
            (connection_of(version), table.name): version.meta["live"]
            for table in self.published
            for version in table.versions
        }
