"""Fixtures: hand-made CRMs, and pipelines that read them by their files."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_pipeline.configuration import load_settings
from crm_pipeline.kernel.clock import SystemClock, Window
from crm_pipeline.settings import ObjectSettings, Settings
from crm_pipeline.stages.raw import Extraction, Mode, extract, opened
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.postgres.database import Database
from crm_pipeline_tests.connectors.rest import acme_server
from crm_pipeline_tests.connectors.rest.acme_server import Acme
from crm_pipeline_tests.servers import database_of_its_own

HERE = Path(__file__).parent
CONNECTIONS = """
connections:
  acme:
    vendor: acme
    login_url: {url}
    sandbox: true
    auth: {{kind: source, secrets: {{KEY: ACME_KEY, SIGNING: ACME_SIGNING}}}}
    objects: [people, firms]
"""


@dataclass
class Reader:
    """A pipeline that reads one hand-made CRM."""

    settings: Settings
    database: Database

    @property
    def landing(self) -> Landing:
        return Landing(self.settings.data, SystemClock())

    def account(self) -> Any:
        return opened(self.settings, "acme", self.database)

    def extract(
        self, obj: str = "people", mode: Mode = "range", window: Window | None = None
    ) -> Extraction:
        with self.account() as account:
            return extract(account, ObjectSettings(obj), window, mode=mode, landing=self.landing)

    def landed(self, obj: str = "people") -> list[dict[str, Any]]:
        """Return all rows that have landed of an object."""
        names = ["_source_id", "_modified_at", "_deleted", "record"]
        tables = [
            pq.read_table(batch.path, columns=names)
            for commit in self.landing.windows("acme", obj)
            for batch in commit.batches
        ]
        return pa.concat_tables(tables).to_pylist() if tables else []

    def ids(self, obj: str = "people") -> set[str]:
        return {row["_source_id"] for row in self.landed(obj)}


@pytest.fixture(scope="session")
def sources_database(postgres_url: str) -> Iterator[tuple[Database, str]]:
    with database_of_its_own(postgres_url) as url, Database(url) as database:
        yield database, url


@pytest.fixture
def read_by(tmp_path: Path, sources_database: tuple[Database, str]) -> Callable[..., Reader]:
    """Make a project with a file for the CRM at an address."""

    def make(url: str, source: str = "") -> Reader:
        (tmp_path / "sources").mkdir()
        text = source or (HERE / "acme.yaml").read_text()
        (tmp_path / "sources/acme.yaml").write_text(text)
        (tmp_path / "connections.yaml").write_text(CONNECTIONS.format(url=url))
        database, database_url = sources_database
        environ = {
            "ACME_KEY": acme_server.KEY,
            "ACME_SIGNING": acme_server.SECRET,
            "CRM_DATABASE_URL": database_url,
            "CRM_STATE_KEY": base64.b64encode(bytes(32)).decode(),
        }
        return Reader(load_settings(tmp_path, environ), database)

    return make


@pytest.fixture
def acme() -> Acme:
    return acme_server.filled()


@pytest.fixture
def reader(acme: Acme, read_by: Callable[..., Reader]) -> Iterator[Reader]:
    with acme_server.served(acme) as url:
        yield read_by(url)
