"""Bulk Write: jobs that write the lines of an uploaded CSV.

https://www.zoho.com/crm/developer/docs/api/v8/bulk-write/overview.html
"""

import io
import threading
import zipfile
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.shapes import misfit
from crm_sandbox.zoho.bodies import BulkWrite
from crm_sandbox.zoho.bulk_rows import (
    Lines,
    Mapping,
    mappings_of,
    read_lines,
    record_of,
    result_lines,
)
from crm_sandbox.zoho.deliveries import DeliveryLog, is_address
from crm_sandbox.zoho.errors import ZohoError, no_such_address
from crm_sandbox.zoho.limits import BULK_WRITE, Meter
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.schema import Module
from crm_sandbox.zoho.uploads import UploadHandler
from crm_sandbox.zoho.writes import Writer

_PATIENCE_S = 60
_AT_ONCE = 100
_OPERATIONS = frozenset({"insert", "update", "upsert"})


@dataclass
class BulkWriteSettings:
    """After how many polls a job is complete, and how many lines a file may have (unconfirmed).

    Attributes:
        under_way: `INPROGRESS` in the description of 2026, `IN PROGRESS` in that of 2025.
    """

    polls: int = 2
    most_rows: int = 25_000
    under_way: str = "INPROGRESS"


@dataclass
class WriteJob:
    """One job."""

    id: str
    body: dict[str, Any]
    module: Module
    lines: Lines
    mappings: list[Mapping]
    file_name: str
    created: datetime
    base_url: str
    find_by: str
    ignore_empty: bool
    fails_after: int | None = None
    state: str = "ADDED"
    polls: int = 0
    results: list[tuple[str, str, str]] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def operation(self) -> str:
        """What the job does."""
        return str(self.body["operation"])

    @property
    def callback(self) -> str:
        """Whom the job tells when it has ended."""
        return str((self.body.get("callback") or {}).get("url", ""))

    def count(self, status: str) -> int:
        """Count the lines of which this became."""
        return sum(one[0] == status for one in self.results)


class BulkWriteHandler:
    """Answers `/crm/bulk/v8/write`.

    Args:
        org: holds the records.
        writer: writes them.
        uploads: the files.
        meter: counts the credits of a job.
        mailman: takes callbacks out.
    """

    def __init__(
        self, org: Org, writer: Writer, uploads: UploadHandler, meter: Meter, mailman: DeliveryLog
    ) -> None:
        self._org = org
        self._writer = writer
        self._uploads = uploads
        self._meter = meter
        self._mailman = mailman
        self._lock = threading.Lock()
        self._jobs: dict[str, WriteJob] = {}
        self.settings = BulkWriteSettings()

    def handle(self, request: Request, rest: list[str]) -> Response:
        """Answer one request; `rest` is the path behind `/write`.

        Raises:
            ZohoError: the refusal.
        """
        if not rest and request.method == "POST":
            return self._create(request)
        if request.method != "GET" or not rest:
            raise no_such_address()
        self._meter.charge(1)
        job = self._jobs.get(rest[0])
        if job is None:
            raise _refused("RESOURCE_NOT_FOUND", "the job is not found", status=404)
        if rest[1:] == ["result"]:
            return self._result(job)
        if rest[1:]:
            raise no_such_address()
        self._poll(job)
        return json_response(self._info(job))

    def close(self) -> None:
        """Let the jobs end."""
        for job in self._jobs.values():
            job.done.wait(_PATIENCE_S)

    def _create(self, request: Request) -> Response:
        try:
            body = request.json()
        except ValueError as problem:
            raise _refused("INVALID_REQUEST", "the body is not JSON") from problem
        job = self._read(request, body)
        self._meter.charge(BULK_WRITE)
        self._jobs[job.id] = job
        threading.Thread(target=self._process, args=(job,), daemon=True, name="zoho write").start()
        said = {"status": "success", "code": "SUCCESS", "message": "success"}
        return json_response(said | {"details": {"id": job.id, "created_by": self._user()}}, 201)

    def _read(self, request: Request, body: Any) -> WriteJob:
        _check_shape(body)
        resources = body.get("resource")
        if not isinstance(resources, list) or len(resources) != 1:
            raise _refused("INVALID_DATA", "one resource is expected", api_name="resource")
        callback = body.get("callback")
        if callback is not None and not is_address(callback.get("url")):
            raise _refused("INVALID_CALLBACK_URL", "the callback URL is invalid")
        resource = resources[0]
        module = self._org.find(str((resource.get("module") or {}).get("api_name", "")))
        if module is None or not module.creatable or module.listed_only:
            raise _refused("INVALID_DATA", "invalid module", api_name="module")
        name, content = self._content(resource)
        try:
            lines = read_lines(content, body.get("character_encoding") or "utf-8")
            mappings = mappings_of(module, resource.get("field_mappings"), lines.header)
        except LookupError as problem:
            raise _refused("INVALID_DATA", "invalid field", api_name=str(problem)) from problem
        except ValueError as problem:
            raise _refused("FILE_NOT_SUPPORTED", "the file cannot be read") from problem
        find_by = str(resource.get("find_by") or "")
        _check_keys(module, str(body["operation"]), find_by, mappings)
        with self._lock:
            number = str(self._org.ids.one("write_jobs", len(self._jobs)))
        made = WriteJob(
            number,
            body,
            module,
            lines,
            mappings,
            name,
            self._org.clock.stamp(),
            request.base_url,
            find_by,
            bool(resource.get("ignore_empty", body.get("ignore_empty", False))),
        )
        if request.fault is not None and request.fault.kind == "fail_job":
            made.fails_after = request.fault.after
        return made

    def _content(self, resource: dict[str, Any]) -> tuple[str, bytes]:
        """Return the name and the bytes of the file that a resource names."""
        upload = self._uploads.find(resource.get("file_id"))
        if upload is None:
            raise _refused("FILE_NOT_FOUND", "the file is not found", api_name="file_id")
        name = (resource.get("file_names") or list(upload.members))[0]
        if name not in upload.members:
            raise _refused("FILE_NOT_FOUND", "the file is not found", api_name="file_names")
        return name, upload.members[name]

    def _process(self, job: WriteJob) -> None:
        try:
            most = len(job.lines.rows) if job.fails_after is None else job.fails_after
            allowed = min(most, self.settings.most_rows)
            for first in range(0, min(allowed, len(job.lines.rows)), _AT_ONCE):
                rows = job.lines.rows[first : min(first + _AT_ONCE, allowed)]
                job.results += self._written(job, rows)
            rest = len(job.lines.rows) - len(job.results)
            job.results += [("UNPROCESSED", "", "")] * rest
        finally:
            job.done.set()
        if job.callback:
            job.state = "COMPLETED"
            self._mailman.send(job.callback, self._info(job))

    def _written(self, job: WriteJob, rows: list[list[str]]) -> list[tuple[str, str, str]]:
        records = [record_of(row, job.mappings, ignore_empty=job.ignore_empty) for row in rows]
        if job.operation == "insert":
            shown = self._writer.insert(job.module, records)
        elif job.operation == "update" and job.find_by == "id":
            shown = self._writer.update(job.module, records)
        elif job.operation == "update":
            shown = self._writer.update_by(job.module, records, job.find_by)
        else:
            shown = self._writer.upsert(job.module, records, [job.find_by] if job.find_by else None)
        results = []
        for one in shown:
            if one["status"] == "error":
                about = one["details"].get("api_name", "")
                results.append(("SKIPPED", "", f"{one['code']}:{about}"))
            else:
                done = "ADDED" if one["message"] == "record added" else "UPDATED"
                results.append((done, one["details"]["id"], ""))
        return results

    def _poll(self, job: WriteJob) -> None:
        if job.state == "COMPLETED":
            return
        job.polls += 1
        is_done = job.polls >= self.settings.polls and job.done.wait(_PATIENCE_S)
        job.state = "COMPLETED" if is_done else self.settings.under_way

    def _info(self, job: WriteJob) -> dict[str, Any]:
        asked = job.body["resource"][0]
        failed = job.fails_after is not None and job.state == "COMPLETED"
        state = "FAILED" if failed else job.state
        moment = "SELECT zoho_moment(?::TIMESTAMP)"
        resource: dict[str, Any] = {
            "status": state,
            "type": "data",
            "module": {"api_name": job.module.name},
            "ignore_empty": job.ignore_empty,
            "field_mappings": asked.get("field_mappings") or [],
        }
        shown: dict[str, Any] = {
            "status": job.state,
            "character_encoding": job.body.get("character_encoding") or "UTF-8",
            "resource": [resource],
            "id": job.id,
            "created_by": self._user(),
            "operation": job.operation,
            "created_time": str(self._org.tables.value(moment, [job.created])),
        }
        if job.callback:
            shown["callback"] = {"url": job.callback, "method": "post"}
        if job.state == "COMPLETED":
            resource["file"] = {
                "status": state,
                "name": job.file_name,
                "added_count": job.count("ADDED"),
                "skipped_count": job.count("SKIPPED"),
                "updated_count": job.count("UPDATED"),
                "total_count": len(job.lines.rows),
            }
            path = f"/crm/bulk/v8/write/{job.id}/result"
            shown["result"] = {"download_url": f"{job.base_url}{path}"}
        return shown

    def _result(self, job: WriteJob) -> Response:
        if job.state != "COMPLETED":
            raise _refused("RESOURCE_NOT_FOUND", "the job has not ended", status=404)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr(job.file_name, result_lines(job.lines, job.results))
        named = (("Content-Disposition", f'attachment; filename="{job.id}.zip"'),)
        return Response(200, packed.getvalue(), named, "application/zip")

    def _user(self) -> dict[str, str]:
        number = self._org.user_id
        name = self._org.tables.value('SELECT full_name FROM "Users" WHERE id = ?', [number])
        return {"id": str(number), "name": str(name)}


def _check_shape(body: Any) -> None:
    wrong = misfit(body, BulkWrite)
    if wrong is not None:
        raise _refused(
            "INVALID_DATA",
            f"invalid data: {wrong.reason}",
            api_name=wrong.name or "operation",
            json_path=wrong.place,
        )
    if body.get("operation") not in _OPERATIONS:
        raise _refused("INVALID_DATA", "invalid operation", api_name="operation")


def _check_keys(module: Module, operation: str, find_by: str, mappings: list[Mapping]) -> None:
    mapped = {one.field.name for one in mappings}
    if operation != "insert" and not find_by:
        raise _refused("MANDATORY_NOT_FOUND", "Required key find_by is not available")
    key = module.find(find_by) if find_by else None
    if find_by and (key is None or find_by not in mapped):
        raise _refused("INVALID_DATA", "invalid find_by", api_name="find_by")
    needed = {one.name for one in module.visible_fields if one.mandatory and one.is_stored}
    if operation == "insert" and needed - mapped:
        raise _refused("MANDATORY_FIELDS_NOT_MAPPED", "mandatory fields are not mapped")


def _refused(code: str, message: str, *, status: int = 400, **details: Any) -> ZohoError:
    return ZohoError(status, code, message, details)
