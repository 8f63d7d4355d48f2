"""Published assets: the tables that analysts read, all built by one step of `stages.published`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from crm_pipeline.model.lineage import WITHOUT, Origin, Origins
from crm_pipeline.model.stage_lineage import completed_from
from crm_pipeline.model.stages import STAGE_TABLES, with_added
from crm_pipeline.model.table import Column
from crm_pipeline.model.tables import DELETED_SUFFIX, DERIVED, TABLES, normalized_name
from crm_pipeline.orchestration import code, metadata
from crm_pipeline.orchestration import published_checks as checks
from crm_pipeline.orchestration.failures import GENTLE, as_failure
from crm_pipeline.orchestration.labels import PUBLISHED, group_of, tags_of_stage
from crm_pipeline.orchestration.markdown import kept
from crm_pipeline.orchestration.names import Names
from crm_pipeline.orchestration.normalized import normalized_tables
from crm_pipeline.orchestration.resources import workspace_of
from crm_pipeline.orchestration.stages import deps_of_published, lineage_of_tables
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.stages.published import is_full_due, publish
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.published import Snapshots
from crm_pipeline.verification import ListDate, list_dates

_MOST_NAMES = 5
"""More connections than these are counted in a column's description."""


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


def published_assets(settings: Settings, names: Names) -> list[dg.AssetsDefinition]:
    """Return the step that publishes the current release: one asset per table, one file."""
    connections = list(settings.connections.values())
    tables = published_tables(connections, names)
    wanted = {
        normalized_name(connection.name, table)
        for connection in connections
        for table in normalized_tables(connection)
    }

    nightly = {names.nightly(connection.name) for connection in connections}
    checked = list(dict.fromkeys((*TABLES, *DERIVED)))
    fed = sorted({name.rsplit("/", 1)[-1] for name in wanted})

    @dg.multi_asset(
        name=names.step("publish_tables"),
        specs=[_spec(table, sources, settings, names) for table, sources in tables.items()],
        check_specs=[
            *(checks.consistency_spec(names.published(table)) for table in checked),
            *(checks.freshness_spec(names.published(table)) for table in fed),
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
        fresh = crm.freshness()
        with as_failure(context.log.error), crm.engine() as engine:
            done = publish(
                crm.landing,
                crm.tables,
                engine,
                connections=connections,
                wanted=wanted,
                accounts=crm.api_accounts(),
                freshness=fresh,
                lists={entry.name: dated(entry) for entry in list_dates()},
                retention=crm.settings.retention,
                is_compared=context.run.job_name in nightly
                and is_full_due(Snapshots(crm.settings.data).current(), crm.clock.now()),
            )
        crm.publish_ops()
        if done.repaired:
            context.log.warning(
                "%s: damaged or gone, and built again from the tables.", ", ".join(done.repaired)
            )
        for table in tables:
            rows = rows_by_connection(crm.tables, wanted, table)
            feeding = [row for row in fresh if table in row.tables]
            yield dg.MaterializeResult(
                asset_key=names.published(table),
                metadata=metadata.published(done, table, rows, feeding),
                # What depends on the asset can tell a publish that had nothing to write.
                data_version=dg.DataVersion(done.path.stem),
            )
        if done.why:
            context.log.info("The file was built in full: %s.", done.why)
        if done.differences:
            context.log.error(
                "Incremental publishes made %s differ from a full build. The full build is published.",
                ", ".join(done.differences),
            )
        for table in checked:
            differs = bool({f"crm.{table}", f"crm.{table}{DELETED_SUFFIX}"} & {*done.differences})
            key = names.published(table)
            yield checks.consistency(key, table, done.findings, has_differed=differs)
        for table in fed:
            yield checks.freshness(names.published(table), table, fresh)

    return [built]


def rows_by_connection(tables: Tables, names: Iterable[str], table: str) -> dict[str, int]:
    """Return the live rows that each connection has in a table, from the versions of the current release."""
    rows = {}
    for name in sorted(name for name in names if name.rsplit("/", 1)[-1] == table):
        version = tables.version(name)
        if version is not None:
            rows[name.split("/")[1]] = int(version.meta["live"])
    return rows


def dated(entry: ListDate) -> str:
    """Return where a list is from: package, version and date."""
    on = f" of {entry.released_on}" if entry.released_on else ""
    return f"{entry.package} {entry.version}{on}"


def _spec(table: str, sources: list[dg.AssetKey], settings: Settings, names: Names) -> dg.AssetSpec:
    model, of_stage = TABLES.get(table), STAGE_TABLES.get(table)
    if model is not None:
        about, columns = model.description, with_added(table, model.columns)
    elif of_stage is not None:
        about, columns = of_stage.description, of_stage.columns
    else:
        derived = f"Made of {', '.join(DERIVED[table])}." if table in DERIVED else ""
        about, columns = derived or "The table of a custom object.", ()
    key = names.published(table)
    origins = origins_of_published(table)
    made_of = lineage_of_tables(origins, settings.connections.values(), names)
    return dg.AssetSpec(
        key,
        deps=sources,
        description=kept(f"`crm.{table}` of data/crm.duckdb. {about}"),
        group_name=group_of(key),
        kinds={"duckdb"},
        owners=settings.owners,
        tags=tags_of_stage(PUBLISHED),
        code_version=code.published_version(),
        metadata={
            **code.links(publish),
            **code.documentation("analysts"),
            "dagster/table_name": f"crm.{table}",
            **(_columns(columns, origins, made_of, names) if columns else {}),
        },
    )


def origins_of_published(table: str) -> Origins:
    """Return what the columns of a published table are made of: the tables of connections, and what completes them."""
    model, of_stage = TABLES.get(table), STAGE_TABLES.get(table)
    if of_stage is not None:
        return {column.name: (Origin(table, column.name),) for column in of_stage.columns}
    if model is None or table in DERIVED:
        return {}
    own = {c.name: (Origin(table, c.name),) for c in model.columns if c.name not in WITHOUT}
    more = completed_from(table)
    return {name: (*own.get(name, ()), *more.get(name, ())) for name in {**own, **more}}


def _columns(
    columns: Sequence[Column], origins: Origins, made_of: dg.TableColumnLineage, names: Names
) -> dict[str, Any]:
    """Return schema and lineage; the descriptions say which connections fill a column that not all fill."""
    several = {name: each for name, each in origins.items() if len(each) > 1}
    own = {
        column: sorted({names.connection_of(dep.asset_key) for dep in deps} - {""})
        for column, deps in made_of.deps_by_column.items()
    }
    most = max(map(len, own.values()), default=0)
    named = [
        replace(column, description=f"{column.description} Filled by {_listed(filling)}.")
        if 0 < len(filling := own.get(column.name, [])) < most
        else column
        for column in columns
    ]
    return metadata.columns_made_of(named, several, made_of, by_table=True)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
