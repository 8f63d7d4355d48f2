"""Composite requests: up to five calls in one, which may refer to each other's answers.

https://www.zoho.com/crm/developer/docs/api/v8/composite-api.html
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.shapes import misfit
from crm_sandbox.zoho.bodies import CompositeCall
from crm_sandbox.zoho.errors import ZohoError, invalid_data
from crm_sandbox.zoho.org import Org

MOST = 5
KEY = "__composite_requests"
_URI = re.compile(r"/crm(/.*)?/v[0-9]+([.][0-9]+)?/(.*)")
_URI_WORDS = r"/crm(/.*)?/v[0-9]+([.][0-9]+)?/.*"
_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH"})
_REFERENCE = re.compile(r"@\{(\w+):(\$[^}]*)\}")
_STEP = re.compile(r"\.([\w$-]+)|\[(\d+)\]")

Ask = Callable[[Request], Response]


class _RolledBack(Exception):
    """Ends the transaction; carries which call failed."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class CompositeHandler:
    """Answers composite requests.

    Args:
        org: a transaction spans its tables.
        ask: answers one call.
    """

    def __init__(self, org: Org, ask: Ask) -> None:
        self._org = org
        self._ask = ask

    def answer(self, request: Request) -> Response:
        """Do every call, in order.

        Raises:
            ZohoError: the request as a whole is refused.
        """
        try:
            body = request.json()
        except ValueError as problem:
            raise invalid_data("body", expected_data_type="jsonobject") from problem
        calls, rolls_back = _calls(body)
        if not rolls_back:
            return _answered(self._all(request, calls, rolls_back=False))
        try:
            with self._org.tables.writing():
                return _answered(self._all(request, calls, rolls_back=True))
        except _RolledBack as end:
            self._org.tables.bump()
            details = {"rollbacked_by_sub_request_index": end.index}
            entry = _error("ROLLBACK_PERFORMED", "the sub request was rolled back", details)
            return _answered([entry for _ in calls])

    def _all(
        self, request: Request, calls: list[dict[str, Any]], *, rolls_back: bool
    ) -> list[dict[str, Any]]:
        known: dict[str, Any] = {}
        shown: list[dict[str, Any]] = []
        for index, call in enumerate(calls):
            entry = self._one(request, call, index, known)
            failed = entry["status"] == "error"
            if not failed:
                inner_response = entry["details"]["response"]
                known[str(call.get("sub_request_id", index + 1))] = inner_response["body"]
                failed = inner_response["status_code"] >= 400
            if failed and rolls_back:
                raise _RolledBack(index)
            shown.append(entry)
        return shown

    def _one(
        self, request: Request, call: dict[str, Any], index: int, known: Mapping[str, Any]
    ) -> dict[str, Any]:
        try:
            filled = _filled(call, known, f"$.{KEY}[{index}]")
        except ZohoError as refusal:
            return refusal.envelope
        params = urlencode({k: str(v) for k, v in (filled.get("params") or {}).items()})
        query = "&".join(part for part in (filled["uri"].partition("?")[2], params) if part)
        more = {str(k).lower(): str(v) for k, v in (filled.get("headers") or {}).items()}
        inner = replace(
            request,
            method=filled["method"],
            path=filled["uri"].partition("?")[0],
            query_text=query,
            headers={**request.headers, **more},
            body=json.dumps(filled["body"]).encode() if "body" in filled else b"",
        )
        try:
            inner_response = self._ask(inner)
        except ZohoError as refusal:
            inner_response = refusal.response()
        response = {
            "status_code": inner_response.status,
            "headers": {},
            "body": json.loads(inner_response.body) if inner_response.body else {},
        }
        return {
            "code": "SUCCESS",
            "details": {"response": response},
            "message": "composite sub request executed",
            "status": "success",
        }


def _calls(body: Any) -> tuple[list[dict[str, Any]], bool]:
    place = {"api_name": KEY, "json_path": f"$.{KEY}"}
    if not isinstance(body, dict) or KEY not in body:
        raise ZohoError(400, "MANDATORY_NOT_FOUND", "required field not found", place)
    calls = body[KEY]
    if not isinstance(calls, list) or not calls:
        raise invalid_data("invalid data", expected_data_type="jsonarray", **place)
    if len(calls) > MOST:
        raise invalid_data("invalid data", maximum_length=MOST, **place)
    if body.get("rollback_on_fail") and body.get("parallel_execution"):
        names = ("rollback_on_fail", "parallel_execution")
        due = [{"api_name": name, "json_path": f"$.{name}"} for name in names]
        message = "ambiguity while processing the request"
        raise ZohoError(400, "AMBIGUITY_DURING_PROCESSING", message, {"ambiguity_due_to": due})
    for index, call in enumerate(calls):
        _check(call, f"$.{KEY}[{index}]")
    marks = [one["sub_request_id"] for one in calls if "sub_request_id" in one]
    if len(set(marks)) < len(marks):
        where = {"api_name": "sub_request_id", "json_path": f"$.{KEY}"}
        raise ZohoError(400, "DUPLICATE_DATA", "duplicate data", where)
    return calls, bool(body.get("rollback_on_fail"))


def _check(call: Any, path: str) -> None:
    if not isinstance(call, dict):
        raise invalid_data(
            "invalid data", expected_data_type="jsonobject", api_name=KEY, json_path=path
        )
    wrong = misfit(call, CompositeCall)
    if wrong is not None:
        where = {"api_name": wrong.name, "json_path": wrong.place.replace("$", path, 1)}
        raise invalid_data("invalid data", expected_data_type=wrong.reason, **where)
    for name in ("method", "uri"):
        if not call.get(name):
            where = {"api_name": name, "json_path": f"{path}.{name}"}
            raise ZohoError(400, "MANDATORY_NOT_FOUND", "required field not found", where)
    where = {"api_name": "uri", "json_path": f"{path}.uri"}
    if not _URI.fullmatch(str(call["uri"])):
        raise invalid_data("invalid data", regex=_URI_WORDS, **where)
    if call["method"] not in _METHODS or KEY in call["uri"] or "/bulk/" in call["uri"]:
        raise ZohoError(400, "NOT_SUPPORTED", "the sub request is not supported", where)


def _filled(value: Any, known: Mapping[str, Any], path: str) -> Any:
    """Put other calls' answers in the place of references."""
    if isinstance(value, dict):
        return {key: _filled(one, known, f"{path}.{key}") for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, known, f"{path}[{place}]") for place, one in enumerate(value)]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole is not None:
        return _referred(whole[1], whole[2], known, path)
    return _REFERENCE.sub(lambda found: str(_referred(found[1], found[2], known, path)), value)


def _referred(name: str, steps: str, known: Mapping[str, Any], path: str) -> Any:
    found: Any = known.get(name)
    try:
        for key, place in _STEP.findall(steps):
            found = found[key] if key else found[int(place)]
    except (KeyError, IndexError, TypeError):
        found = None
    if found is None:
        details = {
            "api_name": path.rsplit(".", 1)[-1],
            "json_path": path,
            "reference": f"@{{{name}:{steps}}}",
        }
        raise ZohoError(400, "INVALID_REFERENCE", "the reference is invalid", details)
    return found


def _error(code: str, message: str, details: dict[str, Any]) -> dict[str, Any]:
    return {"code": code, "details": details, "message": message, "status": "error"}


def _answered(shown: list[dict[str, Any]]) -> Response:
    failed = sum(one["status"] == "error" for one in shown)
    status = 200 if not failed else 400 if failed == len(shown) else 207
    return json_response({KEY: shown}, status)
