"""The audit job of a connection, and its daily schedule: compare the CRM with what is here, and heal what differs.

It starts about four o'clock in the account's own time zone; connections start one after the other within two hours.
What it lands is built and published by the next refresh. Its verdicts are shown as the check `audit` of the raw assets.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import dagster as dg

from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.orchestration import checks
from crm_pipeline.orchestration.activity import is_under_way
from crm_pipeline.orchestration.daily import daily_schedule, times_of_day
from crm_pipeline.orchestration.failures import as_failure
from crm_pipeline.orchestration.jobs import IN_PROCESS, Job
from crm_pipeline.orchestration.names import CONNECTION_TAG, PLAIN, Names
from crm_pipeline.orchestration.resources import Workspace, workspace_of
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.stages.raw.audit import AuditRun, auditable_objects

OFF = "off"
_HOUR, _SPREAD_MIN = 4, 120


def audit_job(
    connection: Connection, names: Names = PLAIN, executor: dg.ExecutorDefinition = IN_PROCESS
) -> dg.JobDefinition:
    """Return the job; its one step does the same as `crm-pipeline audit`."""
    name = connection.name

    @dg.op(
        name=names.step(f"compare_records_{name}"),
        required_resource_keys={names.resource},
        pool=names.api_pool(name),
        description=f"Compare the records of {name} with its CRM, month by month, within what audits may cost a day; "
        "read again what differs. Fails where something differs that could not be healed.",
    )
    def compare(context: dg.OpExecutionContext) -> None:
        crm = workspace_of(context.resources, names)
        with as_failure(context.log.error):
            run = crm.audit(name)
        for obj in dict.fromkeys(result.object for result in run.results):
            key, results = names.raw(name, obj), crm.audits.at(name).of(obj)
            context.instance.report_runless_asset_event(checks.audit_evaluation(key, results))
        context.add_output_metadata(metadata_of(run))
        for obj, why in run.skipped.items():
            context.log.info("%s was not compared: %s", obj, why)
        if run.stopped:
            context.log.info("The rest is compared the next time: %s", run.stopped)
        if not run.is_right:
            raise failed(run)

    @dg.job(
        name=names.audit(name),
        description=f"Compare {name} with its CRM, and heal what differs; see operations.md.",
        executor_def=executor,
        tags={CONNECTION_TAG: names.connection(name)},
    )
    def audits() -> None:
        compare()

    return audits


def audit_jobs(
    connections: list[Connection], names: Names, executor: dg.ExecutorDefinition
) -> list[dg.JobDefinition]:
    """Return the jobs of the connections that have objects to audit."""
    return [
        audit_job(connection, names, executor)
        for connection in connections
        if auditable_objects(connection)
    ]


def audit_schedules(
    settings: Settings, jobs: Mapping[str, Job], names: Names
) -> Iterator[dg.ScheduleDefinition]:
    """Yield the schedules of the jobs that have one."""
    audited = [
        connection
        for connection in settings.connections.values()
        if connection.audit != OFF and auditable_objects(connection)
    ]
    times = times_of_day(audited, lambda one: one.audit, hour=_HOUR, spread_min=_SPREAD_MIN)
    for connection, at in times:
        if (job := jobs.get(names.audit(connection.name))) is not None:
            yield _schedule(settings, connection, job, at, names)


def _schedule(
    settings: Settings, connection: Connection, job: Job, at: str, names: Names
) -> dg.ScheduleDefinition:
    def due(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        crm = workspace_of(context.resources, names)
        return requested(crm, connection, context.instance, names)

    return daily_schedule(
        settings,
        connection,
        job,
        names,
        at=at,
        description=lambda when: f"Compare {connection.name} with its CRM each day at {when}.",
        requested=due,
    )


def requested(
    crm: Workspace, connection: Connection, instance: dg.DagsterInstance, names: Names = PLAIN
) -> dg.RunRequest | dg.SkipReason:
    """Return the request for the audit that is due, or why there is none."""
    if is_under_way(instance, names.audit(connection.name)):
        return dg.SkipReason("the audit before is not done yet.")
    read = [
        obj.name for obj in auditable_objects(connection) if _is_read(crm, connection, obj.name)
    ]
    if not read:
        return dg.SkipReason("no object has been read from its beginning to now yet.")
    return dg.RunRequest()


def _is_read(crm: Workspace, connection: Connection, name: str) -> bool:
    """Say whether there is something to compare; a damaged commit fails the run, which says so."""
    with suppress(CrmError):
        return crm.landing.watermark(connection.name, name) is not None
    return True


def failed(run: AuditRun) -> dg.Failure:
    """Return the failure of a run that found something it could not heal."""
    lines = [f"{each.object} {each.month or 'in all'}: {each.verdict}" for each in run.open]
    lines += [f"{obj}: {error}" for obj, error in run.failed.items()]
    return dg.Failure(
        description=f"{run.connection} differs from its CRM. {' '.join(lines[:3])}",
        metadata=metadata_of(run),
        allow_retries=False,
    )


def metadata_of(run: AuditRun) -> dict[str, Any]:
    """Return the numbers of a run as metadata; their names never change, so that Dagster plots them."""
    whole = {each.object: each for each in run.results if not each.month}
    shown = [each for each in run.results if not each.month or each.object not in whole]
    head = (
        "| object | month | by | in the CRM | here | missing | ghosts | stale | healed | verdict |"
    )
    rows = [
        f"| {each.object} | {each.month or 'all'} | {each.by} | {each.in_crm} | {each.with_us} | {each.missing} | "
        f"{each.ghosts} | {each.stale} | {each.healed} | {each.verdict.replace('|', '/')} |"
        for each in run.results
        if each.state != "equal" or each in shown
    ]
    return {
        "compared": len(run.results),
        "missing": run.total("missing"),
        "ghosts": run.total("ghosts"),
        "stale": run.total("stale"),
        "healed": run.total("healed"),
        "differing": len(run.open),
        "api_calls": run.calls,
        "cost": run.cost,
        "cost_allowed": run.allowed,
        "results": dg.MetadataValue.md("\n".join([head, "| - " * 10 + "|", *rows[:200]])),
        **({"damaged_file": run.damage} if run.damage else {}),
    }
