"""Sensors: ask each connection cheaply whether anything changed, and launch a refresh if so."""

from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.orchestration.activity import Activity, activity_of
from crm_pipeline.orchestration.jobs import Job, refresh_request
from crm_pipeline.orchestration.partitions import is_snapshot, touched_months
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.orchestration.schedules import is_automatic
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.stages.raw import Probe, probe


@dataclass(frozen=True)
class Launch:
    """The decision to refresh; `reason` is for the log, `run_key` keeps it from happening twice."""

    reason: str
    run_key: str


@dataclass(frozen=True)
class Skip:
    """The decision to do nothing, and why."""

    reason: str


Decision = Launch | Skip


def before_asking(activity: Activity, now: datetime) -> Skip | None:
    """Decide from the runs alone whether to leave the vendor in peace."""
    if activity.under_way:
        return Skip(f"{activity.under_way}; nothing was asked.")
    pause_s = activity.pause_s(now)
    if pause_s > 0:
        return Skip(
            f"the last {activity.failures} runs failed; asking again in {pause_s:.0f} s. See the runs."
        )
    return None


def decide(seen: Probe, activity: Activity) -> Decision:
    """Decide from what a probe saw."""
    if seen.unread:
        names = ", ".join(seen.unread)
        return Launch(f"never read to the present: {names}", _run_key(seen, activity))
    if seen.news:
        return Launch("; ".join(str(news) for news in seen.news), _run_key(seen, activity))
    return Skip(f"asked about {len(seen.asked)} objects; all that changed has landed.")


def _run_key(seen: Probe, activity: Activity) -> str:
    news = [
        (
            news.object,
            format_instant(news.since),
            news.changed,
            news.landed,
            format_instant(news.newest) if news.newest else None,
        )
        for news in seen.news
    ]
    # With the last run in it, what a failed run did not land is launched again.
    return fingerprint([news, list(seen.unread), activity.last_run_id])


def sensor_of(settings: Settings, connection: Connection, refresh: Job) -> dg.SensorDefinition:
    """Return the watermark sensor of a connection."""
    running, stopped = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
    dated = [obj for obj in connection.objects if not is_snapshot(connection, obj)]

    @dg.sensor(
        name=f"{connection.name}_changes",
        job=refresh,
        minimum_interval_seconds=connection.probe_every_s,
        default_status=running if is_automatic(settings) else stopped,
        description=f"Ask {connection.name} every {connection.probe_every_s} s, with one call an "
        "object, whether anything changed since the watermark less the lookback; refresh if so.",
    )
    def changes(
        context: dg.SensorEvaluationContext, crm: dg.ResourceParam[Workspace]
    ) -> dg.RunRequest | dg.SkipReason:
        now = crm.clock.now()
        activity = activity_of(context.instance, connection)
        if (left_alone := before_asking(activity, now)) is not None:
            return dg.SkipReason(left_alone.reason)
        with crm.account(connection.name) as account:
            decision = decide(probe(account, dated, crm.landing), activity)
        if isinstance(decision, Skip):
            return dg.SkipReason(decision.reason)
        context.log.info(decision.reason)
        months = touched_months(connection, crm.landing, now)
        return refresh_request(connection, months, decision.run_key)

    return changes


def partial_publish(settings: Settings, monitored: list[Job], publish: Job) -> dg.SensorDefinition:
    """Return the sensor that publishes what is good after a run that failed in parts.

    In a run, publishing waits for all tables, so one object that cannot be read would keep the others
    from analysts. A table whose object failed stays as it was.
    """
    running, stopped = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED

    @dg.run_failure_sensor(
        name="publish_after_failure",
        monitored_jobs=monitored,
        request_job=publish,
        default_status=running if is_automatic(settings) else stopped,
        description="Publish the tables that a failed run did build; what failed stays as it was.",
    )
    def publish_after_failure(context: dg.RunFailureSensorContext) -> dg.RunRequest:
        return dg.RunRequest(run_key=context.dagster_run.run_id)

    return publish_after_failure
