"""The read strategy `bulk`: exports of up to 200,000 records, downloaded as ZIP into the checkpoint.

Source: zoho.com/crm/developer/docs/api/v8/bulk-read/overview.html. An export is continued by the token of the
previous one; `archive` parses the files.
"""

import random
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.zoho import describe, meter
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.archive import CsvArchive
from crm_pipeline.connectors.zoho.checkpoints import ReadCheckpoint
from crm_pipeline.connectors.zoho.documents import JobError, JobResult, JobState, NewJob
from crm_pipeline.connectors.zoho.responses import instant_text
from crm_pipeline.kernel.clock import Clock, format_instant, parse_instant
from crm_pipeline.kernel.errors import (
    JobFailed,
    MalformedResponse,
    NotPermitted,
    ProtocolError,
    ReadLost,
    Rejected,
    UnknownField,
)
from crm_pipeline.kernel.text import vendor_text
from crm_pipeline.model.schema import Schema
from crm_pipeline.store.landing.checkpoint import Checkpoint, CheckpointPage
from crm_pipeline.store.landing.rejects import Reject

ROUTE = "bulk"
_FIRST_POLL_S = 1.0
_LAST_POLL_S = 30.0
_LONGEST_S = 6 * 3600.0
_COMPLETED = "COMPLETED"
_WORKING = frozenset({"ADDED", "QUEUED", "IN PROGRESS", "INPROGRESS"})
_FIELD_GONE = frozenset({"FIELD_NOT_AVAILABLE", "INVALID_QUERY"})
# Modules that exports do not offer (bulk-read/limitations.html).
_NOT_OFFERED = frozenset({"Notes", "Attachments", "Emails"})


def impediment(api: Api, schema: Schema) -> str:
    """Return why a module cannot be exported; "" where it can."""
    if schema.object in _NOT_OFFERED:
        return "the vendor does not export this module"
    lacking = describe.never_in_exports(schema)
    if lacking:
        return f"exports lack {', '.join(lacking)}, or parts of it"
    return api.unavailable["bulk"].get(schema.object, "")


class Exports:
    """Reads the window of one plan.

    Args:
        api: the account.
        plan: the window.
        checkpoint: stores downloads and job numbers.
        clock: waits between polls of a job.
    """

    def __init__(self, api: Api, plan: Plan, checkpoint: Checkpoint, clock: Clock) -> None:
        self._api = api
        self._plan = plan
        self._checkpoint = checkpoint
        self._clock = clock
        self._owner = f"{api.connection.name}.{plan.object}"
        self._read_checkpoint = ReadCheckpoint(api, plan, checkpoint)

    def pages(self) -> Iterator[Page]:
        """Yield the exports that are not done yet, one page each.

        Raises:
            JobFailed: an export ended without a result.
            ReadLost: an export no longer exists, or the module cannot be exported: the read is planned again.
        """
        number, token = 1, ""
        while True:
            export = self._checkpoint.kept(number) or self._export(number, token)
            if export.facts["count"] and not self._checkpoint.is_done(number):
                yield self._page(export)
            next_token = str(export.facts["next"])
            if not next_token:
                return
            if next_token == token:
                raise ProtocolError(f"{self._owner}: an export names itself as the next one.")
            number, token = number + 1, next_token

    def _page(self, export: CheckpointPage) -> Page:
        rejected: list[Reject] = []
        count = int(export.facts["count"])
        archive = CsvArchive(
            self._owner,
            self._plan.schema,
            export.file,
            count,
            rejected,
            bounds=self._api.bounds,
        )
        return Page(
            shape="csv",
            route=ROUTE,
            batches=archive.batches,
            extracted_at=parse_instant(str(export.facts["asked_at"])),
            expected=count,
            calls=1,
            number=export.number,
            rejected=rejected,
        )

    def _export(self, number: int, token: str) -> CheckpointPage:
        job, asked_at = self._job(number, token)
        result = self._result(job)
        facts = {
            "count": result.count or 0,
            "next": (result.next_page_token or "") if result.more_records else "",
            "asked_at": asked_at,
        }
        if result.more_records and not facts["next"]:
            raise ProtocolError(f"{self._owner}: an export has more records and no token for them.")
        file = self._checkpoint.path(number, ".zip")
        if facts["count"]:
            self._api.fetch(self._address(result), file)
        else:
            file.touch(mode=0o600)
        return self._checkpoint.keep(number, file, facts)

    def _address(self, result: JobResult) -> str:
        """Return the path of the result, which must be one of the API and never of another host."""
        address = result.download_url or ""
        if not address.startswith(f"{self._api.bulk_base}/read/") or ".." in address:
            raise ProtocolError(f"{self._owner}: the result of an export lies outside of the API.")
        return address

    def _job(self, number: int, token: str) -> tuple[str, str]:
        """Return the id of a job and when it was created: the stored one, or a new one."""
        request = self._read_checkpoint.request or {}
        if request.get("page") == number:
            return str(request["job"]), str(request["asked_at"])
        asked_at = format_instant(self._api.now())
        query = {"page_token": token} if token else self._query()
        job = self._create_job({"query": query})
        self._read_checkpoint.begin(ROUTE, job=job, page=number, asked_at=asked_at)
        return job, asked_at

    def _create_job(self, body: Mapping[str, Any]) -> str:
        try:
            jobs = self._api.create_job(body, self._api.listed("data", NewJob, least=1))
        except (NotPermitted, Rejected) as error:
            if error.code == "OAUTH_SCOPE_MISMATCH":
                raise
            self._raise_for_removed_fields(error)
            # Whatever the reason: this account reads the module by another strategy from now on.
            self._api.unavailable["bulk"][self._plan.object] = error.message
            raise ReadLost(
                f"{self._owner}: the vendor makes no export of it ({error.code}).",
                cure="Run it again; another route is taken.",
            ) from error
        return jobs[0].details.id

    def _raise_for_removed_fields(self, error: NotPermitted | Rejected) -> None:
        """Raise an error if the export failed because fields were removed.

        Raises:
            UnknownField: a field of the plan no longer exists; the next run reads the metadata again.
        """
        if error.code not in _FIELD_GONE:
            return
        listed = {entry["api_name"] for entry in describe.fields(self._api, self._plan.object)}
        removed = [name for name in self._plan.schema.names if name not in {describe.ID, *listed}]
        if removed:
            raise UnknownField(
                f"{self._owner}: {', '.join(removed)} vanished between describe and read.",
                status=error.status,
                code=error.code,
                cure="Run it again.",
            ) from error

    def _query(self) -> dict[str, Any]:
        schema, window = self._plan.schema, self._plan.window
        query: dict[str, Any] = {
            "module": {"api_name": schema.object},
            "fields": list(schema.names),
            "page": 1,
        }
        cursor_field = describe.cursor_field(schema)
        if window is None or cursor_field is None:
            return query
        group = [_criterion(cursor_field, "less_than", instant_text(window.to_at))]
        if window.from_at is not None:
            lower = instant_text(window.from_at)
            group.insert(0, _criterion(cursor_field, "greater_equal", lower))
        query["criteria"] = {"group_operator": "and", "group": group} if group[1:] else group[0]
        return query

    def _result(self, job: str) -> JobResult:
        """Poll a job until it is done and return its result."""
        pause_s, started_s = _FIRST_POLL_S, self._clock.monotonic()
        while True:
            status = self._poll(job)
            if status.state == _COMPLETED:
                return status.result or JobResult()
            if status.state not in _WORKING or self._clock.monotonic() - started_s > _LONGEST_S:
                raise self._failure(job, status)
            self._clock.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            pause_s = min(_LAST_POLL_S, pause_s * 1.6)

    def _poll(self, job: str) -> JobState:
        path = f"{self._api.bulk_base}/read/{job}"
        try:
            return self._api.read("GET", path, meter.JOB_RESULT, self._state)
        except Rejected as error:
            if error.status == 404 or error.code == "RESOURCE_NOT_FOUND":
                raise ReadLost(
                    f"{self._owner}: the export no longer exists.",
                    cure="Run it again; the window is read anew.",
                ) from error
            raise

    def _state(self, response: requests.Response) -> JobState:
        status = self._api.listed("data", JobState, least=1)(response)[0]
        result = status.result or JobResult()
        if status.state == _COMPLETED and None in {result.count, result.more_records}:
            raise MalformedResponse(
                f"{self._owner}: an export is done and does not say how many records it holds.",
                status=response.status_code,
            )
        return status

    def _failure(self, job: str, status: JobState) -> JobFailed:
        error = (status.result.error if status.result else None) or JobError()
        reason = vendor_text(f"{error.code or ''} {error.message or ''}".strip())
        state = vendor_text(status.state)
        return JobFailed(
            f"{self._owner}: export {job} ended as {state}: {reason or 'no reason given'}.",
            code=state,
            cure="Nothing was landed. Set 'route: coql' for this object in connections.yaml if it fails "
            "again.",
        )


def _criterion(field: str, comparator: str, value: str) -> dict[str, Any]:
    return {"field": {"api_name": field}, "comparator": comparator, "value": value}
