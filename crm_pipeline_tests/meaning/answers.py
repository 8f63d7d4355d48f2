"""What the vendors answer about every account, record by record, read by plain HTTP.

Belongs here: whose accounts there are, and records as their JSON gives them. Nothing of the product's
connectors or model is used: both would be wrong together. What follows from the records is in `truth_*.py`.

Besides the objects of connections.yaml there are lists that belong to one record, by the vendors' own
addresses: `deals/changelog` and `deals/participants` (Pipedrive), `Deals/Stage_History` and
`Deals/Contact_Roles` (Zoho); each of their rows says under `of` whose it is. HubSpot's associations are
`deals/contacts` and so on, one row a label: `{from, to, category, typeId, label}`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

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
    """A vendor, what opens one account there, and the sandbox's name of that account."""

    vendor: str
    secrets: Mapping[str, str]
    account: str = "main"


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
    "second",
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
    "pipedrive_other": Login("pipedrive", {"token": f"{_PIPEDRIVE}2"}, "second"),
    "zoho_other": Login("zoho", _ZOHO["second"], "second"),
}
"""The sandbox's other accounts, with other zones, currencies and stages; Salesforce has only one org."""

_HUBSPOT_OBJECTS = [
    "contacts",
    "companies",
    "deals",
    "tickets",
    "products",
    "line_items",
    "tasks",
    "notes",
    "meetings",
    "calls",
    "emails",
    "leads",
    "owners",
    "deal_pipelines",
    "ticket_pipelines",
    "lead_pipelines",
]
_LINKED = {
    "deals": ("contacts", "companies", "line_items"),
    "contacts": ("companies", "contacts"),
    "leads": ("contacts", "companies"),
    **dict.fromkeys(
        ("tasks", "notes", "meetings", "calls", "emails"),
        ("contacts", "companies", "deals", "leads"),
    ),
}
OBJECTS: Mapping[str, Sequence[str]] = {
    "salesforce": [
        "Account",
        "Contact",
        "Lead",
        "Campaign",
        "CampaignMember",
        "Opportunity",
        "OpportunityHistory",
        "OpportunityLineItem",
        "OpportunityContactRole",
        "Product2",
        "PricebookEntry",
        "Pricebook2",
        "CurrencyType",
        "DatedConversionRate",
        "Case",
        "Task",
        "Event",
        "User",
        "OpportunityStage",
    ],
    "hubspot": [
        *_HUBSPOT_OBJECTS,
        *(f"{one}/{other}" for one, others in _LINKED.items() for other in others),
    ],
    "pipedrive": [
        "deals",
        "persons",
        "organizations",
        "activities",
        "products",
        "leads",
        "notes",
        "users",
        "pipelines",
        "stages",
        "roles",
        "legacyTeams",
        "deals/changelog",
        "deals/participants",
    ],
    "zoho": [
        "Accounts",
        "Contacts",
        "Leads",
        "Campaigns",
        "Deals",
        "Products",
        "Cases",
        "Tasks",
        "Events",
        "Calls",
        "Notes",
        "Users",
        "Pipelines",
        "Currencies",
        "Deals/Stage_History",
        "Deals/Contact_Roles",
    ],
}
LABELS: Mapping[str, Sequence[tuple[str, str]]] = {
    "salesforce": [("Lead", "Status"), ("Opportunity", "StageName")],
    "hubspot": [("contacts", "lifecyclestage"), ("contacts", "hs_lead_status")],
    "pipedrive": [("deals", "channel")],
    "zoho": [("Leads", "Lead_Status"), ("Deals", "Stage")],
}


class Answers:
    """The records of accounts, as the vendors' APIs answer; each is asked once.

    Args:
        url: of the sandbox.
        logins: the accounts by the names of their connections; by default those of the demo.
    """

    def __init__(self, url: str, logins: Mapping[str, Login] = DEMO) -> None:
        self.logins = logins
        self._url = url
        self._known: dict[str, Any] = {}

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
        return Facts(*self._once(f"{connection} facts", lambda api: [*astuple(api.facts())]))

    def labels(self, connection: str, obj: str, field: str) -> dict[str, str]:
        """Return the label of each stored value of a pick list."""
        key = f"{connection} labels {obj} {field}"
        labels: dict[str, str] = self._once(key, lambda api: api.labels(obj, field))
        return labels

    def read_all(self) -> None:
        """Request all records, so that they can be saved."""
        for connection in self.connections:
            vendor = self.vendor(connection)
            self.facts(connection)
            for obj in OBJECTS[vendor]:
                self.of(connection, obj)
                if "/" not in obj:
                    self.gone(connection, obj)
            for obj, field in LABELS[vendor]:
                self.labels(connection, obj, field)

    def change(
        self, connection: str, obj: str, changed: Callable[[Record], Mapping[str, Any]]
    ) -> None:
        """Take other values into the live records of an object, as if the vendor had answered them."""
        for record in self.of(connection, obj):
            record.update(changed(record))

    def save(self, path: Path) -> None:
        """Save the responses, for `Answers.saved`."""
        path.write_text(json.dumps(self._known))

    @classmethod
    def saved(cls, path: Path, logins: Mapping[str, Login] = DEMO) -> Self:
        """Return saved responses, of a sandbox that has ended."""
        found = cls("", logins)
        found._known = json.loads(path.read_text())
        return found

    def close(self) -> None:
        """Close the connections."""
        for api in self._apis.values():
            api.session.close()

    def _read(self, connection: str, obj: str, *, gone: bool) -> list[Record]:
        records: list[Record] = self._once(
            f"{connection} {'gone' if gone else 'live'} {obj}",
            lambda api: api.gone(obj) if gone else api.live(obj),
        )
        return records

    def _once(self, key: str, ask: Callable[[VendorApi], Any]) -> Any:
        if key not in self._known:
            assert self._url, f"'{key}' was not saved: name it in OBJECTS or LABELS"
            self._known[key] = ask(self._apis[key.partition(" ")[0]])
        return self._known[key]
