"""Build the analysts' database and Parquet files from the current release, and put them in place."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import structlog

from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.settings import Connection, Retention
from crm_pipeline.stages.published.accounts import Connected, connected
from crm_pipeline.stages.published.budgets import ApiAccounts
from crm_pipeline.stages.published.build import LAYOUT, Build
from crm_pipeline.stages.published.carried import Finding
from crm_pipeline.stages.published.derived import derived_tables
from crm_pipeline.stages.published.freshness import AT_MOST_EVERY, Shown
from crm_pipeline.stages.published.history import HISTORY, history_tables, wanted_history
from crm_pipeline.stages.published.making import Making
from crm_pipeline.stages.published.operations import published_findings
from crm_pipeline.stages.published.relations import (
    PREFIX,
    connections_of,
    published_tables,
)
from crm_pipeline.stages.published.stage_tables import STORED, stage_tables
from crm_pipeline.store.files.checksums import Verifier
from crm_pipeline.store.files.corruption import blamed_on
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.freshness import Freshness
from crm_pipeline.store.tables import Release, Tables, TableVersion
from crm_pipeline.store.tables.corruption import damaged_version
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.published import Snapshots, release_number
from crm_pipeline.store.tables.published_files import PublishedFiles

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
        built: `full`, or `incremental` where a copy of the last file was brought up to date.
        why: why it was built in full; "" where it was not.
        differences: tables in which a full build differs from the incremental one, where both were asked for.
        copied_s: seconds that copying the last file took.
    """

    release: int
    path: Path
    changed: bool
    rows: Mapping[str, int] = field(default_factory=dict)
    deleted: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0
    repaired: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    built: str = ""
    why: str = ""
    differences: tuple[str, ...] = ()
    copied_s: float = 0.0


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
    is_compared: bool = False,
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
        is_forced: build in full, even if the release is published already.
        is_compared: build in full, and compare with what an incremental build gives; the full one is published.

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
        and not (is_forced or is_compared)
        and not _is_outdated(current, freshness, landing.clock.now(), min_age)
    ):
        # Checked twice: another publisher may have been changing the files during the first check.
        repaired = _damaged(landing, tables, current) and _damaged(landing, tables, current)
        if not repaired:
            return _unchanged(release.number, current)
        _log.warning("what is published is damaged and is built again", files=repaired)
    with blamed_on(lambda: damaged_version(_versions(tables, release), Verifier())):
        engine.suit(max((version.rows for version in _versions(tables, release)), default=0))
        currencies = {crm.name: crm.facts.currency for crm in crms if crm.facts.currency}
        published = published_tables(tables, release, currencies)
        of_stages = stage_tables(tables, release)
        build = Build(
            landing,
            tables,
            engine,
            release,
            published,
            of_stages,
            derived_tables(published),
            crms,
            freshness,
            lists,
            accounts,
            current,
            history_tables(tables, release, published),
        )
        making = Making(
            build,
            currencies,
            snapshots,
            retention.parquet,
            is_full=is_forced or bool(repaired),
        )
        with snapshots.building(name, current, making.parquet, making.basis) as path:
            made = making.database(path, is_compared=is_compared)
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
        built="full" if making.why else "incremental",
        why=making.why,
        differences=making.differences,
        copied_s=making.copied_s,
    )


def _chosen(release: Release, wanted: Collection[str] | None) -> Release:
    """Return a release with only the tables that are to be published."""
    chosen = {
        name: version
        for name, version in release.tables.items()
        if (
            name in STORED
            or (name.startswith(PREFIX) and (wanted is None or name in wanted))
            or name.startswith(HISTORY)
        )
    }
    return wanted_history(replace(release, tables=chosen))


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
