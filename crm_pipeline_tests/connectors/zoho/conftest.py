"""Fixtures: an emulated Zoho org and a pipeline with the same clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.configuration import load_settings
from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.store.postgres.database import Database
from crm_pipeline_tests.harness import START, Harness
from crm_pipeline_tests.servers import database_of_its_own
from crm_sandbox.clock import SandboxClock
from crm_sandbox.server import SandboxServer
from crm_sandbox.zoho.credentials import BY_ACCOUNT
from crm_sandbox.zoho.emulation import ZohoSandbox

MAIN = BY_ACCOUNT["main"]


def environ_of(account: str) -> dict[str, str]:
    """Return the environment variables of a login."""
    credentials = BY_ACCOUNT[account]
    return {
        "DEMO_CLIENT_ID": credentials.client_id,
        "DEMO_CLIENT_SECRET": credentials.client_secret,
        "DEMO_REFRESH_TOKEN": credentials.refresh_token,
    }


ENVIRON = environ_of("main")
CONNECTIONS = """
connections:
  demo:
    vendor: zoho
    login_url: {url}/zoho
    sandbox: true
    start: 2026-06
    auth:
      kind: {kind}
      client_id_env: DEMO_CLIENT_ID
      client_secret_env: DEMO_CLIENT_SECRET
      refresh_token_env: DEMO_REFRESH_TOKEN
    ceilings: {{{ceilings}}}
    objects: [{objects}]
"""
OBJECTS = ("Accounts", "Contacts", "Deals", "Users", "Pipelines")


class ZohoHarness(Harness):
    """A harness with one Zoho org."""

    @property
    def emulator(self) -> ZohoSandbox:
        emulation = self.sandbox.emulations["zoho"]
        assert isinstance(emulation, ZohoSandbox)
        return emulation

    def landed(self, obj: str) -> list[dict[str, Any]]:
        """Return the rows of all batches of an object."""
        import pyarrow.parquet as pq

        rows: list[dict[str, Any]] = []
        for batch in self.landing.batches("demo", obj):
            rows += pq.read_table(batch.path).to_pylist()
        return rows

    def calls(self, part: str, method: str | None = None) -> list[Any]:
        """Return the journal's entries of a path."""
        entries = self.sandbox.journal.entries()
        return [e for e in entries if part in e.path and method in (None, e.method)]


ZohoHarnessMaker = Callable[..., AbstractContextManager[ZohoHarness]]


@contextmanager
def harness_in(
    folder: Path,
    database: Database,
    url: str,
    *,
    contacts: int = 120,
    kind: str = "refresh_token",
    account: str = "main",
    objects: Sequence[str] = OBJECTS,
    **ceilings: int,
) -> Iterator[ZohoHarness]:
    """Create a harness with its files in a folder."""
    clock = FrozenClock(START)
    with SandboxServer(
        contacts=contacts,
        now=clock.now(),
        clock=SandboxClock(clock.now()),
        vendors=("zoho",),
    ) as sandbox:
        texts = ", ".join(f"{name}: {number}" for name, number in ceilings.items())
        text = CONNECTIONS.format(
            url=sandbox.url, kind=kind, objects=", ".join(objects), ceilings=texts
        )
        (folder / "connections.yaml").write_text(text)
        environ = environ_of(account)
        settings = load_settings(folder, {**environ, "CRM_DATABASE_URL": url})
        yield ZohoHarness(sandbox, settings, database, clock)


@pytest.fixture
def make_harness(tmp_path: Path, database: Database, fresh_url: str) -> ZohoHarnessMaker:
    """Return a function that creates harnesses with worlds of their own."""
    return partial(harness_in, tmp_path, database, fresh_url)


@pytest.fixture
def harness(make_harness: ZohoHarnessMaker) -> Iterator[ZohoHarness]:
    """A harness with a small world."""
    with make_harness() as made:
        yield made


@pytest.fixture(scope="module")
def quiet(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZohoHarness]:
    """A harness that no test of a module changes."""
    with (
        database_of_its_own(postgres_url) as url,
        Database(url) as database,
        harness_in(tmp_path_factory.mktemp("quiet"), database, url) as made,
    ):
        yield made
