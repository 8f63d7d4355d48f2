"""What a Zoho org says about itself: its zone, its own currency, where its records are seen in a browser.

Sources: zoho.com/crm/developer/docs/api/v8/get-org-data.html, get-currencies-data.html. Of the addresses of
records the vendor documents none; those here are what public clients open.
"""

import re
from urllib.parse import urlsplit

from crm_pipeline.connectors.zoho import data_centres, meter, setup
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.documents import Currency, Organization
from crm_pipeline.kernel.errors import NotPermitted
from crm_pipeline.model.account import AccountFacts

_CODE = re.compile(r"[A-Z]{3}")
_NUMBER = re.compile(r"[0-9]{1,20}")


def of(api: Api) -> AccountFacts:
    """Return what the org tells; of what it does not tell, ""."""
    api.learn()
    org = api.org
    return AccountFacts(_text(org.time_zone), _currency(api, org), _web_address(api, org))


def _text(told: object) -> str:
    return told if isinstance(told, str) else ""


def _currency(api: Api, org: Organization) -> str:
    """Return the code of the org's own currency; an org with several marks one of them."""
    named = _text(org.iso_code) or _text(org.currency).rpartition(" - ")[2]
    if _CODE.fullmatch(named):
        return named
    try:
        listed = api.ask("/org/currencies", meter.SETUP, api.listed("currencies", Currency))
    except NotPermitted as error:
        if error.code not in setup.ONE_CURRENCY and error.code != "OAUTH_SCOPE_MISMATCH":
            raise
        return ""
    return next((one.iso_code or "" for one in listed if one.is_base), "")


def _web_address(api: Api, org: Organization) -> str:
    """Return the address of the org's own pages, in the data centre that the API is in."""
    number = str(org.zgid or "")
    place = urlsplit(api.token().instance_url)
    if not _NUMBER.fullmatch(number):
        return ""
    site = data_centres.web_site(place.hostname or "")
    if not site and api.connection.sandbox:
        # Emulated records have addresses as well, though nothing is shown there.
        site = api.token().instance_url
    return f"{site}/crm/org{number}" if site else ""
