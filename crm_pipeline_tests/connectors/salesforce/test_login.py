"""Logins: what is refused before anything is sent, and what a rotated refresh token needs."""

import pytest

from crm_pipeline.connectors.salesforce.login import refuse_unusable
from crm_pipeline.kernel.clock import Month
from crm_pipeline.kernel.errors import AuthFailed, ConfigError, SecretMissing
from crm_pipeline.settings import AuthSettings, Connection
from crm_pipeline_tests.harness import HarnessMaker


def connection(kind: str, login_url: str) -> Connection:
    return Connection(
        name="acme",
        vendor="salesforce",
        login_url=login_url,
        auth=AuthSettings(kind, {}),
        objects=(),
        start=Month(2020, 1),
        cadence="0 * * * *",
        probe_every_s=60,
        lookback_s=600,
        share=0.9,
        limit_group="acme",
        api_version=None,
        sandbox=False,
        mapping={},
    )


@pytest.mark.parametrize(
    ("kind", "words"),
    [("password", "2027-02-20"), ("username_password", "2027-02-20"), ("soap", "Summer '27")],
)
def test_retiring_logins_are_refused_with_their_date(kind: str, words: str) -> None:
    """Username-password and SOAP logins are refused in plain words that name when they end."""
    with pytest.raises(ConfigError, match=words) as caught:
        refuse_unusable(connection(kind, "https://acme.my.salesforce.com"))
    assert "client_credentials" in caught.value.cure


@pytest.mark.parametrize("kind", ["self_client", "token"])
def test_other_vendors_logins_are_refused(kind: str) -> None:
    """A kind of login that only other vendors have is not taken for one of Salesforce's."""
    with pytest.raises(ConfigError, match=f"kind {kind}, which Salesforce does not have") as caught:
        refuse_unusable(connection(kind, "https://acme.my.salesforce.com"))
    assert "client_credentials, jwt_bearer, refresh_token" in caught.value.cure


@pytest.mark.parametrize("host", ["login", "test"])
def test_client_credentials_need_my_domain(host: str) -> None:
    """Client credentials on a generic login host are refused before anything is sent."""
    with pytest.raises(ConfigError, match="client credentials do not work") as caught:
        refuse_unusable(connection("client_credentials", f"https://{host}.salesforce.com"))
    assert "My Domain" in caught.value.cure
    refuse_unusable(connection("refresh_token", f"https://{host}.salesforce.com"))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://acme.lightning.force.com", "is a host of web pages"),
        ("https://acme.my.salesforce-setup.com", "is a host of web pages"),
        ("https://acme.my.salesforce.com/services/oauth2/token", "has a path behind the host"),
        ("https://acme", "no org's address"),
    ],
)
@pytest.mark.parametrize("kind", ["client_credentials", "refresh_token", "jwt_bearer"])
def test_addresses_that_were_copied_from_a_page(kind: str, address: str, words: str) -> None:
    """An address of pages, or with a path, is refused before anything is sent, with the one to set."""
    with pytest.raises(ConfigError, match=words) as caught:
        refuse_unusable(connection(kind, address))
    assert "https://" in caught.value.cure


def test_rotated_refresh_tokens_are_kept(make_harness: HarnessMaker) -> None:
    """With rotation on, each login uses the token that the last one brought, over restarts."""
    with make_harness(kind="refresh_token") as harness:
        harness.org.rotate(on=True)
        for _ in range(3):
            harness.org.expire_sessions()
            harness.extract("User")
        logins = [e for e in harness.sandbox.journal.entries() if e.path.endswith("/oauth2/token")]
        assert [entry.status for entry in logins] == [200, 200, 200]


def test_a_token_of_another_org_is_not_used(make_harness: HarnessMaker) -> None:
    """A connection that is pointed at another address logs in there, whatever token is stored."""
    with make_harness() as first, make_harness() as second:
        first.extract("User")
        second.extract("User")
        assert next(entry.status for entry in second.sandbox.journal.entries()) == 200
        assert {entry.status for entry in first.sandbox.journal.entries()} == {200}


def test_identity_with_a_dead_token_logs_in_again(make_harness: HarnessMaker) -> None:
    """The identity service answers 403 to a dead token; that is a renewal, not a failure."""
    with make_harness() as harness, harness.account() as account:
        assert account.check().is_healthy
        harness.org.expire_sessions()
        assert next(f for f in account.check().findings if f.topic == "identity").level == "ok"


@pytest.mark.parametrize(("value", "error"), [("", SecretMissing), ("another", AuthFailed)])
def test_a_living_session_does_not_cover_up_a_changed_secret(
    make_harness: HarnessMaker, value: str, error: type[Exception]
) -> None:
    """With a token stored, a secret that was withdrawn or replaced is found at once."""
    with make_harness() as harness:
        harness.extract("User")
        harness.settings.environ["DEMO_CLIENT_SECRET"] = value  # type: ignore[index]
        with pytest.raises(error):
            harness.extract("User")


def test_a_check_logs_in_once(make_harness: HarnessMaker) -> None:
    """Each check proves the login with one request, whether or not a token is stored."""
    with make_harness() as harness:
        for expected in (1, 2):
            with harness.account() as account:
                assert account.check().is_healthy
            entries = harness.sandbox.journal.entries()
            assert sum(e.path.endswith("/oauth2/token") for e in entries) == expected
