"""A small world of one vendor with a planted person, read, built and published."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from crm_pipeline.connectors.registry import connector
from crm_pipeline.erasure.needles import Needles
from crm_pipeline.erasure.search import search
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.normalized import normalize, tables_for
from crm_pipeline.stages.published import publish
from crm_pipeline.stages.raw import Extraction, extract
from crm_pipeline.stages.verified import Choices, verify
from crm_pipeline.stages.verified.library import library_verifiers
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tokens.hash_key import HashKey
from crm_pipeline_tests.connectors.conformance import case_of
from crm_pipeline_tests.connectors.conformance_harness import (
    ConformanceHarness,
    harness_on,
    server_of,
)
from crm_pipeline_tests.servers import database_of_its_own
from crm_sandbox.hubspot import credentials
from crm_sandbox.server import SandboxServer

EMAIL, PHONE, NAME, WORD = (
    "Quilla.Zwirn@canary-post.example",
    "+49 30 9018 273645",
    "Quilla Zwirnberger",
    "sassafrasbusch",
)
CANARIES = {"e-mail": EMAIL, "phone": PHONE, "name": NAME, "word": WORD}
_BEFORE = "2026-10-10T10:10:10+00:00"


@dataclass
class World:
    """A pipeline that has read a planted person.

    Attributes:
        person: the id of the person's record; `note` that of an activity with nobody else.
    """

    harness: ConformanceHarness
    person: str
    note: str
    contact_object: str
    note_object: str

    @property
    def data(self) -> Path:
        return self.harness.settings.data

    @property
    def key(self) -> str:
        return f"demo:{self.contact_object}:{self.person}"

    def plant_again(self) -> str:
        """Create the person in the CRM once more, now."""
        plant, _, _ = PLANTED[self.harness.case.vendor]
        return plant(self.harness.emulator, self.harness.sandbox.url)[0]

    def read(self, obj: str = "", mode: str = "range", route: str = "auto") -> Extraction:
        settings = ObjectSettings(obj or self.contact_object, route=route)
        key = HashKey.of(self.harness.settings)
        with self.harness.account() as account:
            return extract(
                account, settings, None, mode=mode, landing=self.harness.landing, key=key
            )

    def build(self) -> None:
        """Build the tables and publish."""
        connection = self.harness.settings.connection("demo")
        vendor = connector(connection.vendor)
        tables = Tables(self.data)
        with Engine(self.data / "tmp", threads=1) as engine:
            for table in tables_for(connection, vendor.mapping):
                normalize(
                    connection,
                    table,
                    self.harness.landing,
                    tables,
                    vendor.mapping,
                    engine=engine,
                    keys=vendor.keys,
                )
            settings = self.harness.settings
            chosen, clock = settings.verification, self.harness.clock
            verify(
                tables,
                engine,
                library_verifiers(chosen, clock),
                Choices({"demo": connection.country}, chosen.expires, chosen.shared_from),
                wanted=tables.names("normalized/"),
                now=clock.now(),
            )
            publish(self.harness.landing, tables, engine, connections=[connection])

    def left(self, values: Mapping[str, str] = CANARIES) -> dict[str, list[str]]:
        """Return the values that a search of all bytes finds, each with the files."""
        found: dict[str, list[str]] = {}
        for path, names in search(self.data, Needles(values.items())).found.items():
            for name in names:
                found.setdefault(name, []).append(str(path.relative_to(self.data)))
        return found


def _salesforce(org: Any, _: str) -> tuple[str, str]:
    first, last = NAME.split()
    person = org.create(
        "Contact",
        FirstName=first,
        LastName=last,
        Email=EMAIL,
        Phone=PHONE,
        Description=f"Likes {WORD}",
    )
    note = org.create("Task", Subject=f"Call {NAME}", WhoId=person, Description=f"{WORD} {PHONE}")
    return person, note


def _hubspot(portal: Any, url: str) -> tuple[str, str]:
    first, last = NAME.split()
    person = portal.create("contacts", firstname=first, lastname=last, email=EMAIL, phone=PHONE)
    note = portal.create("notes", hs_note_body=f"{NAME} likes {WORD}, {PHONE}")
    path = f"/crm/v4/objects/notes/{note}/associations/default/contacts/{person}"
    headers = {"Authorization": f"Bearer {credentials.MAIN.token}"}
    requests.put(f"{url}/hubspot{path}", headers=headers, timeout=30).raise_for_status()
    return person, note


SHARED = "office@canary-post.example"


def plant_others(org: Any) -> None:
    """Create a contact with a note that names the person, and two with one address."""
    other = org.create("Contact", LastName="Zwirn", Email="zwirn@canary-post.example")
    for name in ("One", "Two"):
        org.create("Contact", LastName=name, Email=SHARED)
    org.create(
        "Task", Subject=f"{NAME} and Zwirn", WhoId=other, Description=f"To {EMAIL}, jo{EMAIL}"
    )


PLANTED = {
    "salesforce": (_salesforce, "Contact", "Task"),
    "hubspot": (_hubspot, "contacts", "notes"),
}


class Worlds:
    """Prepared worlds, one for each vendor; each test gets a copy of the files, and shares the vendor's CRM."""

    def __init__(self, stack: ExitStack, root: Path, postgres_url: str) -> None:
        self._stack = stack
        self._root = root
        self._postgres_url = postgres_url
        self._made: dict[str, tuple[SandboxServer, World]] = {}

    def copy(self, vendor: str, folder: Path, database: Database, url: str, crm: str = "") -> World:
        """Return a world of its own; records that are created in the CRM are seen by all that name the same one."""
        server, made = self._prepared(vendor, crm)
        harness = harness_on(server, folder, database, url, made.harness.case)
        harness.advance(60)
        shutil.copytree(made.data, harness.settings.data, dirs_exist_ok=True, symlinks=True)
        return replace(made, harness=harness)

    def _prepared(self, vendor: str, crm: str) -> tuple[SandboxServer, World]:
        if vendor + crm not in self._made:
            plant, contacts, notes = PLANTED[vendor]
            case = replace(case_of(vendor), objects=(contacts, notes))
            server = self._stack.enter_context(server_of(case, 20))
            person, note = plant(server.emulations[vendor], server.url)
            if crm:
                plant_others(server.emulations[vendor])
            url = self._stack.enter_context(database_of_its_own(self._postgres_url))
            database = self._stack.enter_context(Database(url))
            harness = harness_on(server, self._root / f"{vendor}{crm}", database, url, case)
            harness.advance(60)
            made = World(harness, person, note, contacts, notes)
            for obj in (contacts, notes):
                made.read(obj)
            made.build()
            self._made[vendor + crm] = server, made
        return self._made[vendor + crm]


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Worlds]:
    with ExitStack() as stack:
        yield Worlds(stack, tmp_path_factory.mktemp("erasure"), postgres_url)


@pytest.fixture(params=sorted(PLANTED))
def world(
    request: pytest.FixtureRequest,
    worlds: Worlds,
    tmp_path: Path,
    database: Database,
    fresh_url: str,
) -> World:
    return worlds.copy(request.param, tmp_path, database, fresh_url)


@pytest.fixture
def org(worlds: Worlds, tmp_path: Path, database: Database, fresh_url: str) -> World:
    """A world with others who have to do with the person; nothing is read from its CRM again."""
    return worlds.copy("salesforce", tmp_path, database, fresh_url, "of others")
