"""Classifies Zoho's error responses: one function for the CRM API, one for the accounts server.

The API refuses with `{"code", "details", "message", "status": "error"}`; 204 and 304 have no body and are
successes (zoho.com/crm/developer/docs/api/v8/status-codes.html). The accounts server refuses with an error
code, mostly under HTTP 200.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from crm_pipeline.connectors.error_body import (
    busy_login,
    error_body,
    is_page,
    masked_page,
    part,
    sentence,
    word,
)
from crm_pipeline.connectors.zoho.scopes import scope_of
from crm_pipeline.kernel.errors import (
    AuthFailed,
    BudgetExhausted,
    CrmError,
    Fatal,
    NotPermitted,
    ProtocolError,
    ReadLost,
    Rejected,
    SessionExpired,
    Throttled,
    Unavailable,
    UnknownField,
    VendorError,
)
from crm_pipeline.kernel.text import vendor_text

CREDITS_LEFT = "X-API-CREDITS-REMAINING"
# A 429 does not name the limit and has no Retry-After.
_BACK_OFF_S = 60.0
# Some callers report a lock-out of up to an hour; requests during it prolong it.
_LOCKED_OUT_S = 600.0
_LOGIN_URL = "the accounts server of your data centre, like https://accounts.zoho.com"
_TOO_MANY = frozenset({"TOO_MANY_REQUESTS", "RATE_LIMIT_EXCEEDED"})
_NOT_PERMITTED = frozenset(
    {
        "NO_PERMISSION",
        "NOT_SUPPORTED",
        "AUTHORIZATION_FAILED",
        "FEATURE_NOT_ENABLED",
        "INVALID_MODULE",
        "MODULE_NOT_AVAILABLE",
        "PERMISSION_DENIED",
    }
)
_INVALID_PAGE_TOKEN = frozenset({"TOKEN_BOUND_DATA_MISMATCH", "EXPIRED_VALUE"})
_TOO_FAR = frozenset(
    {"DISCRETE_PAGINATION_LIMIT_EXCEEDED", "PAGINATION_LIMIT_EXCEEDED", "PAGE_RANGE_EXCEEDED"}
)


class ColumnRefused(UnknownField):
    """A query names a column that does not exist, or that queries refuse.

    Attributes:
        column: its name; "" where the vendor does not say.
    """

    column = ""


def classify_response(owner: str, response: requests.Response) -> CrmError | None:
    """Return the error that a response of the API means; None for a success."""
    status = response.status_code
    # Downloads are streamed, so their content is not checked here.
    if status < 300 or status == 304:
        return masked_page(owner, "Zoho", response, login_url=_LOGIN_URL)
    body = error_body(response)
    code, text = word(body.get("code")), sentence(body.get("message"))
    message = f"{owner}: Zoho answered {status} {code}: {text}".strip(" :")
    if status == 429 or code in _TOO_MANY:
        return _too_many(owner, response, message, code)
    if code == "OAUTH_SCOPE_MISMATCH":
        return _scope(owner, response, status)
    if status == 401:
        return SessionExpired(
            message,
            status=status,
            code=code,
            cure="The login was renewed once and refused again: is the user still active, and does the "
            "account live in the data centre of login_url?",
        )
    if status == 408 or status >= 500:
        return Unavailable(message, status=status, code=code, cure="Try again later.")
    if is_page(response):
        return _foreign_page(owner, status)
    return _refusal(message, status, code, part(body.get("details")))


def classify_token_response(owner: str, response: requests.Response) -> VendorError | None:
    """Return the error that a response of the accounts server means; None for a token."""
    status = response.status_code
    if (busy := busy_login(owner, "Zoho", response)) is not None:
        return busy
    if is_page(response):
        page = masked_page(owner, "Zoho", response, login_url=_LOGIN_URL)
        return page if status < 300 else _foreign_page(owner, status)
    body = error_body(response)
    if is_locked_out(response):
        return Throttled(
            f"{owner}: Zoho's accounts server refuses further token requests for now (Access Denied).",
            status=status,
            code="Access Denied",
            retry_after_s=_LOCKED_OUT_S,
            cure="Wait ten minutes to an hour without any request. Is another program refreshing "
            "the same refresh token (10 requests in 10 minutes, 10 living access tokens)?",
        )
    code = word(body.get("error"))
    if code or status >= 300:
        detail = f"{code} {word(body.get('error_description'))}".strip() or f"HTTP {status}"
        return AuthFailed(
            f"{owner}: Zoho refused the login: {vendor_text(detail)}.",
            status=status,
            code=code,
        )
    if "access_token" not in body:
        return ProtocolError(
            f"{owner}: Zoho's accounts server answered {status} without a token and without an error.",
            status=status,
            cure="Check login_url; it has to be the accounts server, like https://accounts.zoho.com.",
        )
    return None


def is_locked_out(response: requests.Response) -> bool:
    """Return whether the accounts server refuses because of too many requests."""
    return "access denied" in word(error_body(response).get("error")).lower()


def _too_many(owner: str, response: requests.Response, message: str, code: str) -> CrmError:
    if response.headers.get(CREDITS_LEFT) == "0":
        return BudgetExhausted(
            f"{owner}: the org's API credits of 24 hours are spent.",
            wait_s=3600,
            cure="Wait, or see which app uses them: Setup, Developer Space, APIs, Dashboard.",
        )
    return Throttled(
        message,
        status=response.status_code,
        code=code,
        retry_after_s=_BACK_OFF_S,
        cure="Credits, calls at once or heavy calls at once: Zoho does not say which. Other apps of the org "
        "count too; lower `share` or `ceilings` in connections.yaml.",
    )


def _scope(owner: str, response: requests.Response, status: int) -> NotPermitted:
    scope = scope_of(response.request.method or "GET", urlsplit(response.url).path)
    return NotPermitted(
        f"{owner}: this login lacks the scope {scope}.",
        status=status,
        code="OAUTH_SCOPE_MISMATCH",
        cure=f"Run `crm-pipeline login {owner}` again and grant {scope}; a refresh token keeps the scopes that "
        "it was made with.",
    )


def _refusal(message: str, status: int, code: str, details: Mapping[str, Any]) -> VendorError:
    if code in _NOT_PERMITTED or status == 403:
        return NotPermitted(
            message,
            status=status,
            code=code,
            cure="Give the user's profile read access to this module (Setup, Users and Control, Security "
            "Control, Profiles), or take it out of connections.yaml.",
        )
    if code == "INVALID_HOST":
        return Fatal(
            message,
            status=status,
            code=code,
            cure="The account lives in another data centre: set login_url to its accounts server.",
        )
    if code == "API_NOT_SUPPORTED":
        return Fatal(
            message,
            status=status,
            code=code,
            cure=f"Supported from version {word(details.get('supported_version')) or '?'}: change "
            "api_version.",
        )
    if code in _INVALID_PAGE_TOKEN:
        return ReadLost(message, status=status, code=code, cure="Run it again; it is read anew.")
    if code in _TOO_FAR:
        return Rejected(
            message, status=status, code=code, cure="Set 'route: coql' or 'route: bulk'."
        )
    column = word(details.get("column_name")) or word(details.get("api_name"))
    if code in {"INVALID_QUERY", "FIELD_NOT_AVAILABLE", "FIELD_NOT_SUPPORTED"} and column:
        error = ColumnRefused(f"{message} ({column})", status=status, code=code, cure="Run again.")
        error.column = column
        return error
    return Rejected(f"{message}{_reasons(details)}", status=status, code=code)


def _reasons(details: Mapping[str, Any]) -> str:
    """Return the vendor's reasons, without values of records."""
    reasons = [
        f"{key} {word(details[key])}"
        for key in ("param_name", "header_name", "clause", "limit", "reason")
        if word(details.get(key))
    ]
    return f" ({', '.join(reasons)})" if reasons else ""


def _foreign_page(owner: str, status: int) -> VendorError:
    return ProtocolError(
        f"{owner}: Zoho answered {status} with a web page where data was expected.",
        status=status,
        cure="Often a login or maintenance page: check login_url, and try again later.",
    )
