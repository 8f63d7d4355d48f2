"""Imports: a file with rows, what became of each, and a queue of three.

Source: https://developers.hubspot.com/docs/api-reference/crm-imports-v3/guide
"""

import csv
import io
import threading
from collections import Counter
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from crm_sandbox.http import Request, Response, decoded, is_number
from crm_sandbox.hubspot import bodies
from crm_sandbox.hubspot.errors import ApiError, invalid, not_found, unsupported_method
from crm_sandbox.hubspot.import_rows import ImportRows, Mapping
from crm_sandbox.hubspot.instants import iso_of
from crm_sandbox.hubspot.paging import Page, after_of, answered, limit_of
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.writes import Writer

AT_ONCE, LARGEST = 3, 512 << 20
MOST_ROWS = 1_048_576


@dataclass
class Import:
    """One import on its way.

    Attributes:
        polls: how often a client must still ask until it is done.
        errors: complaints about rows; an import that is done may have some.
    """

    id: int
    name: str
    asked_ms: int
    request: dict[str, Any]
    files: list[tuple[Mapping, list[list[str]]]]
    polls: int
    fails: str = ""
    state: str = "STARTED"
    changed_ms: int = 0
    counters: Counter[str] = field(default_factory=Counter)
    errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether nothing happens to it any more."""
        return self.state in {"DONE", "FAILED", "CANCELED", "REVERTED"}


class ImportHandler:
    """Answers about imports of one portal.

    Args:
        portal: the portal.
        writer: writes the rows.
    """

    def __init__(self, portal: Portal, writer: Writer) -> None:
        self._portal = portal
        self._rows = ImportRows(portal, writer)
        self._lock = threading.RLock()
        self._imports: dict[int, Import] = {}

    def handle(self, request: Request, parts: tuple[str, ...], page: Page) -> Response:
        """Answer an order, the list, or one import."""
        if not parts:
            if request.method == "POST":
                return self._order(request)
            limit = limit_of(request.query, default=10, most=100)
            after = after_of(request.query)
            rest = [one for one in self._imports.values() if one.id >= after]
            following = str(rest[limit].id) if len(rest) > limit else None
            return page.of([self._shown(one) for one in rest[:limit]], following)
        found = self._imports.get(int(parts[0])) if is_number(parts[0]) else None
        if found is None:
            raise not_found(f"Unable to find import {parts[0]}")
        if parts[1:] == ("cancel",) and request.method == "POST":
            return self._cancel(found)
        if request.method != "GET":
            raise unsupported_method()
        if parts[1:] == ("errors",):
            limit = limit_of(request.query, default=100, most=500)
            start = after_of(request.query)
            following = str(start + limit) if len(found.errors) > start + limit else None
            return page.of(found.errors[start : start + limit], following)
        if len(parts) > 1:
            raise not_found()
        with self._lock:
            self._advance(found)
            return answered(self._shown(found))

    def _order(self, request: Request) -> Response:
        fields, files = _parts(request)
        wanted = _read_request(fields)
        if sum(len(content) for content in files.values()) > LARGEST:
            raise ApiError(429, "RATE_LIMITS", "The file is too large")
        listed = []
        for entry in wanted.get("files") or ():
            name = str(entry.get("fileName", ""))
            if name not in files:
                raise invalid(f"The file '{name}' was not sent")
            rows = list(csv.reader(io.StringIO(files[name].decode("utf-8-sig"), newline="")))
            if len(rows) > MOST_ROWS:
                raise ApiError(
                    429, "RATE_LIMITS", f"at most {MOST_ROWS} rows are allowed in a file"
                )
            listed.append((Mapping.of(entry, rows[0] if rows else []), rows[1:]))
        if not listed:
            raise invalid("Some required fields were not set: [files]")
        order = request.fault
        with self._lock:
            made = Import(
                41_000_001 + len(self._imports),
                str(wanted.get("name") or "import"),
                self._portal.now_ms(),
                wanted,
                listed,
                self._portal.settings.import_polls,
                order.message if order is not None and order.kind == "fail_job" else "",
            )
            running = sum(not one.is_over for one in self._imports.values())
            made.state = "DEFERRED" if running >= AT_ONCE else "STARTED"
            self._imports[made.id] = made
            return answered(self._shown(made))

    def _advance(self, one: Import) -> None:
        """Let an import come nearer to its end; a deferred one waits for a place."""
        if one.is_over:
            return
        ahead = [o for o in self._imports.values() if not o.is_over and o.id < one.id]
        if len(ahead) >= AT_ONCE:
            return
        if one.polls > 0:
            one.polls -= 1
            one.state = "PROCESSING"
            return
        one.changed_ms = self._portal.now_ms()
        if one.fails:
            one.state = "FAILED"
            return
        for mapping, rows in one.files:
            self._rows.write(mapping, rows, one.counters, one.errors)
        one.state = "DONE"

    def _cancel(self, one: Import) -> Response:
        with self._lock:
            if not one.is_over:
                one.state = "CANCELED"
        at = iso_of(self._portal.now_ms())
        return answered({"status": "COMPLETE", "startedAt": at, "completedAt": at})

    def _shown(self, one: Import) -> dict[str, Any]:
        types = dict.fromkeys(
            self._portal.catalog.asked(name).id
            for mapping, _ in one.files
            for name in mapping.types
        )
        return {
            "id": str(one.id),
            "importName": one.name,
            "importSource": "API",
            "importRequestJson": one.request,
            "state": one.state,
            "createdAt": iso_of(one.asked_ms),
            "updatedAt": iso_of(one.changed_ms or one.asked_ms),
            "mappedObjectTypeIds": list(types),
            "optOutImport": False,
            "metadata": {
                "counters": dict(one.counters),
                "fileIds": [str(one.id * 10 + number) for number in range(len(one.files))],
                "objectLists": [],
            },
        }


def _parts(request: Request) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return the fields and the files of a multipart body.

    Raises:
        ApiError: it is none.
    """
    kind = request.header("content-type")
    if not kind.lower().startswith("multipart/form-data"):
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", "HTTP 415 Unsupported Media Type")
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + request.body)
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        raw = content if isinstance(content, bytes) else b""
        if part.get_filename():
            files[str(part.get_filename())] = raw
        else:
            name = part.get_param("name", header="content-disposition")
            fields[str(name)] = raw.decode("utf-8", "replace")
    return fields, files


def _read_request(fields: dict[str, str]) -> dict[str, Any]:

    try:
        wanted = decoded(fields.get("importRequest", "").encode())
    except ValueError as problem:
        raise invalid(f"Invalid input JSON: {problem}") from problem
    if not isinstance(wanted, dict):
        raise invalid("importRequest is required")
    bodies.must_fit(wanted, bodies.Import)
    return wanted
