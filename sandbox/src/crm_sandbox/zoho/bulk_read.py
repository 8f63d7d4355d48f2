"""Bulk Read: jobs that export up to 200,000 rows as a ZIP with one CSV.

https://www.zoho.com/crm/developer/docs/api/v8/bulk-read/overview.html
"""

import secrets
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.zoho.bulk_files import FileShelf, Lines, texts_of, zip_member
from crm_sandbox.zoho.bulk_query import BulkQuery, read_query, refused
from crm_sandbox.zoho.deliveries import DeliveryLog, is_address
from crm_sandbox.zoho.errors import ZohoError, no_such_address
from crm_sandbox.zoho.ics import HEAD, TAIL, event_sql
from crm_sandbox.zoho.limits import BULK_READ, Meter
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.rendering import csv_line
from crm_sandbox.zoho.scopes import demand
from crm_sandbox.zoho.versions import Version

_KEPT = timedelta(days=1)
_TOKEN_LIVES = timedelta(hours=24)
_PATIENCE_S = 60
_ROWS_AT_ONCE = 50_000
_ON_THE_WAY = ("QUEUED", "IN PROGRESS")


@dataclass
class BulkReadSettings:
    """After how many polls a job is complete, and how many rows it reads."""

    polls: int = 3
    page_rows: int = 200_000
    ics_rows: int = 20_000


@dataclass
class Job:
    """One job."""

    id: str
    query: BulkQuery
    file_type: str
    callback: str
    created: datetime
    state: str = "ADDED"
    polls: int = 0
    failure: str = ""
    lines: Lines | None = None
    next_token: str = ""
    token_until: datetime | None = None
    done: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


class BulkReadHandler:
    """Answers `/crm/bulk/v8/read`.

    Args:
        org: what is exported.
        meter: counts the credits of a job.
        mailman: takes callbacks out.
    """

    def __init__(self, org: Org, meter: Meter, mailman: DeliveryLog) -> None:
        self._org = org
        self._meter = meter
        self._mailman = mailman
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._made = 0
        self._tokens: dict[str, tuple[BulkQuery, datetime]] = {}
        self._shelf: FileShelf | None = None
        self.settings = BulkReadSettings()

    def handle(
        self, request: Request, rest: list[str], scopes: Iterable[str], version: Version
    ) -> Response:
        """Answer one request; `rest` is the path behind `/read`, `scopes` those of the token.

        Raises:
            ZohoError: the refusal.
        """
        if not rest and request.method == "POST":
            return self._create(request, scopes, version)
        if request.method != "GET" or not rest:
            raise no_such_address()
        self._meter.charge(1)
        job = self._jobs.get(rest[0])
        if job is None or self._org.clock.stamp() - job.created > _KEPT:
            raise _unknown(rest[0])
        if rest[1:] == ["result"]:
            return self._result(job)
        if rest[1:]:
            raise no_such_address()
        self._poll(job)
        return json_response({"data": [self._info(job)]})

    def close(self) -> None:
        """Let the jobs end, and remove every file."""
        for job in self._jobs.values():
            job.ended.wait(_PATIENCE_S)
        if self._shelf is not None:
            self._shelf.close()

    def _create(self, request: Request, scopes: Iterable[str], version: Version) -> Response:
        if "json" not in request.header("content-type"):
            raise ZohoError(415, "MEDIA_TYPE_NOT_SUPPORTED", "The media type is not supported")
        if not request.body.strip():
            raise refused("REQUEST_BODY_IS_EMPTY", "The request body is empty")
        try:
            body = request.json()
        except ValueError as problem:
            raise refused("REQUEST_BODY_NOT_READABLE", "The request body is not JSON") from problem
        if not isinstance(body, dict) or "query" not in body:
            raise refused("INVALID_REQUEST", "The request has no query")
        asked = body["query"]
        if (
            version.names_modules
            and isinstance(asked, dict)
            and isinstance(asked.get("module"), str)
        ):
            asked = asked | {"module": {"api_name": asked["module"]}}
        query = self._query(asked)
        demand(scopes, f"ZohoCRM.modules.{query.module.name}.READ")
        callback = _callback(body.get("callback"))
        file_type = str(body.get("file_type", "csv")).lower()
        if file_type not in {"csv", "ics"} or (
            file_type == "ics" and query.module.stored != "Events"
        ):
            raise refused("INVALID_REQUEST", "The file type is not supported")
        self._meter.charge(BULK_READ)
        with self._lock:
            self._made += 1
            number = str(self._org.ids.one("jobs", self._made))
        job = Job(number, query, file_type, callback, self._org.clock.stamp())
        if request.fault is not None and request.fault.kind == "fail_job":
            job.failure = request.fault.message
        self._jobs[number] = job
        threading.Thread(target=self._process, args=(job,), daemon=True, name="zoho bulk").start()
        details = {
            "id": number,
            "operation": "read",
            "state": "ADDED",
            "created_by": self._user(),
            "created_time": self._moment(job.created),
        }
        said = {"status": "success", "code": "ADDED_SUCCESSFULLY", "message": "Added successfully."}
        return json_response({"data": [said | {"details": details}], "info": {}}, 201)

    def _query(self, asked: Any) -> BulkQuery:
        token = asked.get("page_token") if isinstance(asked, dict) else None
        if token is None:
            return read_query(self._org, asked)
        with self._lock:
            found = self._tokens.get(str(token))
        if found is None:
            raise refused("INVALID_TOKEN", "The page token is invalid", api_name="page_token")
        if self._org.clock.stamp() >= found[1]:
            raise refused("EXPIRED_VALUE", "The page token is expired", api_name="page_token")
        return found[0]

    def _process(self, job: Job) -> None:
        try:
            self._work(job)
        finally:
            job.ended.set()

    def _work(self, job: Job) -> None:
        try:
            if not job.failure:
                job.lines = self._lines(job)
                self._give_token(job, job.lines)
        except Exception as problem:  # noqa: BLE001 - a failed job reports its reason
            job.failure = str(problem)
        job.done.set()
        if job.callback:
            # Who asks to be called does not poll.
            job.state = "FAILURE" if job.failure else "COMPLETED"
            self._mailman.send(job.callback, {"data": [self._info(job)]})

    def _lines(self, job: Job) -> Lines:
        most = self.settings.ics_rows if job.file_type == "ics" else self.settings.page_rows
        query = job.query
        skip = 0 if query.after else (query.page - 1) * most
        line = csv_line(query.cells) if job.file_type == "csv" else event_sql("t")
        sql = (
            f'SELECT {line}, t.id FROM "{query.module.stored}" t WHERE {query.where} AND t.id > ? '
            f"ORDER BY t.id LIMIT {most + 1} OFFSET {skip}"
        )
        with self._lock:
            self._shelf = self._shelf or FileShelf()
            shelf = self._shelf
        params = [*query.params, query.after]
        key = (self._org.tables.revision, sql, str(params), query.header)
        known = shelf.known(key)
        if known is not None:
            return known
        writer = _Writer(self._org, most)
        path = shelf.new_path()
        head, tail = (query.header, "") if job.file_type == "csv" else (HEAD, TAIL)
        zip_member(path, f"{job.id}.{job.file_type}", writer.pieces(head, sql, params, tail))
        lines = Lines(path, writer.count, writer.last, writer.more)
        shelf.keep(key, lines)
        return lines

    def _give_token(self, job: Job, lines: Lines) -> None:
        if not lines.more:
            return
        job.next_token = secrets.token_hex(24)
        job.token_until = self._org.clock.stamp() + _TOKEN_LIVES
        onward = replace(job.query, after=lines.last, page=job.query.page + 1)
        with self._lock:
            self._tokens[job.next_token] = (onward, job.token_until)

    def _poll(self, job: Job) -> None:
        if job.state in {"COMPLETED", "FAILURE"}:
            return
        job.polls += 1
        if job.polls >= self.settings.polls and job.done.wait(_PATIENCE_S):
            job.state = "FAILURE" if job.failure else "COMPLETED"
        else:
            job.state = _ON_THE_WAY[min(job.polls, len(_ON_THE_WAY)) - 1]

    def _info(self, job: Job) -> dict[str, Any]:
        module = job.query.module
        asked = {key: value for key, value in job.query.asked.items() if key != "module"}
        named = {"api_name": module.name, "id": self._org.ids.setting("module", module.stored)}
        shown = {
            "id": job.id,
            "operation": "read",
            "state": job.state,
            "query": {"module": named} | asked | {"page": job.query.page},
            "created_by": self._user(),
            "created_time": self._moment(job.created),
            "file_type": job.file_type,
        }
        if job.callback:
            shown["callback"] = {"url": job.callback, "method": "post"}
        if job.state == "FAILURE":
            error = {"status": "error", "code": "INTERNAL_ERROR", "message": job.failure}
            return shown | {"result": {"error_message": error | {"details": {}}}}
        if job.state == "COMPLETED" and job.lines is not None:
            shown["result"] = self._outcome(job, job.lines)
        return shown

    def _outcome(self, job: Job, lines: Lines) -> dict[str, Any]:
        outcome: dict[str, Any] = {
            "page": job.query.page,
            "count": lines.count,
            "download_url": f"/crm/bulk/v8/read/{job.id}/result",
            "per_page": self.settings.page_rows,
            "more_records": lines.more,
        }
        if job.token_until is not None:
            outcome["next_page_token"] = job.next_token
            outcome["page_token_expiry"] = self._moment(job.token_until)
        return outcome

    def _result(self, job: Job) -> Response:
        if job.state != "COMPLETED" or job.lines is None:
            raise _unknown(job.id)
        named = (("Content-Disposition", f"attachment; filename={job.id}.zip"),)
        return Response(200, job.lines.path.read_bytes(), named, "application/zip")

    def _user(self) -> dict[str, str]:
        number = self._org.user_id
        name = self._org.tables.value('SELECT full_name FROM "Users" WHERE id = ?', [number])
        return {"id": str(number), "name": str(name)}

    def _moment(self, stamp: datetime) -> str:
        return str(self._org.tables.value("SELECT zoho_moment(?::TIMESTAMP)", [stamp]))


class _Writer:
    """Runs a query and counts what passes."""

    def __init__(self, org: Org, most: int) -> None:
        self._org = org
        self._most = most
        self.count = 0
        self.last = 0
        self.more = False

    def pieces(self, head: str, sql: str, params: list[Any], tail: str) -> Iterator[bytes]:
        yield head.encode()
        cursor = self._org.tables.cursor()
        for batch in cursor.sql(sql, params=params).to_arrow_reader(_ROWS_AT_ONCE):
            left = self._most - self.count
            self.more = self.more or batch.num_rows > left
            kept = batch.slice(0, left)
            if kept.num_rows:
                self.count += kept.num_rows
                self.last = kept.column(1)[kept.num_rows - 1].as_py()
                yield texts_of(kept)
        if tail:
            yield tail.encode()


def _callback(asked: Any) -> str:
    if asked is None:
        return ""
    if not isinstance(asked, dict) or not is_address(asked.get("url")):
        raise refused("INVALID_CALLBACK_URL", "The callback URL is invalid")
    if str(asked.get("method", "")).lower() != "post":
        raise refused(
            "INVALID_CALLBACK_METHOD",
            "The callback method is invalid",
            supported_callback_methods=["post"],
        )
    return str(asked["url"])


def _unknown(number: str) -> ZohoError:
    return ZohoError(
        404, "RESOURCE_NOT_FOUND", "The requested resource is not found", {"resource": number}
    )
