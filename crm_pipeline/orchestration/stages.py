"""Keys and specs of the assets of stages across connections, made from their declarations in `model.stages`."""

from collections.abc import Iterable

import dagster as dg

from crm_pipeline.model.stages import STAGES, Stage
from crm_pipeline.model.verified_tables import StageTable
from crm_pipeline.orchestration import metadata
from crm_pipeline.orchestration.names import Names
from crm_pipeline.orchestration.normalized import normalized_tables
from crm_pipeline.settings import Connection

OWNERS = ["team:data"]


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
    stage: Stage, connections: Iterable[Connection], names: Names
) -> list[dg.AssetSpec]:
    """Return the specs of a stage's assets; one step builds all of them."""
    deps = inputs_of(stage, list(connections), names)
    return [_spec(stage, table, deps, names) for table in stage.tables]


def _spec(stage: Stage, table: StageTable, deps: list[dg.AssetKey], names: Names) -> dg.AssetSpec:
    return dg.AssetSpec(
        names.stage(stage.name, table.name),
        deps=deps,
        description=table.description,
        group_name=names.group(stage.name),
        kinds={"duckdb", "parquet"},
        owners=OWNERS,
        metadata={"dagster/column_schema": metadata.model_columns(table.columns)},
    )


def deps_of_published(table: str, names: Names) -> list[dg.AssetKey]:
    """Return the assets of stages that a table of schema `crm` is made of."""
    return [
        names.stage(stage.name, own.name)
        for stage in STAGES
        for own in stage.tables
        if own.name == table or (table in stage.adds and own.name == stage.adds_from)
    ]
