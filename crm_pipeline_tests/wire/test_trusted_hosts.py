"""Where requests of a connection may go."""

from dataclasses import replace

import pytest

from crm_pipeline.kernel.clock import Month
from crm_pipeline.settings import AuthSettings, Connection
from crm_pipeline.wire.trusted_hosts import TrustedHosts

ACME = Connection(
    name="acme",
    vendor="salesforce",
    login_url="https://login.salesforce.com",
    auth=AuthSettings("refresh_token", {}),
    objects=(),
    start=Month(2018, 1),
    cadence="*/15 * * * *",
    probe_every_s=60,
    lookback_s=600,
    share=0.9,
    limit_group="acme",
    api_version=None,
    sandbox=False,
    mapping={},
)
HOSTS = ("*.my.salesforce.com", "api.example.com")


@pytest.mark.parametrize(
    "address",
    [
        "https://login.salesforce.com/services/oauth2/token",
        "https://acme.my.salesforce.com/x",
        "https://acme--dev.sandbox.my.salesforce.com",
        "https://ACME.my.salesforce.com:443/x?y=//evil.example",
        "https://acme.my.salesforce.com./x",
        "https://api.example.com/",
    ],
)
def test_configured_and_documented_hosts_are_included(address: str) -> None:
    """The host of login_url as it is, and those that the vendor documents, by https."""
    assert TrustedHosts(ACME.login_url, HOSTS).includes(address)


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/x",
        "http://acme.my.salesforce.com/x",
        "https://my.salesforce.com.evil.example/x",
        "https://acme.my.salesforce.com.evil.example/x",
        "https://evilmy.salesforce.com/x",
        "https://.my.salesforce.com/x",
        "https://acme.my.salesforce.com:8443/x",
        "https://acme.my.salesforce.com@evil.example/x",
        "https://evil.example\\@acme.my.salesforce.com/x",
        "https://evil.example#.my.salesforce.com",
        "https://evil.example/.my.salesforce.com",
        "https://acme_evil.example",
        "https://api-example.com/",
        "https://xapi.example.com/",
        "ftp://acme.my.salesforce.com/x",
        "//acme.my.salesforce.com/x",
        "acme.my.salesforce.com",
        "https://[::1",
        "https://acme.my.salesforce.com:port/",
        "",
    ],
)
def test_other_places_are_not_included(address: str) -> None:
    """Look-alikes, other ports, other schemes, user parts, and what is no address."""
    assert not TrustedHosts(ACME.login_url, HOSTS).includes(address)


def test_an_emulated_account_is_one_host_and_port() -> None:
    """Another port of the same machine is another server."""
    emulated = replace(ACME, login_url="http://127.0.0.1:8765/salesforce", sandbox=True)
    places = TrustedHosts(emulated.login_url, ())
    assert places.includes("http://127.0.0.1:8765/services/data")
    assert not places.includes("http://127.0.0.1:8766/services/data")
    assert not places.includes("https://127.0.0.1:8765/services/data")
