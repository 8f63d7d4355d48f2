"""Fixtures that more than one floor's tests need: a sandbox, a database, and both at one time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors.base import Account
from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.settings import ObjectSettings, Settings
from crm_pipeline.stages.raw import Extraction, Mode, extract, opened
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.wire.retry import RetryPolicy
from crm_sandbox.clock import SandboxClock
from crm_sandbox.salesforce import credentials
from crm_sandbox.salesforce.emulation import SalesforceSandbox
from crm_sandbox.server import SandboxServer

START = "2026-11-23T10:00:00Z"
ENVIRON = {
    "DEMO_CLIENT_ID": credentials.CLIENT_ID,
    "DEMO_CLIENT_SECRET": credentials.CLIENT_SECRET,
    "DEMO_REFRESH_TOKEN": credentials.REFRESH_TOKEN,
    "DEMO_USERNAME": credentials.USERNAME,
}
CONNECTIONS = """
connections:
  demo:
    vendor: salesforce
    login_url: {url}/salesforce
    sandbox: true
    start: 2026-06
    auth:
      kind: {kind}
      client_id_env: DEMO_CLIENT_ID
{auth}
    objects: [{objects}]
"""
AUTH = {
    "client_credentials": ("client_secret_env: DEMO_CLIENT_SECRET",),
    "refresh_token": (
        "client_secret_env: DEMO_CLIENT_SECRET",
        "refresh_token_env: DEMO_REFRESH_TOKEN",
    ),
    "jwt_bearer": ("username_env: DEMO_USERNAME", "private_key_env: DEMO_PRIVATE_KEY"),
}
OBJECTS = ("Account", "Contact", "Opportunity", "User", "OpportunityStage", "Invoice__c")


@dataclass
class Harness:
    """A sandbox and a pipeline that stand at one moment; time passes only with `advance`."""

    sandbox: SandboxServer
    settings: Settings
    database: Database
    clock: FrozenClock

    @property
    def org(self) -> SalesforceSandbox:
        return self.sandbox.salesforce

    @property
    def landing(self) -> Landing:
        return Landing(self.settings.data, self.clock)

    def advance(self, seconds: float = 60) -> None:
        self.clock.advance(seconds)
        self.sandbox.clock.stand_at(self.clock.now())

    def account(self, **policy: Any) -> AbstractContextManager[Account]:
        retry = RetryPolicy(**policy) if policy else None
        return opened(self.settings, "demo", self.database, clock=self.clock, retry=retry)

    def extract(
        self, obj: str = "Contact", *, mode: Mode = "range", route: str = "auto", **options: Any
    ) -> Extraction:
        with self.account() as account:
            return extract(
                account,
                ObjectSettings(obj, route=route),
                options.pop("window", None),
                mode=mode,
                landing=self.landing,
                **options,
            )

    def paths(self, pattern: str) -> list[Path]:
        return sorted(self.settings.data.glob(pattern))


HarnessMaker = Callable[..., AbstractContextManager[Harness]]


@contextmanager
def harness_in(
    folder: Path,
    database: Database,
    url: str,
    contacts: int = 120,
    kind: str = "client_credentials",
    objects: Sequence[str] = OBJECTS,
) -> Iterator[Harness]:
    """A harness with its files in a folder, for fixtures that serve more than one test."""
    clock = FrozenClock(START)
    with SandboxServer(
        contacts=contacts, now=clock.now(), clock=SandboxClock(clock.now())
    ) as sandbox:
        auth = "\n".join(f"      {line}" for line in AUTH[kind])
        text = CONNECTIONS.format(url=sandbox.url, kind=kind, auth=auth, objects=", ".join(objects))
        (folder / "connections.yaml").write_text(text)
        settings = load_settings(folder, {**ENVIRON, "CRM_DATABASE_URL": url})
        yield Harness(sandbox, settings, database, clock)


@pytest.fixture
def make_harness(tmp_path: Path, database: Database, fresh_url: str) -> HarnessMaker:
    """Make harnesses with worlds of their own."""

    @contextmanager
    def make(
        contacts: int = 120,
        kind: str = "client_credentials",
        objects: Sequence[str] = OBJECTS,
    ) -> Iterator[Harness]:
        with harness_in(tmp_path, database, fresh_url, contacts, kind, objects) as harness:
            yield harness

    return make


@pytest.fixture
def harness(make_harness: HarnessMaker) -> Iterator[Harness]:
    """A harness with a small world."""
    with make_harness() as made:
        yield made
