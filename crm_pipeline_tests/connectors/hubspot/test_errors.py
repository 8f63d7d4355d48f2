"""Every status and body of the vendor becomes one of our errors, with what to do about it."""

import json
from typing import Any

import pytest
import requests

from crm_pipeline.connectors.hubspot import errors
from crm_pipeline.kernel.clock import Month
from crm_pipeline.kernel.errors import (
    AuthFailed,
    BudgetExhausted,
    CrmError,
    Fatal,
    MalformedResponse,
    NotPermitted,
    Rejected,
    SessionExpired,
    Throttled,
    Unavailable,
)
from crm_pipeline.settings import AuthSettings, Connection, ObjectSettings

SECONDLY = {
    "status": "error",
    "message": "You have reached your secondly limit.",
    "correlationId": "c",
    "category": "RATE_LIMITS",
}
ROLLING = {
    "status": "error",
    "message": "You have reached your ten_secondly_rolling limit.",
    "errorType": "RATE_LIMIT",
    "policyName": "TEN_SECONDLY_ROLLING",
}
DAILY = {
    "status": "error",
    "message": "You have reached your daily limit.",
    "errorType": "RATE_LIMIT",
    "policyName": "DAILY",
}
PLAIN = {"status": "error", "message": "no", "correlationId": "c"}


def connection(kind: str = "token", **changes: Any) -> Connection:
    variables = (
        {"token": "HUB_TOKEN"} if kind == "token" else {"client_id": "A", "client_secret": "B"}
    )
    given: dict[str, Any] = {
        "name": "hub",
        "vendor": "hubspot",
        "login_url": "https://api.hubapi.com",
        "auth": AuthSettings(kind, variables),
        "objects": (ObjectSettings("contacts"), ObjectSettings("deals"), ObjectSettings("owners")),
        "start": Month(2018, 1),
        "cadence": "0 * * * *",
        "probe_every_s": 60,
        "lookback_s": 600,
        "share": 0.9,
        "limit_group": "hub",
        "api_version": None,
        "ceilings": {},
        "sandbox": False,
        "mapping": {},
    }
    return Connection(**{**given, **changes})


def answer(status: int, body: Any, **headers: str) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made.url = "https://api.hubapi.com/crm/objects/2026-09/contacts"
    made._content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


def judged(status: int, body: Any, kind: str = "token", **headers: str) -> CrmError | None:
    return errors.classify_response(connection(kind), answer(status, body, **headers))


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (400, {**PLAIN, "category": "VALIDATION_ERROR"}, Rejected),
        (404, {**PLAIN, "category": "OBJECT_NOT_FOUND"}, Rejected),
        (404, "", Rejected),
        (404, "<html>gone</html>", Rejected),
        (409, {**PLAIN, "category": "CONFLICT"}, Rejected),
        (410, "", Fatal),
        (414, "<html>too long</html>", Rejected),
        (423, PLAIN, Unavailable),
        (429, SECONDLY, Throttled),
        (429, ROLLING, Throttled),
        (429, DAILY, BudgetExhausted),
        (429, "", Throttled),
        (477, PLAIN, Unavailable),
        (500, PLAIN, Unavailable),
        (502, "<html>bad gateway</html>", Unavailable),
        (503, "", Unavailable),
        (504, "", Unavailable),
        (521, "<html></html>", Unavailable),
        (524, "<html>a timeout occurred</html>", Unavailable),
        (526, "", Unavailable),
    ],
)
def test_each_status_is_one_error(status: int, body: Any, wanted: type[CrmError]) -> None:
    """A retry helps against some, none against others; bodies may be anything."""
    assert type(judged(status, body)) is wanted


@pytest.mark.parametrize("status", [200, 201, 207])
def test_a_success_is_none(status: int) -> None:
    """What came in parts is judged where the parts are known."""
    assert judged(status, {"results": []}) is None


def test_a_web_page_with_200_is_an_error() -> None:
    """A login page in front of the API is no empty answer."""
    found = judged(200, "<html>log in</html>", Content_Type="text/html; charset=utf-8")
    assert isinstance(found, MalformedResponse)
    assert "login_url" in found.cure


@pytest.mark.parametrize(("body", "wait_s"), [(SECONDLY, 1.0), (ROLLING, 10.0), (PLAIN, 10.0)])
def test_the_wait_fits_the_ceiling(body: Any, wait_s: float) -> None:
    """Neither form of the refusal says how long, so the window does."""
    found = judged(429, body)
    assert isinstance(found, Throttled)
    assert found.retry_after_s == wait_s


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (DAILY, {}),
        ({"message": "You have reached your daily limit."}, {}),
        (PLAIN, {"X_HubSpot_RateLimit_Daily_Remaining": "0"}),
    ],
)
def test_a_spent_day_is_stated_three_ways(body: Any, headers: dict[str, str]) -> None:
    """By policy, by text, or by the counter: no retry within minutes."""
    found = judged(429, body, **headers)
    assert isinstance(found, BudgetExhausted)
    assert "midnight" in found.cure


@pytest.mark.parametrize(("status", "wait_s"), [(423, 2.0), (477, 60.0)])
def test_what_takes_its_time_is_waited_for(status: int, wait_s: float) -> None:
    """A lock is held for two seconds; an account that moves takes a minute, where it does not say how long."""
    found = judged(status, PLAIN)
    assert isinstance(found, Unavailable)
    assert found.retry_after_s == wait_s


@pytest.mark.parametrize("status", [401, 530])
def test_a_token_that_is_no_good_says_where_another_is(status: int) -> None:
    """A fixed token is copied anew by a person; 530 is what a mutilated one gets."""
    found = judged(status, "<html>1016</html>" if status == 530 else PLAIN)
    assert isinstance(found, AuthFailed)
    assert "HUB_TOKEN" in found.cure
    assert "Private Apps" in found.cure
    assert type(judged(status, PLAIN, "refresh_token")) is SessionExpired


@pytest.mark.parametrize("key", ["requiredGranularScopes", "missingScopes"])
def test_a_missing_scope_is_named(key: str) -> None:
    """The refusal lists the scopes in one of several places; the cure repeats them."""
    context = {"context": {key: ["crm.objects.deals.read"]}}
    for body in ({**PLAIN, **context}, {**PLAIN, "errors": [{"message": "m", **context}]}):
        found = judged(403, {**body, "category": "MISSING_SCOPES"})
        assert isinstance(found, NotPermitted)
        assert found.code == "MISSING_SCOPES"
        assert "crm.objects.deals.read" in found.cure
    again = judged(403, {**PLAIN, **context}, "refresh_token")
    assert again is not None
    assert "crm-pipeline login hub" in again.cure


def test_texts_carry_what_support_asks_for_and_no_secret() -> None:
    """The correlation id is there; a token in the vendor's words is not."""
    found = judged(
        400,
        {**PLAIN, "message": "bad access_token=pat-na1-1234567890"},
        X_HubSpot_Correlation_Id="aeb5f871-7f07-4993-9211-075dc63e7cbf",
    )
    assert "aeb5f871" in str(found)
    assert "pat-na1" not in str(found)


def test_the_token_endpoint_has_errors_of_its_own_form() -> None:
    """A refused refresh token is a code; an outage without one may pass."""
    body = {
        "status": "BAD_REFRESH_TOKEN",
        "message": "missing or invalid refresh token",
        "error": "invalid_grant",
        "error_description": "refresh token is invalid, expired or revoked",
    }
    found = errors.classify_token_response("hub", answer(400, body))
    assert isinstance(found, AuthFailed)
    assert found.code == "invalid_grant"
    assert isinstance(errors.classify_token_response("hub", answer(503, "")), Unavailable)
    assert isinstance(errors.classify_token_response("hub", answer(400, "")), AuthFailed)
    assert errors.classify_token_response("hub", answer(200, {"access_token": "x"})) is None
