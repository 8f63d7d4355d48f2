"""The job `<connection>_sweep`, which finds changes that move no modification time, and its daily schedule.

It lands the records that differ; the next refresh brings the tables up to them. What is compared stands in
`stages.raw.unstamped`.
"""

from collections.abc import Iterable, Iterator, Mapping

import dagster as dg

from crm_pipeline.connectors.registry import connector
from crm_pipeline.orchestration.activity import is_under_way
from crm_pipeline.orchestration.daily import daily_schedule, times_of_day
from crm_pipeline.orchestration.failures import as_failure
from crm_pipeline.orchestration.jobs import IN_PROCESS, Job
from crm_pipeline.orchestration.names import CONNECTION_TAG, PLAIN, Names
from crm_pipeline.orchestration.resources import Workspace, workspace_of
from crm_pipeline.settings import Connection, ObjectSettings, Settings
from crm_pipeline.stages.raw import unstamped
from crm_pipeline.stages.raw.unstamped import ObjectSweep
from crm_pipeline.store.landing.tombstones import Tombstones
from crm_pipeline.store.sweeps import Sweeps
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tokens.hash_key import HashKey

OFF = "off"
_HOUR, _SPREAD_MIN = 5, 60


def is_swept(connection: Connection) -> bool:
    """Return whether a connection's vendor has values that change without a modification time."""
    return connector(connection.vendor).abilities.unstamped


def sweep_jobs(
    connections: Iterable[Connection],
    names: Names = PLAIN,
    executor: dg.ExecutorDefinition = IN_PROCESS,
) -> list[dg.JobDefinition]:
    """Return the jobs of the connections that are swept; each does the same as `crm-pipeline sweep`."""
    return [_job(connection, names, executor) for connection in connections if is_swept(connection)]


def _job(connection: Connection, names: Names, executor: dg.ExecutorDefinition) -> dg.JobDefinition:
    @dg.op(
        name=names.step(f"compare_unstamped_{connection.name}"),
        required_resource_keys={names.resource},
        pool=names.api_pool(connection.name),
        description="Compare values that change without a modification time with the CRM's, within a part of the day's "
        "limit, and land the records that differ. Fails where an object could not be compared.",
    )
    def compare(context: dg.OpExecutionContext) -> None:
        with as_failure(context.log.error):
            done = swept(workspace_of(context.resources, names), connection)
        context.add_output_metadata(metadata_of(done))
        if failed := [each for each in done if each.error]:
            raise dg.Failure(
                description=" ".join(f"{each.object}: {each.error}" for each in failed),
                metadata=metadata_of(done),
            )

    @dg.job(
        name=names.sweep(connection.name),
        description=f"Find changes of {connection.name} that move no modification time, and land the records that have "
        "them; the next refresh brings the tables up to them.",
        tags={CONNECTION_TAG: names.connection(connection.name)},
        executor_def=executor,
    )
    def sweeps() -> None:
        compare()

    return sweeps


def swept(crm: Workspace, connection: Connection) -> list[ObjectSweep]:
    """Sweep a connection within its part of the day's limit."""
    settings = crm.settings

    def key_of(obj: ObjectSettings) -> HashKey | None:
        return crm.hash_key if obj.keeps_out or Tombstones.at(settings.data) else None

    with crm.account(connection.name) as account:
        return unstamped.sweep(
            account,
            crm.landing,
            Sweeps(settings.data),
            open_engine=lambda: Engine(
                settings.data / "tmp", memory_limit=f"{settings.memory_mb}MB"
            ),
            allowed=unstamped.allowance(settings, account).amount,
            key_of=key_of,
        )


def metadata_of(done: Iterable[ObjectSweep]) -> dict[str, dg.MetadataValue | int]:
    """Return the numbers of a sweep as metadata; their names never change, so that Dagster plots them."""
    listed = list(done)
    lines = [
        f"| {each.object} | {each.what} | {each.compared:,} | {each.differing:,} | {each.landed:,} | {each.cost:,} | {_state(each)} |"
        for each in listed
    ]
    head = "| object | what | compared | differ | landed | cost | |\n| --- | --- | --: | --: | --: | --: | --- |"
    return {
        "records_compared": sum(each.compared for each in listed),
        "records_differing": sum(each.differing for each in listed),
        "records_landed": sum(each.landed for each in listed),
        "calls": sum(each.calls for each in listed),
        "objects": dg.MetadataValue.md("\n".join([head, *lines])),
    }


def _state(each: ObjectSweep) -> str:
    if each.error:
        return "failed"
    return "complete" if each.is_complete else "goes on next time"


def sweep_schedules(
    settings: Settings, jobs: Mapping[str, Job], names: Names = PLAIN
) -> Iterator[dg.ScheduleDefinition]:
    """Yield the daily schedules of the sweeps that are not off, spread over an hour."""
    chosen = [
        connection
        for connection in settings.connections.values()
        if connection.sweep != OFF and is_swept(connection)
    ]
    times = times_of_day(chosen, lambda one: one.sweep, hour=_HOUR, spread_min=_SPREAD_MIN)
    for connection, at in times:
        if (job := jobs.get(names.sweep(connection.name))) is not None:
            yield _schedule(settings, connection, job, at, names)


def _schedule(
    settings: Settings, connection: Connection, job: Job, at: str, names: Names
) -> dg.ScheduleDefinition:
    def due(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if is_under_way(context.instance, names.sweep(connection.name)):
            return dg.SkipReason("the sweep of the day before is not done yet.")
        return dg.RunRequest()

    return daily_schedule(
        settings,
        connection,
        job,
        names,
        at=at,
        description=lambda when: (
            f"Find changes of {connection.name} that move no modification time each day at {when}, for "
            f"at most {connection.sweep_percent:g}% of the vendor's limit of a day."
        ),
        requested=due,
    )
