"""Each refusal that Salesforce documents leads to something to click, to run or to set."""

import pytest

from crm_pipeline.connectors.oauth.profile import CODE, REFRESH, Refused
from crm_pipeline.connectors.salesforce.login_cures import ASSERTION, CREDENTIALS, cure
from crm_pipeline.settings import AuthSettings, Connection
from crm_pipeline_tests.connectors.salesforce.test_login import connection

NAMED = {
    "client_id": "ACME_ID",
    "client_secret": "ACME_SECRET",
    "refresh_token": "ACME_TOKEN",
    "username": "ACME_USER",
    "private_key_file": "ACME_KEY",
}
LOGIN, SETUP = "crm-pipeline login acme", "Setup, "


def acme(variables: dict[str, str]) -> Connection:
    made = connection("refresh_token", "https://acme.my.salesforce.com")
    object.__setattr__(made, "auth", AuthSettings("refresh_token", variables))
    return made


@pytest.mark.parametrize(
    ("grant", "code", "said", "words"),
    [
        (REFRESH, "invalid_grant", "expired access/refresh token", [LOGIN, SETUP, "ACME_TOKEN"]),
        (REFRESH, "invalid_grant", "", [LOGIN, "30 days"]),
        (REFRESH, "inactive_user", "user is inactive", [SETUP, "Users"]),
        (REFRESH, "inactive_org", "organization is inactive", ["owner"]),
        (REFRESH, "invalid_client_id", "client identifier invalid", ["ACME_ID", "login_url"]),
        (REFRESH, "invalid_client", "invalid client credentials", ["ACME_SECRET"]),
        (REFRESH, "invalid_grant", "ip restricted", [SETUP, "IP Relaxation"]),
        (REFRESH, "invalid_app_access", "user is not admin approved to access this app", [SETUP]),
        (REFRESH, "unsupported_grant_type", "grant type not supported", [SETUP, "Flow Enablement"]),
        (REFRESH, "app_not_found", "External client app is not installed", ["My Domain"]),
        (CODE, "invalid_grant", "expired authorization code", [LOGIN, "15 minutes"]),
        (CODE, "invalid_grant", "authorization code expired", [LOGIN, "15 minutes"]),
        (CODE, "invalid_grant", "invalid code verifier", [LOGIN, "once"]),
        (CODE, "redirect_uri_mismatch", "redirect_uri must match configuration", ["Callback URL"]),
        (CODE, "access_denied", "end-user denied authorization", [LOGIN, "Allow"]),
        (CODE, "invalid_scope", "the requested scope is not allowed", [SETUP, "scopes"]),
        (CREDENTIALS, "invalid_grant", "no client credentials user enabled", [SETUP, "Run As"]),
        (CREDENTIALS, "invalid_grant", "request not supported on this domain", ["My Domain"]),
        (ASSERTION, "invalid_grant", "user hasn't approved this consumer", [SETUP, "ACME_USER"]),
        (ASSERTION, "invalid_grant", "Audience validation failed", ["'audience'"]),
        (ASSERTION, "invalid_grant", "invalid assertion", ["certificate", "ACME_KEY", "ACME_ID"]),
        (ASSERTION, "invalid_grant", "expired authorization code", ["clock"]),
        (ASSERTION, "brand_new_code", "", ["login_url"]),
    ],
)
def test_every_refusal_has_its_cure(grant: str, code: str, said: str, words: list[str]) -> None:
    """The cure names what to click, what to run, or the connection's own variable."""
    text = cure(
        Refused(acme(NAMED), grant, code, f"acme: Salesforce refused the login: {code} {said}.")
    )
    assert [word for word in words if word not in text] == []
    assert "{" not in text + cure(Refused(acme({}), grant, code, said))


@pytest.mark.parametrize("grant", [REFRESH, CODE, CREDENTIALS])
def test_a_wrong_clock_matters_to_assertions_only(grant: str) -> None:
    """Other flows carry no time, so a wrong clock is not blamed."""
    assert "clock" not in cure(Refused(acme(NAMED), grant, "invalid_grant", "", 900))
    assert "clock" in cure(Refused(acme(NAMED), ASSERTION, "invalid_grant", "", 900))
