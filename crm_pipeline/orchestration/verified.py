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
from crm_pipeline.orchestration.normalized import BUILD_POOL, normalized_tables
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.orchestration.stages import stage_key, stage_specs, version_of
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.stages.verified import Choices, verify
from crm_pipeline.stages.verified.samples import samples

_POINTS = stage_key(VERIFIED, CONTACT_POINTS.name)


def verified_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the step that verifies addresses and numbers: one asset per table."""
    connections = list(settings.connections.values())

    @dg.multi_asset(
        name="verify_contact_points",
        specs=stage_specs(VERIFIED, settings, verify),
        check_specs=checks.specs(_POINTS),
        description=VERIFIED.description,
        pool=BUILD_POOL,
        retry_policy=GENTLE,
    )
    def built(
        context: dg.AssetExecutionContext, crm: dg.ResourceParam[Workspace]
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
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
            yield checks.refused(_POINTS, error)
            raise failure(error) from None
        for table in VERIFIED.tables:
            yield dg.MaterializeResult(
                asset_key=stage_key(VERIFIED, table.name),
                metadata=metadata.verified(done, table.name, shown),
                data_version=version_of(done.versions.get(table.name)),
            )
        yield from checks.results(_POINTS, done, verifiers.unsure)

    return [built]


def _wanted(connections: Sequence[Connection]) -> set[str]:
    return {
        normalized_name(connection.name, table)
        for connection in connections
        for table in normalized_tables(connection)
        if table in VERIFIED.reads
    }
