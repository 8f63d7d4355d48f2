"""The resource of all runs: settings, stores, accounts, a clock, and a callback for progress.

Everything is opened at its first use, so that definitions load with an empty environment.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import structlog

from crm_pipeline.connectors.base import Account
from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.upkeep import stated_limit
from crm_pipeline.contracts.files import ContractFolder
from crm_pipeline.kernel.clock import Clock, SystemClock
from crm_pipeline.kernel.errors import CrmError, DatabaseUnavailable
from crm_pipeline.model.enriched_tables import ENRICHMENT_WANTED, ENRICHMENTS
from crm_pipeline.model.schema import Schema
from crm_pipeline.model.stages import ENRICHED
from crm_pipeline.orchestration.names import Names
from crm_pipeline.orchestration.partitions import is_snapshot
from crm_pipeline.orchestration.remarks import remarks_at
from crm_pipeline.providers import as_enricher, opened_provider
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.settings import Connection, ObjectSettings, Settings
from crm_pipeline.stages.enriched import Bought, Enriched, buy, candidates, shop_of
from crm_pipeline.stages.normalized import contract_names, tables_for
from crm_pipeline.stages.published import ApiAccounts, OpsSources, publish_ops
from crm_pipeline.stages.raw import opened
from crm_pipeline.stages.raw.audit import AuditRun, audit_connection, auditable_objects
from crm_pipeline.stages.raw.new_fields import fill_new_fields
from crm_pipeline.stages.raw.unstamped import allowance
from crm_pipeline.stages.verified import Verifiers
from crm_pipeline.stages.verified.library import library_verifiers
from crm_pipeline.store.audits import Audits
from crm_pipeline.store.build_lock import building
from crm_pipeline.store.drift import Register
from crm_pipeline.store.field_backfills import FieldBackfill
from crm_pipeline.store.files.permissions import settle
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.freshness import Freshness, freshness_of
from crm_pipeline.store.landing.looks import Looks
from crm_pipeline.store.landing.tombstones import Tombstones
from crm_pipeline.store.postgres.database import running_database
from crm_pipeline.store.probes import ProbeHistory
from crm_pipeline.store.purchases import PurchaseLedger, Spending
from crm_pipeline.store.quarantine import Quarantine, Quarantined
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.ops_files import OpsFiles
from crm_pipeline.store.tables.published import open_published
from crm_pipeline.store.tokens.hash_key import HashKey
from crm_pipeline.wire.retry import RetryPolicy

_log = structlog.get_logger(__name__)
_USAGE_DAYS = 31  # of calls by day in the file of operations; crm.duckdb has all of them
StepCallback = Callable[[str, int, int | None], None]
"""Called with `(step, records so far, records expected)`."""


def workspace_of(resources: Any, names: Names) -> "Workspace":
    """Return the workspace from the resources of a run or a tick, whose name depends on the deployment."""
    workspace: Workspace = getattr(resources, names.resource)
    return workspace


def tables_by_object(connection: Connection) -> dict[str, list[str]]:
    """Return the tables that each object of a connection feeds."""
    fed: dict[str, list[str]] = {}
    for table, objects in tables_for(connection, connector(connection.vendor).mapping).items():
        for obj in objects:
            fed.setdefault(obj, []).append(table)
    return fed


class Workspace:
    """The one resource of all assets, schedules and sensors; its name in Dagster is `Names.resource`.

    Args:
        on_step: called with the progress of steps.
    """

    def __init__(
        self, settings: Settings, *, clock: Clock | None = None, on_step: StepCallback | None = None
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.landing = Landing(settings.data, self.clock)
        self.tables = Tables(settings.data)
        self.looks = Looks(settings.data, self.clock)
        self.drift = Register(settings.data, self.clock)
        self.audits = Audits(settings.data, self.clock)
        self._on_step = on_step
        self._is_settled = False
        # All steps of a connection share one budget of retries: after a few steps against a host that is
        # down the others fail at once.
        self._patience: dict[str, RetryPolicy] = {}

    @property
    def contracts(self) -> ContractFolder:
        """The user's contracts and policies, read when they are asked for."""
        return ContractFolder(self.settings.root, self.settings.policies)

    def contract_faults(self) -> list[str]:
        """Return what is wrong with the names that contracts and policies are for."""
        if not (self.contracts.files or self.contracts.policies):
            return []
        connections = self.settings.connections.values()
        maps = {c.vendor: connector(c.vendor).mapping for c in connections}
        names = contract_names(connections, maps)
        return [str(fault) for fault in self.contracts.strangers(names)]

    @contextmanager
    def account(self, connection: str, *, waits: bool = True) -> Iterator[Account]:
        """Open the account of a connection; with `waits` False no call waits for the rate limiter.

        Raises:
            SecretMissing: one of its environment variables is not set.
            DatabaseUnavailable: PostgreSQL cannot be reached.
        """
        self._settle()
        patience = self._patience.setdefault(
            connection, RetryPolicy(timeout_s=self.settings.patience_s)
        )
        with (
            running_database(self.settings) as database,
            opened(
                self.settings, connection, database, clock=self.clock, retry=patience, waits=waits
            ) as account,
        ):
            yield account
            self.looks.stated(connection, stated_limit(account.day_limit))

    @contextmanager
    def probe_history(self) -> Iterator[ProbeHistory]:
        """Open the history of probes.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached.
        """
        with running_database(self.settings) as database:
            yield ProbeHistory(database, self.settings.retention.probe_days)

    def audit(self, connection: str) -> AuditRun:
        """Compare a connection with its CRM, and heal what differs."""
        with self.account(connection) as account:
            return self.audited(account, auditable_objects(account.connection))

    def audited(
        self,
        account: Account,
        objects: Sequence[ObjectSettings],
        *,
        is_deep: bool = False,
        reads_content: bool = False,
    ) -> AuditRun:
        """Compare objects of an opened account with its CRM, and heal what differs; see `audit_connection`."""
        keeps_out = any(obj.keeps_out for obj in objects) or Tombstones.at(self.settings.data)
        return audit_connection(
            account,
            landing=self.landing,
            audits=self.audits,
            engine=self.engine,
            objects=objects,
            is_deep=is_deep,
            reads_content=reads_content,
            key=self.hash_key if keeps_out else None,
        )

    def fill_new_fields(
        self, account: Account, obj: ObjectSettings, schema: Schema
    ) -> FieldBackfill | None:
        """Read records of an object again that were read without its new fields; see `fill_new_fields`.

        It may take as much of the vendor's limit of a day as a sweep.
        """
        keeps_out = obj.keeps_out or Tombstones.at(self.settings.data)
        memory_limit = f"{self.settings.memory_mb}MB"
        return fill_new_fields(
            account,
            obj,
            self.landing,
            self.drift,
            schema=schema,
            open_engine=lambda: Engine(self.settings.data / "tmp", memory_limit=memory_limit),
            allowed=allowance(self.settings, account).amount,
            key=self.hash_key if keeps_out else None,
        )

    @property
    def hash_key(self) -> HashKey:
        """The key of hashed fields and of erased persons."""
        return HashKey.of(self.settings)

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """Open a DuckDB engine for one step that builds; no person is erased meanwhile."""
        self._settle()
        memory_limit = f"{self.settings.memory_mb}MB"
        with (
            building(self.settings.data),
            Engine(self.settings.data / "tmp", memory_limit=memory_limit) as engine,
        ):
            yield engine

    @contextmanager
    def verifiers(self) -> Iterator[Verifiers]:
        """Open what verifiers addresses and numbers; PostgreSQL, with the answers of DNS, only where DNS is asked.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached.
        """
        chosen = self.settings.verification
        if not chosen.dns:
            yield library_verifiers(chosen, self.clock)
            return
        with running_database(self.settings) as database:
            yield library_verifiers(chosen, self.clock, database)

    @contextmanager
    def ledger(self) -> Iterator[PurchaseLedger]:
        """Open the ledger of purchases.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached.
        """
        with running_database(self.settings) as database:
            yield PurchaseLedger(database)

    @property
    def has_bought(self) -> bool:
        """Whether anything was bought before, so that the tables have to follow the ledger."""
        name = ENRICHED.stored_name(ENRICHMENTS.name)
        return name in self.tables.current().tables

    def buy(self, run: str, wanted: Enriched) -> tuple[Bought, Spending]:
        """Buy facts about the wanted persons within the budget; return what was bought and what was spent.

        Raises:
            ConfigError: the provider sells no facts.
            SecretMissing: its key is not set.
            VendorError: the provider refuses the account.
        """
        choices = self.settings.enrichment
        with (
            running_database(self.settings) as database,
            opened_provider(
                self.settings, choices.provider, database, clock=self.clock
            ) as opened_account,
            self.engine() as engine,
        ):
            ledger = PurchaseLedger(database)
            shop = shop_of(self.settings, as_enricher(opened_account), ledger, run, self.clock)
            bought = buy(shop, candidates(engine, wanted.versions[ENRICHMENT_WANTED.name]))
            now, renews_on = self.clock.now(), shop.budget.renews_on
            return bought, ledger.spending(shop.provider, run, now, renews_on)

    def _settle(self) -> None:
        """Set the configured permissions: no command of ours may have started this process."""
        if not self._is_settled:
            self._is_settled = True
            for line in settle(self.settings):
                _log.warning(line)

    @contextmanager
    def published(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the published database read-only, in UTC: for assets that are made of what analysts read.

        Raises:
            StoreError: nothing has been published yet.
        """
        with closing(open_published(self.settings.data)) as connection:
            yield connection

    def publish_ops(self, min_age: timedelta = timedelta(0)) -> Path | None:
        """Build `ops.duckdb` from the current state; return its path, None where nothing was built.

        It is built beside the work that it tells of: an error is logged, and the file before stays.

        Args:
            min_age: a file that is younger stays.
        """
        age = OpsFiles(self.settings.data).age(SystemClock().now())
        if age is not None and age < min_age:
            return None
        self._settle()
        try:
            with Engine(
                self.settings.data / "tmp", memory_limit=f"{self.settings.memory_mb}MB", threads=1
            ) as engine:
                return self._ops_published(engine)
        except CrmError as error:
            _log.warning("ops.duckdb was not built", error=str(error))
            return None

    def _ops_published(self, engine: Engine) -> Path:
        freshness, names = self.freshness(), list(self.settings.connections)
        with suppress(DatabaseUnavailable), running_database(self.settings) as database:
            history = ProbeHistory(database, self.settings.retention.probe_days)
            with RateLimiter(database, self.clock) as limiter:
                accounts = ApiAccounts(limiter.usage_by_day(days=_USAGE_DAYS), limiter.usage())
            of = OpsSources(freshness, accounts, history)
            return publish_ops(self.landing, self.tables, engine, names, of)
        return publish_ops(self.landing, self.tables, engine, names, OpsSources(freshness))

    def api_accounts(self) -> ApiAccounts:
        """Return the calls by day, and the usage of the vendors' limits."""
        with (
            running_database(self.settings) as database,
            RateLimiter(database, self.clock) as limiter,
        ):
            return ApiAccounts(limiter.usage_by_day(), limiter.usage())

    def freshness(self, *names: str) -> list[Freshness]:
        """Return how fresh the objects of connections are, by default of all, with remarks on them."""
        now = self.clock.now()
        chosen = [self.settings.connection(name) for name in names or self.settings.connections]
        rows = []
        for connection in chosen:
            remarks = remarks_at(self.landing, self.tables, connection)
            looks = self.looks.at(connection.name)
            fed = tables_by_object(connection)
            for fresh in freshness_of(connection, self.landing, looks, now):
                texts = tuple(str(remark) for remark in remarks[fresh.object])
                row = fresh.feeding(fed.get(fresh.object, ()), looks)
                unseen = _unseen(connection, fresh.object)
                rows.append(replace(row, remarks=texts, unseen=unseen))
        return rows

    def fresh(self, connection: Connection, obj: str) -> Freshness:
        """Return how fresh one object is, without remarks."""
        looks, now = self.looks.at(connection.name), self.clock.now()
        [row] = freshness_of(connection, self.landing, looks, now, only=obj)
        return row

    def set_aside(self, connection: Connection, obj: str, table: str = "") -> list[Quarantined]:
        """Return the quarantined records of an object: of its reads, or of the builds of a table."""
        sets = Quarantine(self.landing).of(connection.name, obj)
        return [each for each in sets if each.table == table]

    def progress(self, step: str) -> Callable[[int, int | None], None]:
        """Return the callback of a stage for its progress."""

        def on_progress(records: int, expected: int | None) -> None:
            if self._on_step is not None:
                self._on_step(step, records, expected)

        return on_progress


def _unseen(connection: Connection, name: str) -> str:
    """Return which deletions of an object its vendor does not report; "" for objects that are read whole."""
    [settings] = [obj for obj in connection.objects if obj.name == name]
    is_whole = is_snapshot(connection, settings)
    return "" if is_whole else connector(connection.vendor).abilities.unseen_deletions
