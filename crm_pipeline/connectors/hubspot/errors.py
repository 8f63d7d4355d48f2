"""The errors for HubSpot's responses: one function for the API, one for the token endpoint.

Errors of the API are JSON objects with the documented keys `message`, `correlationId` and `category`; proxies in
front of it send web pages. Source:
https://developers.hubspot.com/docs/api-reference/error-handling
"""

from collections.abc import Mapping
from typing import Any

import requests

from crm_pipeline.connectors.error_body import (
    busy_login,
    error_body,
    masked_page,
    objects,
    part,
    sentence,
    word,
    words,
)
from crm_pipeline.kernel.errors import (
    AuthFailed,
    BudgetExhausted,
    CrmError,
    Fatal,
    NotPermitted,
    Rejected,
    SessionExpired,
    Throttled,
    Unavailable,
    VendorError,
)
from crm_pipeline.settings import Connection

OR_WITHOUT = "or take the object out of connections.yaml."
"""The end of the cure for a missing scope."""
_TEMPORARY = frozenset({408, 423, 477, 500, 502, 503, 504, *range(520, 530)})
# A lock is held for at least two seconds; a response during a move to another region states the time to wait.
_WAITS_S: Mapping[int, float] = {423: 2.0, 477: 60.0}
_WAITS_OF_POLICY_S: Mapping[str, float] = {"SECONDLY": 1.0, "TEN_SECONDLY_ROLLING": 10.0}
_NO_TOKEN = (401, 530)
_LOGIN_URL = "https://api.hubapi.com"


def classify_response(connection: Connection, response: requests.Response) -> CrmError | None:
    """Return the error for a response of the API; None for a success."""
    status, owner = response.status_code, connection.name
    if status < 300:
        return masked_page(owner, "HubSpot", response, login_url=_LOGIN_URL)
    body = error_body(response)
    code = word(body.get("category")) or word(body.get("errorType"))
    message = sentence(body.get("message"))
    text = f"{owner}: HubSpot answered {status} {code}: {message}".rstrip(": ") + _trace(response)
    if status in _NO_TOKEN:
        return _no_login(connection, text, status, code)
    if status == 429:
        return _too_many(text, body, response)
    if status in _TEMPORARY:
        return Unavailable(
            text,
            status=status,
            code=code,
            cure="Try again later; status.hubspot.com lists known incidents.",
            retry_after_s=_WAITS_S.get(status),
        )
    if status == 403:
        return NotPermitted(text, status=status, code=code, cure=_scope_cure(connection, body))
    return _refusal(text, status, code)


def classify_token_response(owner: str, response: requests.Response) -> VendorError | None:
    """Return the error for a response of the token endpoint; None for a success.

    Its errors have another form: `{"status": "BAD_REFRESH_TOKEN", "error": "invalid_grant", ...}`.
    """
    status = response.status_code
    if status < 300:
        return masked_page(owner, "HubSpot", response, login_url=_LOGIN_URL)
    if (busy := busy_login(owner, "HubSpot", response)) is not None:
        return busy
    body = error_body(response)
    code = word(body.get("error")) or word(body.get("status"))
    detail = sentence(body.get("error_description")) or sentence(body.get("message"))
    text = sentence(f"{code} {detail}".strip() or f"HTTP {status}")
    return AuthFailed(f"{owner}: HubSpot refused the login: {text}.", status=status, code=code)


def _no_login(connection: Connection, text: str, status: int, code: str) -> VendorError:
    if connection.auth.kind == "token":
        variable = connection.auth.variables.get("token", "the token's variable")
        return AuthFailed(
            text,
            status=status,
            code=code,
            cure=f"The token in {variable} is unknown, revoked or incomplete: copy it again (HubSpot, "
            "Settings, Integrations: Private Apps, tab Auth; or Service Keys).",
        )
    return SessionExpired(
        text, status=status, code=code, cure="The login was renewed once and refused again."
    )


def _too_many(text: str, body: Mapping[str, Any], response: requests.Response) -> CrmError:
    policy = word(body.get("policyName")).upper()
    message = word(body.get("message")).lower()
    left = response.headers.get("X-HubSpot-RateLimit-Daily-Remaining")
    if policy == "DAILY" or "daily" in message or left == "0":
        return BudgetExhausted(
            text,
            wait_s=3600,
            cure="The account's calls of today are used up until midnight of its time zone: wait, ask an "
            "admin which app uses them (Settings, Integrations, Connected Apps), or buy the API limit "
            "increase.",
        )
    wait_s = _WAITS_OF_POLICY_S.get(policy)
    if wait_s is None:
        wait_s = 1.0 if "secondly" in message and "ten" not in message else 10.0
    return Throttled(
        text,
        status=429,
        code=policy or "RATE_LIMITS",
        cure="Others use the account's calls at the same time: lower `share` in connections.yaml, or let the "
        "connections to one account name the same `limit_group`.",
        retry_after_s=wait_s,
    )


def _refusal(text: str, status: int, code: str) -> VendorError:
    if status == 404 and not code:
        return Rejected(
            text,
            status=status,
            code=code,
            cure="If `api_version` names an old version, it may have ended: take it out of "
            "connections.yaml.",
        )
    if status == 410:
        return Fatal(
            text,
            status=status,
            code=code,
            cure="This API version is retired: take api_version out of connections.yaml.",
        )
    return Rejected(text, status=status, code=code)


def _scope_cure(connection: Connection, body: Mapping[str, Any]) -> str:
    scopes = sorted(_scopes(body))
    named = f" {', '.join(scopes)}" if scopes else "s of the configured objects"
    scope = f"scope{'s' if len(scopes) > 1 else ''}{named}"
    if connection.auth.kind == "token":
        return (
            f"Add the {scope} to the app or key of the token (HubSpot, Settings, Integrations: Private Apps, "
            f"tab Scopes; or Service Keys), {OR_WITHOUT}"
        )
    return (
        f"Add the {scope} to the app (its Auth settings) and run `crm-pipeline login {connection.name}` "
        f"again, {OR_WITHOUT}"
    )


def _scopes(body: Mapping[str, Any]) -> set[str]:
    """Return the scopes that a refusal names, at its top level or in its list of errors."""
    contexts = [part(error.get("context")) for error in (body, *objects(body.get("errors")))]
    return {
        scope
        for context in contexts
        for key in ("requiredGranularScopes", "missingScopes", "requiredScopes")
        for scope in words(context.get(key))
    }


def _trace(response: requests.Response) -> str:
    """Return the correlation id, by which HubSpot's support finds a call."""
    correlation_id = response.headers.get("X-HubSpot-Correlation-Id", "")
    return f" (correlation id {word(correlation_id)[:36]})" if correlation_id else ""
