import pytest

from crm_pipeline.connectors.salesforce.mapping import MAPPING
from crm_pipeline.kernel.errors import UnknownName
from crm_pipeline.model.mapping import ANY_OBJECT
from crm_pipeline.model.selection import tables_of, with_overrides
from crm_pipeline.model.tables import TABLES

SALESFORCE = [entry for entry in MAPPING if entry.object != ANY_OBJECT]
SYSTEM = {"source_id", "is_deleted", "merged_into"}


@pytest.mark.parametrize("entry", SALESFORCE, ids=lambda e: f"{e.object}-{e.table}")
def test_every_map_feeds_columns_that_exist(entry):
    """A mapping names a column of its table, each column once."""
    table = TABLES[entry.table]
    fed = [field.column for field in entry.fields]
    assert set(fed) <= {*table.mappable, *SYSTEM}
    assert len(fed) == len(set(fed))
    assert set(entry.constants) <= {*table.by_name}


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
    """One column has one source; the replaced field goes to custom."""
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
