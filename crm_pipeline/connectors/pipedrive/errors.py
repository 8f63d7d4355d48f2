"""What Pipedrive's answers mean: one function for data answers, one for the OAuth server.

Errors are `{"success": false, "error", "error_info", "code"?}`; the proxy in front answers with web
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
# The vendor's OAuth answers are known by their words; not all of them carry a code.
_WORDS = (
    ("invalid grant", "invalid_grant"),
    ("invalid client", "invalid_client"),
    ("unsupported grant", "unsupported_grant_type"),
    ("missing parameter", "invalid_request"),
)
KEY_CURE = (
    "Copy the API token anew (Pipedrive: your picture, Personal preferences, API) into the environment "
    "variable that connections.yaml names; a token belongs to one user of one company."
)


class ResponseClassifier:
    """Turns data answers of one connection into errors.

    Args:
        owner: the connection's name.
        by_token: it logs in with an API token.
        refusals: tells the two kinds of 429 apart.
    """

    def __init__(self, owner: str, *, by_token: bool, refusals: Refusals) -> None:
        self._owner = owner
        self._by_token = by_token
        self._refusals = refusals

    def __call__(self, response: requests.Response) -> CrmError | None:
        """Return the error that an answer stands for; None for a success."""
        status = response.status_code
        if status < 300:
            self._refusals.passed()
            return self._success(response)
        if status == 403 and is_page(response):
            return self._shut_out()
        code, text = _told(error_body(response))
        told = f"{status} {code}".strip() + (f": {text}" if text else "")
        said = f"{self._owner}: Pipedrive answered {told}"
        if status == 429:
            return self._refusals.judged(said, response)
        if status in _PASSING:
            return Unavailable(said, status=status, code=code, cure="Try again later.")
        if status == 401:
            return self._unauthorized(said, code)
        if status == 400 and code == _SCHEMA and "include_fields" in text:
            return UnknownField(
                said,
                status=status,
                code=code,
                cure="A field was removed or switched off between describe and read: run again.",
            )
        return _refused(said, response, status=status, code=code, text=text)

    def _success(self, response: requests.Response) -> CrmError | None:
        page = masked_page(self._owner, "Pipedrive", response, login_url=_LOGIN_URL)
        if page is not None:
            return page
        # The words first: pages of records are read once, by whoever asked for them.
        if _FAILED.search(response.content) and error_body(response).get("success") is False:
            code, text = _told(error_body(response))
            return Rejected(
                f"{self._owner}: Pipedrive answered {response.status_code}, but says that it failed: "
                + f"{code} {text}".strip(),
                status=response.status_code,
                code=code,
                cure="Run again; if it persists, report it to the vendor with the time of the run.",
            )
        return None

    def _unauthorized(self, said: str, code: str) -> VendorError:
        if self._by_token:
            return AuthFailed(said, status=401, code=code, cure=KEY_CURE)
        return SessionExpired(
            said, status=401, code=code, cure="The login was renewed once and refused again."
        )

    def _shut_out(self) -> VendorError:
        # https://pipedrive.readme.io/docs/core-api-concepts-rate-limiting: who keeps calling after 429
        # is shut out by the proxy, for some minutes.
        return Throttled(
            f"{self._owner}: Pipedrive's proxy (Cloudflare) has shut this address out: a web page came "
            "with 403 where data was expected.",
            status=403,
            code="shut_out",
            retry_after_s=_SHUT_OUT_S,
            cure="It happens to who keeps calling after refusals (429), and ends after some minutes. Look "
            "for other programs that use the same token; lower `share` or `ceilings` if it returns.",
        )


def classify_token_response(owner: str, response: requests.Response) -> VendorError | None:
    """Return the error that an OAuth server's answer stands for; None for a success."""
    status = response.status_code
    if status < 300:
        return masked_page(owner, "Pipedrive", response, login_url=_LOGIN_URL)
    if (busy := busy_login(owner, "Pipedrive", response)) is not None:
        return busy
    body = error_body(response)
    texts = [word(body.get(key)) for key in ("error", "message", "error_description")]
    said = sentence(" ".join(filter(None, texts)))
    code = next((code for words, code in _WORDS if words in said.lower()), texts[0])
    return AuthFailed(
        f"{owner}: Pipedrive refused the login: {said or f'HTTP {status}'}.",
        status=status,
        code=code,
    )


def _refused(
    said: str, response: requests.Response, *, status: int, code: str, text: str
) -> VendorError:
    given = {"status": status, "code": code}
    if status == 402:
        return NotPermitted(
            said,
            cure="The company's Pipedrive account is not open (trial over, or not paid): an admin "
            "opens it again under Settings, Billing.",
            **given,  # type: ignore[arg-type]
        )
    if status == 403:
        return NotPermitted(said, cure=_permission(text, code, response), **given)  # type: ignore[arg-type]
    if status == 410 or (status == 404 and _is_list(response)):
        return Fatal(
            said,
            cure="This address is retired or unknown: compare with `crm-pipeline status` for versions "
            "near their end, and update crm_pipeline.",
            **given,  # type: ignore[arg-type]
        )
    if status == 415:
        return NotPermitted(
            said,
            cure="The company's plan does not have this feature: take the object out of "
            "connections.yaml.",
            **given,  # type: ignore[arg-type]
        )
    return Rejected(said, **given)  # type: ignore[arg-type]


def _permission(text: str, code: str, response: requests.Response) -> str:
    if "scope" in text.lower():
        words = _words_of(response)
        scope = _HISTORY if words[-1:] == ["changelog"] else _SCOPES.get(_first_word(response), "")
        named = f" '{scope}'" if scope else ""
        return (
            f"The app lacks the scope{named}: add it in Pipedrive's Developer Hub (the app, OAuth & "
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


def _words_of(response: requests.Response) -> list[str]:
    path = response.url.split("?")[0]
    found = re.search(r"/(?:api/)?v[12]/(.*)", path)
    return found[1].strip("/").split("/") if found else []


def _first_word(response: requests.Response) -> str:
    return next(iter(_words_of(response)), "")


def _is_list(response: requests.Response) -> bool:
    """Say whether a whole list was asked for, so that 404 does not mean a missing record."""
    words = _words_of(response)
    return len(words) == 1 or words[1:] in (["archived"], ["products"])


def _told(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return the code and the sentence of an error, whichever form it has."""
    text = sentence(body.get("error")) or sentence(body.get("message"))
    return word(body.get("code")), text
