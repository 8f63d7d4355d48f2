"""Addresses in Zoho's responses are not trusted: tokens go to no foreign host."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from crm_pipeline.kernel.errors import AuthFailed, CrmError
from crm_pipeline_tests.connectors.elsewhere import Elsewhere, elsewhere
from crm_pipeline_tests.connectors.mutated import mutating
from crm_pipeline_tests.connectors.zoho.conftest import ZohoHarness
from crm_sandbox.http import Response


@pytest.fixture
def other() -> Iterator[Elsewhere]:
    with elsewhere() as server:
        yield server


@pytest.mark.parametrize("way", ["absolute", "without a scheme", "user", "backslash", "dots"])
def test_the_file_of_an_export(quiet: ZohoHarness, other: Elsewhere, way: str) -> None:
    """`download_url` must be a path of the bulk API."""

    def changed(response: Response) -> Response:
        body = msgspec.json.decode(response.body, type=dict[str, Any])
        result = body["data"][0].get("result")
        if result:
            result["download_url"] = other.addresses[way].format(path=result["download_url"])
        return replace(response, body=msgspec.json.encode(body))

    with mutating(quiet.emulator, r"GET /crm/bulk/v8/read/\d+\?") as mutator:
        mutator.change = changed
        with pytest.raises(CrmError, match="lies outside of the API"):
            quiet.extract("Accounts", route="bulk")
    assert other.asked == []


@pytest.mark.parametrize("way", ["absolute", "without a scheme", "user"])
def test_a_login_that_names_another_host(quiet: ZohoHarness, other: Elsewhere, way: str) -> None:
    """A foreign `api_domain` is refused, and the token is not stored."""

    def changed(response: Response) -> Response:
        body = msgspec.json.decode(response.body, type=dict[str, object])
        body["api_domain"] = other.addresses[way].format(path="")
        return replace(response, body=msgspec.json.encode(body))

    with mutating(quiet.emulator, "/oauth/v2/token") as mutator, quiet.account() as account:
        mutator.change = changed
        with pytest.raises(CrmError, match="neither configured nor a host"):
            account._api.log_in()  # type: ignore[attr-defined]
    with quiet.account() as account:
        assert "user" in account.identity()
    assert other.asked == []


def test_a_token_that_was_stored_before(quiet: ZohoHarness, other: Elsewhere) -> None:
    """A token that an older version stored with a foreign host is not sent there but replaced."""
    with quiet.account() as account:
        account.identity()
        api = account._api  # type: ignore[attr-defined]
        api._context.tokens.save("demo", replace(api.token(), instance_url=f"http://{other.host}"))
    with quiet.account() as account:
        assert "user" in account.identity()
    assert other.asked == []


def test_a_foreign_accounts_server(quiet: ZohoHarness, other: Elsewhere) -> None:
    """A redirect with a foreign accounts server gets neither code nor secret."""
    with quiet.account() as account:
        login_flow = account.login_flow("http://localhost:8401/callback")
        redirect = {
            "state": login_flow.state,
            "code": "x",
            "accounts-server": f"http://{other.host}",
        }
        with pytest.raises(AuthFailed, match="nor one that Zoho documents"):
            login_flow.accept(redirect)
    assert other.asked == []
