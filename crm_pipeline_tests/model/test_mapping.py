import importlib
from pathlib import Path

import pytest

import crm_pipeline.connectors
from crm_pipeline.connectors.salesforce.mapping import MAPPING
from crm_pipeline.kernel.errors import UnknownName
from crm_pipeline.model.mapping import LOSER, RECORD_ID, WINNER
from crm_pipeline.model.selection import tables_of, with_overrides
from crm_pipeline.model.tables import TABLES, custom_table_name

FOLDERS = sorted(Path(*crm_pipeline.connectors.__path__).glob("*/mapping.py"))
VENDORS = {
    path.parent.name: importlib.import_module(f"crm_pipeline.connectors.{path.parent.name}.mapping")
    for path in FOLDERS
}
ENTRIES = [
    pytest.param(entry, id=f"{vendor}-{entry.object}-{entry.table}")
    for vendor, module in VENDORS.items()
    for entry in module.MAPPING
    if entry.table
]
SYSTEM = {"source_id", "is_deleted", "merged_into"}


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_map_feeds_columns_that_exist(entry):
    """A mapping names a column of its table, each column once; derived ones can be fed as well.

    An object that has no common table goes into one of its own by the name that any such object gets, where
    a mapping says no more than which fields identify and date a record.
    """
    fed = [field.column for field in entry.fields]
    if entry.table not in TABLES:
        assert entry.table == custom_table_name(entry.object)
        assert set(fed) <= {"source_id", "created_at", "modified_at", "is_deleted"}
        return
    table = TABLES[entry.table]
    derived = {column.name for column in table.columns if column.expression}
    assert set(fed) <= {*table.mappable, *derived, *SYSTEM}
    assert len(fed) == len(set(fed))
    assert set(entry.constants) <= {*table.by_name}


@pytest.mark.parametrize("entry", ENTRIES)
def test_references_name_what_they_point_to(entry):
    """Every mapped id has a key: maps of ids name the object that the id belongs to."""
    plain = {"source_id", "role_source_id", "price_book_source_id"}
    references = [
        f for f in entry.fields if f.column.endswith("_source_id") and f.column not in plain
    ]
    assert [
        f
        for f in references
        if not (f.references or f.object_in or f.source in {RECORD_ID, LOSER, WINNER})
        and not _is_looked_up(entry.table, f.column)
    ] == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_references_point_to_objects_that_are_mapped(vendor):
    """The object in a key has its records in the table that the column joins."""
    maps = VENDORS[vendor].MAPPING
    own = {entry.object: entry.table for entry in maps if entry.table and entry.is_own}
    wrong = [
        (entry.object, entry.table, field.column, obj)
        for entry in maps
        if entry.table
        for field in entry.fields
        for _, obj in field.references
        if obj not in own
        or TABLES[entry.table].by_name[_key(field.column)].refers_to not in {"", own[obj]}
    ]
    assert wrong == []


def _is_looked_up(table, column):
    """Say whether the key is found in another table, by the id that the vendor gives."""
    lookup = TABLES[table].by_name[_key(column)].lookup
    return lookup is not None and lookup.by == column


def _key(column):
    return "merged_into" if column == "merged_into" else f"{column.removesuffix('_source_id')}_key"


def test_the_tables_of_a_connection():
    """Objects that share a table are listed together; unknown ones get their own."""
    tables = tables_of(["Task", "Event", "OpportunityStage", "Invoice__c"], MAPPING)
    named = {name: [entry.object for entry in entries] for name, entries in tables.items()}
    assert named == {
        "activities": ["Task", "Event"],
        "stages": ["OpportunityStage"],
        "pipelines": ["OpportunityStage"],
        "invoice": ["Invoice__c"],
    }


def overridden(wanted):
    entry = next(entry for entry in MAPPING if entry.object == "Opportunity")
    return with_overrides(entry, {"Opportunity": wanted}, where="acme")


def test_a_users_field_replaces_what_fed_the_column():
    """A column has one source: a field that the user's mapping replaces goes to custom."""
    entry = overridden({"Net_Amount__c": "amount"})
    assert entry.feeding("amount").source == "Net_Amount__c"
    assert "Amount" not in [field.source for field in entry.fields]


def test_a_users_field_replaces_a_constant_and_its_key():
    """A pipeline of the user's own is not overruled by the default one."""
    entry = overridden({"Process__c": "pipeline_source_id"})
    assert entry.constants == {}


def test_null_leaves_a_field_in_custom():
    """The mapping of a field can be taken back."""
    entry = overridden({"Amount": None})
    assert entry.feeding("amount") is None


@pytest.mark.parametrize("column", ["amout", "deal_key", "custom", "company_key", "batch_id"])
def test_columns_that_cannot_be_mapped_are_refused(column):
    """Typos and columns that we fill ourselves are errors that list the choices."""
    with pytest.raises(UnknownName, match=r"mapping\.Opportunity\.X__c of acme; known: amount"):
        overridden({"X__c": column})
