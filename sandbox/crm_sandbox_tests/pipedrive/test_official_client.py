"""Clients that are not ours, unmodified.

The vendor's own client is for Node.js. It runs where `node_modules/pipedrive` stands in the repository
(`npm install --no-save pipedrive`); elsewhere its test skips. Of the Python clients pypipedrive is the one that
is kept and speaks v2, but it needs Python 3.12; pipedrive-python-lib runs on every Python that we support,
and speaks OAuth and v1. Both go over TLS to the vendor's own host names, through the sandbox as a proxy.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipedrive.client import Client as PythonLib
from pipedrive.exceptions import BadRequestError, GoneError, UnauthorizedError

from crm_sandbox import SandboxServer
from crm_sandbox.clock import SandboxClock
from crm_sandbox.pipedrive import credentials
from crm_sandbox_tests.conftest import NOW, through_proxy
from crm_sandbox_tests.pipedrive.conftest import Client

ROOT = Path(__file__).parents[3]
COMPANY = "https://sandbox-main.pipedrive.com"


@pytest.fixture(scope="module")
def company(authority) -> Iterator[Client]:
    """The company that the clients read and write."""
    with SandboxServer(
        contacts=300,
        seed=7,
        now=NOW,
        clock=SandboxClock(NOW),
        authority=authority,
        vendors=["pipedrive"],
    ) as running:
        made = Client(running)
        made.truth.accept_query_token()
        made.truth.set_limits(api_token=10_000, search=1_000)
        yield made
        made.close()


@pytest.fixture
def library(company, monkeypatch) -> PythonLib:
    """The Python client with an API token."""
    through_proxy(company.sandbox, monkeypatch)
    made = PythonLib(credentials.CLIENT_ID, credentials.CLIENT_SECRET, domain=COMPANY)
    made.set_api_token(company.access.api_token)
    return made


@pytest.mark.client("pipedrive-python-lib")
def test_python_reads(company, library) -> None:
    """The Python client reads what is left of v1, and what went out of support, until it ends."""
    assert len(library.leads.get_all_leads(params={"limit": 500})["data"]) == len(
        company.every_v1("/v1/leads")
    )
    users = library.users.get_all_users()["data"]
    assert len(users) == company.truth.count("users")
    note = company.every_v1("/v1/notes")[0]
    assert library.notes.get_note(note["id"])["data"]["content"] == note["content"]
    persons = library.persons.get_all_persons({"limit": 500})["data"]
    assert len(persons) == company.truth.count("persons")
    fields = library.persons.get_person_fields()["data"]
    assert company.code("persons", "Tier") in {one["key"] for one in fields}
    flow = library.deals.get_deal_updates(1)["data"]
    assert flow[-1]["data"]["field_key"] == "add_time"
    company.truth.retire_v1(NOW)
    with pytest.raises(GoneError):
        library.persons.get_all_persons()
    company.truth.retire_v1()


@pytest.mark.client("pipedrive-python-lib")
def test_python_logs_in(company, library) -> None:
    """The Python client trades a refresh token and reads as the app; its errors are its own."""
    answer = library.refresh_token(company.access.refresh_token)
    app = PythonLib(credentials.CLIENT_ID, credentials.CLIENT_SECRET, domain=answer["api_domain"])
    assert answer["api_domain"] == COMPANY
    app.set_access_token(answer["access_token"])
    assert app.users.get_me()["data"]["company_id"] == company.access.company_id
    with pytest.raises(BadRequestError):
        library.refresh_token(company.access.refresh_token)
    app.set_access_token("nonsense")
    with pytest.raises(UnauthorizedError):
        app.users.get_me()


@pytest.mark.client("pypipedrive-client")
@pytest.mark.skipif(sys.version_info < (3, 12), reason="pypipedrive needs Python 3.12")
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_pypipedrive(company, monkeypatch) -> None:
    """pypipedrive follows every cursor and every start to the end, and reads records and fields."""
    from pypipedrive.api.exceptions import BadRequestException, NotFoundException
    from pypipedrive.models import Deals, Leads, Persons
    from pypipedrive.models.person_fields import PersonFields

    through_proxy(company.sandbox, monkeypatch)
    monkeypatch.setenv("PIPEDRIVE_API_TOKEN", company.access.api_token)
    rows = {row["id"]: row for row in company.every("/persons")}
    assert {one.id for one in Persons.all()} == set(rows)
    assert len(Deals.all(params={"limit": 20})) == len(company.every("/deals"))
    assert len(Leads.all(params={"limit": 10})) == len(company.every_v1("/v1/leads"))
    row = next(row for row in rows.values() if row["emails"])
    person = Persons.get(id=row["id"])
    assert person.emails[0].value == row["emails"][0]["value"]
    assert person.name == row["name"]
    assert company.code("persons", "Tier") in {one.field_code for one in PersonFields.all()}
    with pytest.raises(NotFoundException):
        Persons.get(id=999_999)
    with pytest.raises(BadRequestException):
        Persons.all(params={"shoes": 1})


@pytest.mark.client("pipedrive (Node.js)")
def test_node_client(company) -> None:
    """The vendor's own client lists, searches, creates, changes and deletes, in v2 and v1."""
    node = shutil.which("node")
    if node is None or not (ROOT / "node_modules" / "pipedrive").is_dir():
        pytest.skip("the vendor's Node.js client is not installed: npm install --no-save pipedrive")
    script = Path(__file__).with_name("official_client.cjs")
    name = company.every("/persons")[4]["first_name"]
    address = (str(ROOT), company.root, company.access.api_token, name)
    run = subprocess.run(
        [node, script, *address], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    assert seen["persons"] == [row["id"] for row in company.every("/persons")]
    assert seen["open"] == [row["id"] for row in company.every("/deals", status="open")]
    assert seen["fields"] == [row["field_code"] for row in company.every("/personFields")]
    assert seen["found"]
    assert seen["leads"] == len(company.every_v1("/v1/leads"))
    assert seen["users"] == company.truth.count("users")
    assert seen["refused"] == "Person not found"
    assert seen["added"] == ["Emmy Noether", "emmy@example.org"]
    assert (seen["changed"], seen["gone"]) == ("Amalie Noether", True)
