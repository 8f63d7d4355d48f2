"""The facts of a Salesforce org: its time zone, its main currency, the web address of its records.

Sources: Object Reference, `Organization` and `CurrencyType`; Salesforce Help, "My Domain URL Formats".
`Organization.DefaultCurrencyIsoCode` is not in that reference, though many integrations read it (unconfirmed). In an
org without it the currency stays unknown, unless the org has several.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

import msgspec

from crm_pipeline.connectors.salesforce.api import Api
from crm_pipeline.kernel.errors import NotPermitted, UnknownField
from crm_pipeline.model.account import AccountFacts

_API_HOST, _PAGES_HOST = ".my.salesforce.com", ".lightning.force.com"


class _Organization(msgspec.Struct):
    zone: str | None = msgspec.field(default=None, name="TimeZoneSidKey")
    currency: str | None = msgspec.field(default=None, name="DefaultCurrencyIsoCode")


class _Organizations(msgspec.Struct):
    records: list[_Organization]


class _Currency(msgspec.Struct):
    code: str | None = msgspec.field(default=None, name="IsoCode")


class _Currencies(msgspec.Struct):
    records: list[_Currency]


def facts_of(api: Api, listed: Collection[str]) -> AccountFacts:
    """Return the org's own facts; "" for those that this login may not read.

    Args:
        api: of the org.
        listed: the objects that the login may see.
    """
    organization = _organization(api) if "Organization" in listed else _Organization()
    # Only an org of several currencies has the object.
    corporate = _corporate(api) if "CurrencyType" in listed else None
    return AccountFacts(
        time_zone=organization.zone or "",
        currency=corporate or organization.currency or "",
        web_address=web_address(api.token().instance_url),
    )


def web_address(instance_url: str) -> str:
    """Return the web address of an org's records: My Domain has one host for the API and one for pages."""
    address = urlsplit(instance_url)
    host = address.netloc
    if host.endswith(_API_HOST):
        host = host.removesuffix(_API_HOST) + _PAGES_HOST
    return f"{address.scheme}://{host}{address.path.rstrip('/')}"


def _organization(api: Api) -> _Organization:
    """Return the readable facts; a query that names an unknown field is repeated without it."""
    what = "the answer about the organization"
    for fields in ("TimeZoneSidKey, DefaultCurrencyIsoCode", "TimeZoneSidKey"):
        query = f"SELECT {fields} FROM Organization"
        try:
            organizations = api.ask(f"{api.base}/query/", _Organizations, what, q=query).records
        except UnknownField:
            continue
        except NotPermitted:
            break
        return next(iter(organizations), _Organization())
    return _Organization()


def _corporate(api: Api) -> str | None:
    """Return the corporate currency, which all exchange rates refer to."""
    query = "SELECT IsoCode FROM CurrencyType WHERE IsCorporate = true"
    what = "the answer about the corporate currency"
    try:
        currencies = api.ask(f"{api.base}/query/", _Currencies, what, q=query).records
    except (UnknownField, NotPermitted):
        return None
    return next((currency.code for currency in currencies), None)
