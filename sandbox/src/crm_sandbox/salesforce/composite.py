"""Composite requests: several in one call, where later ones may use what earlier ones answered."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.salesforce.errors import ApiError, unreadable
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.records import body_of
from crm_sandbox.salesforce.usage import ApiUsage

MOST_SUBREQUESTS = 25
MOST_HEAVY = 5
_ADDRESS = re.compile(r"/services/data/v(\d+\.\d)(/.*)")
_BATCH_ADDRESS = re.compile(r"/?(?:services/data/)?v(\d+\.\d)(/.*)")
_REFERENCE = re.compile(r"@\{([A-Za-z]\w*)((?:\.\w+|\[\d+\])+)\}")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_HEAVY = re.compile(r"/services/data/v[\d.]+/(?:query|queryAll|composite/sobjects)(?:/|$)")

Route = Callable[[Request, str, str], Response]


class _HaltedError(Exception):
    """A subrequest could not be carried out because of another one."""


class _RolledBackError(Exception):
    """Everything is taken back; carried out of the transaction that it ends."""


class CompositeHandler:
    """Answer `/composite` and `/composite/batch`.

    Args:
        org: an allOrNone request is a transaction of it.
        usage: where the subrequests of a batch are counted.
        route: how one subrequest is answered, given its API version and path.
    """

    def __init__(self, org: Org, usage: ApiUsage, route: Route) -> None:
        self._org = org
        self._usage = usage
        self._route = route

    def composite(self, request: Request) -> Response:
        """Carry the subrequests out in order, filling references in; counts as one call."""
        body = body_of(request)
        parts = _parts(body, "compositeRequest")
        _check_composite(parts)
        answers: list[dict[str, Any]] = []
        if body.get("allOrNone") is True:
            answers = self._all_or_none(request, parts)
        else:
            for part in parts:
                answers.append(self._subrequest(request, part, answers))
        return json_response({"compositeResponse": answers})

    def batch(self, request: Request) -> Response:
        """Carry independent subrequests out; every one counts as a call."""
        body = body_of(request)
        parts = _parts(body, "batchRequests")
        results: list[dict[str, Any]] = []
        for part in parts:
            failed = any(one["statusCode"] >= 400 for one in results)
            if failed and body.get("haltOnError") is True:
                halted = {
                    "errorCode": "BATCH_PROCESSING_HALTED",
                    "message": "Batch processing halted per request.",
                }
                results.append({"statusCode": 412, "result": [halted]})
                continue
            # The call that carries the batch has been counted for the first of them.
            response = self._independent(request, part, counted=not results)
            results.append({"statusCode": response.status, "result": _document(response)})
        broken = any(one["statusCode"] >= 400 for one in results)
        return json_response({"hasErrors": broken, "results": results})

    def _independent(self, request: Request, part: dict[str, Any], *, counted: bool) -> Response:
        try:
            if not counted:
                self._usage.count()
        except ApiError as refusal:
            return refusal.response()
        match = _BATCH_ADDRESS.fullmatch(urlsplit(str(part["url"])).path)
        return self._answer(request, part, match, part.get("richInput"))

    def _all_or_none(self, request: Request, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        try:
            with self._org.writing():
                for part in parts:
                    answers.append(self._subrequest(request, part, answers))
                    _end_if_failed(answers[-1])
        except _RolledBackError:
            halted = [_halted(part, _ROLLED_BACK) for part in parts]
            guilty = len(answers) - 1
            return [*halted[:guilty], answers[guilty], *halted[guilty + 1 :]]
        return answers

    def _subrequest(
        self, request: Request, part: dict[str, Any], answers: list[dict[str, Any]]
    ) -> dict[str, Any]:
        known = {one["referenceId"]: one for one in answers}
        try:
            filled = {key: _filled(part.get(key), known) for key in ("url", "body")}
        except _HaltedError as problem:
            return _halted(part, str(problem))
        part = part | filled
        match = _ADDRESS.fullmatch(urlsplit(str(part["url"])).path)
        response = self._answer(request, part, match, part.get("body"))
        return {
            "body": _document(response),
            "httpHeaders": dict(response.headers),
            "httpStatusCode": response.status,
            "referenceId": part["referenceId"],
        }

    def _answer(
        self, request: Request, part: dict[str, Any], match: re.Match[str] | None, body: Any
    ) -> Response:
        if match is None or re.match(r"/composite(?!/sobjects)", match[2]):
            problem = ApiError(400, "INVALID_REQUEST", f"not a subrequest's url: {part.get('url')}")
            return problem.response()
        given = part.get("httpHeaders") if _is_object(part.get("httpHeaders")) else None
        headers = {str(k).lower(): str(v) for k, v in given.items()} if given else {}
        headers.pop("authorization", None)
        inner = replace(
            request,
            method=str(part.get("method", "")).upper(),
            path=urlsplit(str(part["url"])).path,
            query_text=urlsplit(str(part["url"])).query,
            headers=headers,
            body=b"" if body is None else json.dumps(body).encode(),
            fault=None,
        )
        try:
            return self._route(inner, match[1], match[2])
        except ApiError as refusal:
            return refusal.response()


_ROLLED_BACK = (
    "The transaction was rolled back since another operation in the same transaction failed."
)


def _end_if_failed(response: dict[str, Any]) -> None:
    if response["httpStatusCode"] >= 400:
        raise _RolledBackError


def _parts(body: dict[str, Any], key: str) -> list[dict[str, Any]]:
    parts = body.get(key)
    if not isinstance(parts, list) or not all(_is_object(part) for part in parts):
        raise unreadable(f"'{key}' must be an array of subrequests")
    if len(parts) > MOST_SUBREQUESTS:
        raise ApiError(
            400,
            "LIMIT_EXCEEDED",
            f"a request takes at most {MOST_SUBREQUESTS} subrequests, not {len(parts)}",
        )
    for part in parts:
        if str(part.get("method", "")).upper() not in _METHODS or not part.get("url"):
            raise unreadable("a subrequest needs a method and a url")
    return parts


def _check_composite(parts: list[dict[str, Any]]) -> None:
    names = [part.get("referenceId") for part in parts]
    if not all(isinstance(name, str) and re.fullmatch(r"[A-Za-z]\w*", name) for name in names):
        raise unreadable("every subrequest needs a referenceId of letters, digits and underscores")
    if len(set(names)) < len(names):
        raise ApiError(400, "INVALID_REQUEST", "every referenceId must be unique in the request")
    heavy = sum(_HEAVY.match(urlsplit(str(part["url"])).path) is not None for part in parts)
    if heavy > MOST_HEAVY:
        raise ApiError(
            400,
            "LIMIT_EXCEEDED",
            f"at most {MOST_HEAVY} subrequests may be queries or collections, not {heavy}",
        )


def _filled(value: Any, known: dict[str, dict[str, Any]]) -> Any:
    """Return a url or body with its references replaced, also in depth."""
    if isinstance(value, dict):
        return {key: _filled(inner, known) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, known) for inner in value]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole is not None:
        return _found(whole, known)
    return _REFERENCE.sub(lambda match: str(_found(match, known)), value)


def _found(match: re.Match[str], known: dict[str, dict[str, Any]]) -> Any:
    response = known.get(match[1])
    value: Any = response["body"] if response and response["httpStatusCode"] < 400 else None
    for name, position in _STEP.findall(match[2]):
        try:
            value = value[int(position)] if position else value[name]
        except (KeyError, IndexError, TypeError):
            value = None
    if value is None:
        raise _HaltedError(
            f"Invalid reference specified. No value for {match[0][2:-1]} found in {match[1]}"
        )
    return value


def _halted(part: dict[str, Any], message: str) -> dict[str, Any]:
    return {
        "body": [{"errorCode": "PROCESSING_HALTED", "message": message}],
        "httpHeaders": {},
        "httpStatusCode": 400,
        "referenceId": part["referenceId"],
    }


def _document(response: Response) -> Any:
    return json.loads(response.body) if response.body else None


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)
