"""Assembles the definitions. Nothing is opened here: no network, no database, no secret.

Inside a deployment of your own::

    from crm_pipeline.orchestration.build import build_defs

    defs = dg.Definitions.merge(build_defs(), my_definitions)
"""

from collections.abc import Mapping

import dagster as dg

from crm_pipeline.configuration import load_settings
from crm_pipeline.orchestration.enriched import enriched_assets
from crm_pipeline.orchestration.freshness import freshness_sensor
from crm_pipeline.orchestration.jobs import ENRICH_JOB, PUBLISH_JOB, all_jobs, refresh_name
from crm_pipeline.orchestration.nightly import nightly_schedules
from crm_pipeline.orchestration.normalized import normalized_assets
from crm_pipeline.orchestration.published import published_assets
from crm_pipeline.orchestration.raw import raw_assets
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.orchestration.schedules import enrich_schedules, schedule_of
from crm_pipeline.orchestration.scrubbing import scrub_job, scrub_schedule
from crm_pipeline.orchestration.sensors import partial_publish, sensor_of
from crm_pipeline.orchestration.source_objects import source_objects
from crm_pipeline.orchestration.verified import verified_assets
from crm_pipeline.settings import Settings

RESOURCE = "crm"


def build_defs(
    settings: Settings | None = None, overrides: Mapping[str, object] | None = None
) -> dg.Definitions:
    """Return all assets, jobs, schedules and sensors of the connections.

    Args:
        settings: by default connections.yaml and the environment.
        overrides: resources by name that replace ours; `crm` is the `Workspace`.

    Raises:
        ConfigError: connections.yaml is wrong. A missing secret is not: it fails the runs of its own
            connection, when they need it.
    """
    chosen = settings or load_settings()
    connections = list(chosen.connections.values())
    jobs = all_jobs(chosen)
    scrubbing = scrub_job()
    by_name = {job.name: job for job in jobs}
    refreshes = [(connection, by_name[refresh_name(connection.name)]) for connection in connections]
    return dg.Definitions(
        assets=[
            *(spec for connection in connections for spec in source_objects(connection)),
            *(asset for connection in connections for asset in raw_assets(connection)),
            *(asset for connection in connections for asset in normalized_assets(connection)),
            *verified_assets(chosen),
            *enriched_assets(chosen),
            *published_assets(chosen),
        ],
        jobs=[*jobs, scrubbing],
        schedules=[
            *(schedule_of(chosen, connection, job) for connection, job in refreshes),
            *nightly_schedules(chosen, by_name),
            scrub_schedule(chosen, scrubbing),
            *enrich_schedules(chosen, by_name),
        ],
        sensors=[
            *(sensor_of(chosen, connection, job) for connection, job in refreshes),
            freshness_sensor(chosen, jobs[-1]),
            partial_publish(
                chosen, [job for job in jobs if job.name not in {ENRICH_JOB, PUBLISH_JOB}], jobs[-1]
            ),
        ],
        resources={RESOURCE: Workspace(chosen), **(overrides or {})},
        executor=dg.in_process_executor,
    )
