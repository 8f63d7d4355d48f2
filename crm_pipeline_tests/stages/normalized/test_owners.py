"""Columns keep their field, whatever fields come later."""

import shutil
from typing import Any

import pytest
import structlog.testing

from crm_pipeline.model.mapping import ANY_OBJECT, FieldMap, ObjectMap
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store.tables import Tables

ID = Field("Id", "Record ID", "id")
OWN = Field("Status__c", "Status", "text")
NEW = Field("Status", "Status", "text")
LINK = Field("Owner__c", "Owner", "lookup", reference_to=("User",))
MAPS = (ObjectMap(ANY_OBJECT, "", (FieldMap("Id", "source_id"),)),)
COLUMNS = "SELECT field, column_name, view_column FROM ops.fields WHERE field <> 'Id' ORDER BY 1"


def land(org: Any, *fields: Field, **values: str) -> None:
    org.maps = MAPS
    record = {"Id": f"{len(values)}", **values}
    org.land_records(Schema("Order", "Order", (ID, *fields)), [record], key="Id")


def names(org: Any) -> dict[str, tuple[str, str]]:
    org.publish()
    return {field: (column, shown) for field, column, shown in org.query(COLUMNS)}


EXPECTED = {"Status__c": ("status", "Status"), "Status": ("status_2", "Status (Status)")}


@pytest.mark.parametrize("is_built_between", [True, False])
def test_a_newcomer_takes_nobodys_name(org: Any, is_built_between: bool) -> None:
    """`status` stays with the field that had it first, and the new field's other name is logged."""
    land(org, OWN, Status__c="own")
    if is_built_between:
        org.normalize("order")
        assert names(org) == {"Status__c": ("status", "Status")}
    land(org, NEW, OWN, Status="Draft", Status__c="own")
    with structlog.testing.capture_logs() as logs:
        org.normalize("order")
    assert names(org) == EXPECTED
    assert org.rows("order", "status, status_2") == [("own", "Draft"), ("own", None)]
    shown = 'SELECT "Status", "Status (Status)" FROM crm_acme."order" ORDER BY crm_key'
    assert org.query(shown) == [("own", None), ("own", "Draft")]
    said = [log["field"] for log in logs if "another field had before" in log["event"]]
    assert said == (["Status"] if is_built_between else [])
    about = "SELECT comment FROM duckdb_columns() WHERE column_name = 'status_2'"
    assert "Not called status" in org.query(about)[0][0]


def test_names_are_the_same_when_all_is_built_again(org: Any) -> None:
    """A build from scratch gives the same names, even if a field went and came back with another in between."""
    land(org, OWN, Status__c="own")
    org.normalize("order")
    land(org, NEW, Status="Draft")
    org.normalize("order")
    land(org, OWN, LINK, Status__c="own", Owner__c="7")
    org.normalize("order")
    kept = names(org)
    assert {field: kept[field] for field in EXPECTED} == EXPECTED
    for folder in ("tables", "snapshots", "published"):
        shutil.rmtree(org.data / folder)
    org.tables = Tables(org.data)
    org.normalize("order")
    assert names(org) == kept
    columns = "status, status_2, owner_source_id, owner_key"
    assert org.rows("order", columns)[0] == ("own", None, "7", "acme:User:7")


@pytest.mark.parametrize("is_built_between", [True, False])
def test_names_are_given_schema_by_schema(org: Any, is_built_between: bool) -> None:
    """A field that was a reference, and had another name for that, takes no name when it becomes a text."""
    was = Field("Status", "State", "lookup", reference_to=("User",))
    land(org, was, OWN, Status="7", Status__c="own")
    if is_built_between:
        org.normalize("order")
    land(org, NEW, OWN, LINK, Status="Draft", Status__c="own", Owner__c="7")
    org.normalize("order")
    kept = names(org)
    assert kept["Status__c"] == ("status", "Status (Status__c)")
    assert kept["Status"] == ("status_2", "Status (Status)")
    assert org.rows("order", "status, status_2") == [("own", "7"), ("own", "Draft")]


def test_only_names_that_somebody_had_are_said(org: Any) -> None:
    """Only new fields that an older field's name was taken from are logged, not others without a usable label."""
    land(org, OWN, Status__c="own")
    org.normalize("order")
    labels = {"A__c": "Twin", "B__c": "Twin", "C__c": "", "D__c": "tab\there"}
    land(org, OWN, *(Field(name, label, "text") for name, label in labels.items()))
    with structlog.testing.capture_logs() as logs:
        org.normalize("order")
    assert [log["field"] for log in logs if "another field had before" in log["event"]] == []


def test_names_of_versions_from_before_are_kept(org: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Owners of an older version follow from its fields; the user's own choice takes precedence."""
    land(org, NEW, OWN, Status="Draft", Status__c="own")
    org.normalize("order")
    version = org.tables.version("normalized/acme/order")
    described = version.meta["objects"][0]
    for later in ("names", "beside", "shown", "columns"):
        del described[later]
    stored = org.tables.version
    monkeypatch.setattr(
        org.tables,
        "version",
        lambda name, *more: version if name == version.name else stored(name, *more),
    )
    org.publish()
    assert names(org) == {
        "Status": ("status", "Status (Status)"),
        "Status__c": ("status_c", "Status (Status__c)"),
    }
    monkeypatch.undo()
    org.mappings = {"Order": {"Status__c": "status"}}
    org.normalize("order")
    assert org.rows("order", "status, status_2") == [("own", "Draft")]
