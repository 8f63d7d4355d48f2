"""Error responses: each refusal of the vendor raises one of our errors, with a cure."""

import json
from typing import Any

import pytest
import requests

from crm_pipeline.connectors.zoho.errors import (
    ColumnRefused,
    classify_response,
    classify_token_response,
)
from crm_pipeline.connectors.zoho.scopes import scope_of
from crm_pipeline.kernel.errors import (
    AuthFailed,
    BudgetExhausted,
    CrmError,
    Fatal,
    MalformedResponse,
    NotPermitted,
    ProtocolError,
    ReadLost,
    Rejected,
    SessionExpired,
    Throttled,
    Unavailable,
    UnknownField,
)


def response_of(
    status: int, body: Any = None, url: str = "https://www.zohoapis.eu/crm/v8/Leads", **headers: str
) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made.url = url
    made.request = requests.Request("GET", url).prepare()
    made._content = (
        b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    )
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


def refusal(code: str, message: str = "no", **details: Any) -> dict[str, Any]:
    return {"code": code, "details": details, "message": message, "status": "error"}


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, refusal("INVALID_TOKEN", "invalid oauth token"), SessionExpired, "renewed once"),
        (401, refusal("AUTHENTICATION_FAILURE"), SessionExpired, "data centre of login_url"),
        (401, refusal("OAUTH_SCOPE_MISMATCH"), NotPermitted, "ZohoCRM.modules.Leads.READ"),
        (403, refusal("OAUTH_SCOPE_MISMATCH"), NotPermitted, "crm-pipeline login acme"),
        (403, refusal("NO_PERMISSION"), NotPermitted, "Profiles"),
        (400, refusal("NO_PERMISSION"), NotPermitted, "Profiles"),
        (400, refusal("INVALID_MODULE"), NotPermitted, "connections.yaml"),
        (404, refusal("INVALID_URL_PATTERN"), Rejected, "INVALID_URL_PATTERN"),
        (
            400,
            refusal("REQUIRED_PARAM_MISSING", param_name="fields"),
            Rejected,
            "param_name fields",
        ),
        (400, refusal("INVALID_HOST"), Fatal, "another data centre"),
        (400, refusal("API_NOT_SUPPORTED", supported_version=8), Fatal, "from version 8"),
        (400, refusal("TOKEN_BOUND_DATA_MISMATCH"), ReadLost, "read anew"),
        (400, refusal("EXPIRED_VALUE"), ReadLost, "read anew"),
        (400, refusal("DISCRETE_PAGINATION_LIMIT_EXCEEDED", limit=2000), Rejected, "route: coql"),
        (400, refusal("PAGINATION_LIMIT_EXCEEDED"), Rejected, "route: bulk"),
        (400, refusal("INVALID_QUERY", column_name="Tag"), UnknownField, "Tag"),
        (400, refusal("SYNTAX_ERROR", clause="where"), Rejected, "clause where"),
        (415, refusal("MEDIA_TYPE_NOT_SUPPORTED"), Rejected, "415"),
        (429, refusal("TOO_MANY_REQUESTS"), Throttled, "does not say which"),
        (400, refusal("TOO_MANY_REQUESTS"), Throttled, "does not say which"),
        (500, refusal("INTERNAL_ERROR"), Unavailable, "later"),
        (502, b"<html>", Unavailable, "502"),
        (503, None, Unavailable, "503"),
        (400, b"not json", Rejected, "400"),
    ],
)
def test_refusals(status: int, body: Any, kind: type[CrmError], words: str) -> None:
    """Class and cure follow from status and code."""
    error = classify_response("acme", response_of(status, body))
    assert type(error) is (ColumnRefused if kind is UnknownField else kind)
    assert words in str(error)


@pytest.mark.parametrize("status", [200, 201, 204, 304])
def test_responses_without_a_body_are_successes(status: int) -> None:
    """An empty result and an unchanged one are no errors."""
    assert classify_response("acme", response_of(status)) is None


def test_a_throttle_waits_a_minute() -> None:
    """The vendor names no wait; a minute is enough for concurrency limits, without too many retries."""
    error = classify_response("acme", response_of(429, refusal("TOO_MANY_REQUESTS")))
    assert isinstance(error, Throttled)
    assert error.retry_after_s == 60


def test_spent_credits_are_no_throttle() -> None:
    """If the header says that no credits are left, the error is not a throttle of a minute."""
    spent = response_of(429, refusal("TOO_MANY_REQUESTS"), X_API_CREDITS_REMAINING="0")
    assert isinstance(classify_response("acme", spent), BudgetExhausted)


@pytest.mark.parametrize("judged", [classify_response, classify_token_response])
@pytest.mark.parametrize(
    ("status", "kind"), [(200, MalformedResponse), (404, ProtocolError), (520, Unavailable)]
)
def test_a_web_page_is_no_data(judged: Any, status: int, kind: type[CrmError]) -> None:
    """A login page is reported as such; with a success status the request is repeated."""
    page = response_of(status, b"<html>log in</html>", Content_Type="Text/HTML;charset=UTF-8")
    assert type(judged("acme", page)) is kind


def test_a_throttle_may_be_a_web_page() -> None:
    """The status decides, whatever the body is."""
    assert isinstance(
        classify_response("acme", response_of(429, b"<html>", Content_Type="text/html")), Throttled
    )


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"error": "invalid_code"}, AuthFailed),
        (400, {"error": "invalid_client"}, AuthFailed),
        (400, {"error": "Access Denied", "error_description": "too many"}, Throttled),
        (200, {"scope": "x"}, ProtocolError),
        (200, b"hello", ProtocolError),
        (500, None, Unavailable),
        (429, None, Unavailable),
        (200, {"access_token": "x", "api_domain": "https://www.zohoapis.eu"}, None),
    ],
)
def test_the_accounts_server(status: int, body: Any, kind: type[CrmError] | None) -> None:
    """Only a response with a token is a success, whatever the status."""
    error = classify_token_response("acme", response_of(status, body))
    assert (type(error) if error else None) is kind


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/crm/v8/Contacts", "ZohoCRM.modules.Contacts.READ"),
        ("GET", "/crm/v8/Contacts/deleted", "ZohoCRM.modules.Contacts.READ"),
        ("GET", "/zoho/crm/v8/settings/fields", "ZohoCRM.settings.fields.READ"),
        ("POST", "/crm/v8/coql", "ZohoCRM.coql.READ (and ZohoCRM.modules.READ)"),
        ("POST", "/crm/bulk/v8/read", "ZohoCRM.bulk.CREATE"),
        ("GET", "/crm/bulk/v8/read/1/result", "ZohoCRM.bulk.READ"),
        ("GET", "/crm/v8/org", "ZohoCRM.org.READ"),
        ("GET", "/crm/v8/org/currencies", "ZohoCRM.settings.currencies.READ"),
    ],
)
def test_the_missing_scope_is_named(method: str, path: str, scope: str) -> None:
    """The vendor only says that a scope is missing; the path tells which one."""
    assert scope_of(method, path) == scope


def test_no_secret_and_no_person_in_a_text() -> None:
    """Quoted texts of the vendor are cleaned before they are part of an error."""
    body = refusal("INVALID_DATA", "invalid refresh_token=1000.secret.secret given", id="77")
    assert "1000.secret" not in str(classify_response("acme", response_of(400, body)))
