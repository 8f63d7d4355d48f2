"""Logins: a code made by hand, a browser, data centres, and the limits of the accounts server."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from typer.testing import CliRunner, Result

from crm_pipeline.cli.app import app
from crm_pipeline.connectors.zoho.data_centres import api_hosts, refuse_unusable
from crm_pipeline.connectors.zoho.profile import SCOPES, exchange_url
from crm_pipeline.kernel.clock import Month
from crm_pipeline.kernel.errors import AuthFailed, BudgetExhausted, ConfigError, Throttled
from crm_pipeline.settings import Connection
from crm_pipeline.settings.connection import AuthSettings
from crm_pipeline.store.tokens import StoredToken, TokenStore
from crm_pipeline.store.tokens.state_key import StateKey
from crm_pipeline.wire.trusted_hosts import TrustedHosts
from crm_pipeline_tests.connectors.zoho.conftest import ENVIRON, MAIN, ZohoHarness, ZohoHarnessMaker

TOKEN = "/oauth/v2/token"


def enter(harness: ZohoHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands find the harness, without a refresh token."""
    environ = ENVIRON | {"CRM_DATABASE_URL": harness.settings.environ["CRM_DATABASE_URL"]}
    del environ["DEMO_REFRESH_TOKEN"]
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CRM_HOME", str(harness.settings.root))
    harness.settings.environ.pop("DEMO_REFRESH_TOKEN")  # type: ignore[attr-defined]


@pytest.fixture
def by_hand(
    make_harness: ZohoHarnessMaker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ZohoHarness]:
    """A self client that is not logged in yet, as commands see it."""
    with make_harness(contacts=20, kind="self_client") as made:
        enter(made, monkeypatch)
        yield made


def login(*options: str, given: str = "") -> Result:
    return CliRunner().invoke(app, ["login", "demo", *options], input=given)


def stored(harness: ZohoHarness) -> StoredToken | None:
    return TokenStore(harness.database, StateKey.of(harness.settings)).load("demo")


def test_a_code_made_by_hand(by_hand: ZohoHarness) -> None:
    """`login` says where to make the code and with which scopes, accepts it, and shows no token; after that
    the connection renews its tokens by itself."""
    result = login(given=f"{MAIN.code}\n")
    assert result.exit_code == 0, result.output
    assert "Self Client, Generate Code" in result.stderr
    assert ",".join(SCOPES) in result.stderr.replace("\n", "")
    assert "user user0@sandbox.example" in result.stderr
    token = stored(by_hand)
    assert token is not None
    assert token.refresh_token is not None
    assert token.instance_url == f"{by_hand.sandbox.url}/zoho"
    for secret in (token.access_token, token.refresh_token):
        assert secret.reveal() not in result.output
    by_hand.emulator.expire_sessions()
    with by_hand.account() as account:
        assert account.objects()


def test_a_code_is_good_once(by_hand: ZohoHarness) -> None:
    """HTTP 200 with an error for a used or expired code is a refusal, with a cure."""
    assert login(given=f"{MAIN.code}\n").exit_code == 0
    result = login(given=f"{MAIN.code}\n")
    assert result.exit_code != 0
    assert "invalid_code" in result.output
    assert "Self Client, Generate Code" in result.output
    assert MAIN.code not in result.output.replace("\n", "")
    assert harness_statuses(by_hand) == [200, 200]


def harness_statuses(harness: ZohoHarness) -> list[int]:
    return [entry.status for entry in harness.calls(TOKEN)]


def test_a_login_in_the_browser(
    make_harness: ZohoHarnessMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login page gets offline access and our scopes as parameters; the code is exchanged for tokens."""
    with make_harness(contacts=20) as harness, harness.account() as account:
        harness.settings.environ.pop("DEMO_REFRESH_TOKEN")  # type: ignore[attr-defined]
        login_flow = account.login_flow("http://localhost:8401/callback")
        asked = parse_qs(urlsplit(login_flow.address).query)
        assert asked["access_type"] == ["offline"]
        assert asked["scope"] == [",".join(SCOPES)]
        form = {name: values[0] for name, values in asked.items()} | {"decision": "accept"}
        address = login_flow.address.partition("?")[0]
        went = requests.post(address, data=form, allow_redirects=False, timeout=5)
        redirect = {k: v[0] for k, v in parse_qs(urlsplit(went.headers["Location"]).query).items()}
        assert redirect["accounts-server"] == f"{harness.sandbox.url}/zoho"
        login_flow.accept(redirect)
        assert account.objects()


def connection(url: str, kind: str = "refresh_token", *, sandbox: bool = False) -> Connection:
    return Connection(
        name="acme",
        vendor="zoho",
        login_url=url,
        auth=AuthSettings(kind, {}),
        objects=(),
        start=Month(2026, 1),
        cadence="",
        probe_every_s=60,
        lookback_s=0,
        share=0.9,
        limit_group="acme",
        api_version=None,
        sandbox=sandbox,
        mapping={},
    )


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("", ""),
        ("https://accounts.zoho.com", ""),
        ("https://accounts.zoho.eu", "https://accounts.zoho.eu/oauth/v2/token"),
        ("https://accounts.zohocloud.ca/", "https://accounts.zohocloud.ca/oauth/v2/token"),
    ],
)
def test_the_code_is_exchanged_in_the_accounts_data_centre(server: str, expected: str) -> None:
    """The redirect names the accounts server, which is used instead of the configured one."""
    acme = connection("https://accounts.zoho.com")
    assert exchange_url(acme, {"accounts-server": server}) == expected


@pytest.mark.parametrize(
    "server",
    [
        "https://accounts.zoho.com.evil.example",
        "https://evil.example",
        "http://accounts.zoho.eu",
        "https://accounts.zoho.eu:8443",
        "https://me@accounts.zoho.eu",
        "http://127.0.0.1:9/zoho",
        "https://[::1",
        "https://accounts.zoho.ae",
    ],
)
def test_no_code_goes_to_a_foreign_server(server: str) -> None:
    """A server that is neither configured nor documented gets neither code nor secret."""
    with pytest.raises(AuthFailed, match="nor one that Zoho documents"):
        exchange_url(connection("https://accounts.zoho.com"), {"accounts-server": server})


@pytest.mark.parametrize(
    ("address", "is_documented"),
    [
        ("https://www.zohoapis.com/crm", True),
        ("https://zohoapis.com/crm", True),
        ("https://zohoapis.com.au", True),
        ("https://content.zohoapis.eu", True),
        ("https://evilzohoapis.com", False),
        ("https://www.zohoapis.ae", False),
    ],
)
def test_hosts_of_the_api(address: str, is_documented: bool) -> None:
    """API hosts are those of every documented data centre, with and without a prefix."""
    acme = connection("https://accounts.zoho.com")
    assert TrustedHosts(acme.login_url, api_hosts(acme)).includes(address) is is_documented


def test_a_data_centre_that_is_configured_has_an_api() -> None:
    """A new data centre works if login_url names it."""
    acme = connection("https://accounts.zoho.ae")
    refuse_unusable(acme)
    assert TrustedHosts(acme.login_url, api_hosts(acme)).includes("https://www.zohoapis.ae")


def test_refreshes_go_to_the_first_login_server(harness: ZohoHarness) -> None:
    """Tokens of another data centre are refreshed there, again and again, not at login_url."""
    with harness.account() as account:
        account.objects()
    tokens = TokenStore(harness.database, StateKey.of(harness.settings))
    there = f"{harness.sandbox.url}/zoho{TOKEN}?there=1"

    def moved(token: StoredToken | None) -> StoredToken:
        assert token is not None
        return replace(token, extra={**token.extra, "token_endpoint": there})

    tokens.replaced("demo", moved)
    for _ in range(2):
        harness.emulator.expire_sessions()
        with harness.account() as account:
            account.objects()
    assert [entry.query for entry in harness.calls(TOKEN)] == ["", "there=1", "there=1"]


def test_a_revoked_refresh_token(harness: ZohoHarness) -> None:
    """HTTP 200 with an error is a refusal; the text says to log in again, and contains no token."""
    harness.emulator.oauth.grants.revoke(MAIN.refresh_token)
    with harness.account() as account, pytest.raises(AuthFailed, match="invalid_code") as caught:
        account.objects()
    assert "crm-pipeline login demo" in str(caught.value)
    assert MAIN.refresh_token not in str(caught.value)


def test_a_lock_out_stops_requests(harness: ZohoHarness) -> None:
    """After 'Access Denied' no process sends a token request until the wait is over."""
    harness.emulator.set_token_limits(requests=0)
    with harness.account() as account, pytest.raises(Throttled, match="Access Denied"):
        account.objects()
    for _ in range(3):
        with harness.account() as account, pytest.raises(BudgetExhausted, match="token_requests"):
            account.objects()
    assert harness_statuses(harness) == [400]


def test_token_requests_are_counted(harness: ZohoHarness) -> None:
    """Nine of the ten requests of ten minutes are ours; the tenth is not sent."""
    harness.emulator.set_token_limits(requests=1_000)
    for _ in range(9):
        with harness.account() as account:
            account.vendor_now()
        harness.emulator.expire_sessions()
    with harness.account() as account, pytest.raises(BudgetExhausted, match="token_requests"):
        account.vendor_now()
    assert len(harness_statuses(harness)) == 9


def test_one_refresh_for_all_workers(harness: ZohoHarness) -> None:
    """A session that expires during a read is renewed once, not once per worker."""
    harness.sandbox.faults.order("expire_session", path="/coql", nth=3)
    done = harness.extract("Contacts", route="coql")
    assert done.reconciled
    assert harness_statuses(harness) == [200, 200]


def test_the_header_has_the_vendors_scheme(harness: ZohoHarness, monkeypatch: Any) -> None:
    """Calls say `Zoho-oauthtoken`, not `Bearer`."""
    seen: list[str] = []
    handle = harness.emulator.handle

    def noting(request: Any) -> Any:
        seen.append(request.header("authorization"))
        return handle(request)

    monkeypatch.setattr(harness.emulator, "handle", noting)
    with harness.account() as account:
        account.objects()
    assert seen[-1].startswith("Zoho-oauthtoken 1000.")


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("https://www.zohoapis.eu", "self_client", "https://accounts.zoho.eu"),
        ("https://crm.zoho.in", "self_client", "https://accounts.zoho.in"),
        ("https://crm.zohocloud.ca", "self_client", "https://accounts.zohocloud.ca"),
        ("https://acme.my.salesforce.com", "self_client", "accounts.zoho.com"),
        ("https://accounts.zoho.eu/oauth/v2", "self_client", "goes on behind the host"),
        ("https://accounts.zoho.eu", "token", "which Zoho does not have"),
        ("https://accounts.zoho.eu", "client_credentials", "'kind: self_client'"),
    ],
)
def test_unusable_addresses(url: str, kind: str, words: str) -> None:
    """Unusable addresses are refused before anything is sent, with a suggestion."""
    with pytest.raises(ConfigError) as caught:
        refuse_unusable(connection(url, kind))
    assert words in str(caught.value)


def test_usable_addresses() -> None:
    """Each data centre's accounts server is accepted, also that of a new data centre."""
    from crm_pipeline.connectors.zoho.data_centres import ACCOUNTS

    for host in (*ACCOUNTS, "accounts.zoho.ae"):
        refuse_unusable(connection(f"https://{host}"))


def test_from_nothing_to_a_checked_connection(
    make_harness: ZohoHarnessMaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After `add` with the vendor's kinds of login and `login`, `check` finds nothing wrong."""
    with make_harness(contacts=20) as harness:
        home = tmp_path / "new"
        home.mkdir()
        monkeypatch.setenv("CRM_HOME", str(home))
        monkeypatch.setenv("CRM_SANDBOX_PORT", str(harness.sandbox.port))
        monkeypatch.setenv("CRM_DATABASE_URL", harness.settings.environ["CRM_DATABASE_URL"])
        for name in ("DEMO_CLIENT_ID", "DEMO_CLIENT_SECRET"):
            monkeypatch.setenv(name, ENVIRON[name])
        options = ("--vendor", "zoho", "--sandbox", "--kind", "self_client", "--yes")
        added = CliRunner().invoke(app, ["add", "demo", *options])
        assert added.exit_code == 0, added.output
        assert added.stderr.strip().endswith("Next: crm-pipeline login demo")
        assert login(given=f"{MAIN.code}\n").exit_code == 0
        checked = CliRunner().invoke(app, ["check", "demo"])
        assert checked.exit_code == 0, checked.output
