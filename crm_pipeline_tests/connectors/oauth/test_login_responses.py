"""How every connector classifies login responses that neither grant nor refuse."""

import json
from importlib import import_module
from typing import Any

import pytest
import requests

from crm_pipeline.connectors.registry import vendors
from crm_pipeline.kernel.errors import AuthFailed, CrmError, MalformedResponse, Unavailable

# The form that HubSpot documents for its limits; in the token endpoint's own form it would be a refusal.
LIMITED = {
    "status": "error",
    "message": "You have reached your ten_secondly_rolling limit.",
    "category": "RATE_LIMITS",
}
REFUSED = {"error": "invalid_grant", "error_description": "no"}


def classified(
    vendor: str, status: int, body: Any, kind: str = "application/json"
) -> CrmError | None:
    response = requests.Response()
    response.status_code = status
    response.url = "https://login.example/oauth/token"
    response.headers["Content-Type"] = kind
    response._content = json.dumps(body).encode()
    classify_token_response = import_module(
        f"crm_pipeline.connectors.{vendor}.errors"
    ).classify_token_response
    error: CrmError | None = classify_token_response("acme", response)
    return error


@pytest.mark.parametrize("vendor", vendors())
@pytest.mark.parametrize("status", [408, 429, 500, 503, 520])
@pytest.mark.parametrize("body", [LIMITED, REFUSED, {}, []], ids=str)
def test_a_busy_login_server_refuses_nobody(vendor: str, status: int, body: Any) -> None:
    """The login is tried again; an error that calls the token dead would make a person replace it."""
    assert type(classified(vendor, status, body)) is Unavailable


@pytest.mark.parametrize("vendor", vendors())
def test_a_refusal_is_one(vendor: str) -> None:
    """A refusal's status and code raise AuthFailed."""
    assert type(classified(vendor, 400, REFUSED)) is AuthFailed


@pytest.mark.parametrize("vendor", vendors())
@pytest.mark.parametrize("kind", ["text/html", "Text/HTML; charset=utf-8"])
def test_a_web_page_is_no_token(vendor: str, kind: str) -> None:
    """A web page of any spelling of its content type is tried again, then reported with the setting to check."""
    error = classified(vendor, 200, "<html>", kind)
    assert type(error) is MalformedResponse
    assert "login_url" in error.cure
