"""Assembles the definitions. Nothing is opened here: no network, no database, no secret.

Inside a deployment of your own::

    from crm_pipeline import build_defs

    defs = dg.Definitions.merge(build_defs(), my_definitions)
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypedDict

import dagster as dg

from crm_pipeline.configuration import load_settings
from crm_pipeline.orchestration.configured import CrmResource
from crm_pipeline.orchestration.enriched import enriched_assets
from crm_pipeline.orchestration.freshness import freshness_sensor
from crm_pipeline.orchestration.jobs import IN_PROCESS, Jobs
from crm_pipeline.orchestration.names import Names
from crm_pipeline.orchestration.narrowing import needed
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


class Overrides(TypedDict, total=False):
    """What `build_defs` takes instead of its own resource.

    Attributes:
        crm: a `CrmResource` with other folders or limits, or a ready `Workspace`, for instance with a clock for tests.
    """

    crm: CrmResource | Workspace


def build_defs(
    settings: Settings | None = None,
    overrides: Overrides | None = None,
    *,
    prefix: str = "",
    executor: dg.ExecutorDefinition | None = None,
    job: str | None = None,
) -> dg.Definitions:
    """Return all assets, jobs, schedules and sensors of the connections.

    They merge with those of a deployment that has its own: jobs carry their executor, and nothing is set for others.

    Args:
        settings: by default connections.yaml and the environment.
        overrides: resources that replace ours, under their names without a prefix.
        prefix: goes before every name that Dagster sees, for deployments that have some of the names; see `Names`.
        executor: of our jobs; by default one process for all steps of a run.
        job: only this one is to be run: what other connections have of their own is left out.

    Raises:
        ConfigError: connections.yaml is wrong, or the prefix. A missing secret is not an error: it fails the runs of
            its own connection, when they need it.
    """
    with _without_collections():
        return _assembled(settings or load_settings(), overrides, Names(prefix), executor, job)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Collect no garbage within the block: all that it makes stays, and looking through it took a seventh of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _assembled(
    chosen: Settings,
    overrides: Overrides | None,
    names: Names,
    executor: dg.ExecutorDefinition | None,
    job: str | None,
) -> dg.Definitions:
    runs_in = executor or IN_PROCESS
    connections = list(chosen.connections.values())
    wanted = needed(chosen.connections, job, names)
    own = [connection for connection in connections if connection.name in wanted]
    jobs = Jobs(chosen, names, runs_in).every(own)
    by_name = {each.name: each for each in jobs}
    scrubbing, publishing = scrub_job(names, runs_in), by_name[names.publish]
    reading = [each for each in jobs if each.name not in {names.enrich, names.publish}]
    refreshes = [(each, by_name[names.refresh(each.name)]) for each in own]
    return dg.Definitions(
        assets=[
            *(spec for connection in own for spec in source_objects(connection, names)),
            *(asset for connection in own for asset in raw_assets(connection, names)),
            *(asset for connection in own for asset in normalized_assets(connection, names)),
            *verified_assets(chosen, names),
            *enriched_assets(chosen, names),
            *published_assets(chosen, names),
        ],
        jobs=[*jobs, scrubbing],
        schedules=[
            *(schedule_of(chosen, connection, each, names) for connection, each in refreshes),
            *nightly_schedules(chosen, by_name, names),
            scrub_schedule(chosen, scrubbing, names),
            *enrich_schedules(chosen, by_name, names),
        ],
        sensors=[
            *(sensor_of(chosen, connection, each, names) for connection, each in refreshes),
            freshness_sensor(chosen, reading, publishing, names),
            partial_publish(chosen, reading, publishing, names),
        ],
        resources={names.resource: (overrides or {}).get("crm") or CrmResource.of(chosen)},
    )
