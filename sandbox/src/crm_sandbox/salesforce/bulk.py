"""Bulk API 2.0 query jobs: made, polled, read page by page, aborted, deleted.

What the vendor refuses in Bulk is refused when the job is made.
"""

import re
import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from crm_sandbox.http import Request, Response, is_number, json_response
from crm_sandbox.salesforce.bodies import QueryJob, job_of
from crm_sandbox.salesforce.errors import ApiError, not_found
from crm_sandbox.salesforce.ids import make_id
from crm_sandbox.salesforce.locators import locator_of, position_of
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.results import DELIMITERS, LINE_ENDS, JobResult, ResultShelf
from crm_sandbox.salesforce.schema import COMPOUND_TYPES
from crm_sandbox.salesforce.soql import parse
from crm_sandbox.salesforce.translation import Plan, Translator, python_value
from crm_sandbox.salesforce.usage import ApiUsage

_SUB_QUERY = re.compile(r"\(\s*SELECT\s", re.IGNORECASE)
_FINISHED = frozenset({"JobComplete", "Failed", "Aborted"})
_SELECT_ORDER_SINCE = 50
_KEPT = timedelta(days=7)
# Small jobs are processed before the first answer, so their snapshot is that of the request.
_PATIENCE_S = 0.25


@dataclass
class Job:
    """One query job and its progress."""

    id: str
    body: dict[str, Any]
    version: str
    created: Any
    result: JobResult
    state: str = "UploadComplete"
    polls: int = 0
    failure: str = ""
    done: threading.Event = field(default_factory=threading.Event)


@dataclass
class BulkSettings:
    """How the emulated Bulk service behaves.

    Attributes:
        polls: a job is complete at this poll at the earliest.
        page_rows: the default and the largest page.
    """

    polls: int = 2
    page_rows: int = 50_000


class BulkHandler:
    """Answer `/jobs/query`.

    Args:
        org: what is exported.
        usage: where jobs are counted.
    """

    def __init__(self, org: Org, usage: ApiUsage) -> None:
        self._org = org
        self._usage = usage
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._made = 0
        self._folder = Path(tempfile.mkdtemp(prefix="sandbox-bulk-"))
        self._shelf = ResultShelf(self._folder)
        self.settings = BulkSettings()

    def close(self) -> None:
        """Remove every result."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def handle(self, request: Request, version: str, rest: list[str]) -> Response:
        """Answer one request; `rest` is the path behind `/jobs/query`."""
        if not rest:
            if request.method == "POST":
                return self._create(request, version)
            return self._listed()
        job = self._find(rest[0], version)
        if len(rest) == 2 and rest[1].lower() == "results":
            return self._results(request, job)
        if len(rest) == 2 and rest[1].lower() == "resultpages":
            return self._result_pages(request, job)
        if len(rest) > 1:
            raise not_found()
        if request.method == "PATCH":
            return self._abort(request, job)
        if request.method == "DELETE":
            return self._delete(job)
        self._poll(job)
        return json_response(self._info(job) | self._progress(job))

    def _create(self, request: Request, version: str) -> Response:
        body = job_of(request.body, QueryJob)
        operation, text = body["operation"], body["query"]
        if operation not in {"query", "queryAll"}:
            raise ApiError(400, "INVALIDJOB", f"Invalid job operation: {operation}")
        delimiter = body.get("columnDelimiter") or "COMMA"
        line_end = body.get("lineEnding") or "LF"
        if delimiter not in DELIMITERS or line_end not in LINE_ENDS:
            raise ApiError(400, "INVALIDJOB", "Invalid columnDelimiter or lineEnding")
        plan = self._allowed(text, deleted=operation == "queryAll")
        if float(version) < _SELECT_ORDER_SINCE:
            plan.columns.sort(key=lambda column: column.keys)
        with self._lock:
            self._made += 1
            self._usage.bulk_jobs += 1
            number = make_id("750", self._made)
        result = self._shelf.lend(
            plan, DELIMITERS[delimiter], LINE_ENDS[line_end], self._org.revision
        )
        settings = {
            "operation": operation,
            "object": plan.sobject.name,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "lineEnding": line_end,
            "columnDelimiter": delimiter,
        }
        job = Job(number, settings, version, self._org.clock.stamp(), result)
        if request.fault is not None and request.fault.kind == "fail_job":
            job.failure = request.fault.message
        self._jobs[number] = job
        threading.Thread(target=self._process, args=(job,), daemon=True).start()
        job.done.wait(_PATIENCE_S)
        return json_response(self._info(job))

    def _allowed(self, text: str, *, deleted: bool) -> Plan:
        if _SUB_QUERY.search(text):
            raise ApiError(
                400, "API_ERROR", "Bulk API does not support parent-to-child sub-queries"
            )
        query = parse(text)
        if query.group_by or query.offset is not None or query.is_aggregate:
            raise ApiError(
                400,
                "API_ERROR",
                "Bulk API 2.0 does not support aggregate queries, GROUP BY or OFFSET",
            )
        plan = Translator(self._org, query, deleted=deleted).plan()
        if any(column.field.type in COMPOUND_TYPES for column in plan.columns):
            raise ApiError(
                400,
                "FEATURENOTENABLED",
                "Selecting compound data not supported in Bulk Query",
            )
        return plan

    def _process(self, job: Job) -> None:
        try:
            job.result.write(self._org.cursor())
        except Exception as problem:  # noqa: BLE001 - a failed job reports its reason
            job.failure = job.failure or f"InternalServerError : {problem}"
        job.done.set()

    def _poll(self, job: Job) -> None:
        if job.state in _FINISHED:
            return
        job.polls += 1
        if job.polls < self.settings.polls or not job.done.wait(_PATIENCE_S):
            job.state = "InProgress"
            return
        job.state = "Failed" if job.failure else "JobComplete"

    def _info(self, job: Job) -> dict[str, Any]:
        stamp = python_value(job.created)
        return {
            "id": job.id,
            "operation": job.body["operation"],
            "object": job.body["object"],
            "createdById": self._org.user_id,
            "createdDate": stamp,
            "systemModstamp": stamp,
            "state": job.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(job.version),
            "lineEnding": job.body["lineEnding"],
            "columnDelimiter": job.body["columnDelimiter"],
        }

    def _progress(self, job: Job) -> dict[str, Any]:
        complete = job.state == "JobComplete"
        progress = {
            "jobType": "V2Query",
            "numberRecordsProcessed": job.result.count if complete else 0,
            "retries": 0,
            "totalProcessingTime": 100 * job.polls,
            "isPkChunkingSupported": True,
        }
        return progress | ({"errorMessage": job.failure} if job.state == "Failed" else {})

    def _find(self, number: str, version: str) -> Job:
        job = self._jobs.get(number) or next(
            (one for name, one in self._jobs.items() if name[:15] == number), None
        )
        if job is None or self._org.clock.stamp() - job.created > _KEPT:
            raise not_found()
        if job.version != version:
            raise ApiError(
                409,
                "API_ERROR",
                f"The job was created with API version {job.version}, not {version}",
            )
        return job

    def _listed(self) -> Response:
        records = [self._info(job) | {"jobType": "V2Query"} for job in self._jobs.values()]
        return json_response({"done": True, "records": records[-1000:], "nextRecordsUrl": None})

    def _complete(self, job: Job) -> None:
        if job.state != "JobComplete":
            raise ApiError(
                400, "INVALIDJOBSTATE", f"The job is not complete, its state is {job.state}"
            )

    def _results(self, request: Request, job: Job) -> Response:
        self._complete(job)
        first = position_of(job.id, request.query.get("locator", ""), job.result.count)
        wanted = request.query.get("maxRecords", "")
        if wanted and (not is_number(wanted) or int(wanted) < 1):
            raise ApiError(400, "INVALID_REQUEST", f"maxRecords must be positive, not '{wanted}'")
        size = min(int(wanted or self.settings.page_rows), self.settings.page_rows)
        last = min(first + size, job.result.count)
        zipped = "gzip" in request.header("accept-encoding")
        following = locator_of(job.id, last) if last < job.result.count else "null"
        headers = [
            ("Sforce-NumberOfRecords", str(last - first)),
            ("Sforce-Locator", following),
        ]
        if zipped:
            headers.append(("Content-Encoding", "gzip"))
        body = job.result.page(first, last, zipped=zipped)
        return Response(200, body, tuple(headers), "text/csv")

    def _result_pages(self, request: Request, job: Job) -> Response:
        self._complete(job)
        base = f"/services/data/v{job.version}/jobs/query/{job.id}"
        first = position_of(job.id, request.query.get("locator", ""), job.result.count)
        starts = list(range(first, max(job.result.count, 1), self.settings.page_rows))
        pages = [{"resultUrl": _page_url(base, "results", job.id, start)} for start in starts[:5]]
        following = _page_url(base, "resultPages", job.id, starts[5]) if starts[5:] else None
        return json_response(
            {"resultPages": pages, "nextRecordsUrl": following, "done": following is None}
        )

    def _abort(self, request: Request, job: Job) -> Response:
        state = job_of(request.body).get("state")
        if state != "Aborted":
            raise ApiError(400, "INVALIDJOBSTATE", f"Invalid state for a query job: {state}")
        if job.state in _FINISHED:
            raise ApiError(400, "INVALIDJOBSTATE", "Aborting already Completed Job not allowed")
        job.state = "Aborted"
        return json_response(without_format(self._info(job)))

    def _delete(self, job: Job) -> Response:
        if job.state not in _FINISHED:
            raise ApiError(
                400,
                "API_ERROR",
                "Error encountered when deleting the job because the job is not terminated",
            )
        del self._jobs[job.id]
        self._shelf.drop(job.result)
        return Response(204)


def without_format(info: dict[str, Any]) -> dict[str, Any]:
    """Return a job as the answer to its change has it, which does not say how lines are written."""
    unsaid = ("lineEnding", "columnDelimiter")
    return {name: value for name, value in info.items() if name not in unsaid}


def _page_url(base: str, what: str, job: str, start: int) -> str:
    return f"{base}/{what}?locator={locator_of(job, start)}" if start else f"{base}/{what}"
