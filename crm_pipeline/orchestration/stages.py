"""Keys and specs of the assets of stages across connections, made from their declarations in `model.stages`."""

from collections.abc import Callable, Iterable
from typing import Any

import dagster as dg

from crm_pipeline.model.lineage import Origin, Origins
from crm_pipeline.model.stage_lineage import OF_STAGES
from crm_pipeline.model.stages import STAGES, Stage
from crm_pipeline.model.verified_tables import StageTable
from crm_pipeline.orchestration import code, metadata
from crm_pipeline.orchestration.labels import group_of, tags_of_stage
from crm_pipeline.orchestration.lineage import made
from crm_pipeline.orchestration.markdown import kept
from crm_pipeline.orchestration.names import Names
from crm_pipeline.orchestration.normalized import normalized_tables
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.store.tables import TableVersion


def stage_keys(names: Names) -> list[dg.AssetKey]:
    """Return the keys of all assets of all stages."""
    return [names.stage(stage.name, table.name) for stage in STAGES for table in stage.tables]


def inputs_of(stage: Stage, connections: Iterable[Connection], names: Names) -> list[dg.AssetKey]:
    """Return the assets that a stage reads."""
    read = [
        names.normalized(connection.name, table)
        for connection in connections
        for table in normalized_tables(connection)
        if table in stage.reads
    ]
    earlier = [other for other in STAGES if other.name in stage.reads_stages]
    return [
        *read,
        *(names.stage(other.name, table.name) for other in earlier for table in other.tables),
    ]


def stage_specs(
    stage: Stage, settings: Settings, builder: Callable[..., Any], names: Names
) -> list[dg.AssetSpec]:
    """Return the specs of a stage's assets; one step builds all of them, with the function `builder`."""
    return [_spec(stage, table, settings, builder, names) for table in stage.tables]


def _spec(
    stage: Stage,
    table: StageTable,
    settings: Settings,
    builder: Callable[..., Any],
    names: Names,
) -> dg.AssetSpec:
    key = names.stage(stage.name, table.name)
    origins = OF_STAGES.get(table.name, {})
    made_of = lineage_of_tables(origins, settings.connections.values(), names)
    return dg.AssetSpec(
        key,
        deps=inputs_of(stage, settings.connections.values(), names),
        description=kept(table.description),
        group_name=group_of(key),
        kinds={"duckdb", "parquet"},
        owners=settings.owners,
        tags=tags_of_stage(stage.name),
        code_version=code.stage_version(stage, table.name),
        metadata={
            **code.links(builder),
            **code.documentation("analysts"),
            **metadata.columns_made_of(table.columns, origins, made_of, by_table=True),
        },
    )


def lineage_of_tables(
    origins: Origins, connections: Iterable[Connection], names: Names
) -> dg.TableColumnLineage:
    """Return origins that are columns of tables as Dagster's lineage.

    A normalized table is one of each connection that has it and fills the column.
    """
    keys = {
        table.name: names.stage(stage.name, table.name)
        for stage in STAGES
        for table in stage.tables
    }
    tables = [(connection.name, made(connection)) for connection in connections]

    def deps(origin: Origin) -> list[dg.TableColumnDep]:
        if origin.of in keys:
            return [dg.TableColumnDep(keys[origin.of], origin.name)]
        return [
            dg.TableColumnDep(names.normalized(name, origin.of), origin.name)
            for name, known in tables
            if origin.of in known and origin.name in known[origin.of].filled
        ]

    found = {
        column: list(dict.fromkeys(dep for origin in each for dep in deps(origin)))
        for column, each in origins.items()
    }
    return dg.TableColumnLineage({column: each for column, each in found.items() if each})


def deps_of_published(table: str, names: Names) -> list[dg.AssetKey]:
    """Return the assets of stages that a table of schema `crm` is made of."""
    return [
        names.stage(stage.name, own.name)
        for stage in STAGES
        for own in stage.tables
        if own.name == table or (table in stage.adds and own.name == stage.adds_from)
    ]


def version_of(version: TableVersion | None) -> dg.DataVersion | None:
    """Return a version of a table as Dagster's version of its data."""
    return dg.DataVersion(version.version) if version is not None else None
