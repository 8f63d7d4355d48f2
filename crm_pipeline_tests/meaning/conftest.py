"""Fixtures: worlds that are read and published once for all tests of a session, whatever its workers."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import fasteners
import pytest

from crm_pipeline_tests.meaning.answers import DEMO, OTHERS, Login
from crm_pipeline_tests.meaning.prepared import Prepared, kept, make
from crm_pipeline_tests.servers import database_of_its_own

# Objects of which neither a question is asked nor a fact derived, or none but that deleted ones are gone;
# `make campaign` reads them too.
_WITHOUT = (
    *("Invoice__c", "OpportunityLineItem", "Case"),
    *("quotes", "tickets", "ticket_pipelines", "line_items"),
    "Cases",
)
_OTHER_ZOHO = {"zoho_other": OTHERS["zoho_other"]}

WorldMaker = Callable[[str, int, int, Mapping[str, Login]], Prepared]


@pytest.fixture(scope="session")
def make_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> WorldMaker:
    """Make a world, or take the one that another worker of this session has made."""

    def made(name: str, seed: int, contacts: int, logins: Mapping[str, Login]) -> Prepared:
        base = tmp_path_factory.getbasetemp()
        is_alone = "PYTEST_XDIST_WORKER" not in os.environ
        root = (base if is_alone else base.parent) / f"meaning {name}"
        with fasteners.InterProcessLock(f"{root}.lock"):
            done = Path(f"{root}.done")
            if not done.exists():
                url = request.getfixturevalue("postgres_url")
                with database_of_its_own(url) as own:
                    make(root, own, seed=seed, contacts=contacts, logins=logins, without=_WITHOUT)
                done.touch()
        return kept(root, logins)

    return made


@pytest.fixture(scope="session")
def world(make_world: WorldMaker) -> Iterator[Prepared]:
    """The demo's five accounts in a small world, of a seed whose every account has open deals."""
    made = make_world("demo", 13, 200, DEMO)
    yield made
    made.close()


@pytest.fixture(scope="session")
def other_world(make_world: WorldMaker) -> Iterator[Prepared]:
    """Another seed, and an org of another zone and currency with stages of its own."""
    made = make_world("other", 29, 120, _OTHER_ZOHO)
    yield made
    made.close()
