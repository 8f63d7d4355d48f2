"""Marks tests as slow that have a server, a process or a run of Dagster; `make test-fast` leaves them out.

Nobody has to write the mark: it follows from what a module imports and which fixtures a test asks for.
"""

from types import ModuleType

import pytest

_STARTERS = {"subprocess", "multiprocessing", "SandboxServer", "EmbeddedServer", "dg", "World"}
_FIXTURES = {"postgres_url", "program", "filled", "sandbox"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        module: ModuleType | None = getattr(item, "module", None)
        names = set(vars(module) if module else ())
        if names & _STARTERS or _FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
