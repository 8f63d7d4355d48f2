"""Exports: ordered, waited for, and fetched from an address that lives for five minutes.

Source: https://developers.hubspot.com/docs/api-reference/crm-exports-v3/guide
"""

import secrets
import threading
from dataclasses import dataclass
from typing import Any

from crm_sandbox.http import Request, Response, is_number
from crm_sandbox.hubspot import bodies
from crm_sandbox.hubspot.errors import ApiError, invalid, not_found, unsupported_method
from crm_sandbox.hubspot.export_file import ExportFile, Wanted
from crm_sandbox.hubspot.instants import iso_of
from crm_sandbox.hubspot.paging import answered, json_of
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.routes import FILES
from crm_sandbox.hubspot.schema import ObjectType
from crm_sandbox.hubspot.search_filters import Condition, FilterReader

MOST_A_DAY = 30
_DAY_MS = 86_400_000
_LIVES_MS = 300_000
_NEEDED = ("exportType", "format", "exportName", "language", "objectType", "objectProperties")


@dataclass
class Export:
    """One export on its way.

    Attributes:
        polls: how often a client must still ask until it is done.
        fails: what it fails with, on order.
        links: the addresses of its result with the moment at which each dies.
    """

    id: int
    name: str
    kind: str
    one: ObjectType
    wanted: Wanted
    asked_ms: int
    polls: int
    fails: str = ""
    done_ms: int = 0
    rows: int = 0
    file: ExportFile | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing happens to it any more."""
        return self.done_ms > 0


class ExportHandler:
    """Answers about exports of one portal; one of them runs at a time.

    Args:
        portal: the portal.
    """

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._filters = FilterReader(portal)
        self._lock = threading.RLock()
        self._exports: dict[int, Export] = {}
        self._links: dict[str, tuple[int, int]] = {}

    def handle(self, request: Request, parts: tuple[str, ...]) -> Response:
        """Answer an order, a question about its state, or one about the export."""
        if parts == ("export", "async"):
            if request.method != "POST":
                raise unsupported_method()
            return self._order(request)
        if request.method != "GET":
            raise unsupported_method()
        if parts[:3] == ("export", "async", "tasks") and parts[4:] == ("status",):
            return self._status(request, self._known(parts[3]))
        if len(parts) == 2 and parts[0] == "export":
            return self._shown(self._known(parts[1]))
        raise not_found()

    def fetch(self, name: str) -> Response | None:
        """Answer the address of a result, which needs no token; None where it was never given out."""
        with self._lock:
            link = self._links.get(name)
        if link is None:
            return None
        number, until = link
        made = self._exports[number].file
        if self._portal.now_ms() >= until or made is None:
            return Response(403, b"<Error><Code>AccessDenied</Code></Error>", (), "application/xml")
        header = ("Content-Disposition", f'attachment; filename="{made.name}"')
        return Response(200, made.content, (header,), made.content_type)

    def _known(self, text: str) -> Export:
        found = self._exports.get(int(text)) if is_number(text) else None
        if found is None:
            raise not_found(f"Unable to find export {text}")
        return found

    def _order(self, request: Request) -> Response:
        body = json_of(request, bodies.Export)
        if lacking := [key for key in _NEEDED if not body.get(key)]:
            raise invalid(f"Some required fields were not set: {lacking}")
        if body["exportType"] not in {"VIEW", "LIST"} or body["format"] not in {
            "CSV",
            "XLS",
            "XLSX",
        }:
            raise invalid("exportType must be VIEW or LIST, format CSV, XLS or XLSX")
        if body["exportType"] == "LIST" or body["format"] != "CSV":
            # Lists and spreadsheets are not emulated; better said than answered wrongly.
            raise invalid("the sandbox exports views as CSV only")
        one = self._portal.catalog.asked(str(body["objectType"]))
        now = self._portal.now_ms()
        with self._lock:
            recent = sum(e.asked_ms > now - _DAY_MS for e in self._exports.values())
            if recent >= MOST_A_DAY:
                message = f"at most {MOST_A_DAY} exports are allowed in 24 hours"
                raise ApiError(429, "RATE_LIMITS", message)
            number = 81_000_001 + len(self._exports)
            polls = self._portal.settings.export_polls
            order = request.fault
            fails = order.message if order is not None and order.kind == "fail_job" else ""
            made = Export(
                number,
                str(body["exportName"]),
                str(body["exportType"]),
                one,
                self._wanted(one, body),
                now,
                polls,
                fails,
            )
            self._exports[number] = made
        status = f"{request.base_url}/crm/v3/exports/export/async/tasks/{number}/status"
        return answered({"id": str(number), "links": {"status": status}}, 202)

    def _wanted(self, one: ObjectType, body: dict[str, Any]) -> Wanted:
        chosen = [one.find(str(name)) for name in body["objectProperties"]]
        internal = set(body.get("exportInternalValuesOptions") or ())
        others = body.get("associatedObjectType") or []
        listed = [others] if isinstance(others, str) else list(others)
        search = body.get("publicCrmSearchRequest") or {}
        groups = list(search.get("filterGroups") or [])
        if search.get("filters"):
            groups.append({"filters": search["filters"]})
        condition = Condition("NOT _archived").also(self._filters.read(one, groups))
        if search.get("query"):
            condition = condition.also(self._filters.query(one, str(search["query"])))
        return Wanted(
            tuple(prop for prop in chosen if prop is not None),
            tuple(self._portal.catalog.asked(str(name)) for name in listed),
            condition,
            "NAMES" in internal,
            "VALUES" in internal,
        )

    def _status(self, request: Request, one: Export) -> Response:
        with self._lock:
            self._advance(one)
            body: dict[str, Any] = {
                "status": self._state(one),
                "requestedAt": iso_of(one.asked_ms),
                "startedAt": iso_of(one.asked_ms),
                "completedAt": iso_of(one.done_ms or self._portal.now_ms()),
            }
            if one.fails and one.is_over:
                failure = ApiError(500, "EXPORT_FAILED", one.fails)
                body |= {"status": "COMPLETE", "numErrors": 1, "errors": [failure.entry()]}
            elif one.file is not None:
                # Each question gives a new address, which needs no token.
                name = secrets.token_urlsafe(24)
                self._links[name] = (one.id, self._portal.now_ms() + _LIVES_MS)
                body["result"] = f"{request.base_url}{FILES}{name}"
            return answered(body)

    def _advance(self, one: Export) -> None:
        """Let the export come nearer to its end, if it is its turn."""
        if one.is_over or self._running() is not one:
            return
        if one.polls > 0:
            one.polls -= 1
            return
        one.done_ms = self._portal.now_ms()
        if not one.fails:
            one.file = ExportFile.of(self._portal, one.one, one.name, one.wanted)
            one.rows = one.file.rows

    def _running(self) -> Export | None:
        return next((one for one in self._exports.values() if not one.is_over), None)

    def _state(self, one: Export) -> str:
        if one.is_over:
            return "COMPLETE"
        return "PROCESSING" if self._running() is one else "PENDING"

    def _shown(self, one: Export) -> Response:
        states = {"COMPLETE": "DONE", "PROCESSING": "PROCESSING", "PENDING": "ENQUEUED"}
        with self._lock:
            state = "FAILED" if one.fails and one.is_over else states[self._state(one)]
            body: dict[str, Any] = {
                "id": str(one.id),
                "exportName": one.name,
                "exportType": one.kind,
                "exportState": state,
                "objectType": one.one.id,
                "objectProperties": [prop.name for prop in one.wanted.properties],
                "createdAt": iso_of(one.asked_ms),
                "updatedAt": iso_of(one.done_ms or one.asked_ms),
            }
            if state == "DONE":
                body["recordCount"] = one.rows
            return answered(body)
