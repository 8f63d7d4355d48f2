"""Bulk API 2.0 query jobs: create, resume after a crash, poll with back-off, delete.

`bulk_results` reads the result of a finished job. Source: Bulk API 2.0 Developer Guide, "Query Jobs".
"""

import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import msgspec

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.salesforce import soql
from crm_pipeline.connectors.salesforce.api import Api
from crm_pipeline.connectors.salesforce.bulk_results import BulkResults
from crm_pipeline.kernel.clock import Clock, format_instant, parse_instant
from crm_pipeline.kernel.errors import CrmError, JobFailed, ReadLost, Rejected
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.kernel.text import vendor_text
from crm_pipeline.store.landing.checkpoint import Checkpoint
from crm_pipeline.wire.decoding import Count

_FIRST_POLL_S = 0.5
_LAST_POLL_S = 30.0
_LONGEST_S = 6 * 3600.0  # a job that runs longer is stuck; a million records take minutes
_FINAL = frozenset({"JobComplete", "Failed", "Aborted"})


@dataclass(frozen=True)
class Job:
    """A query job at the vendor, which keeps it for seven days."""

    id: str
    asked_at: datetime


class _Info(msgspec.Struct):
    state: str
    records: Count | None = msgspec.field(name="numberRecordsProcessed", default=None)
    message: str | None = msgspec.field(name="errorMessage", default=None)


def create(api: Api, plan: Plan, checkpoint: Checkpoint) -> Job:
    """Create the query job, save it in the checkpoint, and return it.

    Raises:
        Rejected: the object or query is not possible in Bulk; REST may still read it.
        BudgetExhausted: the daily jobs are used up; REST may still read it.
    """
    job = Job("", api.now())
    body = {
        "operation": "queryAll",
        "query": _query(plan),
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    }
    # A retry after a lost response costs at most one more job of the daily 10,000.
    job = Job(api.create_job(body), job.asked_at)
    checkpoint.begin(
        {
            "job": job.id,
            "asked_at": format_instant(job.asked_at),
            "query": fingerprint([api.version, _query(plan)]),
        }
    )
    return job


def resumed(api: Api, plan: Plan, checkpoint: Checkpoint) -> Job | None:
    """Return the job of the checkpoint, created by an earlier process; None if there is none.

    Raises:
        ReadLost: the job was created for another query.
    """
    request = checkpoint.request
    if request is None:
        return None
    if request["query"] != fingerprint([api.version, _query(plan)]):
        raise _lost(api, plan, "was made for another query")
    return Job(str(request["job"]), parse_instant(request["asked_at"]))


def wait(api: Api, plan: Plan, job: Job, clock: Clock) -> int:
    """Poll until the job is complete and return the number of its records.

    Raises:
        JobFailed: the job failed or was aborted; the text holds the vendor's message.
        ReadLost: the vendor no longer has the job.
    """
    pause_s = _FIRST_POLL_S
    started_s = clock.monotonic()
    while True:
        info = _info(api, plan, job)
        state = info.state
        if state == "JobComplete":
            return info.records or 0
        if state in _FINAL:
            message = vendor_text(info.message) or "no reason given"
            raise JobFailed(
                f"{api.connection.name}: Bulk job {job.id} on {plan.object} ended as {state}: "
                f"{message}",
                code=str(state),
                cure="Nothing was landed. Set 'route: rest' for this object in connections.yaml if "
                "it fails again.",
            )
        if clock.monotonic() - started_s > _LONGEST_S:
            raise JobFailed(
                f"{api.connection.name}: Bulk job {job.id} is still {state} after "
                f"{_LONGEST_S / 3600:.0f} hours.",
                code=str(state),
                cure="Nothing was landed. Abort it in Setup, Bulk Data Load Jobs, and run again.",
            )
        clock.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
        pause_s = min(_LAST_POLL_S, pause_s * 1.6)


def pages(
    api: Api,
    plan: Plan,
    job: Job,
    *,
    checkpoint: Checkpoint,
    clock: Clock,
) -> Iterator[Page]:
    """Wait for a query job and yield its result pages, except those that are done in the checkpoint.

    Raises:
        JobFailed: the job ended without a result.
        ReadLost: the vendor no longer has the job, or a page of its result.
        ProtocolError: a page has other columns than requested, or another number of records than its header
            states.
        CountMismatch: the pages hold another number of records than the job states.
    """
    records = wait(api, plan, job, clock)
    yield from BulkResults(api, plan, job.id, job.asked_at, checkpoint).pages(records)


def delete(api: Api, checkpoint: Checkpoint) -> None:
    """Delete the job of a checkpoint; one that remains costs nothing, the vendor removes it after 7 days."""
    request = checkpoint.request
    if request is not None:
        with suppress(CrmError):
            api.delete(f"{api.base}/jobs/query/{request['job']}")


def is_refusal_of_bulk(error: Rejected) -> bool:
    """Return whether Bulk refused an object or query that REST may still read."""
    return error.code in {"INVALIDENTITY", "API_ERROR"} or "not support" in error.message


def _query(plan: Plan) -> str:
    conditions = soql.window_condition(plan.cursor_field, plan.window)
    return soql.select(plan.schema.names, plan.object, conditions)


def _info(api: Api, plan: Plan, job: Job) -> _Info:
    try:
        return api.ask(f"{api.base}/jobs/query/{job.id}", _Info, "the state of a Bulk job")
    except Rejected as error:
        if error.status == 404:
            raise _lost(api, plan, "no longer exists") from error
        raise


def _lost(api: Api, plan: Plan, reason: str) -> ReadLost:
    return ReadLost(
        f"{api.connection.name}: the Bulk job on {plan.object} {reason}.",
        cure="Run it again; the window is read from its beginning.",
    )
