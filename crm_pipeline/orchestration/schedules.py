"""Schedules: a refresh of each connection at its cadence, whether or not a probe saw anything.

They catch what the sensor cannot see, such as changed snapshots.
"""

import dagster as dg

from crm_pipeline.orchestration.activity import activity_of
from crm_pipeline.orchestration.jobs import Job, refresh_request
from crm_pipeline.orchestration.partitions import touched_months
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.settings import Connection, Settings

AUTOMATION_VARIABLE = "CRM_AUTOMATION"


def is_automatic(settings: Settings) -> bool:
    """Say whether schedules and sensors start by themselves: CRM_AUTOMATION=on."""
    return settings.environ.get(AUTOMATION_VARIABLE, "").strip().lower() == "on"


def schedule_of(settings: Settings, connection: Connection, refresh: Job) -> dg.ScheduleDefinition:
    """Return the schedule of a connection."""
    running = dg.DefaultScheduleStatus.RUNNING
    stopped = dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name=f"{connection.name}_cadence",
        job=refresh,
        cron_schedule=connection.cadence,
        execution_timezone="UTC",
        default_status=running if is_automatic(settings) else stopped,
        description=f"Refresh {connection.name} at its cadence ({connection.cadence} UTC).",
    )
    def due(
        context: dg.ScheduleEvaluationContext, crm: dg.ResourceParam[Workspace]
    ) -> dg.RunRequest | dg.SkipReason:
        under_way = activity_of(context.instance, connection).under_way
        if under_way:
            return dg.SkipReason(f"{under_way}; the next tick looks again.")
        months = touched_months(connection, crm.landing, crm.clock.now())
        return refresh_request(connection, months)

    return due
