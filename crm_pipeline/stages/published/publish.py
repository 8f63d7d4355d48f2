"""Build the analysts' database and Parquet files from the current release, and put them in place."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import structlog

from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.tables import DERIVED
from crm_pipeline.settings import Connection, Retention
from crm_pipeline.stages.published import budgets, history, operations, rates
from crm_pipeline.stages.published.accounts import (
    Connected,
    connected,
    connections_table,
    with_zones_of_rows,
    zone_findings,
)
from crm_pipeline.stages.published.budgets import ApiAccounts
from crm_pipeline.stages.published.changed_fields import schema_changes
from crm_pipeline.stages.published.changes import Changes
from crm_pipeline.stages.published.consistency import Consistency, Finding
from crm_pipeline.stages.published.contactable import CONTACTABLE_VIEW
from crm_pipeline.stages.published.derived import Derived, derived_tables
from crm_pipeline.stages.published.empty import EmptyTables
from crm_pipeline.stages.published.enrichment import CONTACTS_ENRICHED_VIEW, purchases
from crm_pipeline.stages.published.freshness import AT_MOST_EVERY, Shown, freshness_table
from crm_pipeline.stages.published.operations import OpsTable, published_findings
from crm_pipeline.stages.published.parquet import bring_up_to_date
from crm_pipeline.stages.published.past import Snapshot, snapshot_at, snapshot_before
from crm_pipeline.stages.published.quarantined import quarantine_table
from crm_pipeline.stages.published.rates import Earlier
from crm_pipeline.stages.published.relations import (
    PREFIX,
    PublishedTable,
    connection_of,
    connections_of,
    published_tables,
)
from crm_pipeline.stages.published.stage_tables import STORED, StageRows, stage_tables
from crm_pipeline.stages.published.views import View, view_of
from crm_pipeline.store.drift import Register
from crm_pipeline.store.files.checksums import Verifier
from crm_pipeline.store.files.corruption import blamed_on
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.freshness import Freshness
from crm_pipeline.store.quarantine import Quarantine
from crm_pipeline.store.tables import Release, Tables, TableVersion
from crm_pipeline.store.tables.corruption import check_versions, damaged_version
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.published import STORAGE_VERSION, Snapshots, release_number
from crm_pipeline.store.tables.published_files import PublishedFiles

LAYOUT = 12
"""To be raised when the same release would give another file."""
_DATABASE = "building"
_USUAL = Retention()
_NO_ACCOUNTS = ApiAccounts()
_NO_LISTS: Mapping[str, str] = MappingProxyType({})
_log = structlog.get_logger("crm_pipeline.published")


@dataclass(frozen=True)
class Publication:
    """The result of a publish.

    Attributes:
        release: number of the release that analysts see now.
        path: the snapshot; `crm.duckdb` points to it.
        changed: False where that release was published already; nothing was written then.
        rows: live rows of each table of schema `crm`; `deleted` those of `<table>_deleted`.
        findings: the results of the rules between tables in the file that analysts see now.
        repaired: published files that were damaged, because of which everything was built again.
    """

    release: int
    path: Path
    changed: bool
    rows: Mapping[str, int] = field(default_factory=dict)
    deleted: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0
    repaired: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def publish(
    landing: Landing,
    tables: Tables,
    engine: Engine,
    *,
    connections: Sequence[Connection] = (),
    wanted: Collection[str] | None = None,
    accounts: ApiAccounts = _NO_ACCOUNTS,
    freshness: Sequence[Freshness] = (),
    lists: Mapping[str, str] = _NO_LISTS,
    retention: Retention = _USUAL,
    min_age: timedelta = AT_MOST_EVERY,
    is_forced: bool = False,
) -> Publication:
    """Publish the current release to `crm.duckdb` and `published/*.parquet`.

    Args:
        landing: read for schema `ops`; its root is the data folder that is published to.
        tables: with the release.
        engine: runs the SQL.
        connections: the configured ones, for `ops.connections`; for others only the account's facts are known.
        wanted: the normalized tables to publish, by name; None publishes all. It leaves out tables of
            connections and objects that are no longer read, which would never change again. Tables of
            stages across connections are always published.
        accounts: the counters of calls, for `ops.api_usage` and `ops.api_limits`.
        freshness: of the configured objects, for `ops.freshness`; a change of it alone is published, too.
        lists: the date or version of each list by which addresses are judged, for `ops.verification_lists`.
        retention: how many earlier snapshots and versions are kept.
        min_age: age that the file must have before a change of freshness alone is published.
        is_forced: build even if the release is published already.

    Raises:
        CorruptFile: a file of a table is not as it was written; what was published before stays.
        StoreError: the disk is full or not writable; what was published before stays.
    """
    snapshots = Snapshots(landing.root, tables.verifier)
    # Read before the release, so that a later release of another publisher is recognized as later.
    current = snapshots.current()
    release = tables.current()
    release = _chosen(release, wanted)
    crms = connected(landing, connections, connections_of(release))
    name = _snapshot_name(release, crms, freshness)
    repaired: tuple[str, ...] = ()
    if (
        current is not None
        and current.name.startswith(_same_data(release, crms))
        and not is_forced
        and not _is_outdated(current, freshness, landing.clock.now(), min_age)
    ):
        # Checked twice: another publisher may have been changing the files during the first check.
        repaired = _damaged(landing, tables, current) and _damaged(landing, tables, current)
        if not repaired:
            return _unchanged(release.number, current)
        _log.warning("what is published is damaged and is built again", files=repaired)
    with blamed_on(lambda: damaged_version(_versions(tables, release), Verifier())):
        currencies = {crm.name: crm.facts.currency for crm in crms if crm.facts.currency}
        published = published_tables(tables, release, currencies)
        of_stages = stage_tables(tables, release)
        histories = history.history_tables(tables, release, published)
        versions = [v for table in published for v in table.versions]
        versions += [v for each in histories for v in each.stored]
        check_versions(tables, [*versions, *(v for rows in of_stages for v in rows.versions)])
        build = _Build(
            landing,
            engine,
            release,
            published,
            of_stages,
            derived_tables(published),
            crms,
            freshness,
            lists,
            histories,
        )
        with snapshots.building(
            name, current, lambda: build.parquet(_shared(landing, tables))
        ) as path:
            made = build.database(path, accounts, current)
    now = landing.clock.now()
    snapshots.collect(now, keep_last=retention.snapshots, keep_days=retention.snapshot_days)
    shown = snapshots.current()
    pinned = [release_number(shown)] if shown is not None else []
    tables.collect(now, timedelta(days=retention.version_days), pinned)
    path = snapshots.folder / name
    if shown is not None and not path.exists():  # somebody published a later release meanwhile
        return _unchanged(release_number(shown), shown)
    return Publication(
        release.number,
        path,
        changed=True,
        rows=made.rows,
        deleted=made.deleted,
        bytes=path.stat().st_size,
        repaired=repaired,
        findings=made.findings,
    )


def _chosen(release: Release, wanted: Collection[str] | None) -> Release:
    """Return a release with only the tables that are to be published."""
    chosen = {
        name: version
        for name, version in release.tables.items()
        if (
            name in STORED
            or (name.startswith(PREFIX) and (wanted is None or name in wanted))
            or name.startswith(history.HISTORY)
        )
    }
    return history.wanted_history(replace(release, tables=chosen))


def _unchanged(release: int, shown: Path) -> Publication:
    size, findings = shown.stat().st_size, published_findings(shown)
    return Publication(release, shown, changed=False, bytes=size, findings=findings)


def _damaged(landing: Landing, tables: Tables, current: Path) -> tuple[str, ...]:
    """Return the files that are not as they were published."""
    is_whole = Snapshots(landing.root, tables.verifier).is_whole(current)
    paths = [*([] if is_whole else [current]), *_shared(landing, tables).damaged()]
    return tuple(str(path) for path in paths)


def _shared(landing: Landing, tables: Tables) -> PublishedFiles:
    return PublishedFiles(landing.root / "published", tables.verifier)


def _versions(tables: Tables, release: Release) -> Iterator[TableVersion]:
    for name in release.tables:
        version = tables.version(name, release)
        if version is not None:
            yield version


def _is_outdated(
    current: Path, rows: Sequence[Freshness], now: datetime, min_age: timedelta
) -> bool:
    shown = Shown.of(current)
    return shown is not None and shown.is_outdated(rows, now, min_age)


def _snapshot_name(release: Release, crms: Sequence[Connected], rows: Sequence[Freshness]) -> str:
    """Name a snapshot by release and content, so that no name is ever used for another file."""
    state = fingerprint([str(row) for row in rows])[:8] if rows else ""
    return f"{_same_data(release, crms)}{'-' if state else ''}{state}.duckdb"


def _same_data(release: Release, crms: Sequence[Connected]) -> str:
    """Return the prefix of the names of all snapshots of the same tables and accounts."""
    data = fingerprint([LAYOUT, dict(release.tables), [str(crm) for crm in crms]])
    return f"crm-{release.number:08d}-{data[:8]}"


@dataclass(frozen=True)
class _Made:
    """What was written: the live and the deleted rows of each table, and how the rules between tables fared."""

    rows: Mapping[str, int]
    deleted: Mapping[str, int]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class _Build:
    landing: Landing
    engine: Engine
    release: Release
    published: Sequence[PublishedTable]
    of_stages: Sequence[StageRows]
    derived: Sequence[Derived]
    crms: Sequence[Connected]
    freshness: Sequence[Freshness]
    lists: Mapping[str, str]
    histories: Sequence[history.HistoryTable] = ()

    @property
    def connections(self) -> list[str]:
        return sorted({connection_of(v) for table in self.published for v in table.versions})

    @property
    def plain(self) -> list[PublishedTable]:
        """The tables that are published as rows of records."""
        return [table for table in self.published if table.name not in DERIVED]

    def database(self, path: Path, accounts: ApiAccounts, shown: Path | None) -> _Made:
        """Write the database file."""
        run = self.engine.run
        run(f"ATTACH {literal(str(path))} AS {_DATABASE} (STORAGE_VERSION '{STORAGE_VERSION}')")
        try:
            views = self._views()
            schemas = ("crm", "ops", *(f"crm_{name}" for name in self.connections))
            shown_views = [
                *(view for _, _, _, view in views),
                CONTACTABLE_VIEW,
                CONTACTS_ENRICHED_VIEW,
            ]
            empty = EmptyTables(self.engine, _DATABASE)
            empty.create(
                schemas, self.plain, self.of_stages, self.derived, shown_views, self.histories
            )
            since = self._since(shown)
            yesterday = Earlier.of(since["yesterday"])
            run("BEGIN")
            counts = {table.name: self._table(table) for table in self.plain}
            judged = {rows.name: self._insert(rows.name, rows.sql) for rows in self.of_stages}
            made = {table.name: self._derived(table) for table in self.derived}
            history.fill(self.engine, _DATABASE, self.histories)
            findings = tuple(self._findings())
            for ops in self._operations(views, accounts, yesterday, findings):
                empty.ops(ops)
            for view in history.daily_views(self.histories):
                empty.view(view)
            run("COMMIT")
            # In a transaction of its own, so that a damaged earlier file does not spoil this one.
            empty.ops(Changes(self.engine, _DATABASE, self.plain).table(since))
            run(f"CHECKPOINT {_DATABASE}")
        except BaseException:
            self.engine.rollback()
            raise
        finally:
            run(f"DETACH {_DATABASE}")
        live = {name: live for name, (live, _) in counts.items()}
        deleted = {name: gone for name, (_, gone) in counts.items()}
        return _Made(live | judged | made, deleted, findings)

    def parquet(self, shared: PublishedFiles) -> None:
        """Bring the Parquet files up to date; a file with the same rows is not written again."""
        bring_up_to_date(
            shared, self.plain, self.engine, LAYOUT, derived=self.derived, of_stages=self.of_stages
        )

    def _since(self, shown: Path | None) -> dict[str, Snapshot | None]:
        """Return the earlier snapshots that this one is compared with; None where there is none."""
        today = self.landing.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        return {
            "last publish": snapshot_at(shown) if shown else None,
            "yesterday": snapshot_before(self.landing.root, today),
        }

    def _table(self, table: PublishedTable) -> tuple[int, int]:
        return (
            self._insert(table.name, table.live_sql) if table.versions else 0,
            self._insert(table.deleted_name, table.deleted_sql) if table.has_deleted else 0,
        )

    def _derived(self, table: Derived) -> int:
        table.prepare(self.engine)
        return self._insert(table.name, table.sql)

    def _insert(self, name: str, sql: str) -> int:
        return int(self.engine.row(f"INSERT INTO {_DATABASE}.crm.{quoted(name)} {sql}")[0])

    def _views(self) -> list[tuple[str, str, str, View]]:
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

    def _operations(
        self,
        views: Sequence[tuple[str, str, str, View]],
        accounts: ApiAccounts,
        yesterday: Earlier,
        findings: Sequence[Finding],
    ) -> list[OpsTable]:
        return [
            operations.publication(self.release.number, LAYOUT, self.landing.clock.now()),
            connections_table(with_zones_of_rows(self.crms, self.published), self._currencies()),
            freshness_table(self.freshness, self._live_rows()),
            operations.windows(self.landing, self.connections),
            operations.batches(self.landing, self.connections),
            operations.table_versions(self.published, self.of_stages),
            operations.quality(self.plain, findings, yesterday.rules),
            rates.verdicts(self.engine, f"{_DATABASE}.crm", yesterday),
            rates.verification_lists(self.lists),
            purchases(self.engine, f"{_DATABASE}.crm"),
            schema_changes(Register(self.landing.root), self.connections),
            quarantine_table(Quarantine(self.landing), self.connections),
            operations.fields(views, self.landing),
            budgets.api_usage(accounts.days),
            budgets.api_limits(accounts.limits),
        ]

    def _findings(self) -> list[Finding]:
        read: dict[str, set[str]] = {}
        kept_out: set[tuple[str, str, str]] = set()
        for table in self.published:
            for version in table.versions:
                connection = connection_of(version)
                read.setdefault(connection, set()).add(table.name)
                for obj in version.meta.get("objects", ()):
                    kept_out |= {(connection, table.name, c) for c in obj.get("kept_out", ())}
        is_verified = any(table.added for table in self.published)
        rules = Consistency(self.engine, f"{_DATABASE}.crm", read, is_verified, frozenset(kept_out))
        findings = rules.findings(table for table in self.derived if table.is_bridge)
        return [*findings, *zone_findings(self.crms, self.published)]

    def _currencies(self) -> dict[str, str]:
        """Return the main currency of each connection according to its exchange rates."""
        return dict(
            self.engine.rows(
                f"SELECT connection, min(currency) FROM {_DATABASE}.crm.exchange_rates WHERE is_main "
                "GROUP BY connection HAVING count(DISTINCT currency) = 1"
            )
        )

    def _live_rows(self) -> dict[tuple[str, str], int]:
        return {
            (connection_of(version), table.name): version.meta["live"]
            for table in self.published
            for version in table.versions
        }
