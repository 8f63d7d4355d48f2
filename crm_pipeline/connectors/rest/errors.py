"""The errors of a source's responses: the rules of its file first, then what HTTP says."""

import re
from typing import Any

import msgspec
import requests

from crm_pipeline.connectors.error_body import is_page, masked_page, sentence
from crm_pipeline.connectors.rest.source import ErrorRule, Source, keys_of
from crm_pipeline.kernel.errors import (
    AuthFailed,
    CrmError,
    Fatal,
    NotPermitted,
    Rejected,
    SessionExpired,
    Throttled,
    Unavailable,
    VendorError,
)
from crm_pipeline.wire.decoding import UNREADABLE

_PASSING = frozenset({408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524})
_NO_BODY = object()


class ResponseClassifier:
    """Classifies the responses of one connection.

    Args:
        owner: the connection's name.
        source: of its vendor.
        renews: the login can be renewed, so that a 401 may mean that it has ended.
    """

    def __init__(self, owner: str, source: Source, *, renews: bool) -> None:
        self._owner = owner
        self._source = source
        self._title = source.title or source.name
        self._renews = renews
        # The body of a success is decoded only where a rule may look at it.
        self._looks_at_success = any(
            rule.when.body is not None and (not rule.when.status or min(rule.when.status) < 300)
            for rule in source.errors
        )

    def __call__(self, response: requests.Response) -> CrmError | None:
        """Return the error that a response means; None for a success."""
        status = response.status_code
        if status < 300:
            page = masked_page(
                self._owner,
                self._title,
                response,
                login_url=f"an address of {self._source.base_url}",
            )
            if page is not None:
                return page
            if not self._looks_at_success:
                return None
        body = _body(response)
        text = self._said(body)
        message = f"{self._owner}: {self._title} answered {status}" + (f": {text}" if text else "")
        for rule in self._source.errors:
            if _fits(rule, status, body):
                return self._by_rule(rule, message, status)
        return None if status < 300 else self._by_status(response, message, status)

    def _said(self, body: object) -> str:
        value = body
        for key in keys_of(self._source.error_message):
            value = value.get(key) if isinstance(value, dict) else None
        return sentence(value)

    def _by_rule(self, rule: ErrorRule, message: str, status: int) -> CrmError | None:
        cure = rule.cure
        match rule.then:
            case "ok":
                return None
            case "retry":
                return Unavailable(message, status=status, cure=cure or "Try again later.")
            case "wait":
                return Throttled(
                    message, status=status, cure=cure or "Lower the limits in the source's file."
                )
            case "login":
                return self._unauthorized(message, status, cure)
            case "absent":
                return Rejected(message, status=404, code="not_found", cure=cure)
            case "denied":
                return NotPermitted(
                    message, status=status, cure=cure or "Give the login this permission."
                )
            case _:
                return Rejected(message, status=status, cure=cure or "The API's own text says why.")

    def _by_status(self, response: requests.Response, message: str, status: int) -> VendorError:
        if status == 429:
            return Throttled(message, status=429, cure="Lower the limits in the source's file.")
        if status in _PASSING:
            return Unavailable(message, status=status, cure="Try again later.")
        if status == 401:
            return self._unauthorized(message, 401, "")
        if status == 403:
            cure = "Give the login this permission, or take the object out of connections.yaml."
            if is_page(response):
                cure = "A server in front of the API sent a web page: it may have shut this address out."
            return NotPermitted(message, status=403, cure=cure)
        if status in {404, 410}:
            return Rejected(
                message,
                status=404,
                code="not_found",
                cure=f"Compare the path with the API's documentation: {self._source.docs or self._source.base_url}.",
            )
        if 300 <= status < 400:
            return Fatal(
                message,
                status=status,
                cure="The API redirects: put the new address into `base_url`.",
            )
        return Rejected(message, status=status, cure="The API's own text says why.")

    def _unauthorized(self, message: str, status: int, cure: str) -> VendorError:
        if self._renews:
            return SessionExpired(
                message, status=status, cure=cure or "The login was renewed once and refused again."
            )
        return AuthFailed(
            message,
            status=status,
            cure=cure
            or "Check the secrets that connections.yaml names under `auth`, and `auth` of the source's file.",
        )


def _body(response: requests.Response) -> object:
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any] | list[Any])
    except UNREADABLE:
        return _NO_BODY


def _fits(rule: ErrorRule, status: int, body: Any) -> bool:
    when = rule.when
    if when.status and status not in when.status:
        return False
    if when.body is None:
        return True
    if body is _NO_BODY:
        return False
    value = body
    for key in keys_of(when.body.path):
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    if when.body.matches is not None:
        return isinstance(value, str) and re.search(when.body.matches, value) is not None
    return bool(
        value == when.body.equals and isinstance(value, bool) == isinstance(when.body.equals, bool)
    )
