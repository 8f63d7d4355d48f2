"""Stores of the stage `enriched`: the ledger of purchases, and the tables that are made from it.

The ledger forgets what was asked for and what was answered; keyed hashes stay, so that the person is not bought again.
The tables are built anew from it, and from normalized and verified tables without the person.
"""

from pathlib import Path

from crm_pipeline.kernel.clock import Clock
from crm_pipeline.model.names import literal
from crm_pipeline.model.stages import ENRICHED
from crm_pipeline.providers import Person, key_of
from crm_pipeline.settings import Settings
from crm_pipeline.stages.enriched import enrich_tables, subject_hash
from crm_pipeline.store.erasing import Erased, Subject
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.postgres.erasing import rewrite_tables
from crm_pipeline.store.purchases import PurchaseLedger
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.erasing import collect_all
from crm_pipeline.store.tokens.hash_key import HashKey

NAMES = tuple(ENRICHED.stored_name(table.name) for table in ENRICHED.tables)
"""The names under which the store keeps the tables."""


class PurchasesStore:
    """The ledger of purchases, as a store of personal data.

    Args:
        settings: of the workspace.
        database: holds the ledger; None where nothing can be said of it.
    """

    name = "purchases"
    covers = ("postgres",)
    subject_keys = ("keys of records", "hashes of what was asked for")

    def __init__(self, settings: Settings, database: Database | None) -> None:
        self._settings = settings
        self._database = database

    def erase(self, subject: Subject, *, apply: bool = False) -> Erased:
        """Return what would go; with `apply`, erase it; see `store.erasing.Store`."""
        done = Erased(self.name)
        if self._database is None or subject.is_empty:
            return done
        key = HashKey.of(self._settings)
        hashes = [subject_hash(key, asked_for) for asked_for in _asked_for(subject)]
        held = PurchaseLedger(self._database).erase(hashes, subject.keys, apply=apply)
        done.add(Path("crm_state.purchases"), held, 0)
        if apply and held:
            rewrite_tables(self._database, {("crm_state", "purchases")})
        return done


class EnrichedStore:
    """The tables of the stage `enriched`, as a store of personal data; all that they are made of must be erased before.

    Args:
        settings: of the workspace.
        database: holds the ledger.
        clock: the present.
    """

    name = "enriched tables"
    covers = ("tables",)
    subject_keys = ("keys of records", "what was asked for")

    def __init__(self, settings: Settings, database: Database | None, clock: Clock) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._tables = Tables(settings.data)

    def erase(self, subject: Subject, *, apply: bool = False) -> Erased:
        """Return what would go; with `apply`, erase it; see `store.erasing.Store`."""
        done = Erased(self.name)
        versions = [v for name in NAMES if (v := self._tables.version(name)) is not None]
        with Engine(self._settings.data / "tmp", threads=1) as engine:
            for version in versions:
                [rows] = engine.row(
                    f"SELECT count(*) FROM {Tables.relation(version)} WHERE {_is_of(subject)}"
                )
                done.add(self._tables.folder(version.name) / version.version, int(rows), 0)
            is_due = bool(done.files) or any(map(_holds_former_rows, versions))
            if apply and is_due and self._database is not None:
                self._build(engine, self._database)
        if apply:
            collect_all(self._tables)
        return done

    def _build(self, engine: Engine, database: Database) -> None:
        enrich_tables(
            self._tables,
            engine,
            PurchaseLedger(database),
            self._settings.enrichment,
            names=set(self._tables.current().tables),
            now=self._clock.now(),
            is_anew=True,
        )


def _asked_for(subject: Subject) -> list[str]:
    return [key_of(Person(email=address)) for address in sorted(subject.addresses)]


def _is_of(subject: Subject) -> str:
    """Return the condition for rows about a subject."""
    asked_for = ", ".join(map(literal, ["", *_asked_for(subject)]))
    keys = ", ".join(map(literal, ["", *sorted(subject.keys)]))
    return f"asked_for IN ({asked_for}) OR list_has_any(records, [{keys}])"


def _holds_former_rows(version: TableVersion) -> bool:
    return bool(version.delta or version.tombstones or version.changes)
