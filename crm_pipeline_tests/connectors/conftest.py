"""What the conformance tests share: one server and one database for each vendor."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.store.postgres.database import Database
from crm_pipeline_tests.connectors.conformance import CASES, WAYS, Case, Way
from crm_pipeline_tests.connectors.conformance_harness import (
    ConformanceHarness,
    harness_on,
    server_of,
)
from crm_pipeline_tests.servers import database_of_its_own
from crm_sandbox.server import SandboxServer

HarnessOf = Callable[..., ConformanceHarness]


class Emulators:
    """Servers and databases by vendor, opened when first asked for."""

    def __init__(self, stack: ExitStack, postgres_url: str) -> None:
        self._stack = stack
        self._postgres_url = postgres_url
        self._opened: dict[str, tuple[SandboxServer, Database, str]] = {}

    def of(self, case: Case) -> tuple[SandboxServer, Database, str]:
        if case.vendor not in self._opened:
            url = self._stack.enter_context(database_of_its_own(self._postgres_url))
            database = self._stack.enter_context(Database(url))
            server = self._stack.enter_context(server_of(case))
            self._opened[case.vendor] = (server, database, url)
        return self._opened[case.vendor]


@pytest.fixture(scope="session")
def emulators(postgres_url: str) -> Iterator[Emulators]:
    """One world for each vendor, for the tests that change nothing in it for good."""
    with ExitStack() as stack:
        yield Emulators(stack, postgres_url)


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Way:
    """Each route of each vendor."""
    found: Way = request.param
    return found


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    """Each vendor."""
    found: Case = request.param
    return found


def narrowed(case: Case, patch: pytest.MonkeyPatch) -> None:
    """Make the chunks of a connector as small as its pages are here."""
    for target, value in case.small_chunks.items():
        patch.setattr(target, value)


@pytest.fixture
def quiet(emulators: Emulators, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HarnessOf:
    """Make pipelines with folders of their own on the vendor's shared world."""
    made: list[ConformanceHarness] = []

    def make(case: Case, **options: Any) -> ConformanceHarness:
        narrowed(case, monkeypatch)
        server, database, url = emulators.of(case)
        folder = tmp_path / f"home{len(made)}"
        made.append(harness_on(server, folder, database, url, case, **options))
        return made[-1]

    return make


@pytest.fixture
def alone(
    tmp_path: Path, database: Database, fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HarnessOf]:
    """Make pipelines with worlds and databases of their own."""
    with ExitStack() as stack:

        def make(case: Case, *, contacts: int = 40, **options: Any) -> ConformanceHarness:
            narrowed(case, monkeypatch)
            server = stack.enter_context(server_of(case, contacts))
            return harness_on(server, tmp_path, database, fresh_url, case, **options)

        yield make
