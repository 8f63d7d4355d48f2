"""What a HubSpot account says about itself, as far as tables depend on it.

Source: https://developers.hubspot.com/docs/api-reference/account-account-info-v3/guide
"""

import re

from crm_pipeline.connectors.hubspot.api import Details
from crm_pipeline.model.account import AccountFacts

# Each data centre has one: app.hubspot.com, app-eu1.hubspot.com.
_DOMAIN = re.compile(r"[a-z0-9-]{1,63}\.hubspot\.com")
_PORTAL = re.compile(r"[0-9]{1,20}")


def of(told: Details) -> AccountFacts:
    """Return the account's zone, its currency, and where a browser shows its records."""
    domain, portal = told.ui_domain or "", str(told.portal_id)
    is_address = _DOMAIN.fullmatch(domain) and _PORTAL.fullmatch(portal)
    address = f"https://{domain}/contacts/{portal}" if is_address else ""
    return AccountFacts(told.time_zone or "", told.company_currency or "", address)
