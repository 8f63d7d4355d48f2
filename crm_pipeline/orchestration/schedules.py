"""Schedules: a refresh of each connection at its cadence, with or without changes in a probe.

They read what the sensor cannot see, such as changed snapshots.
"""

from collections.abc import Mapping
from datetime import timedelta

import dagster as dg

from crm_pipeline.connectors.upkeep import Pace
from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.orchestration.activity import activity_of
from crm_pipeline.orchestration.decision import left_out, not_due
from crm_pipeline.orchestration.jobs import Job, refresh_request
from crm_pipeline.orchestration.names import PLAIN, Names
from crm_pipeline.orchestration.partitions import touched_months
from crm_pipeline.orchestration.quiet import due_objects
from crm_pipeline.orchestration.resources import Workspace, workspace_of
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.stages.raw import pace

# The sensor probes a failing object; a run need not fail because of it.
_PROBES_FOR = timedelta(minutes=15)


def schedule_of(
    settings: Settings, connection: Connection, refresh: Job, names: Names
) -> dg.ScheduleDefinition:
    """Return the schedule of a connection."""
    running = dg.DefaultScheduleStatus.RUNNING
    stopped = dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name=names.cadence(connection.name),
        job=refresh,
        required_resource_keys={names.resource},
        cron_schedule=connection.cadence,
        execution_timezone="UTC",
        default_status=running if settings.is_automatic else stopped,
        description=f"Refresh {connection.name} at its cadence ({connection.cadence} UTC); less often where "
        "that is a default that would take more than a tenth of the vendor's limit of a day.",
    )
    def due(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        crm = workspace_of(context.resources, names)
        return requested(crm, connection, context.instance, names)

    return due


def enrich_schedules(
    settings: Settings, jobs: Mapping[str, Job], names: Names
) -> list[dg.ScheduleDefinition]:
    """Return the schedule that buys every day; none where nothing is bought.

    It runs by itself only where `enrichment` says so: money is spent.
    """
    if names.enrich not in jobs:
        return []
    is_on = settings.is_automatic and settings.enrichment.is_automatic
    return [
        dg.ScheduleDefinition(
            name=names.of("enrich_daily"),
            job=jobs[names.enrich],
            cron_schedule="30 4 * * *",
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.RUNNING
            if is_on
            else dg.DefaultScheduleStatus.STOPPED,
            description="Buy facts about wanted persons once a day, within the provider's budgets. On with "
            "`enrichment: {automatic: true}` and CRM_AUTOMATION=on.",
        )
    ]


def requested(
    crm: Workspace, connection: Connection, instance: dg.DagsterInstance, names: Names = PLAIN
) -> dg.RunRequest | dg.SkipReason:
    """Return the request for the refresh that is due, or why there is none."""
    now, looks = crm.clock.now(), crm.looks.at(connection.name)
    under_way = activity_of(instance, connection, names=names).under_way
    if under_way:
        return dg.SkipReason(f"{under_way}; the next tick looks again.")
    objects = [obj.name for obj in connection.objects]
    waiting = looks.waiting(objects, now, probes_for=_PROBES_FOR)
    chosen = [name for name in objects if name not in waiting]
    failing = left_out(looks, objects, now)
    if objects and not chosen:
        return dg.SkipReason(failing)
    too_soon = not_due(_pace(crm, connection), looks, chosen, now)
    if too_soon is not None:
        return dg.SkipReason(f"{too_soon.reason} {failing}".strip())
    due = due_objects(crm, connection, chosen, waits=False)
    if due.is_quiet:
        crm.publish_ops()
        return dg.SkipReason(f"{due} {failing}".strip())
    # Where something is to be built or published only, the run reads as well: it is the one that does that.
    read = list(due.objects or chosen)
    months = touched_months(connection, crm.landing, now, read)
    return refresh_request(crm.settings, connection, months, read, names)


def _pace(crm: Workspace, connection: Connection) -> Pace | None:
    """Return how often the connection is to be read; None where its account cannot be opened."""
    try:
        with crm.account(connection.name) as account:
            return pace(crm.settings, account, crm.landing, crm.looks.at(connection.name))
    except CrmError:
        return None  # the run says why
