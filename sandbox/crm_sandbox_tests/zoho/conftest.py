from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from crm_sandbox import SandboxServer
from crm_sandbox.clock import SandboxClock
from crm_sandbox.zoho.credentials import BY_ACCOUNT
from crm_sandbox.zoho.emulation import ZohoSandbox
from crm_sandbox.zoho.scopes import ALL_SCOPES
from crm_sandbox_tests.conftest import NOW


class ZohoClient:
    """A plain HTTP client of one org, with a token that was given out behind the API."""

    def __init__(self, sandbox: SandboxServer, account: str = "main") -> None:
        self.sandbox = sandbox
        self.account = account
        self.root = f"{sandbox.url}/zoho"
        self.credentials = BY_ACCOUNT[account]
        self.http = requests.Session()
        self.login()

    @property
    def zoho(self) -> ZohoSandbox:
        found = self.sandbox.emulations["zoho"]
        assert isinstance(found, ZohoSandbox)
        return found

    def login(self, *scopes: str) -> str:
        token = self.zoho.grants.issue(self.account, scopes or ALL_SCOPES).token
        self.http.headers["Authorization"] = f"Zoho-oauthtoken {token}"
        return token

    def token(self, **form: str) -> requests.Response:
        asked = {
            "client_id": self.credentials.client_id,
            "client_secret": self.credentials.client_secret,
            "grant_type": "refresh_token",
            "refresh_token": self.credentials.refresh_token,
        }
        return requests.post(f"{self.root}/oauth/v2/token", data=asked | form, timeout=10)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.http.get(f"{self.root}/crm/v8{path}", **options)

    def post(self, path: str, body: Any, **options: Any) -> requests.Response:
        return self.http.post(f"{self.root}/crm/v8{path}", json=body, **options)

    def put(self, path: str, body: Any, **options: Any) -> requests.Response:
        return self.http.put(f"{self.root}/crm/v8{path}", json=body, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return self.http.delete(f"{self.root}/crm/v8{path}", **options)

    def data(self, path: str, **options: Any) -> list[dict[str, Any]]:
        response = self.get(path, **options)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def everything(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Every row of a listing, by page tokens."""
        rows, more = [], {"fields": "id"} | params
        while True:
            response = self.get(path, params=more)
            assert response.status_code == 200, response.text
            rows += response.json()["data"]
            token = response.json()["info"]["next_page_token"]
            if not token:
                return rows
            more["page_token"] = token

    def query(self, text: str) -> requests.Response:
        return self.post("/coql", {"select_query": text})

    def refusal(self, response: requests.Response) -> tuple[int, str]:
        return response.status_code, response.json()["code"]

    def admin(self, action: str, **arguments: Any) -> Any:
        url = f"{self.sandbox.url}/_admin/zoho/{action}"
        response = self.http.post(url, json=arguments)
        assert response.status_code == 200, response.text
        return response.json()["result"]

    def advance(self, seconds: float) -> None:
        self.sandbox.clock.advance(seconds)

    def close(self) -> None:
        self.http.close()


@pytest.fixture(scope="session")
def zoho(sandbox: SandboxServer) -> Iterator[ZohoClient]:
    """The main org of a world of 300 contacts that no test changes."""
    made = ZohoClient(sandbox)
    yield made
    made.close()


@pytest.fixture(scope="session")
def second(sandbox: SandboxServer) -> Iterator[ZohoClient]:
    """The second org of the same world."""
    made = ZohoClient(sandbox, "second")
    yield made
    made.close()


def small_world() -> Iterator[ZohoClient]:
    with SandboxServer(
        contacts=60, seed=3, now=NOW, clock=SandboxClock(NOW), vendors=["zoho"]
    ) as running:
        made = ZohoClient(running)
        yield made
        made.close()


@pytest.fixture
def own_zoho() -> Iterator[ZohoClient]:
    """The main org of a small world of its own, with a clock that stands still."""
    yield from small_world()


@pytest.fixture(scope="module")
def shared_zoho() -> Iterator[ZohoClient]:
    """The same for tests of one module that do not mind what the others did."""
    yield from small_world()
