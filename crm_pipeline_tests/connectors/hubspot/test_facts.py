"""The address of records is one of HubSpot's own, or not known."""

import pytest

from crm_pipeline.connectors.hubspot import facts
from crm_pipeline.connectors.hubspot.api import Details


@pytest.mark.parametrize(
    ("domain", "portal", "address"),
    [
        ("app.hubspot.com", 1, "https://app.hubspot.com/contacts/1"),
        ("app-eu1.hubspot.com", "12", "https://app-eu1.hubspot.com/contacts/12"),
        ("evil.example/?", 1, ""),
        ("evil.example", 1, ""),
        ("app.hubspot.com.evil.example", 1, ""),
        ("evil.example#.hubspot.com", 1, ""),
        ("app.hubspot.com", "1/../../x", ""),
        (None, 1, ""),
    ],
)
def test_where_records_are_shown(domain: str | None, portal: int | str, address: str) -> None:
    """A domain of somebody else, or a number that is none, makes no address."""
    assert facts.of(Details(portal, ui_domain=domain)).web_address == address
