"""What `discover` proposes for an account's own fields, at every vendor."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from crm_pipeline.cli.proposals import lines, proposals
from crm_pipeline.connectors.registry import connector
from crm_pipeline.model.schema import Field, Schema

HASHED = "1234567890e234567890123456789012345678ab"[:40]


def own(name: str, label: str, common: Any = "string", **more: Any) -> Field:
    return Field(name, label, "any", common, custom=True, **more)


def proposed(
    vendor: str, obj: str, *fields: Field, chosen: Mapping[str, Any] | None = None
) -> dict[str, str]:
    proposed = proposals(
        [Schema(obj, obj, fields)], connector(vendor).mapping, {obj: chosen} if chosen else {}
    )
    assert {proposal.object for proposal in proposed} <= {obj}
    return {proposal.field: proposal.column for proposal in proposed}


@pytest.mark.parametrize(
    ("vendor", "obj", "field", "column"),
    [
        ("salesforce", "Opportunity", own("Loss_Reason__c", "Why we lost"), "lost_reason"),
        ("salesforce", "Opportunity", own("X__c", "Closed-Lost Reason"), "lost_reason"),
        ("hubspot", "contacts", own("dont_call", "Don't call!", "boolean"), "do_not_call"),
        (
            "hubspot",
            "contacts",
            own("dnc", "Do not call", values=("true", "false")),
            "do_not_call",
        ),
        ("zoho", "Contacts", own("Kontakt_7", "No calls", "boolean"), "do_not_call"),
        ("pipedrive", "persons", own(HASHED, "Legal basis"), "lawful_basis"),
        ("zoho", "Accounts", own("LifecycleStage", "Stand"), "lifecycle_stage"),
    ],
)
def test_telling_names(vendor: str, obj: str, field: Field, column: str) -> None:
    """A label or an API name in words, whatever the spelling, at any vendor."""
    assert proposed(vendor, obj, field) == {field.name: column}


@pytest.mark.parametrize(
    "fields",
    [
        # The vendor's own field feeds the column.
        (own("No_Calls__c", "No calls", "boolean"), Field("DoNotCall", "Do Not Call", "boolean")),
        # Text is no truth value, a day no reason, and a list no one text.
        (own("No_Calls__c", "Do not call"),),
        (own("No_Calls__c", "Do not call", values=("Yes", "No")),),
        (own("Legal_Basis__c", "Legal basis", "date"),),
        (own("Legal_Basis__c", "Legal basis", multiple=";"),),
        # Words within words.
        (own("Illegal_Basis__c", "Paralegal basismen"),),
        # What the vendor defines is the vendor's to map.
        (Field("LegalBasis", "Legal basis", "string"),),
    ],
)
def test_what_is_not_proposed(fields: tuple[Field, ...]) -> None:
    """Nothing is proposed that is fed already, would not fit, or only looks alike."""
    assert proposed("salesforce", "Contact", *fields) == {}


@pytest.mark.parametrize(
    "chosen",
    [{"Loss_Reason__c": None}, {"Loss_Reason__c": "next_step"}, {"Other__c": "lost_reason"}],
)
def test_what_is_decided_already(chosen: Mapping[str, Any]) -> None:
    """A field or a column that connections.yaml mentions is not proposed."""
    field = own("Loss_Reason__c", "Loss Reason")
    assert proposed("salesforce", "Opportunity", field, chosen=chosen) == {}


def test_one_field_for_a_column() -> None:
    """The field with the exact name wins; objects without such a column get no proposal."""
    fields = (
        own("A__c", "Loss reason (old)"),
        own("B__c", "Loss reason"),
        own("C__c", "Loss reason detail"),
    )
    assert proposed("salesforce", "Opportunity", *fields) == {"B__c": "lost_reason"}
    assert proposed("salesforce", "Account", *fields) == {}
    assert proposed("salesforce", "Region__c", *fields) == {}


def test_lines_can_be_copied() -> None:
    """The lines are YAML, also where a key looks like a number or a label is long."""
    schemas = [
        Schema("deals", "Deals", (own(HASHED, "Lost\n reason: # x"),)),
        Schema("persons", "Persons", (own("b", "Legal basis"),)),
    ]
    proposed = [
        *proposals(schemas, connector("pipedrive").mapping, {}),
    ]
    written = yaml.safe_load(lines(proposed))["mapping"]
    assert written == {proposal.object: {proposal.field: proposal.column} for proposal in proposed}
    assert {type(key) for obj in written.values() for key in obj} == {str}
