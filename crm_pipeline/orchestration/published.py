"""Published assets: the tables that analysts read, all built by one step of `stages.published`."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import dagster as dg

from crm_pipeline.model.stages import STAGE_TABLES, with_added
from crm_pipeline.model.tables import DERIVED, TABLES, normalized_name
from crm_pipeline.orchestration import checks, metadata
from crm_pipeline.orchestration.failures import GENTLE, as_failure
from crm_pipeline.orchestration.names import Names
from crm_pipeline.orchestration.normalized import normalized_tables
from crm_pipeline.orchestration.resources import workspace_of
from crm_pipeline.orchestration.stages import deps_of_published
from crm_pipeline.settings import Connection
from crm_pipeline.stages.published import AT_MOST_EVERY, publish
from crm_pipeline.verification import ListDate, list_dates


def published_tables(
    connections: Iterable[Connection], names: Names
) -> dict[str, list[dg.AssetKey]]:
    """Return every table of schema `crm`, each with the assets that feed it."""
    tables: dict[str, list[dg.AssetKey]] = {name: [] for name in TABLES}
    for connection in connections:
        for table in normalized_tables(connection):
            tables.setdefault(table, []).append(names.normalized(connection.name, table))
    derived = {
        name: [key for source in sources for key in tables[source]]
        for name, sources in DERIVED.items()
    }
    every: dict[str, list[dg.AssetKey]] = {
        **tables,
        **{name: [*tables.get(name, []), *keys] for name, keys in derived.items()},
        **{name: [] for name in STAGE_TABLES},
    }
    return {name: [*keys, *deps_of_published(name, names)] for name, keys in every.items()}


def published_assets(connections: Iterable[Connection], names: Names) -> list[dg.AssetsDefinition]:
    """Return the step that publishes the current release: one asset per table, one file."""
    connections = list(connections)
    tables = published_tables(connections, names)
    wanted = {
        normalized_name(connection.name, table)
        for connection in connections
        for table in normalized_tables(connection)
    }

    checked = list(dict.fromkeys((*TABLES, *DERIVED)))

    @dg.multi_asset(
        name=names.step("publish_tables"),
        specs=[_spec(table, sources, names) for table, sources in tables.items()],
        check_specs=[
            spec for table in checked for spec in checks.published_specs(names.published(table))
        ],
        description="Builds crm.duckdb from the current release beside the old one and swaps it in.",
        pool=names.build_pool,
        required_resource_keys={names.resource},
        retry_policy=GENTLE,
    )
    def built(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        crm = workspace_of(context.resources, names)
        crm.progress("publish")(0, None)
        with as_failure(context.log.error), crm.engine() as engine:
            done = publish(
                crm.landing,
                crm.tables,
                engine,
                connections=connections,
                wanted=wanted,
                accounts=crm.api_accounts(),
                freshness=crm.freshness(),
                lists={entry.name: dated(entry) for entry in list_dates()},
                retention=crm.settings.retention,
                min_age=timedelta(0) if crm.is_watched else AT_MOST_EVERY,
            )
        if done.repaired:
            context.log.warning(
                "%s: damaged or gone, and built again from the tables.", ", ".join(done.repaired)
            )
        for table in tables:
            yield dg.MaterializeResult(
                asset_key=names.published(table),
                metadata=metadata.published(done, table),
                # What depends on the asset can tell a publish that had nothing to write.
                data_version=dg.DataVersion(done.path.stem),
            )
        for table in checked:
            yield checks.published_result(names.published(table), table, done.findings)

    return [built]


def dated(entry: ListDate) -> str:
    """Return where a list is from: package, version and date."""
    on = f" of {entry.released_on}" if entry.released_on else ""
    return f"{entry.package} {entry.version}{on}"


def _spec(table: str, sources: list[dg.AssetKey], names: Names) -> dg.AssetSpec:
    model, of_stage = TABLES.get(table), STAGE_TABLES.get(table)
    if model is not None:
        about, columns = model.description, with_added(table, model.columns)
    elif of_stage is not None:
        about, columns = of_stage.description, of_stage.columns
    else:
        derived = f"Made of {', '.join(DERIVED[table])}." if table in DERIVED else ""
        about, columns = derived or "The table of a custom object.", ()
    return dg.AssetSpec(
        names.published(table),
        deps=sources,
        description=f"crm.{table} of data/crm.duckdb. {about}",
        group_name=names.group("published"),
        kinds={"duckdb"},
        metadata={"dagster/column_schema": metadata.model_columns(columns)} if columns else {},
    )
