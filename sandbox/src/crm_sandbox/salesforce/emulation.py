"""The Salesforce emulation: routing, sessions and limits; and its Python methods for tests."""

import re
from dataclasses import replace

from crm_sandbox.clock import SandboxClock
from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.kernel.administration import AdminApi
from crm_sandbox.registry import Premises
from crm_sandbox.salesforce.administration import ACTIONS
from crm_sandbox.salesforce.bulk import BulkHandler
from crm_sandbox.salesforce.changes import Changes, SchemaChanges
from crm_sandbox.salesforce.composite import CompositeHandler
from crm_sandbox.salesforce.controls import WriteControls
from crm_sandbox.salesforce.describe import (
    global_describe,
    object_basics,
    object_describe,
)
from crm_sandbox.salesforce.errors import ApiError, not_found
from crm_sandbox.salesforce.ingest import IngestHandler
from crm_sandbox.salesforce.long_requests import LongRequests
from crm_sandbox.salesforce.oauth import OAuthHandler
from crm_sandbox.salesforce.operations import OPERATIONS
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.outbound import OutboundHandler
from crm_sandbox.salesforce.query import QueryHandler
from crm_sandbox.salesforce.records import RecordHandler
from crm_sandbox.salesforce.replication import ReplicationHandler
from crm_sandbox.salesforce.sessions import Session, SessionStore
from crm_sandbox.salesforce.soap import SoapHandler
from crm_sandbox.salesforce.sobject_collections import CollectionHandler
from crm_sandbox.salesforce.translation import python_value
from crm_sandbox.salesforce.truth import Truth
from crm_sandbox.salesforce.usage import ApiUsage
from crm_sandbox.salesforce.versions import check_version, listed_versions
from crm_sandbox.salesforce.writes import Writer

_DATA = re.compile(r"/services/data/v(\d+\.\d)(/.*)?")
_LONGEST = 16_384
_UNCACHED = ("Cache-Control", "no-cache,must-revalidate,max-age=0,no-store,private")


class SalesforceSandbox(Truth, Changes, SchemaChanges, WriteControls):
    """One emulated org: answers requests, and lets tests look and change behind the API.

    Args:
        premises: the world and the clock.
    """

    def __init__(self, premises: Premises) -> None:
        self.clock: SandboxClock = premises.clock
        self.org = Org(premises.world, premises.clock, premises.since)
        super().__init__(self.org)
        self.sessions = SessionStore(premises.clock, self.org.organization_id, premises.since)
        self.usage = ApiUsage()
        self.bulk = BulkHandler(self.org, self.usage)
        self.queries = QueryHandler(self.org)
        self._oauth = OAuthHandler(self.org, self.sessions)
        self.writer = Writer(self.org)
        self.replication = ReplicationHandler(self.org)
        self.long_requests = LongRequests(self.clock)
        self.ingest = IngestHandler(self.org, self.writer, self.usage, self.bulk.settings)
        self._records = RecordHandler(self.org, self.writer)
        self._soap = SoapHandler(self.org, self.sessions, self.usage, self.queries)
        self.outbound = OutboundHandler(self.org, self.sessions)
        self._collections = CollectionHandler(self.org, self.writer, self._records)
        self._admin = AdminApi(
            self,
            ACTIONS,
            objects=lambda _: [one.name for one in self.org.objects],
            looks={
                "outbound": lambda _: {"notifications": self.outbound.listed()},
                "usage": lambda _: {"used": self.usage.used, "maximum": self.usage.maximum},
            },
            value=python_value,
            accounts=False,
        )

    def expire_sessions(self) -> int:
        """End every session; the next call of each client gets a 401."""
        return self.sessions.expire()

    def rotate(self, *, on: bool = True) -> None:
        """Switch refresh token rotation."""
        self.sessions.rotation = on

    def register_certificate(self, pem: str) -> None:
        """Let JWT bearer assertions in that are signed with this key."""
        self._oauth.register_certificate(pem)

    def set_daily_limit(self, maximum: int | None = None, used: int | None = None) -> None:
        """Change the daily limit, the calls used, or both."""
        self.usage.set(maximum, used)

    def set_bulk(self, polls: int | None = None, page_rows: int | None = None) -> None:
        """Change after how many polls a job is complete, and how many rows a page has at most."""
        settings = self.bulk.settings
        settings.polls = settings.polls if polls is None else polls
        settings.page_rows = settings.page_rows if page_rows is None else page_rows

    def handle(self, request: Request) -> Response:
        """Answer one request to the vendor."""
        # The servers are in Java, where a plain parameter is the first of its name (not confirmed).
        response = self._handled(replace(request, first_wins=True))
        known = any(name == _UNCACHED[0] for name, _ in response.headers)
        return response if known else response.with_header(*_UNCACHED)

    def _handled(self, request: Request) -> Response:
        if request.path.startswith("/services/oauth2/"):
            return self._oauth.handle(request)
        if request.path.startswith("/services/Soap/"):
            return self._soap.handle(request)
        if request.path.startswith("/id/"):
            return self._oauth.identity(request)
        if request.path.rstrip("/") == "/services/data":
            return json_response(listed_versions())
        match = _DATA.fullmatch(request.path)
        if match is None:
            return Response(
                404, b"<html><body>URL No Longer Exists</body></html>", content_type="text/html"
            )
        try:
            return self._data(request, match[1], match[2] or "/")
        except ApiError as refusal:
            response = refusal.response()
            refused_outright = refusal.status in {401, 410, 414, 431}
            return response if refused_outright else response.with_header(*self.usage.header)

    def administer(self, request: Request) -> Response:
        """Answer one admin request below `/_admin/salesforce`."""
        return self._admin.handle(request)

    def close(self) -> None:
        """Remove job results and close the database."""
        self.long_requests.close()
        self.outbound.close()
        self.bulk.close()
        self.ingest.close()
        self.org.close()

    def _data(self, request: Request, version: str, path: str) -> Response:
        check_version(version)
        target = len(request.path) + len(request.query_text) + 1
        if target > _LONGEST:
            raise ApiError(414, "URI_TOO_LONG", "The URI is too long")
        if request.head_bytes > _LONGEST:
            raise ApiError(431, "HEADERS_TOO_LONG", "The URI and headers are too long")
        session = self._session(request)
        self.usage.count()
        order = request.fault
        if order is not None and order.kind == "query_timeout":
            raise ApiError(400, "QUERY_TIMEOUT", "Your query request was running for too long.")
        if order is not None and order.kind == "hold":
            with self.long_requests.held(order.seconds):
                response = self._route(request, version, path, session)
        else:
            response = self._route(request, version, path, session)
        return response.with_header(*self.usage.header)

    def _session(self, request: Request) -> Session:
        if request.fault is not None and request.fault.kind == "expire_session":
            self.sessions.expire()
        scheme, _, token = request.header("authorization").partition(" ")
        known = scheme.lower() in {"bearer", "oauth"}
        session = self.sessions.use(token.strip()) if known else None
        if session is None:
            raise ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")
        return session

    def _route(self, request: Request, version: str, path: str, session: Session) -> Response:
        if not OPERATIONS.leads_anywhere(f"/services/data/v{version}{path}"):
            raise not_found()
        head, *rest = [part for part in path.split("/") if part] or [""]
        if head == "":
            return self._resources(request, version)
        if head in {"query", "queryAll"} and request.method == "GET":
            if rest:
                return self.queries.more(request, version, session.token, rest[0])
            deleted = head == "queryAll"
            return self.queries.answer(request, version, session.token, deleted=deleted)
        if head == "sobjects":
            return self._sobjects(request, version, rest)
        if head == "limits":
            return self._limits(request, rest)
        if head == "jobs" and rest[:1] == ["query"]:
            return self.bulk.handle(request, version, rest[1:])
        if head == "jobs" and rest[:1] == ["ingest"]:
            return self.ingest.handle(request, version, rest[1:])
        if head == "composite":
            return self._composite(request, version, rest, session)
        raise not_found()

    def _composite(
        self, request: Request, version: str, rest: list[str], session: Session
    ) -> Response:
        if rest[:1] == ["sobjects"]:
            return self._collections.handle(request, version, rest[1:])
        handler = CompositeHandler(
            self.org,
            self.usage,
            lambda inner, its_version, path: self._route(inner, its_version, path, session),
        )
        if request.method != "POST" or rest not in ([], ["batch"]):
            raise not_found()
        return handler.batch(request) if rest else handler.composite(request)

    def _sobjects(self, request: Request, version: str, rest: list[str]) -> Response:
        if not rest:
            return global_describe(self.org, version)
        try:
            self.org.visible(rest[0])
        except ApiError as problem:
            raise not_found() from problem
        if len(rest) == 1:
            if request.method == "POST":
                return self._records.create(request, rest[0], version)
            return object_basics(self.org, rest[0], version)
        if rest[1:] == ["describe"]:
            return object_describe(self.org, request, rest[0], version)
        if rest[1:] in (["updated"], ["deleted"]):
            return self.replication.answer(request, rest[0], rest[1])
        if len(rest) == 2:
            return self._records.one(request, rest[0], rest[1], version)
        if len(rest) == 3:
            return self._records.by_key(request, rest[0], rest[1], rest[2], version)
        raise not_found()

    def _limits(self, request: Request, rest: list[str]) -> Response:
        if rest == ["recordCount"]:
            names = [name for name in request.query.joined("sObjects").split(",") if name]
            chosen = [self.org.visible(n) for n in names] if names else self.org.objects
            counts = [{"count": self.count(one.name), "name": one.name} for one in chosen]
            return json_response({"sObjects": counts})
        if rest:
            raise not_found()
        return json_response(self.usage.limits())

    def _resources(self, request: Request, version: str) -> Response:
        base = f"/services/data/v{version}"
        names = ("sobjects", "query", "queryAll", "limits", "jobs", "composite")
        listed = {name: f"{base}/{name}" for name in names}
        return json_response(listed | {"identity": self._oauth.identity_url(request)})
