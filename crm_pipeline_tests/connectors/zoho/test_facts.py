"""Facts of the org: their sources, and unknown ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from crm_pipeline.connectors.base import ReportsFacts
from crm_pipeline.connectors.zoho.data_centres import web_site
from crm_pipeline.model.account import AccountFacts
from crm_pipeline_tests.connectors.mutated import mutating
from crm_pipeline_tests.connectors.zoho.conftest import ZohoHarness
from crm_sandbox.http import Response

ZONE = "America/Los_Angeles"


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("www.zohoapis.com", "https://crm.zoho.com"),
        ("zohoapis.eu", "https://crm.zoho.eu"),
        ("www.zohoapis.com.au", "https://crm.zoho.com.au"),
        ("www.zohoapis.ca", "https://crm.zohocloud.ca"),
        ("sandbox.zohoapis.com", ""),
        ("www.zohoapis.evil", ""),
        ("www.zohoapis.com.evil.example", ""),
        ("127.0.0.1", ""),
    ],
)
def test_the_web_site_of_an_api_host(host: str, site: str) -> None:
    """The web site follows from the data centre; it is unknown for developer environments and other hosts."""
    assert web_site(host) == site


@pytest.mark.parametrize(
    ("changed", "zone", "currency"),
    [
        ({"iso_code": "EUR"}, ZONE, "EUR"),
        ({"iso_code": None, "currency": "Indian Rupee - INR"}, ZONE, "INR"),
        # The one that the list of currencies marks.
        ({"iso_code": None, "currency": "US Dollar"}, ZONE, "USD"),
        ({"time_zone": None}, "", "USD"),
        ({"time_zone": 5, "iso_code": ["EUR"]}, "", "USD"),
    ],
)
def test_where_facts_come_from(
    quiet: ZohoHarness, changed: Mapping[str, Any], zone: str, currency: str
) -> None:
    """Facts that the org lacks come from other responses, or stay unknown."""

    def other(response: Response) -> Response:
        body = msgspec.json.decode(response.body, type=dict[str, Any])
        body["org"][0] |= changed
        return replace(response, body=msgspec.json.encode(body))

    with mutating(quiet.emulator, r"GET /crm/v8/org\b(?!/)") as mutator, quiet.account() as account:
        mutator.change = other
        assert isinstance(account, ReportsFacts)
        number = quiet.emulator.org("main").org_id
        address = f"{quiet.sandbox.url}/zoho/crm/org{number}"
        assert account.facts() == AccountFacts(zone, currency, address)
