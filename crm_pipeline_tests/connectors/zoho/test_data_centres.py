"""The connector with https to the vendor's own hosts, and an org in another data centre than the app."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors.base import ReportsFacts
from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.kernel.errors import AuthFailed
from crm_pipeline.store.postgres.database import Database
from crm_pipeline_tests.connectors.zoho.conftest import CONNECTIONS, ZohoHarness
from crm_pipeline_tests.harness import START
from crm_sandbox.certificates import Authority
from crm_sandbox.clock import SandboxClock
from crm_sandbox.server import SandboxServer
from crm_sandbox.zoho.credentials import BY_ACCOUNT
from crm_sandbox_tests.conftest import through_proxy

APP = "https://accounts.zoho.com"
HOME = {"accounts.zoho.eu:443", "www.zohoapis.eu:443"}
SECOND = BY_ACCOUNT["second"]


@pytest.fixture
def harness(
    tmp_path: Path, database: Database, fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ZohoHarness]:
    """An app that is registered in the United States, and an org in Europe."""
    text = CONNECTIONS.format(url=APP, kind="refresh_token", objects="Contacts", ceilings="")
    text = text.replace("    sandbox: true\n", "").replace(f"{APP}/zoho", APP)
    text = text.replace("      refresh_token_env: DEMO_REFRESH_TOKEN\n", "")
    (tmp_path / "connections.yaml").write_text(text)
    environ = {
        "DEMO_CLIENT_ID": SECOND.client_id,
        "DEMO_CLIENT_SECRET": SECOND.client_secret,
        "CRM_DATABASE_URL": fresh_url,
    }
    settings = load_settings(tmp_path, environ)
    clock = FrozenClock(START)
    with SandboxServer(
        contacts=60,
        now=clock.now(),
        clock=SandboxClock(clock.now()),
        authority=Authority(tmp_path / "authority"),
        vendors=("zoho",),
    ) as sandbox:
        through_proxy(sandbox, monkeypatch)
        yield ZohoHarness(sandbox, settings, database, clock)


def consented(harness: ZohoHarness, **changed: str) -> None:
    with harness.account() as account:
        login_flow = account.login_flow("http://localhost:8401/callback")
        asked = {
            key: values[0] for key, values in parse_qs(urlsplit(login_flow.address).query).items()
        }
        went = requests.post(
            f"{APP}/oauth/v2/auth",
            data=asked | {"decision": "accept"},
            allow_redirects=False,
            timeout=10,
        )
        location = urlsplit(went.headers["Location"])
        redirect = {key: values[0] for key, values in parse_qs(location.query).items()}
        assert redirect["location"] == "eu"
        login_flow.accept(redirect | changed)


def tunnels(harness: ZohoHarness) -> set[str]:
    return {entry.path for entry in harness.sandbox.journal.entries(method="CONNECT")}


def test_an_org_in_another_data_centre(harness: ZohoHarness) -> None:
    """The code is exchanged in the account's data centre; calls and refreshes stay there, by every strategy."""
    consented(harness)
    harness.sandbox.journal.clear()
    for route in ("records", "coql"):
        done = harness.extract("Contacts", route=route)
        assert done.read - done.deleted == harness.emulator.count("Contacts", account="second")
        harness.emulator.expire_sessions()
        harness.advance(60)
    assert tunnels(harness) == HOME
    with harness.account() as account:
        assert isinstance(account, ReportsFacts)
        number = harness.emulator.org("second").org_id
        assert account.facts().web_address == f"https://crm.zoho.eu/crm/org{number}"


def test_a_code_is_not_sent_elsewhere(harness: ZohoHarness) -> None:
    """A redirect with a foreign accounts server is refused, and nothing is sent there."""
    stranger = {"accounts-server": "https://accounts.zoho.eu.evil.example"}
    with pytest.raises(AuthFailed, match="nor one that Zoho documents"):
        consented(harness, **stranger)
    assert not [tunnel for tunnel in tunnels(harness) if "evil" in tunnel]
