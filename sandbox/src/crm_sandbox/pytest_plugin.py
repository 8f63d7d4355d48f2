"""Fixtures of pytest: running vendors with a fresh world for every test.

Opt in with one line in the `conftest.py` at the root: `pytest_plugins = ["crm_sandbox.pytest_plugin"]`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crm_sandbox.certificates import Authority
from crm_sandbox.clock import SandboxClock
from crm_sandbox.server import SandboxServer
from crm_sandbox.vendor_sandbox import VendorSandbox

_MARKER = "crm_sandbox"
_OPTIONS: dict[str, Any] = {"seed": 7, "contacts": 200, "now": None}


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, so that strict markers know it."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(seed=7, contacts=200, now=None): the world of this test's sandbox; "
        "with `now` its clock stands still at that moment",
    )


class SandboxServers:
    """The servers of one test session: one for each world, reset for each test.

    Args:
        folder: where the certificate authority lies that clients with hard-wired hosts must trust.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[tuple[Any, ...], SandboxServer] = {}

    def fresh(self, seed: int, contacts: int, now: datetime | None) -> SandboxServer:
        """Return a server that shows the world as it was prepared."""
        key = (seed, contacts, now)
        if key in self._running:
            self._running[key].reset()
        else:
            moment = now.replace(tzinfo=UTC) if now is not None and now.tzinfo is None else now
            clock = SandboxClock(moment)
            server = SandboxServer(
                seed=seed,
                contacts=contacts,
                now=moment,
                clock=clock,
                authority=Authority(self._folder),
            )
            self._running[key] = server.start()
        return self._running[key]

    def stop(self) -> None:
        """Stop every server."""
        for server in self._running.values():
            server.stop()


@pytest.fixture(scope="session")
def crm_sandbox_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServers]:
    """The servers of this session."""
    servers = SandboxServers(tmp_path_factory.mktemp("crm_sandbox"))
    yield servers
    servers.stop()


@pytest.fixture
def crm_sandbox(
    request: pytest.FixtureRequest, crm_sandbox_servers: SandboxServers
) -> SandboxServer:
    """A running sandbox whose world nobody has changed; the marker `crm_sandbox` chooses the world."""
    marker = request.node.get_closest_marker(_MARKER)
    chosen = dict(marker.kwargs) if marker else {}
    if (marker and marker.args) or set(chosen) - set(_OPTIONS):
        known = ", ".join(_OPTIONS)
        raise pytest.UsageError(f"the marker {_MARKER} takes {known} by name, for instance seed=3")
    return crm_sandbox_servers.fresh(**{**_OPTIONS, **chosen})


@pytest.fixture
def salesforce_sandbox(crm_sandbox: SandboxServer) -> VendorSandbox:
    """A Salesforce org: `.url`, `.credentials`, `.env`, `.faults`, `.journal`, `.rows(...)`."""
    return VendorSandbox(crm_sandbox, "salesforce")


@pytest.fixture
def hubspot_sandbox(crm_sandbox: SandboxServer) -> VendorSandbox:
    """A HubSpot portal; `.account("second")` is another one."""
    return VendorSandbox(crm_sandbox, "hubspot")


@pytest.fixture
def pipedrive_sandbox(crm_sandbox: SandboxServer) -> VendorSandbox:
    """A Pipedrive company; `.account("second")` is another one."""
    return VendorSandbox(crm_sandbox, "pipedrive")


@pytest.fixture
def prospeo_sandbox(crm_sandbox: SandboxServer) -> VendorSandbox:
    """A Prospeo account: credits, and people with their true addresses."""
    return VendorSandbox(crm_sandbox, "prospeo")


@pytest.fixture
def hunter_sandbox(crm_sandbox: SandboxServer) -> VendorSandbox:
    """A Hunter account that verifies e-mail addresses."""
    return VendorSandbox(crm_sandbox, "hunter")


@pytest.fixture
def zoho_sandbox(crm_sandbox: SandboxServer) -> VendorSandbox:
    """A Zoho CRM org; `.account("second")` is another one."""
    return VendorSandbox(crm_sandbox, "zoho")
