"""Logins: an API token, and an app with rotating refresh tokens."""

import dataclasses
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.errors import AuthFailed, ConfigError, ProtocolError
from crm_pipeline.settings import Connection
from crm_pipeline.settings.connection import AuthSettings
from crm_pipeline.store.tokens import StoredToken, TokenStore
from crm_pipeline.store.tokens.state_key import StateKey
from crm_pipeline_tests.connectors.pipedrive.conftest import ENVIRON, Harness, HarnessMaker
from crm_sandbox.server import SandboxServer

TOKEN = AuthSettings("token", {"token": "T"})
APP = AuthSettings("refresh_token", {"client_id": "A", "client_secret": "B"})


def connection(harness: Harness, login_url: str, auth: AuthSettings = TOKEN) -> Connection:
    ours = harness.settings.connection("pipe")
    return dataclasses.replace(ours, login_url=login_url, auth=auth, sandbox=False)


@pytest.fixture
def app(make_harness: HarnessMaker):
    with make_harness(kind="refresh_token") as made:
        yield made


@pytest.mark.parametrize("kind", ["token", "refresh_token"])
def test_both_kinds_read(make_harness: HarnessMaker, kind: str) -> None:
    """Both kinds of login read the same records."""
    with make_harness(kind=kind) as harness:
        assert harness.ids(harness.extract("persons")) == harness.truth("persons")


def test_refresh_tokens_rotate(app: Harness) -> None:
    """Each login uses the refresh token of the previous one; the environment's token is only the first."""
    for _ in range(3):
        with app.account() as account:
            assert account.describe("pipelines").fields
            account.identity()
        app.company.expire_sessions()
    asked = app.sandbox.journal.entries(path="/oauth/token")
    assert [entry.status for entry in asked] == [200, 200, 200]


def test_a_token_that_expires_during_a_read(app: Harness) -> None:
    """An access token that expires during a read is renewed once, and the read goes on."""
    app.sandbox.faults.order("expire_session", path="/api/v2/deals/archived", nth=1)
    assert app.ids(app.extract("deals")) == app.truth("deals", include_deleted=True)


def test_a_revoked_refresh_token(app: Harness) -> None:
    """The error names the connection and the command to run, and no secret."""
    app.company.grant(["base"])
    for token in list(app.company.oauth.grants.chains("main")):
        app.company.oauth.grants.revoke(token)
    with (
        app.account() as account,
        pytest.raises(AuthFailed, match=r"pipe: .*Invalid grant") as caught,
    ):
        account.describe("persons")
    assert "crm-pipeline login pipe" in caught.value.cure
    text = repr(caught.value) + str(caught.value) + caught.value.cure
    assert not [secret for secret in ENVIRON.values() if secret in text]


def test_a_wrong_secret(app: Harness) -> None:
    """The app's id and secret go into a Basic header; the error for a wrong one says so."""
    app.settings.environ["PIPE_CLIENT_SECRET"] = "other"  # type: ignore[index]
    with app.account() as account, pytest.raises(AuthFailed, match="Invalid client") as caught:
        account.describe("persons")
    assert "Developer Hub" in caught.value.cure


def test_a_person_lets_the_app_in(app: Harness) -> None:
    """A login in the browser uses the vendor's address, and its code is exchanged for rotating tokens."""
    redirect = "http://localhost:8401/OauthRedirect"
    with app.account() as account:
        login_flow = account.login_flow(redirect)
        response = requests.get(login_flow.address, allow_redirects=False, timeout=10)
        query = parse_qs(urlsplit(response.headers["Location"]).query)
        login_flow.accept({key: value[0] for key, value in query.items()})
    with app.account() as account:
        assert account.describe("persons").fields


@pytest.mark.parametrize(
    "url",
    ["https://evil.example", "https://pipedrive.com.evil.example", "http://acme.pipedrive.com"],
)
def test_tokens_go_nowhere_else(app: Harness, url: str) -> None:
    """`api_domain` decides where the token is sent, so only hosts of the vendor are accepted."""
    body = (
        '{"access_token":"a","token_type":"Bearer","expires_in":3599,"refresh_token":"r",'
        f'"scope":"base","api_domain":"{url}"}}'
    )
    app.sandbox.faults.order("status", status=200, body=body, path="/oauth/token")
    with (
        app.account() as account,
        pytest.raises(ProtocolError, match="neither configured nor"),
    ):
        account.describe("persons")


def test_a_stored_token_goes_nowhere_else(app: Harness) -> None:
    """A stored token with a foreign address is not used: the account logs in again."""
    with app.account() as account:
        account.identity()
    with SandboxServer(contacts=20, vendors=["pipedrive"]) as other:
        tokens = TokenStore(app.database, StateKey.of(app.settings))

        def moved(stored: StoredToken | None) -> StoredToken:
            assert stored is not None
            return dataclasses.replace(stored, instance_url=f"{other.url}/pipedrive")

        tokens.replaced("pipe", moved)
        with app.account() as account:
            assert account.identity()
        assert other.journal.as_rows() == []


@pytest.mark.parametrize(
    ("address", "auth", "words"),
    [
        ("https://api.pipedrive.com", TOKEN, "no company's address"),
        ("https://app.pipedrive.com", TOKEN, "no company's address"),
        ("https://acme.example", TOKEN, "no company's address"),
        ("https://a.b.pipedrive.com", TOKEN, "no company's address"),
        ("https://acme.pipedrive.com/v1", TOKEN, "goes on behind the host"),
        ("https://acme.pipedrive.com", AuthSettings("jwt_bearer", {}), "kind jwt_bearer"),
        (
            "https://acme.pipedrive.com",
            AuthSettings("refresh_token", {"client_id": "A"}),
            "client_secret_env",
        ),
    ],
)
def test_unusable_settings(still: Harness, address: str, auth: AuthSettings, words: str) -> None:
    """Settings that cannot work are refused with a text before anything is sent."""
    with pytest.raises(ConfigError, match=words) as caught:
        connector("pipedrive").vet(connection(still, address, auth))
    assert caught.value.cure


@pytest.mark.parametrize("auth", [TOKEN, APP])
def test_usable_settings(still: Harness, auth: AuthSettings) -> None:
    """A company's own address is accepted for both kinds of login."""
    connector("pipedrive").vet(connection(still, "https://acme.pipedrive.com", auth))


def test_the_login_server_is_a_host_of_its_own(still: Harness) -> None:
    """Tokens of a company come from oauth.pipedrive.com, those of the sandbox from its own address."""
    from crm_pipeline.connectors.pipedrive.profile import PROFILE

    real = connection(still, "https://acme.pipedrive.com", APP)
    assert PROFILE.token_url(real) == "https://oauth.pipedrive.com/oauth/token"
    assert PROFILE.authorize_url(real) == "https://oauth.pipedrive.com/oauth/authorize"
    ours = still.settings.connection("pipe")
    assert PROFILE.token_url(ours) == f"{still.sandbox.url}/pipedrive/oauth/token"
