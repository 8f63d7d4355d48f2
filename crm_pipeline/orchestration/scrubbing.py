"""The job `scrub`, which checks all files below the data folder, and its weekly schedule."""

from typing import Any

import dagster as dg

from crm_pipeline.orchestration.failures import as_failure
from crm_pipeline.orchestration.jobs import IN_PROCESS, Job
from crm_pipeline.orchestration.names import PLAIN, Names
from crm_pipeline.orchestration.resources import workspace_of
from crm_pipeline.settings import Settings
from crm_pipeline.store.scrub import Corruption, Scrubbed, scrub

_WEEKLY = "0 3 * * 0"
_LISTED = 200  # with a dying disk there may be more; `crm-pipeline scrub` lists all
_NAMED = 3


def scrub_job(
    names: Names = PLAIN, executor: dg.ExecutorDefinition = IN_PROCESS
) -> dg.JobDefinition:
    """Return the job; its one step does the same as `crm-pipeline scrub`."""

    @dg.op(
        name=names.step("check_files"),
        required_resource_keys={names.resource},
        description="Read every file below data/ and compare it with its checksum; PostgreSQL and Dagster "
        "look after their own folders. Fails with the list of damaged files.",
    )
    def check_files(context: dg.OpExecutionContext) -> None:
        with as_failure(context.log.error):
            done = scrub(workspace_of(context.resources, names).settings.data)
        if not done.is_usable:
            raise failed(done)
        for file in done.corruption:
            context.log.warning("%s", file)
        context.add_output_metadata({**metadata_of(done), **unused(done)})

    @dg.job(
        name=names.scrub,
        description="Check that every file below data/ is as it was written; see operations.md.",
        executor_def=executor,
    )
    def checks() -> None:
        check_files()

    return checks


def scrub_schedule(settings: Settings, job: Job, names: Names) -> dg.ScheduleDefinition:
    """Return the schedule that launches the job each week."""
    running, stopped = dg.DefaultScheduleStatus.RUNNING, dg.DefaultScheduleStatus.STOPPED
    return dg.ScheduleDefinition(
        name=names.of("scrub_weekly"),
        job=job,
        cron_schedule=_WEEKLY,
        execution_timezone="UTC",
        default_status=running if settings.is_automatic else stopped,
        description="Check all files below data/ each Sunday at 03:00 UTC.",
    )


def failed(done: Scrubbed) -> dg.Failure:
    """Return the failure of a run with damaged files: the first ones in its text, all in a table."""
    named = " ".join(str(file) for file in done.corruption[:_NAMED])
    rest = len(done.corruption) - _NAMED
    more = f" And {rest:,} more." if rest > 0 else ""
    return dg.Failure(
        description=f"Damaged files: {len(done.corruption):,}. {named}{more}",
        metadata={**metadata_of(done), "damaged": _listed(done.corruption)},
        allow_retries=False,
    )


def unused(done: Scrubbed) -> dict[str, Any]:
    """Return the damaged files that nothing uses as metadata, if there are any."""
    return {"damaged": _listed(done.corruption)} if done.corruption else {}


def metadata_of(done: Scrubbed) -> dict[str, Any]:
    """Return the numbers of a check as metadata; their names never change, so that Dagster plots them."""
    lines = [
        f"| {kind} | {tally.files:,} | {tally.bytes:,} | {tally.damaged:,} | {tally.unproven:,} |"
        for kind, tally in done.kinds.items()
    ]
    head = "| kind | files | bytes | damaged | unproven |\n| --- | --: | --: | --: | --: |"
    return {
        "files": sum(tally.files for tally in done.kinds.values()),
        "bytes": sum(tally.bytes for tally in done.kinds.values()),
        "files_damaged": len(done.corruption),
        "files_unproven": sum(tally.unproven for tally in done.kinds.values()),
        "seconds": round(done.seconds, 1),
        "kinds": dg.MetadataValue.md("\n".join([head, *lines])),
    }


def _listed(corruption: tuple[Corruption, ...]) -> dg.MetadataValue:
    lines = [f"| {file.path} | {file.problem} | {file.cure} |" for file in corruption[:_LISTED]]
    head = "| file | what is wrong | what to do |\n| --- | --- | --- |"
    return dg.MetadataValue.md("\n".join([head, *lines]))
