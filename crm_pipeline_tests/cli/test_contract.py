import json
from pathlib import Path

import pytest
import yaml

from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors.salesforce.mapping import MAPPING
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.model.tables import TABLES
from crm_pipeline.stages.normalized import normalize
from crm_pipeline_tests.cli.conftest import Run
from crm_pipeline_tests.stages.conftest import Org

SCHEMA = Schema(
    "Contact",
    "Contact",
    (
        Field("Id", "Id", "id"),
        Field("LastName", "Last name", "string"),
        Field("LeadSource", "Source", "picklist", values=("Web", "Phone")),
        Field("IsDeleted", "Deleted", "boolean", "boolean"),
        Field("SystemModstamp", "Changed", "datetime", "timestamp"),
    ),
)


@pytest.fixture
def landed(project: Path) -> Path:
    """A project with forty contacts of connection acme."""
    org = Org(project / "data")
    rows = [
        {"Id": f"003{n:02}", "LastName": f"Name {n}", "LeadSource": ("Web", "Phone", "Fax")[n % 3]}
        for n in range(40)
    ]
    org.land(SCHEMA, rows)
    with org.engine() as engine:
        connection = load_settings(project).connection("acme")
        normalize(connection, "contacts", org.landing, org.tables, MAPPING, engine)
    return project


def test_a_first_contract_is_written_and_holds(run: Run, landed: Path) -> None:
    """`init` writes a short contract that is true of the data; `test` says so, and what the vendor described wrongly."""
    assert run("contract", "init", "acme.contacts").exit_code == 0
    text = (landed / "contracts" / "acme.contacts.py").read_text()
    assert 'name = "acme.contacts"' in text
    assert "contact_key: str = pa.Field(unique=True)" in text
    assert "Name 1" not in text
    assert len(text.splitlines()) < 30
    result = run("contract", "test", "--json")
    assert result.exit_code == 0, result.stdout
    subjects = {s["subject"]: s["broken"] for s in json.loads(result.stdout)["subjects"]}
    assert subjects["acme.contacts"] == []
    [rule] = subjects["acme.Contact"]
    assert (rule["rule"], rule["rows"], rule["policy"]) == (
        "LeadSource is not in the pick list",
        13,
        "warn",
    )
    again = run("contract", "init", "acme.contacts")
    assert again.exit_code != 0


def test_a_contract_of_landed_texts_is_written(run: Run, landed: Path) -> None:
    """`init` takes a vendor's object as well; its values are those that landed."""
    assert run("contract", "init", "acme.Contact").exit_code == 0
    text = (landed / "contracts" / "acme.Contact.py").read_text()
    assert "LeadSource: str = pa.Field(isin=['Fax', 'Phone', 'Web'])" in text
    assert run("contract", "test").exit_code == 0


def test_what_is_wrong_with_contracts_is_said(run: Run, landed: Path) -> None:
    """`test` names a file with an error, a name that nothing has, and a table that would be held back."""
    (landed / "contracts").mkdir()
    for name, text in {
        "contacts.py": 'import pandera.pandas as pa\n\nx = pa.DataFrameSchema({"last_name": pa.Column(checks=pa.Check.eq("Name 1"))})\n',
        "companies.py": "import pandera.pandas as pa\n\ny = 1 / 0\n",
        "dael.yaml": "columns: {name: {dtype: str}}\n",
    }.items():
        (landed / "contracts" / name).write_text(text)
    result = run("contract", "test")
    assert result.exit_code == 1
    flat = " ".join(result.stdout.split())
    assert "contracts/companies.py:3: ZeroDivisionError" in flat
    assert "unknown table or object 'dael' in contracts/dael.yaml" in flat
    assert "Did you mean 'deals'?" in flat
    assert "last_name: equal_to(Name 1) [contracts/contacts.py]" in flat


def test_only_what_is_asked_for_is_tried(run: Run, landed: Path) -> None:
    """`test` takes tables and objects, and refuses a name that nothing has."""
    for name in ("contacts", "crm.contacts", "acme.contacts", "acme.Contact"):
        subjects = json.loads(run("contract", "test", name, "--json").stdout)["subjects"]
        assert [s["subject"] for s in subjects] == ["acme.Contact", "acme.contacts"]
    wrong = run("contract", "test", "contacs")
    assert wrong.exit_code == 2
    assert "Did you mean 'contacts'?" in wrong.output


def test_a_contract_that_ends_the_process_does_not(run: Run, landed: Path) -> None:
    """`sys.exit` in a check is a check that raises; an editor's mark at the beginning of a file is none of its text."""
    (landed / "contracts").mkdir()
    text = 'import sys\nimport pandera.pandas as pa\n\nx = pa.DataFrameSchema({"last_name": pa.Column(checks=pa.Check(lambda _: sys.exit(3)))})\n'
    (landed / "contracts" / "contacts.py").write_bytes(b"\xef\xbb\xbf" + text.encode())
    result = run("contract", "test")
    assert result.exit_code == 1
    assert "(raises SystemExit)" in " ".join(result.stdout.split())


def test_the_common_tables_are_exported(run: Run) -> None:
    """`export` prints Open Data Contract Standard YAML with each column, its type and its rules."""
    document = yaml.safe_load(run("contract", "export").stdout)
    assert (document["kind"], document["apiVersion"]) == ("DataContract", "v3.1.0")
    assert [table["name"] for table in document["schema"]] == list(TABLES)
    [deals] = yaml.safe_load(run("contract", "export", "deals").stdout)["schema"]
    properties = {p["name"]: p for p in deals["properties"]}
    assert properties["deal_key"]["primaryKey"] is True
    assert properties["amount"]["logicalType"] == "number"
    assert properties["name"]["quality"][0]["metric"] == "nullValues"
    assert "no table" not in run("contract", "export", "dealz").stdout
    assert run("contract", "export", "dealz").exit_code != 0
