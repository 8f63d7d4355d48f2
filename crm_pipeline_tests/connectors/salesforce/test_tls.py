"""The connector as in real use: https to the vendor's own host, through a proxy, with a CA bundle."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline.configuration import load_settings
from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.kernel.errors import ConnectionLost, CrmError, Fatal
from crm_pipeline.store.postgres.database import Database
from crm_pipeline_tests.harness import AUTH, CONNECTIONS, ENVIRON, START, Harness
from crm_sandbox.certificates import Authority
from crm_sandbox.clock import SandboxClock
from crm_sandbox.server import SandboxServer
from crm_sandbox_tests.conftest import through_proxy

HOST = "https://acme.my.salesforce.com"


@pytest.fixture
def harness(tmp_path: Path, database: Database, fresh_url: str) -> Iterator[Harness]:
    """A connection that knows nothing of a sandbox, and one that stands for the vendor."""
    auth = "\n".join(f"      {line}" for line in AUTH["client_credentials"])
    text = CONNECTIONS.format(
        url=HOST, kind="client_credentials", auth=auth, objects="Contact, User"
    )
    text = text.replace("    sandbox: true\n", "").replace(f"{HOST}/salesforce", HOST)
    (tmp_path / "connections.yaml").write_text(text)
    settings = load_settings(tmp_path, {**ENVIRON, "CRM_DATABASE_URL": fresh_url})
    clock = FrozenClock(START)
    authority = Authority(tmp_path / "authority")
    with SandboxServer(
        contacts=60, now=clock.now(), clock=SandboxClock(clock.now()), authority=authority
    ) as sandbox:
        yield Harness(sandbox, settings, database, clock)


def test_reading_through_a_proxy(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """With HTTPS_PROXY and REQUESTS_CA_BUNDLE set, login, REST and Bulk go through the proxy, over TLS, to
    the org's own host and nowhere else; what lands is the truth."""
    through_proxy(harness.sandbox, monkeypatch)
    with harness.account() as account:
        findings = {finding.topic: finding for finding in account.check().findings}
    assert HOST in findings["login"].detail
    assert "TLS 1.2" in findings["login"].detail
    for route in ("rest", "bulk"):
        taken = harness.extract("Contact", route=route)
        assert taken.records == harness.org.count("Contact", include_deleted=True)
        harness.advance()
    tunnels = {entry.path for entry in harness.sandbox.journal.entries(method="CONNECT")}
    assert tunnels == {"acme.my.salesforce.com:443"}


def test_an_unknown_authority(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the bundle no secret is sent: the error names the variable to set."""
    through_proxy(harness.sandbox, monkeypatch)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with harness.account() as account, pytest.raises(Fatal, match="no trusted TLS") as caught:
        account.objects()
    assert "REQUESTS_CA_BUNDLE" in caught.value.cure
    paths = [entry.path for entry in harness.sandbox.journal.entries()]
    assert set(paths) == {"acme.my.salesforce.com:443"}


def test_a_proxy_that_is_not_there(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that does not answer is told, without the login that its address may hold."""
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hush@127.0.0.1:9")
    with harness.account(attempts=1) as account, pytest.raises(CrmError) as caught:
        account.objects()
    assert isinstance(caught.value, ConnectionLost)
    assert "the proxy did not let a request through" in caught.value.message
    assert "HTTPS_PROXY" in caught.value.cure
    assert "hush" not in str(caught.value)
