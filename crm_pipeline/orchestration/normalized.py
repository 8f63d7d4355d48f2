"""Normalized assets: one per table of the common model and connection, built by `stages.normalized`.

They are not partitioned: each build reads what has landed and says whether anything changed.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import dagster as dg

from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.model.tables import TABLES
from crm_pipeline.orchestration import checks, code, metadata
from crm_pipeline.orchestration.failures import GENTLE, as_failure, failure
from crm_pipeline.orchestration.labels import NORMALIZED, group_of, tags_of_connection
from crm_pipeline.orchestration.lineage import lineage, made
from crm_pipeline.orchestration.names import Names
from crm_pipeline.orchestration.quiet import built_with
from crm_pipeline.orchestration.resources import Workspace, workspace_of
from crm_pipeline.settings import Connection
from crm_pipeline.stages.normalized import DriftGuard, normalize, preview, retire
from crm_pipeline.store.landing.looks import BuiltFrom


def normalized_tables(connection: Connection) -> dict[str, tuple[str, ...]]:
    """Return the tables of a connection, each with the objects that feed it."""
    return {
        table: tuple(dict.fromkeys(entry.object for entry in how.entries))
        for table, how in made(connection).items()
    }


def normalized_assets(connection: Connection, names: Names) -> list[dg.AssetsDefinition]:
    """Return the normalized assets of a connection."""
    tables = normalized_tables(connection)
    return [_normalized_asset(connection, *entry, names) for entry in tables.items()]


def _normalized_asset(
    connection: Connection, table: str, objects: tuple[str, ...], names: Names
) -> dg.AssetsDefinition:
    key, nightly = names.normalized(connection.name, table), names.nightly(connection.name)
    model = TABLES.get(table)
    named = ", ".join(f"`{obj}`" for obj in objects)
    about = model.description if model else f"A custom object ({named})."
    how = made(connection)[table]
    origins = how.origins
    made_of = lineage(origins, partial(names.raw, connection.name))

    @dg.asset(
        key=key,
        deps=[names.raw(connection.name, obj) for obj in objects],
        description=f"{about} From {named} of {connection.name}; typed, the latest "
        "version of each record, every other field in `custom`.",
        group_name=group_of(key),
        kinds={connection.vendor, "duckdb", "parquet"},
        owners=connection.owners,
        tags=tags_of_connection(connection, NORMALIZED),
        code_version=code.normalized_version(how.entries, table),
        pool=names.build_pool,
        required_resource_keys={names.resource},
        retry_policy=GENTLE,
        check_specs=checks.normalized_specs(key),
        metadata={
            **code.links(normalize, *code.connector_module(connection.vendor, "mapping")),
            **code.documentation("analysts"),
            **(metadata.columns_made_of(model.columns, origins, made_of) if model else {}),
        },
    )
    def built(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        crm = workspace_of(context.resources, names)
        vendor = connector(connection.vendor)
        crm.progress(f"normalize {table}")(0, None)
        for fault in crm.contract_faults():
            context.log.warning(fault)
        try:
            with as_failure(context.log.error, but=(ContractError,)), crm.engine() as engine:
                state = built_with(crm, connection, table)
                before = {obj: crm.fresh(connection, obj) for obj in objects}
                limit = crm.settings.quarantine
                maps, keys = vendor.mapping, vendor.keys
                done = normalize(
                    connection,
                    table,
                    crm.landing,
                    crm.tables,
                    maps,
                    engine,
                    keys,
                    limit=limit,
                    guard=DriftGuard(crm.drift, crm.settings.drift),
                    contracts=crm.contracts,
                )
                shown = preview(engine, done.version) if done.changed and done.version else []
        except ContractError as error:
            crm.looks.held_back(connection.name, table)
            yield checks.contract_refused(error)
            raise failure(error) from None
        except dg.Failure:
            crm.looks.held_back(connection.name, table)
            raise
        made_from = {
            obj: BuiltFrom(fresh.landed_at, fresh.current_at) for obj, fresh in before.items()
        }
        crm.looks.was_built(connection.name, table, state, made_from)
        if done.repaired:
            context.log.warning("%s: the table is built again from data/landing.", done.repaired)
        facts = metadata.normalized(done, shown, origins, made_of)
        facts |= metadata.complete(before.values())
        if removed := _retired(crm, connection, objects, is_nightly=context.job_name == nightly):
            facts[metadata.RETIRED] = removed
        if done.quarantined:
            sets = [each for obj in objects for each in crm.set_aside(connection, obj, table)]
            facts |= metadata.dropped(sets)
        yield dg.MaterializeResult(metadata=facts, data_version=metadata.data_version(done))
        yield from checks.normalized_results(done)

    return built


def _retired(
    crm: Workspace, connection: Connection, objects: Iterable[str], *, is_nightly: bool
) -> int:
    """Remove superseded versions from landing, as far as the settings say; return how many."""
    days = crm.settings.retention.landed_days
    if not (days and is_nightly):
        return 0
    vendor, before = connector(connection.vendor), crm.clock.now() - timedelta(days=days)
    with crm.engine() as engine:
        return sum(
            retire(
                connection,
                obj,
                crm.landing,
                crm.tables,
                vendor.mapping,
                engine,
                before,
                vendor.keys,
                crm.contracts,
            )
            for obj in objects
        )
