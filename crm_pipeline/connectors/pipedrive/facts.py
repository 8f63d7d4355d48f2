"""The facts of a company that tables depend on: time zone, currency and web address.

Pipedrive has a time zone and a currency for each user and none for the company, so those of the login's user
are used. The address of records is built from the company's domain, if that is a valid name.
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
    """Return the facts of a login's company; "" for a missing or invalid one.

    Args:
        me: the login's user.
        login_url: the configured address, used where the response names no domain.
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
