"""Addresses and logins that cannot work are refused, and refusals say what to click."""

from typing import Any

import pytest

from crm_pipeline.connectors.hubspot import connector
from crm_pipeline.connectors.hubspot.profile import PROFILE
from crm_pipeline.connectors.oauth.profile import CODE, REFRESH, Refused
from crm_pipeline.connectors.oauth.token_response import TokenResponse
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings import AuthSettings
from crm_pipeline_tests.connectors.hubspot.test_errors import connection


@pytest.mark.parametrize(
    "changes",
    [
        {"login_url": "https://app.hubspot.com"},
        {"login_url": "https://app-eu1.hubspot.com"},
        {"login_url": "https://acme.hubspot.com"},
        {"login_url": "https://api.hubapi.com/crm/v3"},
        {"login_url": "https://api.example.com"},
        {"auth": AuthSettings("client_credentials", {"client_id": "A", "client_secret": "B"})},
        {"auth": AuthSettings("refresh_token", {"client_id": "A"})},
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any]) -> None:
    """Before anything is sent, with the value that would work."""
    with pytest.raises(ConfigError) as refusal:
        connector.vet(connection(**changes))
    assert refusal.value.cure


@pytest.mark.parametrize("kind", ["token", "refresh_token"])
@pytest.mark.parametrize("url", ["https://api.hubapi.com", "https://api.hubspot.com"])
def test_what_works_passes(kind: str, url: str) -> None:
    """Both hosts of the API are in use."""
    connector.vet(connection(kind, login_url=url))


def test_tokens_end_by_the_clock() -> None:
    """An answer says in how many seconds; calls go where they always go."""
    response = TokenResponse({"access_token": "x", "expires_in": 1800, "hub_id": 7})
    details = PROFILE.read(connection(), response)
    assert (details.instance_url, details.expires_in, dict(details.extra)) == (
        "https://api.hubapi.com",
        1800,
        {"hub_id": "7"},
    )


def test_the_token_endpoint_follows_the_version() -> None:
    """The old endpoint ends with the old versions."""
    assert PROFILE.token_url(connection()).endswith("/oauth/2026-09/token")
    assert PROFILE.token_url(connection(api_version="v3")).endswith("/oauth/v3/token")


def test_consent_asks_for_the_scopes_of_the_objects() -> None:
    """HubSpot takes no address without scopes."""
    scopes = PROFILE.authorize_params(connection())["scope"].split()
    assert {"oauth", "crm.objects.contacts.read", "crm.objects.deals.read"} <= set(scopes)
    assert PROFILE.authorize_url(connection()) == "https://app.hubspot.com/oauth/authorize"


@pytest.mark.parametrize(
    ("grant", "code", "words"),
    [
        (REFRESH, "invalid_grant", "crm-pipeline login hub"),
        (CODE, "invalid_grant", "once"),
        (REFRESH, "invalid_client", "client secret"),
    ],
)
def test_cures(grant: str, code: str, words: str) -> None:
    """Each refusal has its own."""
    refused = Refused(connection("refresh_token"), grant, code, code)
    assert words in PROFILE.cure(refused)
