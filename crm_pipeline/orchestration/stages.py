"""Keys and specs of the assets of stages across connections, made from their declarations in `model.stages`."""

from collections.abc import Iterable

import dagster as dg

from crm_pipeline.model.stages import STAGES, Stage
from crm_pipeline.model.verified_tables import StageTable
from crm_pipeline.orchestration import metadata
from crm_pipeline.orchestration.normalized import normalized_key, normalized_tables
from crm_pipeline.settings import Connection

OWNERS = ["team:data"]


def stage_key(stage: Stage, table: str) -> dg.AssetKey:
    """Return the key of an asset of a stage."""
    return dg.AssetKey(["crm", stage.name, table])


def stage_keys() -> list[dg.AssetKey]:
    """Return the keys of all assets of all stages."""
    return [stage_key(stage, table.name) for stage in STAGES for table in stage.tables]


def inputs_of(stage: Stage, connections: Iterable[Connection]) -> list[dg.AssetKey]:
    """Return the assets that a stage reads."""
    read = [
        normalized_key(connection.name, table)
        for connection in connections
        for table in normalized_tables(connection)
        if table in stage.reads
    ]
    earlier = [other for other in STAGES if other.name in stage.reads_stages]
    return [*read, *(stage_key(other, table.name) for other in earlier for table in other.tables)]


def stage_specs(stage: Stage, connections: Iterable[Connection]) -> list[dg.AssetSpec]:
    """Return the specs of a stage's assets; one step builds all of them."""
    deps = inputs_of(stage, list(connections))
    return [_spec(stage, table, deps) for table in stage.tables]


def _spec(stage: Stage, table: StageTable, deps: list[dg.AssetKey]) -> dg.AssetSpec:
    return dg.AssetSpec(
        stage_key(stage, table.name),
        deps=deps,
        description=table.description,
        group_name=stage.name,
        kinds={"duckdb", "parquet"},
        owners=OWNERS,
        metadata={"dagster/column_schema": metadata.model_columns(table.columns)},
    )


def deps_of_published(table: str) -> list[dg.AssetKey]:
    """Return the assets of stages that a table of schema `crm` is made of."""
    return [
        stage_key(stage, own.name)
        for stage in STAGES
        for own in stage.tables
        if own.name == table or (table in stage.adds and own.name == stage.adds_from)
    ]
