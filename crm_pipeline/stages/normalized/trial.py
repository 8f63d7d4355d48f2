"""Try all contracts of a table on what has landed and on its current version, without building anything."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from crm_pipeline.connectors.base import RecordKeys
from crm_pipeline.contracts import RuleResult
from crm_pipeline.contracts.files import ContractFolder
from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.model.mapping import ObjectMap
from crm_pipeline.model.selection import own_tables, tables_of, with_overrides
from crm_pipeline.model.stages import STAGE_TABLES
from crm_pipeline.model.tables import TABLES, normalized_name
from crm_pipeline.settings import Connection
from crm_pipeline.stages.normalized.build import asked_of, gathered
from crm_pipeline.stages.normalized.contract import verify
from crm_pipeline.stages.normalized.described import described, text_relation
from crm_pipeline.stages.normalized.fold import folded
from crm_pipeline.stages.normalized.inputs import collect
from crm_pipeline.stages.normalized.ranking import ranked
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine


@dataclass(frozen=True)
class Trial:
    """The results of all contracts of one table or object.

    Attributes:
        subject: the table or object, with its connection.
        results: the results of all rules that are broken, or could be.
        fault: why they could not be tried; "" for no reason.
        cure: what to do about that.
    """

    subject: str
    results: tuple[RuleResult, ...] = ()
    fault: str = ""
    cure: str = ""

    @property
    def is_refused(self) -> bool:
        """Whether a build would keep the current version."""
        return bool(self.fault) or any(r.severity == "error" and r.failures for r in self.results)


def tried(  # noqa: PLR0917 - each argument is plain at the call
    connection: Connection,
    table: str,
    landing: Landing,
    tables: Tables,
    maps: Sequence[ObjectMap],
    engine: Engine,
    keys: RecordKeys | None,
    contracts: ContractFolder,
) -> list[Trial]:
    """Return the results for a table's landed objects and for its current version."""
    known = tables_of((o.name for o in connection.objects), maps)
    entries = [
        with_overrides(entry, connection.mapping, where=connection.name) for entry in known[table]
    ]
    owners = own_tables((o.name for o in connection.objects), maps)
    asked = asked_of(contracts, connection.name, table, entries)
    version = tables.version(normalized_name(connection.name, table))
    feeds, _ = gathered(connection, entries, landing, keys, owners, version, asked)
    trials = []
    for feed in feeds:
        if not feed.entry.is_own or feed.entry.single_row:
            continue
        name = f"{connection.name}.{feed.landed.object}"
        try:
            records = folded(engine, feed.landed, ranked(engine, feed.landed))
            found = described(engine, feed, records, None, asked)
            trials.append(Trial(name, found.broken))
        except ContractError as error:
            trials.append(_refused(name, error))
    if feeds and version is not None and version.base:
        name = f"{connection.name}.{table}"
        try:
            verdict = verify(engine, feeds[0].table, Tables.relation(version), {}, asked=asked)
            trials.append(Trial(name, verdict.results))
        except ContractError as error:
            trials.append(_refused(name, error))
    return _by_subject(trials)


def _by_subject(trials: Iterable[Trial]) -> list[Trial]:
    """Return one result for each name: at HubSpot and Pipedrive, an object and its table may have the same."""
    found: dict[str, Trial] = {}
    for trial in trials:
        if before := found.get(trial.subject):
            faulty = before if before.fault else trial
            results = before.results + trial.results
            found[trial.subject] = Trial(trial.subject, results, faulty.fault, faulty.cure)
        else:
            found[trial.subject] = trial
    return list(found.values())


def _refused(name: str, error: ContractError) -> Trial:
    results = tuple(
        RuleResult(rule, "error", rows, tuple(keys), "block")
        for rule, rows, keys in error.failures
        if rows
    )
    return Trial(name, results, "" if results else error.message, error.cure)


def objects_of(connection: Connection, table: str, maps: Sequence[ObjectMap]) -> set[str]:
    """Return the names of the objects that feed a table, with their connection."""
    entries = tables_of((o.name for o in connection.objects), maps)[table]
    return {f"{connection.name}.{entry.object}" for entry in entries}


def contract_names(
    connections: Iterable[Connection], maps: Mapping[str, Sequence[ObjectMap]]
) -> set[str]:
    """Return the names that contracts and policies may be for.

    Args:
        connections: the connections.
        maps: the mappings of each vendor.
    """
    common = {*TABLES, *STAGE_TABLES}
    names: set[str] = set()
    for connection in connections:
        objects = [o.name for o in connection.objects]
        own = tables_of(objects, maps[connection.vendor])
        common |= set(own)
        names |= {f"{connection.name}.{name}" for name in (*objects, *own)}
    return names | common | {f"crm.{name}" for name in common}


def texts_of(  # noqa: PLR0917 - each argument is plain at the call
    connection: Connection,
    obj: str,
    landing: Landing,
    maps: Sequence[ObjectMap],
    engine: Engine,
    keys: RecordKeys | None,
) -> tuple[str, dict[str, pa.DataType]] | None:
    """Return SQL for the landed texts of an object's records, and their types; None where nothing has landed."""
    for entries in tables_of((o.name for o in connection.objects), maps).values():
        for entry in entries:
            if entry.object != obj or not entry.is_own or entry.each:
                continue
            landed = collect(connection.name, entry, landing, keys, connection.shrink_bounds)
            if landed is None:
                return None
            records = folded(engine, landed, ranked(engine, landed))
            return text_relation(landed, f"(SELECT * FROM {records})")
    return None
