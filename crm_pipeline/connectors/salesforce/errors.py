"""The errors for Salesforce's responses: one function for the data API, one for the login server.

Data errors are a JSON array `[{"message", "errorCode", "fields"?}]`, login errors an object
`{"error", "error_description"?}` (REST API Developer Guide, "Status Codes and Error Responses").
Bodies of 406, 420 and 5xx may be empty or HTML.
"""

import requests

from crm_pipeline.connectors.error_body import (
    busy_login,
    error_body,
    masked_page,
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
    UnknownField,
    VendorError,
)
from crm_pipeline.kernel.text import vendor_text

# Without a body in the vendor's form these are temporary (other clients retry them as well).
_TEMPORARY = frozenset({406, 408, 420, 429, 500, 502, 503, 504})
_LOGIN_URL = "the My Domain address"
_NOT_PERMITTED = ("API_DISABLED_FOR_ORG", "INSUFFICIENT_ACCESS", "TXN_SECURITY_METERING_ERROR")


def classify_response(owner: str, response: requests.Response) -> CrmError | None:
    """Return the error for a response of the data API; None for a success."""
    status = response.status_code
    if status < 300 or status == 304:
        return masked_page(owner, "Salesforce", response, login_url=_LOGIN_URL)
    code, message, fields = _error_of(response)
    text = f"{owner}: Salesforce answered {status} {code}: {message}".strip()
    # For an expired token the identity service returns 403, the data API 401.
    if status == 401 or (status == 403 and "/services/oauth2/" in response.url):
        return SessionExpired(
            text, status=status, code=code, cure="The login was renewed once and refused again."
        )
    if code == "REQUEST_LIMIT_EXCEEDED":
        return _limit(text, message)
    if code == "LIMIT_EXCEEDED":
        return BudgetExhausted(
            text,
            wait_s=3600,
            cure="The org's Bulk jobs of a day are used up: wait, set 'route: rest' for small objects, "
            "or ask an admin which app makes them (Setup, Bulk Data Load Jobs).",
        )
    if status in _TEMPORARY and (not code or status >= 500 or status == 429):
        return Unavailable(text, status=status, code=code, cure="Try again later.")
    if code in {"QUERY_TIMEOUT", "SERVER_UNAVAILABLE", "UNABLE_TO_LOCK_ROW"}:
        return Unavailable(text, status=status, code=code)
    if code == "INVALID_FIELD":
        return UnknownField(text, status=status, code=code, cure=_field_cure(fields))
    if code == "INVALID_TYPE" or code.startswith(_NOT_PERMITTED):
        return NotPermitted(
            text,
            status=status,
            code=code,
            cure="Grant the API user's permission set access to this object and the API, "
            "or take the object out of connections.yaml.",
        )
    if status == 410:
        return Fatal(
            text,
            status=status,
            code=code,
            cure="This API version is retired: remove api_version from connections.yaml.",
        )
    return Rejected(text, status=status, code=code)


def classify_token_response(owner: str, response: requests.Response) -> VendorError | None:
    """Return the error for a response of the login server; None for a success.

    The cure of a refusal depends on the flow, see `login_cures`.
    """
    status = response.status_code
    if status < 300:
        return masked_page(owner, "Salesforce", response, login_url=_LOGIN_URL)
    if (busy := busy_login(owner, "Salesforce", response)) is not None:
        return busy
    body = error_body(response)
    code = word(body.get("error"))
    if status in _TEMPORARY and not code:
        return Unavailable(f"{owner}: the login server answered {status}.", status=status)
    description = word(body.get("error_description"))
    detail = f"{code} {description}".strip() or f"HTTP {status}"
    return AuthFailed(
        f"{owner}: Salesforce refused the login: {vendor_text(detail)}.",
        status=status,
        code=code,
    )


def _limit(text: str, message: str) -> CrmError:
    # The daily limit and that of concurrent long requests share one code; only the text differs.
    if "TotalRequests" in message:
        return BudgetExhausted(
            text,
            wait_s=3600,
            cure="The org's rolling 24-hour limit is reached: wait, or ask an admin which app "
            "uses the calls (Setup, Company Information, API Requests).",
        )
    return Throttled(
        text,
        status=403,
        code="REQUEST_LIMIT_EXCEEDED",
        retry_after_s=20,
        cure="Too many long requests of the org run at once: run again at a quieter time, or ask an admin "
        "which app makes them.",
    )


def _field_cure(fields: str) -> str:
    named = f" ({fields})" if fields else ""
    return (
        f"A field{named} was removed, renamed or hidden between describe and read: run again; the "
        "next describe no longer has it."
    )


def _error_of(response: requests.Response) -> tuple[str, str, str]:
    body = error_body(response)
    fields = vendor_text(", ".join(words(body.get("fields"))[:20]))
    return word(body.get("errorCode")), sentence(body.get("message")), fields
