"""Build one normalized table of one connection: collect, fold, type, check, commit."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import duckdb
import structlog

from crm_pipeline.connectors.base import RecordKeys
from crm_pipeline.contracts.files import ContractFolder, targets_of
from crm_pipeline.kernel.errors import CorruptFile, UnknownName
from crm_pipeline.model.mapping import ObjectMap
from crm_pipeline.model.selection import own_tables, tables_of, with_overrides
from crm_pipeline.model.tables import normalized_name
from crm_pipeline.settings import Connection, QuarantineLimit
from crm_pipeline.stages.normalized.contract import Asked
from crm_pipeline.stages.normalized.drift import DriftGuard, check_fields
from crm_pipeline.stages.normalized.feed import Feed, feed_of
from crm_pipeline.stages.normalized.history import HistoryBuild, has_history
from crm_pipeline.stages.normalized.inputs import collect, inputs_fingerprint
from crm_pipeline.stages.normalized.result import Normalized, unchanged
from crm_pipeline.stages.normalized.table_build import CODE_VERSION, TableBuild
from crm_pipeline.store.files.corruption import blamed_on
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.account_facts import account_facts
from crm_pipeline.store.landing.corruption import damaged_batch
from crm_pipeline.store.landing.manifest import Manifest
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.corruption import damaged_version
from crm_pipeline.store.tables.engine import Engine

_log = structlog.get_logger("crm_pipeline.normalized")
_USUAL = QuarantineLimit()
_NONE = ContractFolder()


def tables_for(connection: Connection, maps: Sequence[ObjectMap]) -> dict[str, tuple[str, ...]]:
    """Return the normalized tables of a connection, each with the objects that feed it."""
    tables = tables_of((o.name for o in connection.objects), maps)
    return {
        name: tuple(dict.fromkeys(entry.object for entry in entries))
        for name, entries in tables.items()
    }


def check_mapping(connection: Connection, maps: Sequence[ObjectMap]) -> None:
    """Check the user's `mapping` of a connection against the columns of its tables.

    Raises:
        UnknownName: the mapping names a column that its table does not have.
    """
    for entries in tables_of((o.name for o in connection.objects), maps).values():
        for entry in entries:
            with_overrides(entry, connection.mapping, where=connection.name)


def normalize(  # noqa: PLR0917 - each argument is plain at the call
    connection: Connection,
    table: str,
    landing: Landing,
    tables: Tables,
    maps: Sequence[ObjectMap],
    engine: Engine,
    keys: RecordKeys | None = None,
    limit: QuarantineLimit = _USUAL,
    guard: DriftGuard | None = None,
    contracts: ContractFolder = _NONE,
) -> Normalized:
    """Bring one table of the common model up to date with landing.

    A damaged version is built again, even if nothing new has landed.

    Args:
        connection: the connection.
        table: the name of the table.
        landing: where records have landed.
        tables: where versions are committed.
        maps: the vendor's mappings.
        engine: runs the SQL.
        keys: the connector's current rules for ids, modification times and deletions, which also count for
            records that landed under earlier rules; None takes the keys as they landed.
        limit: how many records may be unusable.
        guard: where changed fields are noted; None holds nothing back because of them.
        contracts: the user's contracts and policies.

    Raises:
        CorruptFile: a landed batch is not as it was landed.
        UnknownName: the connection has no such table, or connections.yaml maps to a column that does not exist.
        ContractError: a mapped field is gone, the new version breaks its contract, or more records
            than `limit` allows cannot be used; the table keeps its current version.
        CommitConflict: another process built the same table at the same time.
    """
    tables_known = tables_of((o.name for o in connection.objects), maps)
    if table not in tables_known:
        raise UnknownName("table", table, tables_known, where=f"connection '{connection.name}'")
    entries = [
        with_overrides(entry, connection.mapping, where=connection.name)
        for entry in tables_known[table]
    ]
    name = normalized_name(connection.name, table)
    # The version is read before landing, so that a build that is overtaken in between cannot commit.
    parent, repaired = _parent(tables, name)
    owners = own_tables((o.name for o in connection.objects), maps)
    asked = asked_of(contracts, connection.name, table, entries)
    gather = partial(gathered, connection, entries, landing, keys, owners, parent, asked)
    feeds, state = gather()
    if not feeds:
        return unchanged(table, None if repaired else parent)
    if parent is not None and parent.meta.get("inputs") == state:
        broken = damaged_version([parent], tables.verifier)
        if broken is None and not _has_newer_reader(parent):
            done = unchanged(table, parent)
            return _with_history(done, connection, feeds, state, landing, tables, engine)
        repaired = broken.message if broken else ""
    if repaired:
        _log.warning("a damaged table is built again from data/landing", table=name, why=repaired)
    if landing.discard_damaged_copies(_batches(feeds)):
        feeds, state = gather()
    for feed in feeds:
        changes = guard.changes(connection.name, feed.landed.object) if guard else []
        check_fields(connection.name, feed.landed, changes)
    batches = _batches(feeds)
    engine.suit(sum(batch.records for batch in batches))
    with blamed_on(lambda: damaged_batch(batches)):
        build = TableBuild(
            connection, name, parent, feeds, state, landing, tables, engine, limit, asked, guard
        )
        done = replace(build.run(), repaired=repaired)
        return _with_history(done, connection, feeds, state, landing, tables, engine)


def _with_history(  # noqa: PLR0917 - each argument is plain at the call
    done: Normalized,
    connection: Connection,
    feeds: Sequence[Feed],
    state: str,
    landing: Landing,
    tables: Tables,
    engine: Engine,
) -> Normalized:
    """Bring the history of a table up to date, and return the result with its version."""
    if done.version is None or not has_history(feeds):
        return done
    with blamed_on(lambda: damaged_batch(_batches(feeds))):
        build = HistoryBuild(connection, done.version, feeds, state, landing, tables, engine)
        return replace(done, history=build.run())


def gathered(  # noqa: PLR0917 - each argument is plain at the call
    connection: Connection,
    entries: Sequence[ObjectMap],
    landing: Landing,
    keys: RecordKeys | None,
    owners: Mapping[str, str],
    parent: TableVersion | None,
    asked: Asked,
) -> tuple[list[Feed], str]:
    """Return the feeds of a table, and their fingerprint."""
    collected = [
        collect(connection.name, entry, landing, keys, connection.shrink_bounds)
        for entry in entries
    ]
    inputs = [landed for landed in collected if landed is not None]
    account = account_facts(landing, connection.name)
    feeds = [
        replace(feed_of(landed, connection.mapping, owners, parent), account=account)
        for landed in inputs
    ]
    made_by = [(f.entry, f.table, f.facts_used) for f in feeds]
    # A table that nobody has a contract for keeps the fingerprint that it had before there were any.
    contracts = [asked.fingerprint] if asked.fingerprint else []
    state = inputs_fingerprint(inputs, CODE_VERSION, made_by, *contracts)
    return feeds, state


def asked_of(
    contracts: ContractFolder, connection: str, table: str, entries: Sequence[ObjectMap]
) -> Asked:
    return Asked(
        contracts,
        connection,
        targets_of(connection, table),
        tuple(f"{connection}.{name}" for name in dict.fromkeys(e.object for e in entries)),
        may_set_aside=all(entry.is_own and not entry.each for entry in entries),
    )


def _batches(feeds: Sequence[Feed]) -> list[Manifest]:
    return [batch for feed in feeds for batch in feed.landed.batches]


def _has_newer_reader(parent: TableVersion) -> bool:
    """Say whether unreadable records are worth another try: the version was built with another DuckDB."""
    return bool(parent.meta.get("unreadable")) and parent.meta["reader"] != duckdb.__version__


def _parent(tables: Tables, name: str) -> tuple[TableVersion | None, str]:
    """Return the current version, and the damage of its record, "" for none.

    The rows of the version are not read: a build starts from landing.
    """
    try:
        return tables.version(name), ""
    except CorruptFile as error:
        return tables.unreadable(name), error.message


__all__ = ["CODE_VERSION", "Normalized", "normalize", "tables_for"]
