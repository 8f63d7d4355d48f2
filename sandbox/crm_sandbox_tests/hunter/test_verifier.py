from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
import requests

from crm_sandbox import SandboxServer, VendorSandbox
from crm_sandbox_tests.conftest import NOW

KEYS = {"status", "result", "score", "email", "regexp", "gibberish", "disposable", "webmail"}
KEYS |= {"mx_records", "smtp_server", "smtp_check", "accept_all", "block", "sources"}


class Client:
    def __init__(self, account: VendorSandbox) -> None:
        self.account = account
        self.key = account.credentials["api_key"]
        self.seconds = 0.0
        self.emulation = cast("Any", account.server.emulations["hunter"])
        self.emulation.now = lambda: self.seconds

    def verify(self, email: str, **headers: str) -> requests.Response:
        self.seconds += 1.0
        return requests.get(
            f"{self.account.url}/v2/email-verifier",
            params={"email": email},
            headers=headers or {"X-API-KEY": self.key},
            timeout=10,
        )

    def status(self, email: str) -> str:
        response = self.verify(email)
        assert response.status_code == 200, response.text
        return str(response.json()["data"]["status"])


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer(contacts=300, seed=3, now=NOW, vendors=["hunter"]) as running:
        yield running


@pytest.fixture
def client(server: SandboxServer) -> Client:
    server.reset()
    return Client(VendorSandbox(server, "hunter"))


def refusal(response: requests.Response) -> tuple[int, str]:
    (error,) = response.json()["errors"]
    assert error["code"] == response.status_code
    return response.status_code, error["id"]


def test_keys(client: Client) -> None:
    """The key is taken from the query, a header or as a bearer token; without one it is 401."""
    url, params = f"{client.account.url}/v2/email-verifier", {"email": "x"}
    for headers in ({"X-API-KEY": client.key}, {"Authorization": f"Bearer {client.key}"}):
        assert client.verify("x", **headers).status_code == 200
    query = requests.get(url, params=params | {"api_key": client.key}, timeout=10)
    assert query.status_code == 200
    assert refusal(client.verify("x", **{"X-API-KEY": "no"})) == (401, "authentication_failed")


def test_verdicts_are_the_worlds(client: Client) -> None:
    """An address is valid if the world says so, and a slip, a placeholder or a strange domain is not."""
    client.account.admin("set_account", accept_all_percent=0)
    world = client.account.server.world
    cards = world.contact_cards("salesforce", world.companies()).to_pylist()
    seen = set()
    for card in cards:
        if card["email"]:
            data = client.verify(card["email"]).json()["data"]
            seen.add((card["email_verdict"], data["status"]))
            assert set(data) >= KEYS
            assert data["smtp_check"] is (data["status"] in {"valid", "webmail", "disposable"})
    assert seen == {
        ("valid", "valid"),
        ("valid", "webmail"),
        ("role", "valid"),
        ("typo", "invalid"),
        ("placeholder", "invalid"),
        ("disposable", "disposable"),
    }


def test_domains_that_accept_everything(client: Client) -> None:
    """Where a domain accepts every address, nothing is known of the mailbox."""
    domain = client.account.server.world.companies()["domain"][0].as_py()
    client.account.admin("set_account", accept_all_percent=0)
    assert client.status(f"xyz@{domain}") == "invalid"
    client.account.admin("set_account", accept_all_percent=100)
    assert client.status(f"xyz@{domain}") == "accept_all"


def test_pending(client: Client) -> None:
    """202 says that the same call is to be made again; only the one that ends in a verdict is charged."""
    client.account.admin("set_account", pending=2)
    assert [client.verify("a@gmail.com").status_code for _ in range(3)] == [202, 202, 200]
    assert [row["cost"] for row in client.account.rows("verifications")] == [1]


def test_restricted(client: Client) -> None:
    """451 for whoever asked for no processing, in whatever case the address is written; it costs nothing."""
    client.account.admin("restrict", email="Ada@acme.example")
    assert refusal(client.verify("ada@ACME.example")) == (451, "claimed_email")
    assert client.account.count("verifications") == 0


def test_limits(client: Client) -> None:
    """403 past ten calls in a second, 429 when no verifications are left, 400 without an address."""
    client.account.admin("set_account", verifications=1)
    assert client.status("a@gmail.com")
    assert refusal(client.verify("a@gmail.com")) == (429, "too_many_requests")
    assert refusal(client.verify("")) == (400, "wrong_params")
    client.seconds += 60
    statuses = []
    for _ in range(11):
        client.seconds -= 1.0
        statuses.append(client.verify("b@gmail.com").status_code)
    assert statuses == [429] * 10 + [403]
    with pytest.raises(ValueError, match="known: verifications"):
        client.account.admin("set_account", colour=1)
    assert refusal(requests.post(f"{client.account.url}/v2/email-verifier", timeout=10))[0] == 405
