"""Sensors: ask each connection cheaply whether anything changed, and launch a refresh if so."""

from collections.abc import Collection
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta

import dagster as dg

from crm_pipeline.kernel.clock import SystemClock, format_instant, parse_instant
from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.orchestration.activity import Activity, activity_of, is_waiting
from crm_pipeline.orchestration.decision import (
    Decision,
    Skip,
    before_probe,
    decide,
    left_out,
    not_yet,
)
from crm_pipeline.orchestration.failures import as_failure
from crm_pipeline.orchestration.jobs import Job, refresh_request
from crm_pipeline.orchestration.names import Names
from crm_pipeline.orchestration.partitions import is_snapshot, touched_months
from crm_pipeline.orchestration.resources import Workspace, workspace_of
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.stages.raw import pace, probe
from crm_pipeline.store.landing.looks import error_text
from crm_pipeline.store.probes import Answer

OPS_EVERY = timedelta(minutes=1)
"""How often rounds of probes are shown in `ops.duckdb`."""
_RUNNING, _STOPPED = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED


def sensor_of(
    settings: Settings, connection: Connection, refresh: Job, names: Names
) -> dg.SensorDefinition:
    """Return the watermark sensor of a connection."""

    @dg.sensor(
        name=names.changes(connection.name),
        job=refresh,
        required_resource_keys={names.resource},
        minimum_interval_seconds=connection.probe_every_s,
        default_status=_RUNNING if settings.is_automatic else _STOPPED,
        description=f"Ask {connection.name} every {connection.probe_every_s} s, with one call an "
        "object, whether anything changed since the watermark less the lookback; refresh if so. Less often "
        "where that would take more than a tenth of the vendor's limit of a day.",
    )
    def changes(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        crm = workspace_of(context.resources, names)
        now = crm.clock.now()
        looks = crm.looks.at(connection.name)
        activity = activity_of(context.instance, connection, looks, names)
        decision: Decision | None = before_probe(activity, now)
        if decision is None:
            with as_failure(context.log.error):
                decision = _seen(crm, connection, activity)
            crm.publish_ops(OPS_EVERY)
        objects = [obj.name for obj in connection.objects]
        failing = left_out(crm.looks.at(connection.name), objects, now)
        context.update_cursor(failing)
        reason = f"{decision.reason} {failing}".strip()
        if isinstance(decision, Skip):
            return dg.SkipReason(reason)
        context.log.info(reason)
        months = touched_months(connection, crm.landing, now, decision.objects)
        return refresh_request(
            settings, connection, months, decision.objects, names, run_key=decision.run_key
        )

    return changes


def _seen(crm: Workspace, connection: Connection, activity: Activity) -> Decision:
    """Probe a connection, if that is possible and due; return the decision."""
    now, name = crm.clock.now(), connection.name
    looks = crm.looks.at(name)
    names = [obj.name for obj in connection.objects]
    waiting = looks.waiting(names, now)
    if names and len(waiting) == len(names):
        return Skip("every object is failing; nothing was asked.")
    dated = [
        obj
        for obj in connection.objects
        if obj.name not in waiting and not is_snapshot(connection, obj)
    ]
    with ExitStack() as stack:
        history = None
        try:
            history = stack.enter_context(crm.probe_history())
            account = stack.enter_context(crm.account(name, waits=False))
        except CrmError as error:
            crm.looks.probed(name, {}, {obj.name: error for obj in dated})
            if history is not None:
                failed = Answer("failed", reason=error_text(error))
                history.add(name, "sensor", now, {obj.name: failed for obj in dated})
            raise
        in_force = pace(crm.settings, account, crm.landing, looks)
        crm.looks.paced(name, in_force.stretched_probe_every_s, in_force.stretched_refresh_every_s)
        if (too_soon := not_yet(in_force, looks, now)) is not None:
            return too_soon
        seen = probe(account, dated, crm.landing, crm.looks, history=history)
    retries = [obj for obj in names if looks.of(obj).during == "read" and obj not in waiting]
    return decide(seen, activity, names, waiting=waiting, retries=retries)


def partial_publish(
    settings: Settings, monitored: list[Job], publish: Job, names: Names
) -> dg.SensorDefinition:
    """Return the sensor that publishes the tables that were built by runs that failed in parts.

    Publishing in a run waits for all tables, so one object that cannot be read would hold back the others. A
    table of a failed object stays unchanged. One publish is enough for all runs that failed before it starts.
    """
    reading = frozenset(job.name for job in monitored)

    @dg.sensor(
        name=names.of("publish_after_failure"),
        job=publish,
        minimum_interval_seconds=30,
        default_status=_RUNNING if settings.is_automatic else _STOPPED,
        description="Publish, once for all of them, the tables that failed runs did build; what failed stays as it was.",
    )
    def publish_after_failure(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        since = _instant(context.cursor)
        if since is None:
            cursor = format_instant(SystemClock().now())
            return dg.SensorResult(
                skip_reason=dg.SkipReason("failures from now on."), cursor=cursor
            )
        failed, last = _failed_since(context.instance, since, reading)
        cursor = format_instant(last)
        if not failed:
            return dg.SensorResult(skip_reason=dg.SkipReason("no run failed."), cursor=cursor)
        if is_waiting(context.instance, publish.name):
            reason = f"{len(failed)} runs failed; a publish is queued, and takes what they built."
            return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=cursor)
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=failed[-1])], cursor=cursor)

    return publish_after_failure


def _failed_since(
    instance: dg.DagsterInstance, since: datetime, names: Collection[str]
) -> tuple[list[str], datetime]:
    """Return the runs of some jobs that have failed since then, and when the last run failed."""
    chosen = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since)
    records = instance.get_run_records(chosen, order_by="update_timestamp", ascending=True)
    runs = [each.dagster_run for each in records]
    last = max((each.update_timestamp for each in records), default=since)
    return [run.run_id for run in runs if run.job_name in names], last


def _instant(cursor: str | None) -> datetime | None:
    """Return the instant of a cursor; earlier versions wrote something else."""
    with suppress(ValueError):
        return parse_instant(cursor or "")
    return None
