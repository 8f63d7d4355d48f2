"""One vendor of a running sandbox as a test sees it: address, credentials, faults, journal, records."""

import json
from collections.abc import Mapping
from typing import Any

from crm_sandbox.faults import FaultOrder, FaultOrders
from crm_sandbox.http import Request
from crm_sandbox.journal import Journal, JournalEntry
from crm_sandbox.server import SandboxServer


class VendorFaults:
    """Orders faults for one vendor.

    Args:
        orders: of the sandbox.
        vendor: the faults hit its requests.
    """

    def __init__(self, orders: FaultOrders, vendor: str) -> None:
        self._orders = orders
        self._vendor = vendor

    def order(self, kind: str, **details: Any) -> FaultOrder:
        """Order a fault; see `FaultOrder` for kinds and details.

        Raises:
            ValueError: the kind or a detail is unknown.
        """
        return self._orders.order(kind, vendor=self._vendor, **details)

    def listed(self) -> list[dict[str, Any]]:
        """Return every order for this vendor, with how often it was seen and consumed."""
        return self._orders.listed(self._vendor)

    def clear(self) -> None:
        """Withdraw every order for this vendor."""
        self._orders.clear(self._vendor)


class VendorJournal:
    """The requests that one vendor got.

    Args:
        journal: of the sandbox.
        vendor: its requests are shown.
    """

    def __init__(self, journal: Journal, vendor: str) -> None:
        self._journal = journal
        self._vendor = vendor

    def entries(
        self, method: str = "", path: str = "", status: int | None = None
    ) -> list[JournalEntry]:
        """Return the requests that match, in order; `path` is a regular expression."""
        return self._journal.entries(self._vendor, method, path, status)

    def count(self, method: str = "", status: int | None = None) -> int:
        """Count the requests that match."""
        return self._journal.count(self._vendor, method, status)

    def __len__(self) -> int:
        """Return how many requests there were."""
        return self.count()


class VendorSandbox:
    """One account at one emulated vendor.

    Args:
        server: the sandbox.
        vendor: `salesforce`, `hubspot`, `pipedrive`, `zoho`, `prospeo` or `hunter`.
        account: `main`; HubSpot, Pipedrive and Zoho have a `second` one.

    Attributes:
        server: the sandbox, with its clock and its other vendors.
        faults: orders faults.
        journal: the requests of clients.

    Raises:
        ValueError: there is no such vendor or account.
    """

    def __init__(self, server: SandboxServer, vendor: str, account: str = "main") -> None:
        if vendor not in server.vendors:
            known = ", ".join(server.vendors)
            raise ValueError(f"no vendor '{vendor}' in this sandbox; known: {known}")
        accounts = server.vendors[vendor].accounts
        if account not in accounts:
            known = ", ".join(accounts)
            raise ValueError(f"{vendor} has no account '{account}'; known: {known}")
        self.server = server
        self.name = vendor
        self.account_name = account
        self.faults = VendorFaults(server.faults, vendor)
        self.journal = VendorJournal(server.journal, vendor)

    @property
    def url(self) -> str:
        """The address that stands for the vendor's host, without a trailing slash."""
        return f"{self.server.url}/{self.name}"

    @property
    def credentials(self) -> Mapping[str, str]:
        """What a client needs to log in: ids, secrets, tokens and the token endpoint's `token_url`."""
        return self.server.vendors[self.name].credentials(self.server.url, self.account_name)

    @property
    def env(self) -> dict[str, str]:
        """Address and credentials as environment variables, such as `HUBSPOT_ACCESS_TOKEN`."""
        values = {"url": self.url, **self.credentials}
        return {f"{self.name}_{key}".upper(): value for key, value in values.items()}

    @property
    def proxy_env(self) -> dict[str, str]:
        """Environment variables that direct a client with hard-wired https hosts to the sandbox.

        Raises:
            ValueError: the server speaks no TLS, because it was started without an authority.
        """
        authority = self.server.authority
        if authority is None:
            raise ValueError(
                "this sandbox speaks no TLS: start it with an authority, or with --tls"
            )
        names = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
        return {"HTTPS_PROXY": self.server.url, **dict.fromkeys(names, str(authority.bundle))}

    def account(self, name: str) -> "VendorSandbox":
        """Return another account of the same vendor."""
        return VendorSandbox(self.server, self.name, name)

    def count(self, name: str, **which: Any) -> int:
        """Count the records of an object without its API; takes `include_deleted`, `since`, `until`."""
        emulation: Any = self.server.emulations[self.name]
        return int(emulation.count(name, **which, **self._own))

    def rows(self, name: str, **which: Any) -> list[dict[str, Any]]:
        """Return the records of an object without its API, ordered by id; takes `limit` as well."""
        emulation: Any = self.server.emulations[self.name]
        rows: list[dict[str, Any]] = emulation.rows(name, **which, **self._own)
        return rows

    def create(self, name: str, fields: Mapping[str, Any]) -> str:
        """Make a record as a person in the CRM does, and return its id."""
        return str(self.admin("create", name=name, fields=fields))

    def edit(self, name: str, record: str | int, fields: Mapping[str, Any]) -> None:
        """Change a record as a person in the CRM does."""
        self.admin("edit", name=name, record=record, fields=fields)

    def delete(self, name: str, record: str | int) -> None:
        """Delete a record as a person in the CRM does."""
        self.admin("delete", name=name, record=record)

    def admin(self, action: str, **arguments: Any) -> Any:
        """Order an action of the vendor's admin API, such as `merge`, and return its result.

        Raises:
            KeyError: a record is missing.
            ValueError: the action is unknown, or an argument is missing or wrong.
        """
        document = json.dumps({**self._own, **arguments}, default=str).encode()
        request = Request("POST", f"/{action}", "", {}, document, "")
        response = self.server.emulations[self.name].administer(request)
        return json.loads(response.body)["result"]

    @property
    def _own(self) -> dict[str, str]:
        return {} if self.account_name == "main" else {"account": self.account_name}
