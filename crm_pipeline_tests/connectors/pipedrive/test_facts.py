"""Facts of a company are used only if they are valid."""

import pytest

from crm_pipeline.connectors.pipedrive import facts
from crm_pipeline.connectors.pipedrive.api import Me
from crm_pipeline.model.account import AccountFacts

OURS = "https://acme.pipedrive.com"


@pytest.mark.parametrize(
    ("me", "expected"),
    [
        (
            Me(1, company_domain="acme", timezone_name="Europe/Berlin", default_currency="EUR"),
            AccountFacts("Europe/Berlin", "EUR", OURS),
        ),
        (Me(1), AccountFacts("", "", OURS)),
        (Me(1, timezone_name="Mars/Olympus", default_currency="euros"), AccountFacts("", "", OURS)),
        (Me(1, timezone_name="../../etc/passwd"), AccountFacts("", "", OURS)),
        (Me(1, company_domain="acme-2"), AccountFacts("", "", "https://acme-2.pipedrive.com")),
        (Me(1, company_domain="evil.example/"), AccountFacts("", "", OURS)),
        (Me(1, company_domain="evil.example#"), AccountFacts("", "", OURS)),
    ],
)
def test_facts_of_an_answer(me: Me, expected: AccountFacts) -> None:
    """An unknown time zone, an invalid currency and an invalid domain become empty."""
    assert facts.of(me, OURS) == expected


@pytest.mark.parametrize(
    ("login_url", "address"),
    [
        (f"{OURS}/settings", OURS),
        ("https://acme.pipedrive.com.evil.example", ""),
        ("http://127.0.0.1:8765/pipedrive", ""),
    ],
)
def test_an_address_without_a_domain(login_url: str, address: str) -> None:
    """Without a domain the configured address is used if it is Pipedrive's; otherwise it is unknown."""
    assert facts.of(Me(1), login_url).web_address == address
