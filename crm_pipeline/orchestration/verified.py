"""Verified assets: the tables of the stage `verified`, all built by one step of `stages.verified`."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.model.stages import VERIFIED
from crm_pipeline.model.tables import normalized_name
from crm_pipeline.model.verified_tables import CONTACT_POINTS
from crm_pipeline.orchestration import verified_checks as checks
from crm_pipeline.orchestration import verified_metadata as metadata
from crm_pipeline.orchestration.failures import GENTLE, as_failure, failure
from crm_pipeline.orchestration.names import Names
from crm_pipeline.orchestration.normalized import normalized_tables
from crm_pipeline.orchestration.resources import workspace_of
from crm_pipeline.orchestration.stages import stage_specs, version_of
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.stages.verified import Choices, verify
from crm_pipeline.stages.verified.samples import samples


def verified_assets(settings: Settings, names: Names) -> list[dg.AssetsDefinition]:
    """Return the step that verifies addresses and numbers: one asset per table."""
    connections = list(settings.connections.values())
    points = names.stage(VERIFIED.name, CONTACT_POINTS.name)

    @dg.multi_asset(
        name=names.step("verify_contact_points"),
        specs=stage_specs(VERIFIED, settings, verify, names),
        check_specs=checks.specs(points),
        description=VERIFIED.description,
        pool=names.build_pool,
        required_resource_keys={names.resource},
        retry_policy=GENTLE,
    )
    def built(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        crm = workspace_of(context.resources, names)
        crm.progress("verify")(0, None)
        chosen = crm.settings.verification
        choices = Choices(
            {connection.name: connection.country for connection in connections},
            chosen.expires,
            chosen.shared_from,
        )
        try:
            with (
                as_failure(context.log.error, but=(ContractError,)),
                crm.verifiers() as verifiers,
                crm.engine() as engine,
            ):
                done = verify(
                    crm.tables,
                    engine,
                    verifiers,
                    choices,
                    wanted=_wanted(connections),
                    now=crm.clock.now(),
                    contracts=crm.contracts,
                )
                shown = {k: samples(engine, done, k) for k in done.judged} if done.changed else {}
        except ContractError as error:
            yield checks.refused(points, error)
            raise failure(error) from None
        for table in VERIFIED.tables:
            yield dg.MaterializeResult(
                asset_key=names.stage(VERIFIED.name, table.name),
                metadata=metadata.verified(done, table.name, shown),
                data_version=version_of(done.versions.get(table.name)),
            )
        yield from checks.results(points, done, verifiers.unsure)

    return [built]


def _wanted(connections: Sequence[Connection]) -> set[str]:
    return {
        normalized_name(connection.name, table)
        for connection in connections
        for table in normalized_tables(connection)
        if table in VERIFIED.reads
    }
