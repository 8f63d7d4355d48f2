from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from crm_sandbox import SandboxServer
from crm_sandbox.clock import SandboxClock
from crm_sandbox.pipedrive import credentials
from crm_sandbox.pipedrive.emulation import PipedriveSandbox
from crm_sandbox_tests.conftest import NOW


class Client:
    """A plain HTTP client of one company, with an administrator's API token."""

    def __init__(self, sandbox: SandboxServer, account: str = "main") -> None:
        self.sandbox = sandbox
        self.account = account
        self.access = credentials.ACCOUNTS[account]
        self.root = f"{sandbox.url}/pipedrive"
        self.http = requests.Session()
        self.http.headers["x-api-token"] = self.access.api_token

    @property
    def truth(self) -> PipedriveSandbox:
        found: Any = self.sandbox.emulations["pipedrive"]
        return found

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.http.get(self.root + path, params=query)

    def v2(self, path: str, **query: Any) -> requests.Response:
        return self.get(f"/api/v2{path}", **query)

    def data(self, path: str, **query: Any) -> Any:
        response = self.get(path, **query)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def every(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Read a v2 list to its end."""
        rows: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            response = self.v2(path, **query, **({"cursor": cursor} if cursor else {}))
            assert response.status_code == 200, response.text
            body = response.json()
            rows += body["data"]
            cursor = (body.get("additional_data") or {}).get("next_cursor")
        return rows

    def every_v1(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Read a v1 list to its end."""
        rows: list[dict[str, Any]] = []
        start: int | None = 0
        while start is not None:
            body = self.get(path, start=start, **query).json()
            rows += body["data"] or []
            start = body["additional_data"]["pagination"].get("next_start")
        return rows

    def post(self, path: str, body: Any = None) -> requests.Response:
        return self.http.post(self.root + path, json=body)

    def patch(self, path: str, body: Any) -> requests.Response:
        return self.http.patch(self.root + path, json=body)

    def put(self, path: str, body: Any) -> requests.Response:
        return self.http.put(self.root + path, json=body)

    def delete(self, path: str, **query: Any) -> requests.Response:
        return self.http.delete(self.root + path, params=query)

    def code(self, entity: str, name: str) -> str:
        """Return the key of a custom field."""
        return next(
            one["code"]
            for one in self.truth.fields(entity, account=self.account)
            if one["name"] == name
        )

    def token(self, **form: str) -> requests.Response:
        """Ask the token endpoint as the app."""
        app = (credentials.CLIENT_ID, credentials.CLIENT_SECRET)
        return requests.post(f"{self.root}/oauth/token", data=form, auth=app, timeout=10)

    def login(self, refresh_token: str = "") -> dict[str, Any]:
        """Become the app, by a refresh token."""
        answer = self.token(
            grant_type="refresh_token", refresh_token=refresh_token or self.access.refresh_token
        ).json()
        self.http.headers.pop("x-api-token", None)
        self.http.headers["Authorization"] = f"Bearer {answer['access_token']}"
        return answer

    def admin(self, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        url = f"{self.sandbox.url}/_admin{path}"
        return self.http.get(url) if body is None else self.http.post(url, json=body)

    def close(self) -> None:
        self.http.close()


def as_colleague(client: Client) -> Client:
    """Return a client of the same company that sees less."""
    made = Client(client.sandbox, client.account)
    made.http.headers["x-api-token"] = made.access.restricted_token
    return made


@pytest.fixture(scope="session")
def main(sandbox: SandboxServer) -> Iterator[Client]:
    """A client of a world that no test changes."""
    made = Client(sandbox)
    made.truth.set_limits(api_token=100_000, search=10_000)
    yield made
    made.close()


@pytest.fixture(scope="session")
def second(sandbox: SandboxServer) -> Iterator[Client]:
    made = Client(sandbox, "second")
    made.truth.set_limits(account="second", api_token=100_000, search=10_000)
    yield made
    made.close()


@pytest.fixture
def own() -> Iterator[Client]:
    """A client of a small world of its own, with a clock that stands still."""
    with SandboxServer(
        contacts=60, seed=3, now=NOW, clock=SandboxClock(NOW), vendors=["pipedrive"]
    ) as running:
        made = Client(running)
        yield made
        made.close()
