"""Classifies Pipedrive's error responses: a class for the API, a function for the OAuth server.

Errors are `{"success": false, "error", "error_info", "code"?}`; the proxy in front responds with web
pages. Sources: https://pipedrive.readme.io/docs/core-api-concepts-http-status-codes and
https://pipedrive.readme.io/docs/marketplace-oauth-authorization
"""

import re
from collections.abc import Mapping
from typing import Any

import requests

from crm_pipeline.connectors.error_body import (
    busy_login,
    error_body,
    is_page,
    masked_page,
    sentence,
    word,
)
from crm_pipeline.connectors.pipedrive.refusals import Refusals
from crm_pipeline.kernel.errors import (
    AuthFailed,
    CrmError,
    Fatal,
    NotPermitted,
    Rejected,
    SessionExpired,
    Throttled,
    Unavailable,
    UnknownField,
    VendorError,
)

_PASSING = frozenset({408, 500, 502, 503, 504, 520, 521, 522, 523, 524})
_SHUT_OUT_S = 60.0
_LOGIN_URL = "https://<company>.pipedrive.com"
_FAILED = re.compile(rb'"success"\s*:\s*false')
_SCHEMA = "ERR_SCHEMA_VALIDATION_FAILED"
# OAuth errors are recognised by their texts, as not all of them have a code.
_TEXTS = (
    ("invalid grant", "invalid_grant"),
    ("invalid client", "invalid_client"),
    ("unsupported grant", "unsupported_grant_type"),
    ("missing parameter", "invalid_request"),
)
_COPY_AGAIN = (
    "Copy the API token again (Pipedrive: your picture, Personal preferences, API) into {variable}; "
    "a token belongs to one user of one company."
)


class ResponseClassifier:
    """Classifies the API responses of one connection.

    Args:
        owner: the connection's name.
        token_variable: the environment variable with its API token; "" for a login of another kind.
        refusals: distinguishes the two kinds of 429.
    """

    def __init__(self, owner: str, *, token_variable: str, refusals: Refusals) -> None:
        self._owner = owner
        self._token_variable = token_variable
        self._refusals = refusals

    def __call__(self, response: requests.Response) -> CrmError | None:
        """Return the error that a response means; None for a success."""
        status = response.status_code
        if status < 300:
            self._refusals.note_success()
            return self._success(response)
        if status == 403 and is_page(response):
            return self._shut_out()
        code, text = _code_and_text(error_body(response))
        reason = f"{status} {code}".strip() + (f": {text}" if text else "")
        message = f"{self._owner}: Pipedrive answered {reason}"
        if status == 429:
            return self._refusals.classify(message, response)
        if status in _PASSING:
            return Unavailable(message, status=status, code=code, cure="Try again later.")
        if status == 401:
            return self._unauthorized(message, code)
        if status == 400 and code == _SCHEMA and "include_fields" in text:
            return UnknownField(
                message,
                status=status,
                code=code,
                cure="A field was removed or switched off between describe and read: run again.",
            )
        return _refused(message, response, status=status, code=code, text=text)

    def _success(self, response: requests.Response) -> CrmError | None:
        page = masked_page(self._owner, "Pipedrive", response, login_url=_LOGIN_URL)
        if page is not None:
            return page
        # Search the bytes first: pages of records are decoded only once, by their reader.
        if _FAILED.search(response.content) and error_body(response).get("success") is False:
            code, text = _code_and_text(error_body(response))
            return Rejected(
                f"{self._owner}: Pipedrive answered {response.status_code}, but says that it failed: "
                + f"{code} {text}".strip(),
                status=response.status_code,
                code=code,
                cure="Run again; if it persists, report it to the vendor with the time of the run.",
            )
        return None

    def _unauthorized(self, message: str, code: str) -> VendorError:
        if variable := self._token_variable:
            cure = _COPY_AGAIN.format(variable=variable)
            return AuthFailed(message, status=401, code=code, cure=cure)
        return SessionExpired(
            message, status=401, code=code, cure="The login was renewed once and refused again."
        )

    def _shut_out(self) -> VendorError:
        # https://pipedrive.readme.io/docs/core-api-concepts-rate-limiting: the proxy shuts out
        # clients that keep calling after 429, for some minutes.
        return Throttled(
            f"{self._owner}: Pipedrive's proxy (Cloudflare) has shut this address out: a web page came "
            "with 403 where data was expected.",
            status=403,
            code="shut_out",
            retry_after_s=_SHUT_OUT_S,
            cure="It happens to a program that keeps calling after refusals (429), and ends after some "
            "minutes. Look for other programs that use the same token; lower `share` or `ceilings` if it returns.",
        )


def classify_token_response(owner: str, response: requests.Response) -> VendorError | None:
    """Return the error that a response of the OAuth server means; None for a success."""
    status = response.status_code
    if status < 300:
        return masked_page(owner, "Pipedrive", response, login_url=_LOGIN_URL)
    if (busy := busy_login(owner, "Pipedrive", response)) is not None:
        return busy
    body = error_body(response)
    texts = [word(body.get(key)) for key in ("error", "message", "error_description")]
    said = sentence(" ".join(filter(None, texts)))
    code = next((code for text, code in _TEXTS if text in said.lower()), texts[0])
    return AuthFailed(
        f"{owner}: Pipedrive refused the login: {said or f'HTTP {status}'}.",
        status=status,
        code=code,
    )


def _refused(
    message: str, response: requests.Response, *, status: int, code: str, text: str
) -> VendorError:
    context = {"status": status, "code": code}
    if status == 402:
        return NotPermitted(
            message,
            cure="The company's Pipedrive account is not open (trial over, or not paid): an admin "
            "opens it again under Settings, Billing.",
            **context,  # type: ignore[arg-type]
        )
    if status == 403:
        return NotPermitted(message, cure=_permission(text, code, response), **context)  # type: ignore[arg-type]
    if status == 410 or (status == 404 and _is_list(response)):
        return Fatal(
            message,
            cure="This address is retired or unknown: compare with `crm-pipeline status` for versions "
            "near their end, and update crm_pipeline.",
            **context,  # type: ignore[arg-type]
        )
    if status == 415:
        return NotPermitted(
            message,
            cure="The company's plan does not have this feature: take the object out of "
            "connections.yaml.",
            **context,  # type: ignore[arg-type]
        )
    return Rejected(message, **context)  # type: ignore[arg-type]


def _permission(text: str, code: str, response: requests.Response) -> str:
    if "scope" in text.lower():
        parts = _path_parts(response)
        scope = _HISTORY if parts[-1:] == ["changelog"] else _SCOPES.get(_first_part(response), "")
        quoted = f" '{scope}'" if scope else ""
        return (
            f"The app lacks the scope{quoted}: add it in Pipedrive's Developer Hub (the app, OAuth & "
            "access scopes), install the app again and run `crm-pipeline login`."
        )
    if code.startswith("feature_capping"):
        return "The company's plan is used up for this: a business rule, not a permission."
    return (
        "The user whose token this is may not see this: ask an admin for a permission set with access, "
        "or take the object out of connections.yaml."
    )


_HISTORY = "recents:read"
_SCOPES: Mapping[str, str] = {
    "deals": "deals:read",
    "dealFields": "deals:read",
    "pipelines": "deals:read",
    "stages": "deals:read",
    "persons": "contacts:read",
    "personFields": "contacts:read",
    "organizations": "contacts:read",
    "organizationFields": "contacts:read",
    "notes": "contacts:read or deals:read",
    "noteFields": "contacts:read or deals:read",
    "activities": "activities:read",
    "activityTypes": "activities:read",
    "activityFields": "admin or activities:read",
    "products": "products:read",
    "productFields": "products:read",
    "leads": "leads:read",
    "leadFields": "leads:read",
    "leadLabels": "leads:read",
    "users": "users:read",
}


def _path_parts(response: requests.Response) -> list[str]:
    path = response.url.split("?")[0]
    match = re.search(r"/(?:api/)?v[12]/(.*)", path)
    return match[1].strip("/").split("/") if match else []


def _first_part(response: requests.Response) -> str:
    return next(iter(_path_parts(response)), "")


def _is_list(response: requests.Response) -> bool:
    """Return whether the request was for a list, so that 404 does not mean a missing record."""
    parts = _path_parts(response)
    return len(parts) == 1 or parts[1:] in (["archived"], ["products"])


def _code_and_text(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return the code and the text of an error in either form."""
    text = sentence(body.get("error")) or sentence(body.get("message"))
    return word(body.get("code")), text
