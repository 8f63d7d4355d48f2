from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
import requests

from crm_sandbox import SandboxServer, VendorSandbox
from crm_sandbox.clock import SandboxClock
from crm_sandbox_tests.conftest import NOW


class Client:
    """A plain HTTP client of an account whose world stands still."""

    def __init__(self, account: VendorSandbox) -> None:
        self.account = account
        self.clock = account.server.clock
        self.http = requests.Session()
        self.http.headers["X-KEY"] = account.credentials["api_key"]
        self.seconds = 0.0
        self.emulation = cast("Any", account.server.emulations["prospeo"])
        self.emulation.limits.now = lambda: self.seconds

    def post(self, path: str, body: Any = None, **headers: str) -> requests.Response:
        return self.http.post(f"{self.account.url}{path}", json=body, headers=headers, timeout=10)

    def get(self, path: str) -> requests.Response:
        return self.http.get(f"{self.account.url}{path}", timeout=10)

    def enrich(self, data: dict[str, Any], **flags: bool) -> requests.Response:
        self.seconds += 1.0
        return self.post("/enrich-person", {**flags, "data": data})

    def bulk(self, records: list[dict[str, Any]], **flags: bool) -> requests.Response:
        self.seconds += 61.0
        return self.post("/bulk-enrich-person", {**flags, "data": records})

    def search(self, filters: Any, page: int = 1) -> requests.Response:
        self.seconds += 3.0
        return self.post("/search-person", {"filters": filters, "page": page})

    def left(self) -> int:
        return int(self.get("/account-information").json()["response"]["remaining_credits"])

    def people(self, **which: Any) -> list[dict[str, Any]]:
        """The people that the vendor knows; `mobile=True` those with one, `verified=False` those without."""
        rows = self.account.rows("people")
        if "mobile" in which:
            rows = [row for row in rows if bool(row["mobile"]) == which["mobile"]]
        if "verified" in which:
            rows = [row for row in rows if row["is_verified"] == which["verified"]]
        return rows


def code_of(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json().get("error_code", "")


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer(
        contacts=300, seed=3, now=NOW, clock=SandboxClock(NOW), vendors=["prospeo"]
    ) as running:
        yield running


@pytest.fixture
def client(server: SandboxServer) -> Iterator[Client]:
    """A client of an account that no other test has used."""
    server.reset()
    made = Client(VendorSandbox(server, "prospeo"))
    yield made
    made.http.close()
