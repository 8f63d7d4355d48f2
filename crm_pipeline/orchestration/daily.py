"""Schedules that start a job of a connection once a day, at a time of day in the account's own zone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import dagster as dg

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.orchestration.jobs import Job
from crm_pipeline.orchestration.names import Names
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.account_facts import account_facts

Requested = Callable[[dg.ScheduleEvaluationContext], dg.RunRequest | dg.SkipReason]


def times_of_day(
    connections: Sequence[Connection],
    wanted: Callable[[Connection], str],
    *,
    hour: int,
    spread_min: int,
) -> Iterator[tuple[Connection, str]]:
    """Yield when each connection is due, as HH:MM.

    Args:
        connections: those with a job.
        wanted: returns the time that connections.yaml sets; "" where it sets none.
        hour: at which the first of the others is due.
        spread_min: the minutes over which they are spread, so that they do not start together.
    """
    for place, connection in enumerate(connections):
        minute = place * spread_min // len(connections)
        yield connection, wanted(connection) or f"{hour + minute // 60:02}:{minute % 60:02}"


def daily_schedule(
    settings: Settings,
    connection: Connection,
    job: Job,
    names: Names,
    *,
    at: str,
    description: Callable[[str], str],
    requested: Requested,
) -> dg.ScheduleDefinition:
    """Return the schedule of a job, which has the job's name.

    Args:
        settings: with the data folder, which knows the account's zone.
        connection: that the job is about.
        job: to start.
        names: what Dagster calls things.
        at: the time of day, as HH:MM.
        description: returns the description, given the time with its zone.
        requested: returns the request for the run that is due, or why there is none.
    """
    zone = _zone(settings, connection)
    hour, minute = at.split(":")
    running, stopped = dg.DefaultScheduleStatus.RUNNING, dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name=job.name,
        job=job,
        required_resource_keys={names.resource},
        cron_schedule=f"{int(minute)} {int(hour)} * * *",
        execution_timezone=zone,
        default_status=running if settings.is_automatic else stopped,
        description=description(f"{at} ({zone})"),
    )
    def due(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return requested(context)

    return due


def _zone(settings: Settings, connection: Connection) -> str:
    """Return the account's time zone as last read; UTC before that."""
    with suppress(CorruptFile):  # runs say so
        return account_facts(Landing(settings.data), connection.name).zone or "UTC"
    return "UTC"
