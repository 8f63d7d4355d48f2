from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from crm_sandbox import SandboxServer
from crm_sandbox.clock import SandboxClock
from crm_sandbox.hubspot import credentials
from crm_sandbox.hubspot.emulation import HubSpotSandbox
from crm_sandbox_tests.conftest import NOW

MANY = {"private": 1_000_000, "search": 1_000_000, "associations": 1_000_000}


class Client:
    """A plain HTTP client of one portal, with the token of its private app."""

    def __init__(self, sandbox: SandboxServer, account: str = "main") -> None:
        self.sandbox = sandbox
        self.facts = credentials.PORTALS[account]
        self.root = f"{sandbox.url}/hubspot"
        self.http = requests.Session()
        self.http.headers["Authorization"] = f"Bearer {self.facts.token}"
        self.truth.set_limits(account=account, **MANY)

    @property
    def truth(self) -> HubSpotSandbox:
        found: Any = self.sandbox.emulations["hubspot"]
        return found

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.http.get(self.root + path, params=query)

    def post(self, path: str, body: Any = None) -> requests.Response:
        return self.http.post(self.root + path, json=body)

    def patch(self, path: str, **properties: Any) -> requests.Response:
        return self.http.patch(self.root + path, json={"properties": properties})

    def put(self, path: str, body: Any = None) -> requests.Response:
        return self.http.put(self.root + path, json=body)

    def delete(self, path: str) -> requests.Response:
        return self.http.delete(self.root + path)

    def create(self, name: str, **properties: Any) -> requests.Response:
        return self.post(f"/crm/v3/objects/{name}", {"properties": properties})

    def batch(self, name: str, action: str, inputs: list[Any], **body: Any) -> requests.Response:
        path = f"/crm/v3/objects/{name}/batch/{action}"
        return self.post(path, {"inputs": inputs, **body})

    def search(self, name: str, *filters: dict[str, Any], **body: Any) -> requests.Response:
        groups = [{"filters": list(filters)}] if filters else []
        return self.post(f"/crm/v3/objects/{name}/search", {"filterGroups": groups, **body})

    def every(self, name: str, path: str = "/crm/v3/objects", **query: Any) -> list[dict[str, Any]]:
        """Read a list to its end."""
        rows: list[dict[str, Any]] = []
        after: str | None = "0"
        while after is not None:
            body = self.get(f"{path}/{name}", after=after, limit=100, **query).json()
            rows += body["results"]
            after = body.get("paging", {}).get("next", {}).get("after")
        return rows

    def first(self, name: str = "contacts", number: int = 0) -> str:
        """Return the id of a live record."""
        return str(self.truth.rows(name, limit=number + 1, account=self.facts.name)[number]["id"])

    def admin(self, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        url = f"{self.sandbox.url}/_admin{path}"
        return self.http.get(url) if body is None else self.http.post(url, json=body)

    def token(self, version: str = "v1", **form: str) -> requests.Response:
        wanted = {"client_id": credentials.CLIENT_ID, "client_secret": credentials.CLIENT_SECRET}
        url = f"{self.root}/oauth/{version}/token"
        return self.http.post(url, data=wanted | form, headers={"Authorization": ""})

    def close(self) -> None:
        self.http.close()


@pytest.fixture(scope="session")
def hubspot(sandbox: SandboxServer) -> Iterator[Client]:
    """A client of the portal `main` in the world that no test changes."""
    made = Client(sandbox)
    yield made
    made.close()


@pytest.fixture(scope="session")
def second(sandbox: SandboxServer) -> Iterator[Client]:
    """A client of the other portal."""
    made = Client(sandbox, "second")
    yield made
    made.close()


@pytest.fixture
def own() -> Iterator[Client]:
    """A client of a small world of its own, with a clock that stands still."""
    with SandboxServer(
        contacts=60, seed=3, now=NOW, clock=SandboxClock(NOW), vendors=("hubspot",)
    ) as running:
        made = Client(running)
        yield made
        made.close()
