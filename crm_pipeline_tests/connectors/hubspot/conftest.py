"""A HubSpot portal of the sandbox and a pipeline that reads it, both at one moment."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from crm_pipeline.configuration import load_settings
from crm_pipeline.kernel.clock import FrozenClock, parse_instant
from crm_pipeline.settings import Settings
from crm_pipeline.store.postgres.database import Database
from crm_pipeline_tests.connectors.modelled import in_memory
from crm_pipeline_tests.harness import START, Harness
from crm_pipeline_tests.servers import database_of_its_own
from crm_sandbox.clock import SandboxClock
from crm_sandbox.hubspot import credentials
from crm_sandbox.hubspot.emulation import HubSpotSandbox
from crm_sandbox.server import SandboxServer
from crm_sandbox.tables import Tables

ENVIRON = {
    "HUB_TOKEN": credentials.MAIN.token,
    "HUB_SECOND_TOKEN": credentials.SECOND.token,
    "HUB_CONTACTS_TOKEN": credentials.MAIN.contacts_token,
    "HUB_CLIENT_ID": credentials.CLIENT_ID,
    "HUB_CLIENT_SECRET": credentials.CLIENT_SECRET,
    "HUB_REFRESH_TOKEN": credentials.MAIN.refresh_token,
}
AUTH = {
    "token": ("kind: token", "token_env: HUB_TOKEN"),
    "contacts_token": ("kind: token", "token_env: HUB_CONTACTS_TOKEN"),
    "refresh_token": (
        "kind: refresh_token",
        "client_id_env: HUB_CLIENT_ID",
        "client_secret_env: HUB_CLIENT_SECRET",
        "refresh_token_env: HUB_REFRESH_TOKEN",
    ),
}
CONNECTIONS = """
connections:
  demo:
    vendor: hubspot
    login_url: {url}/hubspot
    sandbox: true
    start: 2026-06
    auth:
{auth}
    ceilings: {{{ceilings}}}
    objects: [{objects}]
{more}
"""
# The tests' clock stands still and the limiter's does not: nobody shall wait for a second to pass.
WIDE = {"search_calls": 10_000, "private_calls": 100_000, "association_calls": 100_000}
OBJECTS = ("contacts", "companies", "deals", "owners", "deal_pipelines")
_NARROW = ("private", "marketplace", "search", "associations")
Portal = Callable[..., AbstractContextManager[Harness]]
Still = Callable[..., Harness]


def _settings(
    root: Path,
    database_url: str,
    server: SandboxServer,
    *,
    kind: str = "token",
    objects: Sequence[str] = OBJECTS,
    ceilings: Mapping[str, int] | None = None,
    more: str = "",
) -> Settings:
    text = CONNECTIONS.format(
        url=server.url,
        auth="\n".join(f"      {line}" for line in AUTH[kind]),
        ceilings=", ".join(f"{k}: {v}" for k, v in {**WIDE, **(ceilings or {})}.items()),
        objects=", ".join(objects),
        more=more,
    )
    (root / "connections.yaml").write_text(text)
    return load_settings(root, {**ENVIRON, "CRM_DATABASE_URL": database_url})


def _server(contacts: int) -> SandboxServer:
    now = parse_instant(START)
    return SandboxServer(contacts=contacts, now=now, clock=SandboxClock(now), vendors=("hubspot",))


@pytest.fixture
def portal(tmp_path: Path, database: Database, fresh_url: str) -> Portal:
    """Make portals with worlds of their own."""

    @contextmanager
    def make(contacts: int = 120, **options: Any) -> Iterator[Harness]:
        with _server(contacts) as server:
            settings = _settings(tmp_path, fresh_url, server, **options)
            made = Harness(server, settings, database, FrozenClock(START))
            emulator(made).set_limits(**dict.fromkeys(_NARROW, 100_000))
            yield made

    return make


@pytest.fixture
def hub(portal: Portal) -> Iterator[Harness]:
    """A portal with a small world."""
    with portal(contacts=60) as made:
        yield made


@pytest.fixture(scope="module")
def small_hub(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A small portal that nobody changes, whose lists take several pages."""
    pages = {"list_records": 9, "search_records": 9, "batch_records": 9, "history_records": 9}
    folder = tmp_path_factory.mktemp("small")
    with (
        database_of_its_own(postgres_url) as url,
        Database(url) as database,
        _server(20) as server,
    ):
        settings = _settings(folder, url, server, ceilings=pages)
        made = Harness(server, settings, database, FrozenClock(START))
        emulator(made).set_limits(**dict.fromkeys(_NARROW, 100_000))
        client = Client(made)
        client.archive("contacts", max(client.all("contacts")))
        made.advance()
        yield made


@pytest.fixture(scope="module")
def shared_server() -> Iterator[SandboxServer]:
    """One world for the tests of a module that change nothing in it."""
    with _server(120) as server:
        yield server


@pytest.fixture
def still(
    shared_server: SandboxServer, tmp_path: Path, database: Database, fresh_url: str
) -> Iterator[Still]:
    """Make pipelines on a world in which nothing is changed; what is ordered ends with the test."""

    def make(**options: Any) -> Harness:
        settings = _settings(tmp_path, fresh_url, shared_server, **options)
        made = Harness(shared_server, settings, database, FrozenClock(START))
        emulator(made).set_limits(**dict.fromkeys(_NARROW, 100_000))
        shared_server.journal.clear()
        return made

    yield make
    shared_server.faults.clear()


class Client:
    """Somebody else who uses the portal: shares no line with the connector."""

    def __init__(self, harness: Harness, token: str = credentials.MAIN.token) -> None:
        self._harness = harness
        self._url = f"{harness.sandbox.url}/hubspot"
        self._token = token

    def ask(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        """Send a request and return the decoded answer."""
        answer = requests.request(
            method,
            self._url + path,
            json=body,
            params=params,
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=30,
        )
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def all(self, obj: str, **params: str) -> dict[str, dict[str, Any]]:
        """Return the records of an object by id, with all their properties."""
        names = [one["name"] for one in self.ask("GET", f"/crm/v3/properties/{obj}")["results"]]
        return self.listed(f"/crm/v3/objects/{obj}", properties=",".join(names), **params)

    def listed(self, path: str, **params: str) -> dict[str, dict[str, Any]]:
        """Return what a list holds, page by page, by id."""
        asked = {"limit": "50", **params}
        found: dict[str, dict[str, Any]] = {}
        while True:
            page = self.ask("GET", path, **asked)
            found |= {one["id"]: one for one in page["results"]}
            if "paging" not in page:
                return found
            asked["after"] = page["paging"]["next"]["after"]

    def edit(self, obj: str, record: str, **properties: str) -> None:
        self.ask("PATCH", f"/crm/v3/objects/{obj}/{record}", {"properties": properties})

    def create(self, obj: str, **properties: str) -> str:
        made = self.ask("POST", f"/crm/v3/objects/{obj}", {"properties": properties})
        return str(made["id"])

    def archive(self, obj: str, record: str) -> None:
        self.ask("DELETE", f"/crm/v3/objects/{obj}/{record}")

    def calls(self, part: str, method: str = "") -> list[str]:
        """Return the requests whose path has a part, as the sandbox saw them."""
        rows = self._harness.sandbox.journal.as_rows()
        asked = [e for e in rows if part in e["path"] and method in e["method"]]
        return [f"{e['path']}?{e['query']}" for e in asked]


def emulator(harness: Harness) -> HubSpotSandbox:
    """Return the emulation."""
    emulation: Any = harness.sandbox.emulations["hubspot"]
    return emulation


def tables(harness: Harness) -> Tables:
    """Return the tables of the portal, for changes that no API makes."""
    return emulator(harness).api().portal.tables


def run_sql(harness: Harness, sql: str, *parameters: Any) -> None:
    """Change many records behind the API."""
    with tables(harness).writing() as cursor:
        cursor.execute(sql, list(parameters))


def landed(harness: Harness, obj: str = "contacts") -> list[dict[str, Any]]:
    """Return what has landed of an object: the newest version of each record, decoded."""
    paths = [str(batch.path) for batch in harness.landing.batches("demo", obj)]
    if not paths:
        return []
    sql = """SELECT _source_id, _modified_at, _deleted, record FROM read_parquet(?)
        QUALIFY row_number() OVER (PARTITION BY _source_id ORDER BY _modified_at DESC, _extracted_at DESC) = 1
        ORDER BY _source_id::BIGINT"""
    if obj.endswith("pipelines"):
        sql = sql.replace("::BIGINT", "")
    rows = in_memory().execute(sql, [paths]).fetchall()
    return [
        {"id": i, "modified": m, "deleted": d, "record": msgspec.json.decode(r)}
        for i, m, d, r in rows
    ]
