"""Addresses that Salesforce names are claims: the token goes to no other host, whoever names it."""

from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from crm_pipeline.connectors.salesforce import bulk_results
from crm_pipeline.connectors.salesforce.profile import PROFILE
from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.wire.trusted_hosts import TrustedHosts
from crm_pipeline_tests.connectors.conformance import case_of
from crm_pipeline_tests.connectors.conformance_harness import ConformanceHarness
from crm_pipeline_tests.connectors.conftest import HarnessOf
from crm_pipeline_tests.connectors.elsewhere import Elsewhere, elsewhere
from crm_pipeline_tests.connectors.mutated import mutating
from crm_pipeline_tests.wire.test_trusted_hosts import ACME
from crm_sandbox.http import Response

HOSTS = {
    "https://acme.my.salesforce.com": True,
    "https://acme--dev.sandbox.my.salesforce.com": True,
    "https://login.salesforce.com": False,
    "https://na139.salesforce.com": False,
}
WAYS = ["absolute", "without a scheme", "user", "backslash", "dots"]


@pytest.fixture
def other() -> Iterator[Elsewhere]:
    with elsewhere() as server:
        yield server


@pytest.fixture
def harness(quiet: HarnessOf, monkeypatch: pytest.MonkeyPatch) -> ConformanceHarness:
    """A pipeline whose Bulk pages hold five records."""
    monkeypatch.setattr(bulk_results, "PAGE_RECORDS", 5)
    return quiet(case_of("salesforce"))


@pytest.mark.parametrize("address", HOSTS)
def test_hosts_of_the_api(address: str) -> None:
    """My Domains are documented; Salesforce blocks names of instances."""
    acme = replace(ACME, login_url="https://other.my.salesforce.com")
    assert TrustedHosts(acme.login_url, PROFILE.api_hosts(acme)).includes(address) is HOSTS[address]


@pytest.mark.parametrize("way", WAYS)
def test_the_next_page_of_a_query(harness: ConformanceHarness, other: Elsewhere, way: str) -> None:
    """`nextRecordsUrl` leads nowhere else."""

    def changed(response: Response) -> Response:
        told = msgspec.json.decode(response.body, type=dict[str, object])
        told |= {
            "done": False,
            "nextRecordsUrl": other.addresses[way].format(path="/query/01g-2000"),
        }
        return replace(response, body=msgspec.json.encode(told))

    with mutating(harness.emulator, "SELECT Id FROM User") as mutator, harness.account() as account:
        mutator.change = changed
        with pytest.raises(CrmError, match="is not one of this API"):
            list(account.query("SELECT Id FROM User", include_deleted=False))
    assert other.asked == []


@pytest.mark.parametrize("name", ["resultUrl", "nextRecordsUrl"])
@pytest.mark.parametrize("way", WAYS)
def test_the_pages_of_a_job(
    harness: ConformanceHarness, other: Elsewhere, way: str, name: str
) -> None:
    """`resultUrl` and the next list of pages stay below their job."""

    def changed(response: Response) -> Response:
        told = msgspec.json.decode(response.body, type=dict[str, object])
        pages: list[dict[str, str]] = told["resultPages"]  # type: ignore[assignment]
        address = other.addresses[way].format(path=pages[0]["resultUrl"].partition("?")[0])
        if name == "resultUrl":
            pages[0][name] = address
        else:
            told |= {"done": False, name: address}
        return replace(response, body=msgspec.json.encode(told))

    with mutating(harness.emulator, "/resultPages") as mutator:
        mutator.change = changed
        with pytest.raises(CrmError, match="outside of its job"):
            harness.extract("User", route="bulk")
    assert other.asked == []


@pytest.mark.parametrize("way", ["absolute", "without a scheme", "user"])
def test_a_login_that_names_another_host(
    harness: ConformanceHarness, other: Elsewhere, way: str
) -> None:
    """An `instance_url` elsewhere is refused, and the token is not stored."""

    def changed(response: Response) -> Response:
        told = msgspec.json.decode(response.body, type=dict[str, object])
        told["instance_url"] = other.addresses[way].format(path="")
        return replace(response, body=msgspec.json.encode(told))

    with mutating(harness.emulator, "/oauth2/token") as mutator, harness.account() as account:
        mutator.change = changed
        with pytest.raises(CrmError, match="neither configured nor a host"):
            account._api.log_in()  # type: ignore[attr-defined]
    with harness.account() as account:
        assert "user" in account.identity()
    assert other.asked == []


def test_a_token_that_was_stored_before(harness: ConformanceHarness, other: Elsewhere) -> None:
    """A token that an older version stored with another host is not shown there: a new one is got."""
    with harness.account() as account:
        account.identity()
        api = account._api  # type: ignore[attr-defined]
        api._context.tokens.save("demo", replace(api.token(), instance_url=f"http://{other.host}"))
    with harness.account() as account:
        assert "user" in account.identity()
    assert other.asked == []
