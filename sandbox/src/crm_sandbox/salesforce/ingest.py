"""Bulk API 2.0 ingest jobs: opened, filled with one upload, closed, processed, looked through.

How records are processed is in `ingest_run.py`, how a CSV is read and written in `ingest_file.py`.
"""

import random
import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from crm_sandbox.http import Request, Response, is_number, json_response
from crm_sandbox.salesforce.bodies import job_of
from crm_sandbox.salesforce.bulk import BulkSettings, without_format
from crm_sandbox.salesforce.errors import ApiError, not_found, unreadable
from crm_sandbox.salesforce.ids import make_id
from crm_sandbox.salesforce.ingest_file import UnreadableUploadError, Upload
from crm_sandbox.salesforce.ingest_run import OPERATIONS, IngestRun, Tally, result_rows
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.results import DELIMITERS, LINE_ENDS
from crm_sandbox.salesforce.translation import python_value
from crm_sandbox.salesforce.usage import ApiUsage
from crm_sandbox.salesforce.writes import Writer, key_field

_RESULTS = ("successfulresults", "failedresults", "unprocessedrecords")
_FINISHED = frozenset({"JobComplete", "Failed", "Aborted"})
_KEPT = timedelta(days=7)
_LONGEST_OPEN = timedelta(hours=24)
_LARGEST_PART = 100_000
_LISTED = 1_000
# Numbers of ingest and query jobs come from one sequence; these begin where queries never get.
_FIRST_NUMBER = 50_000_000
# Small jobs are processed before the answer, so that tests and demos see their effect at once.
_PATIENCE_S = 0.25


@dataclass
class IngestJob:
    """One job and its progress."""

    id: str
    settings: dict[str, Any]
    version: str
    created: datetime
    run: IngestRun
    upload: Upload
    state: str = "Open"
    polls: int = 0
    processed: int = 0
    failed: int = 0
    most: int | None = None
    failure: str = ""
    done: threading.Event = field(default_factory=threading.Event)


class IngestHandler:
    """Answer `/jobs/ingest`.

    Args:
        org: what is written to.
        writer: how records are written.
        usage: where batches are counted.
        settings: after how many polls a job is complete; shared with query jobs.

    Attributes:
        largest_upload: bytes that one upload may have.
    """

    def __init__(self, org: Org, writer: Writer, usage: ApiUsage, settings: BulkSettings) -> None:
        self._org = org
        self._writer = writer
        self._usage = usage
        self._settings = settings
        self._lock = threading.Lock()
        self._jobs: dict[str, IngestJob] = {}
        self._made = 0
        self._folder = Path(tempfile.mkdtemp(prefix="sandbox-ingest-"))
        self.largest_upload = 100_000_000

    def close(self) -> None:
        """Remove every upload."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def handle(self, request: Request, version: str, rest: list[str]) -> Response:
        """Answer one request; `rest` is the path behind `/jobs/ingest`."""
        if not rest:
            return (
                self._create(request, version) if request.method == "POST" else self._list(request)
            )
        job = self._find(rest[0])
        what = rest[1].lower() if len(rest) == 2 else ""
        if len(rest) > 2 or (len(rest) == 2 and what not in {"batches", *_RESULTS}):
            raise not_found()
        if what == "batches":
            return self._fill(request, job)
        if what:
            return self._results(job, what)
        if request.method == "PATCH":
            return self._change(request, job)
        if request.method == "DELETE":
            return self._delete(job)
        self._poll(job)
        return json_response(self._info(job) | self._progress(job))

    def _create(self, request: Request, version: str) -> Response:
        if request.header("content-type").lower().startswith("multipart/"):
            parts = _parts_of(request)
            job = self._opened(job_of(parts.get("job", b"")), version)
            content = parts.get("content", b"")
            if len(content.decode("utf-8", "replace")) > _LARGEST_PART:
                raise ApiError(
                    400, "INVALIDJOB", f"a content part has at most {_LARGEST_PART} characters"
                )
            job.upload.path.write_bytes(content)
            self._jobs[job.id] = job
            self._close(request, job)
        else:
            job = self._opened(job_of(request.body), version)
            self._jobs[job.id] = job
        return json_response(self._info(job))

    def _opened(self, body: dict[str, Any], version: str) -> IngestJob:
        settings = {
            "operation": str(body.get("operation")),
            "object": str(body.get("object")),
            "contentType": body.get("contentType") or "CSV",
            "columnDelimiter": body.get("columnDelimiter") or "COMMA",
            "lineEnding": body.get("lineEnding") or "LF",
        }
        sobject = self._org.visible(settings["object"])
        key = str(body.get("externalIdFieldName") or "")
        _check_settings(settings)
        if settings["operation"] == "upsert":
            one = key_field(sobject, key)
            if one is None:
                raise ApiError(
                    400, "INVALIDJOB", f"InvalidJob : Field name not found : {key or 'none given'}"
                )
            settings["externalIdFieldName"] = key = one.name
        settings["object"] = sobject.name
        with self._lock:
            self._made += 1
            number = make_id("750", _FIRST_NUMBER + self._made)
        upload = Upload(self._folder / number, settings["columnDelimiter"], settings["lineEnding"])
        run = IngestRun(self._org, self._writer, settings["operation"], sobject.name, key)
        return IngestJob(number, settings, version, self._org.clock.stamp(), run, upload)

    def _fill(self, request: Request, job: IngestJob) -> Response:
        if request.method != "PUT":
            raise ApiError(
                405, "METHOD_NOT_ALLOWED", f"HTTP Method '{request.method}' not allowed."
            )
        if not request.header("content-type").lower().startswith("text/csv"):
            raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", "the content of a job is text/csv")
        if len(request.body) > self.largest_upload:
            raise ApiError(
                400, "EXCEEDED_QUOTA", f"an upload has at most {self.largest_upload} bytes"
            )
        with self._lock:
            if job.state != "Open" or job.upload.path.exists():
                raise ApiError(
                    400,
                    "INVALIDJOBSTATE",
                    f"Found multiple contents for job: <{job.id}>, please 'Close' / 'Abort' / "
                    "'Delete' the current Job then create a new Job and make sure you only do "
                    "'PUT' once on a given Job.",
                )
            job.upload.path.write_bytes(request.body)
        return Response(201)

    def _change(self, request: Request, job: IngestJob) -> Response:
        state = job_of(request.body).get("state")
        with self._lock:
            allowed = {
                "UploadComplete": {"Open"},
                "Aborted": {"Open", "UploadComplete", "InProgress"},
            }
            if job.state not in allowed.get(str(state), set()):
                raise ApiError(
                    400, "INVALIDJOBSTATE", f"A job in state {job.state} cannot become {state}"
                )
            if state == "UploadComplete" and not job.upload.path.exists():
                raise ApiError(400, "INVALIDJOBSTATE", "The job has no content yet")
            was_open, job.state = job.state == "Open", str(state)
        if state == "UploadComplete":
            self._close(request, job)
        elif was_open:
            self._abandon(job)
        return json_response(without_format(self._info(job)))

    def _close(self, request: Request, job: IngestJob) -> None:
        job.state = "UploadComplete"
        if request.fault is not None and request.fault.kind == "fail_job":
            job.failure, job.most = request.fault.message, request.fault.after
        threading.Thread(target=self._process, args=(job,), daemon=True).start()
        job.done.wait(_PATIENCE_S)

    def _abandon(self, job: IngestJob) -> None:
        """End a job that was never closed; a running one stops by itself before its next chunk."""
        if job.upload.path.exists():
            self._process(job)
        else:
            self._keep(job)

    def _process(self, job: IngestJob) -> None:
        try:
            job.run.process(job.upload, job.most, lambda: job.state == "Aborted")
        except (UnreadableUploadError, ApiError) as problem:
            job.failure = job.failure or str(problem)
        except Exception as problem:  # noqa: BLE001 - a failed job reports its reason
            job.failure = job.failure or f"InternalServerError : {problem}"
        job.upload.path.unlink(missing_ok=True)
        self._keep(job)

    def _keep(self, job: IngestJob) -> None:
        """Write the results down, so that a finished job takes no memory."""
        tally = job.run.tally
        job.processed, job.failed = tally.processed, len(tally.failed)
        tally.shuffle(random.Random(job.id))  # noqa: S311 - an order, not a secret
        self._usage.count_batches(job.processed)
        for kind in _RESULTS:
            rows = result_rows(tally, kind, float(job.version))
            self._path(job, kind).write_bytes(job.upload.written(next(rows), rows))
        job.run.tally = Tally()
        job.done.set()

    def _path(self, job: IngestJob, kind: str) -> Path:
        return self._folder / f"{job.id}.{kind}"

    def _poll(self, job: IngestJob) -> None:
        if job.state == "Open" or job.state in _FINISHED:
            return
        job.polls += 1
        ended = job.polls >= self._settings.polls and job.done.wait(_PATIENCE_S)
        with self._lock:
            if job.state not in _FINISHED:
                finished = "Failed" if job.failure else "JobComplete"
                job.state = finished if ended else "InProgress"

    def _find(self, number: str) -> IngestJob:
        job = self._jobs.get(number) or next(
            (one for name, one in self._jobs.items() if name[:15] == number), None
        )
        age = self._org.clock.stamp() - job.created if job else _KEPT
        if job is None or age > _KEPT:
            raise not_found()
        if job.state == "Open" and age > _LONGEST_OPEN:
            job.state = "Aborted"
            self._abandon(job)
        return job

    def _results(self, job: IngestJob, kind: str) -> Response:
        if job.state not in _FINISHED or not job.done.wait(_PATIENCE_S):
            raise ApiError(
                400, "INVALIDJOBSTATE", f"The job is not complete, its state is {job.state}"
            )
        return Response(200, self._path(job, kind).read_bytes(), content_type="text/csv")

    def _delete(self, job: IngestJob) -> Response:
        if job.state not in _FINISHED:
            raise ApiError(
                400,
                "API_ERROR",
                "Error encountered when deleting the job because the job is not terminated",
            )
        del self._jobs[job.id]
        for kind in _RESULTS:
            self._path(job, kind).unlink(missing_ok=True)
        return Response(204)

    def _list(self, request: Request) -> Response:
        first = request.query.get("queryLocator", "0")
        start = int(first) if is_number(first) else 0
        kind = request.query.get("jobType", "V2Ingest")
        jobs = list(self._jobs.values()) if kind == "V2Ingest" else []
        records = [self._info(job) | {"jobType": "V2Ingest"} for job in jobs[start:][:_LISTED]]
        after = start + len(records)
        following = f"{request.path}?queryLocator={after}" if after < len(jobs) else None
        return json_response(
            {"done": following is None, "records": records, "nextRecordsUrl": following}
        )

    def _info(self, job: IngestJob) -> dict[str, Any]:
        stamp = python_value(job.created)
        info = {
            "id": job.id,
            "createdById": self._org.user_id,
            "createdDate": stamp,
            "systemModstamp": stamp,
            "state": job.state,
            "concurrencyMode": "Parallel",
            "apiVersion": float(job.version),
        }
        if job.state == "Open":
            info["contentUrl"] = f"services/data/v{job.version}/jobs/ingest/{job.id}/batches"
        return info | job.settings

    def _progress(self, job: IngestJob) -> dict[str, Any]:
        shown = job.state in _FINISHED and job.done.is_set()
        counts = {
            "numberRecordsProcessed": job.processed if shown else 0,
            "numberRecordsFailed": job.failed if shown else 0,
        }
        # An open job has no counts; they come when it is closed.
        progress = ({} if job.state == "Open" else counts) | {
            "jobType": "V2Ingest",
            "retries": 0,
            "totalProcessingTime": 100 * job.polls,
            "apiActiveProcessingTime": 60 * job.polls,
            "apexProcessingTime": 0,
        }
        return progress | ({"errorMessage": job.failure} if job.state == "Failed" else {})


def _check_settings(settings: dict[str, Any]) -> None:
    known = {
        "operation": OPERATIONS,
        "contentType": ("CSV",),
        "columnDelimiter": DELIMITERS,
        "lineEnding": LINE_ENDS,
    }
    for name, values in known.items():
        if settings[name] not in values:
            text = f"InvalidJob : {name} is one of {', '.join(values)}, not {settings[name]}"
            raise ApiError(400, "INVALIDJOB", text)


def _parts_of(request: Request) -> dict[str, bytes]:
    head = f"Content-Type: {request.header('content-type')}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + request.body)
    parts: dict[str, bytes] = {}
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str):
            content = part.get_payload(decode=True)
            parts[name] = content if isinstance(content, bytes) else b""
    if not {"job", "content"} <= set(parts):
        raise unreadable("a multipart job has the parts 'job' and 'content'")
    return parts
