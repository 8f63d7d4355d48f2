"""`history`: what has changed in a record."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline_tests.cli.conftest import Run
from crm_pipeline_tests.stages.conftest import Org, schema

DEAL = schema("Opportunity", "Name", "StageName", "Amount:currency", "Colour", "CloseDate:date")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deal with three versions, and a contact that has the id of a deal."""
    org = Org(tmp_path_factory.mktemp("history") / "data")

    def deal(day: int, **values: Any) -> None:
        stamp = f"2026-01-0{day}T00:00:00Z"
        fixed = {"Id": "006A", "Name": "Acme", "CloseDate": "2026-05-01"}
        org.land(DEAL, [{**fixed, "SystemModstamp": stamp, **values}])
        org.normalize("deals")

    deal(1, StageName="New", Amount="5", Colour="red")
    deal(2, StageName="Old", Amount="5", Colour="red")
    deal(3, StageName="Old", Amount="5", Colour="=blue", IsDeleted="true")
    org.land(schema("Contact", "LastName"), [{"Id": "003B", "LastName": "Roe"}])
    org.land(schema("Account", "Name"), [{"Id": "003B", "Name": "Roe Ltd"}])
    org.normalize("contacts")
    org.normalize("companies")
    org.publish()
    return org.data


@pytest.fixture
def published(project: Path, data: Path) -> Path:
    shutil.copytree(data, project / "data", symlinks=True)
    return project


def test_changes_of_a_record(run: Run, published: Path) -> None:
    """Each changed field is a line with its values before and after, fields without a column included."""
    result = run("history", "acme:Opportunity:006A", "--csv")
    assert result.exit_code == 0, result.output
    rows = list(csv.reader(io.StringIO(result.stdout)))
    assert rows[0] == ["since", "field", "before", "after"]
    later = [row for row in rows[1:] if row[0] >= "2026-01-02" and "modified_at" not in row[1]]
    printed = {(row[0][:10], *row[1:]) for row in later}
    assert ("2026-01-02", "stage", "New", "Old") in printed
    assert ("2026-01-03", "is_deleted", "False", "True") in printed
    assert ("2026-01-03", "custom.Colour", "red", "'=blue") in printed
    assert not [row for row in printed if row[1] in {"amount", "name", "custom"}]
    people = run("history", "006A")
    assert "custom.Colour" in people.stdout


def test_versions_as_json(run: Run, published: Path) -> None:
    """All versions come with all columns, oldest first."""
    versions = json.loads(run("history", "006A", "--json").stdout)
    assert [version["stage"] for version in versions] == ["New", "Old", "Old"]
    assert [version["valid_to"] for version in versions][-1] is None
    assert {version["table"] for version in versions} == {"deals"}


def test_a_record_that_is_not_there_or_twice(run: Run, published: Path) -> None:
    """An unknown key is an error with its form, and an id of several records lists their keys."""
    unknown = run("history", "acme:Opportunity:nobody")
    assert unknown.exit_code == 2
    assert "<connection>:<object>:<id>" in " ".join(unknown.output.split())
    twice = run("history", "003B")
    assert twice.exit_code == 2
    assert "acme:Account:003B" in twice.output
    assert "acme:Contact:003B" in twice.output
