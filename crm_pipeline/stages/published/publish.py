"""Build the analysts' database and Parquet files from the current release, and put them in place."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.names import literal, quoted, shown
from crm_pipeline.model.tables import DERIVED
from crm_pipeline.model.view_names import KEY
from crm_pipeline.settings import Connection, Retention
from crm_pipeline.stages.published import budgets, operations
from crm_pipeline.stages.published.accounts import (
    Connected,
    connected,
    connections_table,
    with_zones_of_rows,
    zone_findings,
)
from crm_pipeline.stages.published.budgets import ApiAccounts
from crm_pipeline.stages.published.changes import Changes
from crm_pipeline.stages.published.consistency import Consistency, Finding
from crm_pipeline.stages.published.derived import Derived, derived_tables
from crm_pipeline.stages.published.freshness import AT_MOST_EVERY, Shown, freshness_table
from crm_pipeline.stages.published.operations import OpsTable, published_findings
from crm_pipeline.stages.published.parquet import bring_up_to_date
from crm_pipeline.stages.published.past import Snapshot, snapshot_at, snapshot_before
from crm_pipeline.stages.published.relations import (
    PublishedTable,
    connection_named,
    connection_of,
    published_tables,
)
from crm_pipeline.stages.published.stored import long_text_columns
from crm_pipeline.stages.published.views import View, view_of
from crm_pipeline.store.files.checksums import Verifier
from crm_pipeline.store.files.corruption import blamed_on
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.freshness import Freshness
from crm_pipeline.store.tables import Release, Tables, TableVersion
from crm_pipeline.store.tables.corruption import check_versions, damaged_version
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.published import STORAGE_VERSION, Snapshots, release_number
from crm_pipeline.store.tables.published_files import PublishedFiles

LAYOUT = 9
"""To be raised when the same release would give another file."""
_DATABASE = "building"
_SCHEMA = "schema_only"
_USUAL = Retention()
_NO_ACCOUNTS = ApiAccounts()
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
            connections and objects that are no longer read, which would never change again.
        accounts: the counters of calls, for `ops.api_usage` and `ops.api_limits`.
        freshness: of the configured objects, for `ops.freshness`; a change of it alone is published, too.
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
    if wanted is not None:
        chosen = {name: version for name, version in release.tables.items() if name in wanted}
        release = replace(release, tables=chosen)
    crms = connected(landing, connections, map(connection_named, release.tables))
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
        check_versions(tables, [v for table in published for v in table.versions])
        build = _Build(
            landing, engine, release, published, derived_tables(published), crms, freshness
        )
        with snapshots.building(
            name, current, lambda: build.parquet(_shared(landing, tables))
        ) as path:
            rows, deleted = build.database(path, accounts, current)
    now = landing.clock.now()
    snapshots.collect(now, keep_last=retention.snapshots, keep_days=retention.snapshot_days)
    tables.collect(now, timedelta(days=retention.version_days))
    path = snapshots.folder / name
    shown = snapshots.current()
    if shown is not None and not path.exists():  # somebody published a later release meanwhile
        return _unchanged(release_number(shown), shown)
    return Publication(
        release.number,
        path,
        changed=True,
        rows=rows,
        deleted=deleted,
        bytes=path.stat().st_size,
        repaired=repaired,
        findings=published_findings(path),
    )


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
class _Build:
    landing: Landing
    engine: Engine
    release: Release
    published: Sequence[PublishedTable]
    derived: Sequence[Derived]
    crms: Sequence[Connected]
    freshness: Sequence[Freshness]

    @property
    def connections(self) -> list[str]:
        return sorted({connection_of(v) for table in self.published for v in table.versions})

    @property
    def plain(self) -> list[PublishedTable]:
        """The tables that are published as rows of records."""
        return [table for table in self.published if table.name not in DERIVED]

    def database(
        self, path: Path, accounts: ApiAccounts, shown: Path | None
    ) -> tuple[dict[str, int], dict[str, int]]:
        """Write the database file; return the live and the deleted rows of each table."""
        run = self.engine.run
        run(f"ATTACH {literal(str(path))} AS {_DATABASE} (STORAGE_VERSION '{STORAGE_VERSION}')")
        try:
            views = self._views()
            self._schema(views)
            run("BEGIN")
            counts = {table.name: self._table(table) for table in self.plain}
            made = {table.name: self._derived(table) for table in self.derived}
            for ops in self._operations(views, accounts):
                self._ops(ops)
            run("COMMIT")
            # In a transaction of its own, so that a damaged earlier file does not spoil this one.
            self._ops(Changes(self.engine, _DATABASE, self.plain).table(self._since(shown)))
            run(f"CHECKPOINT {_DATABASE}")
        except BaseException:
            self.engine.rollback()
            raise
        finally:
            run(f"DETACH {_DATABASE}")
        live = {name: live for name, (live, _) in counts.items()}
        return live | made, {name: gone for name, (_, gone) in counts.items()}

    def parquet(self, shared: PublishedFiles) -> None:
        """Bring the Parquet files up to date; a file with the same rows is not written again."""
        bring_up_to_date(shared, self.plain, self.engine, LAYOUT, self.derived)

    def _since(self, shown: Path | None) -> dict[str, Snapshot | None]:
        """Return the snapshots that `ops.changes` compares with; None where there is none."""
        today = self.landing.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        return {
            "last publish": snapshot_at(shown) if shown else None,
            "yesterday": snapshot_before(self.landing.root, today),
        }

    def _schema(self, views: Sequence[tuple[str, str, str, View]]) -> None:
        """Create the empty tables and the views, all with their comments.

        They are created in memory and copied in one go: each comment on a view writes the view again, which a
        file would log each time.
        """
        run = self.engine.run
        run(f"ATTACH ':memory:' AS {_SCHEMA}")
        try:
            for schema in ("crm", "ops", *(f"crm_{name}" for name in self.connections)):
                run(f"CREATE SCHEMA {_SCHEMA}.{quoted(schema)}")
            for table in self.plain:
                long_texts = long_text_columns(self.engine, table)
                for name, suffix in (
                    (table.name, "Live records only."),
                    (table.deleted_name, f"Deleted; live ones: crm.{table.name}."),
                ):
                    about = f"{table.description} {suffix}"
                    self._empty_table(name, table.columns, about, long_texts)
            for derived in self.derived:
                self._empty_table(derived.name, derived.columns, derived.description)
            for _, _, _, view in views:
                self._view(view)
            run(f"COPY FROM DATABASE {_SCHEMA} TO {_DATABASE} (SCHEMA)")
        finally:
            run(f"DETACH {_SCHEMA}")

    def _empty_table(
        self,
        name: str,
        columns: Sequence[tuple[str, str, str]],
        about: str,
        long_texts: Collection[str] = (),
    ) -> None:
        target = f"{_SCHEMA}.crm.{quoted(name)}"
        listed = ", ".join(
            f"{quoted(c)} {kind}{' USING COMPRESSION zstd' if c in long_texts else ''}"
            for c, kind, _ in columns
        )
        self.engine.run(f"CREATE TABLE {target} ({listed})")
        self._comment("TABLE", target, about)
        self._comments(target, {c: comment for c, _, comment in columns})

    def _table(self, table: PublishedTable) -> tuple[int, int]:
        return (
            self._insert(table.name, table.live_sql),
            self._insert(table.deleted_name, table.deleted_sql),
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

    def _view(self, view: View) -> None:
        target = f"{_SCHEMA}.{quoted(view.schema)}.{quoted(view.name)}"
        self.engine.run(f"CREATE VIEW {target} AS {view.sql}")
        self._comment("VIEW", target, view.comment)
        comments = {column.name: column.comment for column in view.columns}
        comments.update(view.more)
        comments[KEY] = "Key by which the row joins schema crm."
        self._comments(target, comments)

    def _operations(
        self, views: Sequence[tuple[str, str, str, View]], accounts: ApiAccounts
    ) -> list[OpsTable]:
        return [
            operations.publication(self.release.number, LAYOUT, self.landing.clock.now()),
            connections_table(with_zones_of_rows(self.crms, self.published), self._currencies()),
            freshness_table(self.freshness, self._live_rows()),
            operations.windows(self.landing, self.connections),
            operations.batches(self.landing, self.connections),
            operations.table_versions(self.published),
            operations.quality(self.plain, self._findings()),
            operations.schema_changes(self.landing, self.connections),
            operations.fields(views, self.landing),
            budgets.api_usage(accounts.days),
            budgets.api_limits(accounts.limits),
        ]

    def _findings(self) -> list[Finding]:
        read: dict[str, set[str]] = {}
        for table in self.published:
            for version in table.versions:
                read.setdefault(connection_of(version), set()).add(table.name)
        rules = Consistency(self.engine, f"{_DATABASE}.crm", read)
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

    def _ops(self, table: OpsTable) -> None:
        target = f"{_DATABASE}.ops.{quoted(table.name)}"
        loaded = self.engine.load(f"ops {table.name}", table.arrow)
        self.engine.run(f"CREATE TABLE {target} AS SELECT * FROM {loaded}")
        self._comment("TABLE", target, table.description)
        self._comments(target, {name: about for name, (_, about) in table.columns.items()})

    def _comment(self, kind: str, target: str, comment: str) -> None:
        self.engine.run(f"COMMENT ON {kind} {target} IS {literal(shown(comment))}")

    def _comments(self, target: str, columns: Mapping[str, str]) -> None:
        for name, comment in columns.items():
            self._comment("COLUMN", f"{target}.{quoted(name)}", comment)
