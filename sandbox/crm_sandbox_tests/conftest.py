from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, settings

from crm_sandbox import SandboxServer
from crm_sandbox.certificates import Authority
from crm_sandbox.clock import SandboxClock
from crm_sandbox.salesforce import credentials
from crm_sandbox_tests.evidence import EvidencePlugin, watch_journals

settings.register_profile(
    "sandbox",
    derandomize=True,  # the same examples in every run
    deadline=None,  # a busy machine is no failure
    database=None,  # no folder of examples beside the code; a failure prints its example
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
if "HYPOTHESIS_PROFILE" not in os.environ:
    settings.load_profile("sandbox")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-coverage", action="store_true", help="keep what the tests have shown")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "client(name): the test drives a client that is not ours")
    # This conftest is not at the root, where `pytest_plugins` would do.
    for plugin in ("crm_sandbox.pytest_plugin", "pytester"):
        config.pluginmanager.import_plugin(plugin)
    if not config.pluginmanager.has_plugin("evidence"):
        config.pluginmanager.register(EvidencePlugin(config), "evidence")
        watch_journals()


NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test takes the way that the machine is set up for."""
    for name in list(os.environ):
        if name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)


def pytest_unconfigure() -> None:
    # The hook that hypothesis leaves behind keeps DuckDB's types alive until the interpreter ends,
    # and its binding then prints a page of warnings.
    gc.callbacks.clear()


def through_proxy(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what a client with hard-wired https addresses needs to reach the sandbox instead."""
    assert sandbox.authority is not None
    monkeypatch.setenv("HTTPS_PROXY", sandbox.url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(sandbox.authority.bundle))


class Client:
    """A plain HTTP client of one sandbox, logged in by refresh token."""

    def __init__(self, sandbox: SandboxServer, version: str = "66.0") -> None:
        self.sandbox = sandbox
        self.root = f"{sandbox.url}/salesforce"
        self.base = f"{self.root}/services/data/v{version}"
        self.http = requests.Session()
        self.login()

    def token(self, **form: str) -> requests.Response:
        wanted = {"client_id": credentials.CLIENT_ID, "client_secret": credentials.CLIENT_SECRET}
        return self.http.post(
            f"{self.root}/services/oauth2/token", data=wanted | form, headers={"Authorization": ""}
        )

    def login(self) -> dict[str, Any]:
        token = self.sandbox.salesforce.sessions.living_refresh_tokens()[-1]
        answer = self.token(grant_type="refresh_token", refresh_token=token).json()
        self.http.headers["Authorization"] = f"Bearer {answer['access_token']}"
        return answer

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.http.get(self.base + path, **options)

    def query(self, soql: str, **options: Any) -> requests.Response:
        return self.get("/query", params={"q": soql}, **options)

    def records(self, soql: str) -> list[dict[str, Any]]:
        response = self.query(soql)
        assert response.status_code == 200, response.text
        return response.json()["records"]

    def job(self, soql: str, **options: Any) -> requests.Response:
        body = {"operation": "query", "query": soql} | options
        return self.http.post(f"{self.base}/jobs/query", json=body)

    def finished_job(self, soql: str, **options: Any) -> str:
        job = self.job(soql, **options).json()["id"]
        for _ in range(50):
            if self.get(f"/jobs/query/{job}").json()["state"] == "JobComplete":
                return str(job)
        raise AssertionError("the job never ended")

    def admin(self, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        url = f"{self.sandbox.url}/_admin{path}"
        return self.http.get(url) if body is None else self.http.post(url, json=body)

    def close(self) -> None:
        self.http.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def sandbox(authority: Authority) -> Iterator[SandboxServer]:
    """A world of 300 contacts that no test changes, over plain HTTP and TLS on one port."""
    with SandboxServer(contacts=300, seed=7, now=NOW, authority=authority) as running:
        yield running


@pytest.fixture(scope="session")
def unlimited() -> Iterator[SandboxServer]:
    """A small world of all vendors, for tests that raise every ceiling and write what they like."""
    with SandboxServer(contacts=20, seed=3, now=NOW) as running:
        yield running


@pytest.fixture(scope="session")
def client(sandbox: SandboxServer) -> Iterator[Client]:
    made = Client(sandbox)
    yield made
    made.close()


@pytest.fixture
def own() -> Iterator[Client]:
    """A client of a small world of its own, with a clock that stands still."""
    with SandboxServer(contacts=60, seed=3, now=NOW, clock=SandboxClock(NOW)) as running:
        made = Client(running)
        yield made
        made.close()
