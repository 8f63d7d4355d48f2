"""What the vendors answer about every account, record by record, read by plain HTTP.

Belongs here: whose accounts there are, and records as their JSON gives them. Nothing of the product's
connectors or model is used: both would be wrong together. What follows from the records is in `truth_*.py`.

Besides the objects of connections.yaml there are lists that belong to one record, by the vendors' own
addresses: `deals/changelog` and `deals/participants` (Pipedrive), `Deals/Stage_History` and
`Deals/Contact_Roles` (Zoho); each of their rows says under `of` whose it is. HubSpot's associations are
`deals/contacts` and so on, one row a label: `{from, to, category, typeId, label}`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from crm_pipeline_tests.meaning.hubspot_api import HubSpot
from crm_pipeline_tests.meaning.pipedrive_api import Pipedrive
from crm_pipeline_tests.meaning.salesforce_api import Salesforce
from crm_pipeline_tests.meaning.vendor_api import Facts, Record, VendorApi
from crm_pipeline_tests.meaning.zoho_api import Zoho

__all__ = ["DEMO", "OTHERS", "Answers", "Facts", "Login", "Record"]

_VENDORS: Mapping[str, Callable[..., VendorApi]] = {
    "salesforce": Salesforce,
    "hubspot": HubSpot,
    "pipedrive": Pipedrive,
    "zoho": Zoho,
}


@dataclass(frozen=True)
class Login:
    """A vendor, and what opens one account there."""

    vendor: str
    secrets: Mapping[str, str]


_SALESFORCE = Login(
    "salesforce", {"client_id": "sandbox-client-id", "client_secret": "sandbox-client-secret"}
)
_HUBSPOT = Login("hubspot", {"token": "pat-na1-00000000-5a9d-4000-8000-000000000001"})
_PARTNER = Login(
    "hubspot",
    {
        "client_id": "5a9d0b0e-0000-4000-8000-000000000001",
        "client_secret": "5a9d0b0e-0000-4000-8000-00000000cafe",
        "refresh_token": "eu1-sandbox-refresh-token-second",
    },
)
_PIPEDRIVE = "5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c0000"
_ZOHO = {
    account: {
        "client_id": f"1000.SANDBOX{account.upper()}CLIENTID",
        "client_secret": f"sandbox-{account}-client-secret",
        "refresh_token": f"1000.sandbox-{account}-refresh-token",
    }
    for account in ("main", "second")
}
DEMO: Mapping[str, Login] = {
    "salesforce_demo": _SALESFORCE,
    "hubspot_demo": _HUBSPOT,
    "hubspot_partner": _PARTNER,
    "pipedrive_demo": Login("pipedrive", {"token": f"{_PIPEDRIVE}1"}),
    "zoho_demo": Login("zoho", _ZOHO["main"]),
}
"""The accounts that the demo reads, as .env.example opens them."""

OTHERS: Mapping[str, Login] = {
    "salesforce_other": _SALESFORCE,
    "hubspot_other": _PARTNER,
    "pipedrive_other": Login("pipedrive", {"token": f"{_PIPEDRIVE}2"}),
    "zoho_other": Login("zoho", _ZOHO["second"]),
}
"""The sandbox's other accounts: their zones, currencies and stages differ, but Salesforce has one org."""


class Answers:
    """The records of accounts, as the vendors' APIs answer; each is asked once.

    Args:
        url: of the sandbox.
        logins: the accounts by the names of their connections; by default those of the demo.
    """

    def __init__(self, url: str, logins: Mapping[str, Login] = DEMO) -> None:
        self.logins = logins
        self._url = url
        self._known: dict[tuple[str, str, bool], list[Record]] = {}

    @cached_property
    def _apis(self) -> dict[str, VendorApi]:
        return {
            name: _VENDORS[login.vendor](f"{self._url}/{login.vendor}", **login.secrets)
            for name, login in self.logins.items()
        }

    @property
    def connections(self) -> tuple[str, ...]:
        """The names of all connections."""
        return tuple(self.logins)

    def vendor(self, connection: str) -> str:
        """Return the vendor of a connection."""
        return self.logins[connection].vendor

    def of(self, connection: str, obj: str) -> list[Record]:
        """Return all live records of an object, archived deals and leads of Pipedrive included."""
        return self._read(connection, obj, gone=False)

    def gone(self, connection: str, obj: str) -> list[Record]:
        """Return the deleted records that the vendor still tells of; many tell of none."""
        return self._read(connection, obj, gone=True)

    def facts(self, connection: str) -> Facts:
        """Return an account's time zone and main currency."""
        return self._apis[connection].facts()

    def labels(self, connection: str, obj: str, field: str) -> dict[str, str]:
        """Return what people see for each stored value of a pick list."""
        return self._apis[connection].labels(obj, field)

    def _read(self, connection: str, obj: str, *, gone: bool) -> list[Record]:
        key = (connection, obj, gone)
        if key not in self._known:
            api = self._apis[connection]
            self._known[key] = api.gone(obj) if gone else api.live(obj)
        return self._known[key]

    def close(self) -> None:
        """Close the connections."""
        for api in self._apis.values():
            api.session.close()
