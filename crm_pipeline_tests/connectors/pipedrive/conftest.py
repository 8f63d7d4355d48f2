"""Fixtures: a sandbox with a Pipedrive company, and a pipeline that reads it, both at the same time."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors.base import Account
from crm_pipeline.kernel.clock import FrozenClock, Window, parse_instant
from crm_pipeline.settings import ObjectSettings, Settings
from crm_pipeline.stages.raw import Extraction, Mode, extract, opened
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.wire.retry import RetryPolicy
from crm_pipeline_tests.servers import database_of_its_own
from crm_sandbox.clock import SandboxClock
from crm_sandbox.pipedrive import credentials
from crm_sandbox.pipedrive.emulation import PipedriveSandbox
from crm_sandbox.server import SandboxServer

START = "2026-11-23T10:00:00Z"
MAIN = credentials.ACCOUNTS["main"]
ENVIRON = {
    "PIPE_TOKEN": MAIN.api_token,
    "PIPE_CLIENT_ID": credentials.CLIENT_ID,
    "PIPE_CLIENT_SECRET": credentials.CLIENT_SECRET,
    "PIPE_REFRESH_TOKEN": MAIN.refresh_token,
}
AUTH = {
    "token": "token_env: PIPE_TOKEN",
    "refresh_token": "client_id_env: PIPE_CLIENT_ID, client_secret_env: PIPE_CLIENT_SECRET, "
    "refresh_token_env: PIPE_REFRESH_TOKEN",
}
# What the tests are not about does not hold them up.
WIDE = "burst_by_token: 10000, burst_by_app: 10000, searches: 10000"
SMALL_PAGES = "page_records: 20"
CONNECTIONS = """
connections:
  pipe:
    vendor: pipedrive
    login_url: {url}/pipedrive
    sandbox: true
    start: 2026-06
    auth: {{kind: {kind}, {auth}}}
    objects: {objects}
    ceilings: {{{ceilings}}}
"""


@dataclass
class Harness:
    """A company and a pipeline with the same clock; time passes only with `advance`."""

    sandbox: SandboxServer
    settings: Settings
    database: Database
    clock: FrozenClock

    @property
    def company(self) -> PipedriveSandbox:
        emulation: Any = self.sandbox.emulations["pipedrive"]
        return emulation

    @property
    def landing(self) -> Landing:
        return Landing(self.settings.data, self.clock)

    def advance(self, seconds: float = 60) -> None:
        self.clock.advance(seconds)
        self.sandbox.clock.stand_at(self.clock.now())

    def account(self, **policy: Any) -> AbstractContextManager[Account]:
        retry = RetryPolicy(**policy) if policy else None
        return opened(self.settings, "pipe", self.database, clock=self.clock, retry=retry)

    def extract(
        self,
        obj: str = "persons",
        *,
        mode: Mode = "range",
        window: Window | None = None,
        route: str = "auto",
        snapshot: bool | None = None,
    ) -> Extraction:
        with self.account() as account:
            wanted = ObjectSettings(obj, route=route, snapshot=snapshot)
            return extract(account, wanted, window, mode=mode, landing=self.landing)

    def landed(self, extraction: Extraction) -> pa.Table:
        """Return the records of an extraction's window."""
        commits = self.landing.windows("pipe", extraction.object)
        [commit] = [commit for commit in commits if commit.window_id == extraction.window_id]
        names = ["_source_id", "_modified_at", "_deleted", "record"]
        tables = [pq.read_table(batch.path, columns=names) for batch in commit.batches]
        return pa.concat_tables([table.cast(_PLAIN) for table in tables] or [_PLAIN.empty_table()])

    def ids(self, extraction: Extraction) -> list[str]:
        return sorted(self.landed(extraction)["_source_id"].to_pylist())

    def truth(self, obj: str, window: Window | None = None, **options: Any) -> list[str]:
        """Return the ids that a read of a window must return."""
        since, until = (window.from_at, window.to_at) if window else (None, None)
        rows = self.company.rows(obj, **options)
        return sorted(str(row["id"]) for row in rows if window is None or _is_in(row, since, until))

    def paths(self, pattern: str) -> list[Path]:
        return sorted(self.settings.data.glob(pattern))


_PLAIN = pa.schema(
    [
        ("_source_id", pa.string()),
        ("_modified_at", pa.timestamp("us", "UTC")),
        ("_deleted", pa.bool_()),
        ("record", pa.string()),
    ]
)


def _is_in(row: dict[str, Any], since: datetime | None, until: datetime | None) -> bool:
    modified_at = row["update_time"]
    if modified_at is None:
        return since is None
    at = parse_instant(f"{modified_at.isoformat()}Z")
    return (since is None or at >= since) and (until is None or at < until)


HarnessMaker = Callable[..., AbstractContextManager[Harness]]


@contextmanager
def harness_in(
    folder: Path,
    database: Database,
    url: str,
    *,
    contacts: int = 60,
    kind: str = "token",
    objects: str = "[persons, deals]",
    ceilings: str = WIDE,
    burst: int = 10_000,
    account: str = "main",
) -> Iterator[Harness]:
    """Create a company of its own, and connections.yaml for it."""
    clock = FrozenClock(START)
    with SandboxServer(
        contacts=contacts,
        now=clock.now(),
        clock=SandboxClock(clock.now()),
        vendors=["pipedrive"],
    ) as sandbox:
        text = CONNECTIONS.format(
            url=sandbox.url, kind=kind, auth=AUTH[kind], objects=objects, ceilings=ceilings
        )
        (folder / "connections.yaml").write_text(text)
        environ = {**ENVIRON, "PIPE_TOKEN": credentials.ACCOUNTS[account].api_token}
        settings = load_settings(folder, {**environ, "CRM_DATABASE_URL": url})
        made = Harness(sandbox, settings, database, clock)
        # The tests that are about the pace set it themselves.
        made.company.set_limits(account=account, api_token=burst, app=burst)
        yield made


@pytest.fixture
def make_harness(tmp_path: Path, database: Database, fresh_url: str) -> HarnessMaker:
    """Return a function that creates harnesses with companies of their own."""

    def make(**options: Any) -> AbstractContextManager[Harness]:
        return harness_in(tmp_path, database, fresh_url, **options)

    return make


@pytest.fixture(scope="session")
def still_company(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A company that no test changes, whose lists take several pages."""
    folder = tmp_path_factory.mktemp("pipedrive")
    with (
        database_of_its_own(postgres_url) as url,
        Database(url) as database,
        harness_in(folder, database, url, contacts=120, ceilings=f"{WIDE}, {SMALL_PAGES}") as made,
    ):
        yield made


@pytest.fixture
def still(still_company: Harness) -> Harness:
    """The company with both clocks set equal: waits of other tests have moved ours."""
    still_company.clock = FrozenClock(still_company.sandbox.clock.now())
    return still_company


@pytest.fixture(scope="module")
def small(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A small company that no test changes, whose lists take several pages."""
    folder, ceilings = tmp_path_factory.mktemp("small"), f"{WIDE}, page_records: 9"
    with (
        database_of_its_own(postgres_url) as url,
        Database(url) as database,
        harness_in(folder, database, url, contacts=20, ceilings=ceilings) as made,
    ):
        yield made


@pytest.fixture
def harness(make_harness: HarnessMaker) -> Iterator[Harness]:
    """A harness with a small company."""
    with make_harness() as made:
        yield made
