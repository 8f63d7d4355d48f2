from dataclasses import replace

import pytest
from hypothesis import given

from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.model.schema_changes import changes
from crm_pipeline_tests.model.seeded_descriptions import AMOUNT, DESCRIPTIONS, facts
from crm_pipeline_tests.model.test_schema import BASE, NAME, SCHEMAS, STAGE


def changed(old: Field, new: Field) -> list[tuple[str, str, str, bool]]:
    """Return kind, fact before, fact now and whether it is a loss, of the changes between two fields."""
    before, now = (Schema("Opportunity", "", (field,)) for field in (old, new))
    return [
        (change.kind, change.old, change.new, change.is_loss) for change in changes(before, now)
    ]


def test_changes_are_said_in_words() -> None:
    """Fields that went, came, changed type or label are each one sentence."""
    new = Schema(
        "Opportunity",
        "Opportunity",
        (replace(NAME, label="Deal"), Field("Amount", "Amount", "currency")),
    )
    assert list(map(str, changes(BASE, new))) == [
        "Opportunity.StageName is gone ('Stage', picklist)",
        "Opportunity.Name is now called 'Deal'",
        "Opportunity.Amount is new ('Amount', currency)",
    ]
    retyped = Schema("Opportunity", "Opportunity", (replace(NAME, type="textarea"), STAGE))
    assert list(map(str, changes(BASE, retyped))) == [
        "Opportunity.Name was string and is now textarea"
    ]


@given(SCHEMAS)
def test_no_change_is_no_fact(schema: Schema) -> None:
    """Equal descriptions have no changes, whatever the order of their fields."""
    turned = replace(schema, fields=tuple(reversed(schema.fields)))
    assert changes(schema, schema) == changes(schema, turned) == []


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_each_property_of_a_field_is_a_fact_of_its_own(name: str) -> None:
    """One change of one property is one fact, with both sides and whether values may be lost."""
    before, after, expected = DESCRIPTIONS[name]
    assert facts(before, after) == [expected]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (NAME, replace(NAME, length=80)),
        (STAGE, replace(STAGE, options=(("Won", "Won"), ("Lost", "Lost")))),
        (NAME, replace(NAME, values=("a",))),
        (AMOUNT, replace(AMOUNT, form="local")),
    ],
)
def test_what_an_earlier_version_did_not_store_is_no_change(old: Field, new: Field) -> None:
    """Sizes and choices that are stated for the first time, and our own properties, are no change in the CRM."""
    assert changed(old, new) == []


def test_another_spelling_is_a_change_of_its_own() -> None:
    """A name that changed in case only is neither gone nor new, and its type is still compared."""
    old = Schema("Contact", "", (Field("Ext_id__c", "Ext", "string"),))
    new = Schema("Contact", "", (Field("Ext_Id__c", "Ext", "double"),))
    assert list(map(str, changes(old, new))) == [
        "Contact.Ext_id__c is now spelled Ext_Id__c",
        "Contact.Ext_Id__c was string and is now double",
    ]
