"""What a company says about itself, as far as tables depend on it.

Pipedrive tells a zone and a currency of each user and none of the company, so those of the login's user stand
for it. The domain makes the address of records: only a name that can be one is taken.
Source: https://developers.pipedrive.com/docs/api/v1/Users (getCurrentUser)
"""

import re
from urllib.parse import urlsplit

from crm_pipeline.connectors.pipedrive.api import Me
from crm_pipeline.model.account import AccountFacts, is_time_zone

_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_HOST = ".pipedrive.com"


def of(me: Me, login_url: str) -> AccountFacts:
    """Return the facts of the company of a login; "" for what is not told, or can't be.

    Args:
        me: the login's user.
        login_url: the company's address as connections.yaml has it, where the answer names no domain.
    """
    zone, currency = me.timezone_name or "", me.default_currency or ""
    return AccountFacts(
        time_zone=zone if is_time_zone(zone) else "",
        currency=currency if _CURRENCY.fullmatch(currency) else "",
        web_address=_address(me.company_domain or "", login_url),
    )


def _address(domain: str, login_url: str) -> str:
    if _DOMAIN.fullmatch(domain):
        return f"https://{domain}{_HOST}"
    host = urlsplit(login_url).hostname or ""
    is_own = host.endswith(_HOST) and _DOMAIN.fullmatch(host.removesuffix(_HOST))
    return f"https://{host}" if is_own else ""
