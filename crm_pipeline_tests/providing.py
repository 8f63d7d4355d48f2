"""Fixtures for whoever asks providers of data: running emulators, settings that name them, and a database.

`providers.opened("prospeo")` opens an account; `providers.prospeo` looks behind its API (`.rows("people")`,
`.rows("credits")`, `.admin("set_credits", remaining=0)`, `.faults`, `.journal`). A test that wants limits as they are
calls `providers.limited()` first.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.configuration import load_settings
from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.providers import (
    Enricher,
    OpenedProvider,
    Person,
    Question,
    as_enricher,
    opened_provider,
)
from crm_pipeline.settings import Budget, Provider, Settings
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.wire.retry import RetryPolicy
from crm_sandbox import SandboxServer, VendorSandbox
from crm_sandbox.clock import SandboxClock

START = "2026-11-23T10:00:00Z"
MANY = 100_000
CONNECTIONS = """
connections: {{}}
providers:
  prospeo:
    type: prospeo
    key_env: PROSPEO_KEY
    base_url: {url}/prospeo
    sandbox: true
    limits:
      {{enrich_second: {many}, enrich_minute: {many}, enrich_day: {many}, search_second: {many},
       search_minute: {many}, search_day: {many}}}
    budget: {{run: null, day: null, month: null}}
  hunter:
    type: hunter
    key_env: HUNTER_KEY
    base_url: {url}/hunter
    sandbox: true
    limits: {{verify_second: {many}, verify_minute: {many}}}
    budget: {{run: null, day: null, month: null}}
"""
PATIENT = {"attempts": 3, "base_s": 0.0, "cap_s": 0.0}


@dataclass
class Providers:
    """Emulated providers and the settings that name them; time stands still."""

    sandbox: SandboxServer
    settings: Settings
    database: Database
    clock: FrozenClock

    @property
    def prospeo(self) -> VendorSandbox:
        return VendorSandbox(self.sandbox, "prospeo")

    @property
    def hunter(self) -> VendorSandbox:
        return VendorSandbox(self.sandbox, "hunter")

    def set(self, name: str = "prospeo", **changes: Any) -> None:
        """Change the settings of a provider, such as `budget=Budget(day=5)`."""
        changed = replace(self.settings.providers[name], **changes)
        self.settings = replace(self.settings, providers={**self.settings.providers, name: changed})

    def budget(self, *, day: int | None = None, month: int | None = None) -> None:
        """Set the budgets of Prospeo."""
        self.set(budget=Budget(run=None, day=day, month=month))

    def limited(self, plan: str = "growth") -> None:
        """Let the vendor have the limits of a plan; ours are larger still."""
        self.prospeo.admin("set_limits", plan=plan)

    @property
    def provider(self) -> Provider:
        return self.settings.providers["prospeo"]

    def opened(
        self, name: str = "prospeo", *, retry: RetryPolicy | None = None, **options: Any
    ) -> AbstractContextManager[OpenedProvider]:
        """Open an account; three attempts without waits, unless `retry` says otherwise."""
        policy = retry or RetryPolicy(**PATIENT)
        options = {"clock": self.clock, "retry": policy, **options}
        return opened_provider(self.settings, name, self.database, **options)

    def people(self, count: int, **which: bool) -> list[dict[str, Any]]:
        """Return people whom Prospeo knows; `mobile` and `verified` choose among them."""
        rows = self.prospeo.rows("people")
        if "mobile" in which:
            rows = [row for row in rows if bool(row["mobile"]) == which["mobile"]]
        if "verified" in which:
            rows = [row for row in rows if row["is_verified"] == which["verified"]]
        assert len(rows) >= count
        return rows[:count]

    def spent(self) -> int:
        """Return the credits that Prospeo has charged."""
        return sum(entry["cost"] for entry in self.prospeo.rows("credits"))


def questions_about(rows: list[dict[str, Any]]) -> list[Question]:
    """Return a question by e-mail about each of the vendor's people; their ids are those of the questions."""
    return [Question(row["id"], Person(email=row["work_email"])) for row in rows]


@pytest.fixture(scope="session")
def provider_sandbox() -> Iterator[SandboxServer]:
    clock = FrozenClock(START)
    with SandboxServer(
        contacts=300,
        seed=7,
        now=clock.now(),
        clock=SandboxClock(clock.now()),
        vendors=["prospeo", "hunter"],
    ) as running:
        yield running


@pytest.fixture
def providers(provider_sandbox: SandboxServer, database: Database, tmp_path: Path) -> Providers:
    """Emulated providers that nobody has asked yet."""
    provider_sandbox.reset()
    text = CONNECTIONS.format(url=provider_sandbox.url, many=MANY)
    (tmp_path / "connections.yaml").write_text(text)
    environ = {"CRM_DATA": str(tmp_path / "data")}
    for name, variable in (("prospeo", "PROSPEO_KEY"), ("hunter", "HUNTER_KEY")):
        environ[variable] = VendorSandbox(provider_sandbox, name).credentials["api_key"]
    made = Providers(
        provider_sandbox, load_settings(tmp_path, environ), database, FrozenClock(START)
    )
    made.prospeo.admin("set_limits", enrich=[MANY] * 3, search=[MANY] * 3)
    for window in provider_sandbox.emulations["hunter"].windows:  # type: ignore[attr-defined]
        window.calls = MANY
    return made


@pytest.fixture
def prospeo(providers: Providers) -> Iterator[Enricher]:
    """An opened account at Prospeo."""
    with providers.opened() as account:
        yield as_enricher(account)
