"""The facts of a HubSpot account that tables depend on.

Source: https://developers.hubspot.com/docs/api-reference/account-account-info-v3/guide
"""

import re

from crm_pipeline.connectors.hubspot.api import Details
from crm_pipeline.model.account import AccountFacts

# Each data centre has a domain: app.hubspot.com, app-eu1.hubspot.com.
_DOMAIN = re.compile(r"[a-z0-9-]{1,63}\.hubspot\.com")
_PORTAL = re.compile(r"[0-9]{1,20}")


def of(details: Details) -> AccountFacts:
    """Return the account's time zone, its currency and the web address of its records."""
    domain, portal = details.ui_domain or "", str(details.portal_id)
    is_address = _DOMAIN.fullmatch(domain) and _PORTAL.fullmatch(portal)
    address = f"https://{domain}/contacts/{portal}" if is_address else ""
    return AccountFacts(details.time_zone or "", details.company_currency or "", address)
