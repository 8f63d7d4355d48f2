"""The facts of a Zoho org that tables depend on: time zone, home currency and web address.

Sources: zoho.com/crm/developer/docs/api/v8/get-org-data.html, get-currencies-data.html. The vendor does not
document browser addresses of records; public clients open these.
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
    """Return the facts of the org; "" for a missing one."""
    api.learn()
    org = api.org
    return AccountFacts(_text(org.time_zone), _currency(api, org), _web_address(api, org))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _currency(api: Api, org: Organization) -> str:
    """Return the code of the org's home currency; an org with several currencies marks it in their list."""
    code = _text(org.iso_code) or _text(org.currency).rpartition(" - ")[2]
    if _CODE.fullmatch(code):
        return code
    try:
        currencies = api.ask("/org/currencies", meter.SETUP, api.listed("currencies", Currency))
    except NotPermitted as error:
        if error.code not in setup.ONE_CURRENCY and error.code != "OAUTH_SCOPE_MISMATCH":
            raise
        return ""
    return next((each.iso_code or "" for each in currencies if each.is_base), "")


def _web_address(api: Api, org: Organization) -> str:
    """Return the address of the org's pages in the API's data centre; "" where it is not known."""
    number = str(org.zgid or "")
    api_url = urlsplit(api.token().instance_url)
    if not _NUMBER.fullmatch(number):
        return ""
    site = data_centres.web_site(api_url.hostname or "")
    if not site and api.connection.sandbox:
        # Emulated records get addresses too, although no page is there.
        site = api.token().instance_url
    return f"{site}/crm/org{number}" if site else ""
