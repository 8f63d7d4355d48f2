"""Build `ops.duckdb`: the state of operations now, apart from the data and without waiting for a change of them.

`crm.duckdb` holds schema `ops` as of its own build, and is not built again where no data changed. This file is built after
every refresh, quiet or not, from what is stored beside the data; it holds no values of records and no keys. Its cost does
not depend on past refreshes beyond what is kept: rounds of probes that the file before holds are copied.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import structlog

from crm_pipeline.kernel.errors import CrmError, StoreError
from crm_pipeline.model.names import literal
from crm_pipeline.model.tables import normalized_name
from crm_pipeline.stages.published import budgets, operations
from crm_pipeline.stages.published.budgets import ApiAccounts
from crm_pipeline.stages.published.changed_fields import schema_changes
from crm_pipeline.stages.published.check_results import CheckFacts, checks_table
from crm_pipeline.stages.published.empty import EmptyTables
from crm_pipeline.stages.published.field_backfills import field_backfills_table
from crm_pipeline.stages.published.freshness import freshness_table
from crm_pipeline.stages.published.operations import OpsTable
from crm_pipeline.stages.published.quarantined import quarantine_table
from crm_pipeline.stages.published.reconciled import reconciliation_table
from crm_pipeline.stages.published.relations import PREFIX
from crm_pipeline.stages.published.swept import sweeps_table
from crm_pipeline.store.audits import Audits
from crm_pipeline.store.drift import Register
from crm_pipeline.store.field_backfills import FieldBackfills
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.freshness import Freshness
from crm_pipeline.store.probes import ProbeHistory, Round
from crm_pipeline.store.quarantine import Quarantine
from crm_pipeline.store.sweeps import Sweeps
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.ops_files import OpsFiles
from crm_pipeline.store.tables.published import STORAGE_VERSION, Snapshots, release_number

LAYOUT = 1
"""To be raised when columns of `probes` change: then the rounds are read again instead of copied."""
_DATABASE, _BEFORE = "building", "before"
_TEXT, _WHOLE, _INSTANT = pa.string(), pa.int64(), pa.timestamp("us", "UTC")
# Transactions may commit in another order than their numbers, so the last ones are read again.
_READ_AGAIN = 100
_log = structlog.get_logger("crm_pipeline.ops")


@dataclass(frozen=True)
class OpsSources:
    """What the file is made of, besides landing.

    Attributes:
        freshness: of the objects of all connections.
        accounts: the rate limiter's counters; None where PostgreSQL is away.
        history: of probes; None where PostgreSQL is away: then the rounds of the file before are shown.
    """

    freshness: Sequence[Freshness] = ()
    accounts: ApiAccounts | None = None
    history: ProbeHistory | None = None


def publish_ops(
    landing: Landing, tables: Tables, engine: Engine, connections: Collection[str], of: OpsSources
) -> Path:
    """Build the file and put it in place; return its path.

    Args:
        landing: its root is the data folder.
        tables: with the current release.
        engine: runs the SQL.
        connections: names of the configured ones.
        of: what else it is made of.

    Raises:
        StoreError: the disk is full or not writable; the file before stays.
        CorruptFile: a commit of landing is not as it was written; the file before stays.
    """
    at = landing.clock.now()
    with OpsFiles(landing.root).building() as (path, shown):
        engine.run(
            f"ATTACH {literal(str(path))} AS {_DATABASE} (STORAGE_VERSION '{STORAGE_VERSION}')"
        )
        try:
            engine.run(f"CREATE SCHEMA {_DATABASE}.ops")
            empty = EmptyTables(engine, _DATABASE)
            engine.run("BEGIN")
            for table in _tables(landing, tables, sorted(connections), of, at):
                empty.ops(table)
            engine.run("COMMIT")
            _probes(engine, empty, of.history, shown)
            engine.run(f"CHECKPOINT {_DATABASE}")
        except BaseException:
            engine.rollback()
            raise
        finally:
            engine.run(f"DETACH {_DATABASE}")
    current = OpsFiles(landing.root).current()
    assert current is not None
    return current


def _tables(
    landing: Landing, tables: Tables, names: Sequence[str], of: OpsSources, at: datetime
) -> Iterator[OpsTable]:
    versions = _versions(tables, names)
    live = {key: int(version.meta["live"]) for key, version in versions.items()}
    accounts = of.accounts or ApiAccounts()
    changes = Register(landing.root)
    quarantine = Quarantine(landing)
    windows = operations.windows(landing, names)
    yield _publication(landing, tables, at)
    yield freshness_table(of.freshness, live)
    yield checks_table(CheckFacts(of.freshness, versions, windows, changes, quarantine, names), at)
    yield windows
    yield _batches(operations.batches(landing, names, merged=False))
    yield schema_changes(changes, names)
    yield quarantine_table(quarantine, names)
    yield reconciliation_table(Audits(landing.root), names)
    yield sweeps_table(Sweeps(landing.root), names)
    yield field_backfills_table(FieldBackfills(landing.root), names)
    yield budgets.api_usage(accounts.days)
    yield budgets.api_limits(accounts.limits)


def _batches(table: OpsTable) -> OpsTable:
    about = f"{table.description} Those of merged windows are in crm.duckdb only."
    return OpsTable(table.name, about, table.columns, table.rows)


def _versions(
    tables: Tables, connections: Collection[str]
) -> Mapping[tuple[str, str], TableVersion]:
    """Return the current versions by connection and table."""
    release, versions = tables.current(), {}
    for name in release.tables:
        if not name.startswith(PREFIX):
            continue
        _, connection, table = name.split("/", 2)
        if connection not in connections or name != normalized_name(connection, table):
            continue
        with suppress(CrmError):  # a damaged version is reported by the publish that needs it
            version = tables.version(name, release)
            if version is not None:
                versions[connection, table] = version
    return versions


def _publication(landing: Landing, tables: Tables, at: datetime) -> OpsTable:
    shown = Snapshots(landing.root).current()
    release = tables.current()
    columns = {
        "built_at": (_INSTANT, "When this file was built."),
        "layout": (_WHOLE, "Version of the file's layout."),
        "release": (_WHOLE, "Number of the newest release of the tables."),
        "committed_at": (_INSTANT, "When that release was made; NULL: there is none."),
        "published_release": (
            _WHOLE,
            "Number of the release that crm.duckdb shows; NULL: nothing was published.",
        ),
    }
    number = release_number(shown) if shown is not None else None
    row = (at, LAYOUT, release.number, release.committed_at, number)
    return OpsTable("publication", "What this file is.", columns, [row])


_PROBES: dict[str, tuple[pa.DataType, str]] = {
    "round": (
        _WHOLE,
        "Number of the round of one connection; it gives the order, whatever the clock says.",
    ),
    "connection": (_TEXT, "Name of the connection."),
    "object": (_TEXT, "The vendor's name of the object."),
    "asked_at": (_INSTANT, "When the round began."),
    "asked_by": (
        _TEXT,
        "sensor: it asks whether to refresh; refresh: it asks which objects to read.",
    ),
    "outcome": (
        _TEXT,
        (
            "quiet: all that changed has landed; changed: something has not; skipped: not asked, because a call would "
            "have had to wait; failed: the call failed."
        ),
    ),
    "changed": (
        _WHOLE,
        "Records changed since the look-back, according to the vendor; at least so many where it stops counting.",
    ),
    "calls": (_WHOLE, "API calls spent."),
    "reason": (_TEXT, "Why it was skipped or failed; NULL otherwise."),
}
_ABOUT_PROBES = "Every time that the vendor was asked whether an object changed, for as many days as CRM_KEEP_PROBE_DAYS says."


def probes_table(rounds: Sequence[Round]) -> OpsTable:
    """Return the table of rounds of probes, one row an object."""
    rows: list[tuple[Any, ...]] = [
        (
            each.number,
            each.connection,
            obj,
            each.asked_at,
            each.asked_by,
            answer.outcome,
            answer.changed,
            answer.calls,
            answer.reason or None,
        )
        for each in rounds
        for obj, answer in sorted(each.answers.items())
    ]
    return OpsTable("probes", _ABOUT_PROBES, _PROBES, rows)


def _probes(
    engine: Engine, empty: EmptyTables, history: ProbeHistory | None, shown: Path | None
) -> None:
    """Write the rounds of probes: those that the file before has are copied, the others are read."""
    kept = history.kept() if history is not None else None
    copied = _copied(engine, shown, kept.last if kept else None)
    after = copied or 0
    rounds = history.rounds(after=after) if history is not None else []
    empty.ops(probes_table(rounds))
    if copied is None:
        return
    oldest = kept.first if kept else 0
    try:
        engine.run(
            f"INSERT INTO {_DATABASE}.ops.probes SELECT * FROM {_BEFORE}.ops.probes "
            f"WHERE round BETWEEN {oldest} AND {after} ORDER BY round"
        )
    finally:
        engine.run(f"DETACH {_BEFORE}")


def _copied(engine: Engine, shown: Path | None, last: int | None) -> int | None:
    """Attach the file before, and return the last round that is copied from it; None where nothing can be.

    Numbers begin anew with a new database: then the file before has higher ones than there are.
    """
    if shown is None:
        return None
    try:
        engine.run(f"ATTACH {literal(str(shown))} AS {_BEFORE} (READ_ONLY)")
        try:
            [(layout,)] = engine.rows(f"SELECT layout FROM {_BEFORE}.ops.publication")
            [(newest,)] = engine.rows(f"SELECT coalesce(max(round), 0) FROM {_BEFORE}.ops.probes")
            if layout == LAYOUT and (last is None or newest <= last):
                return max(0, int(newest) - (0 if last is None else _READ_AGAIN))
        except BaseException:
            engine.run(f"DETACH {_BEFORE}")
            raise
        engine.run(f"DETACH {_BEFORE}")
    except (StoreError, ValueError) as error:
        _log.warning(
            "the file of operations before cannot be read", path=str(shown), why=str(error)
        )
    return None
