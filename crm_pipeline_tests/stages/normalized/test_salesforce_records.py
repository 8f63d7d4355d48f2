"""Descriptions and records are made up, in the shapes that Salesforce documents."""

import json
from decimal import Decimal
from typing import Any

import pytest

from crm_pipeline.connectors.salesforce import describe
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.model.schema import Schema
from crm_pipeline.store.landing.account_facts import note_facts

SOURCES = (("WEB", "Website"), ("Phone", "Phone"), ("FAX", "Telefax"))
KINDS = {
    "Id": "id",
    "IsDeleted": "boolean",
    "CreatedDate": "datetime",
    "SystemModstamp": "datetime",
}


def described(obj: str, **fields: Any) -> Schema:
    """Return a schema from fields by name: a type, or all properties."""
    listed = []
    for name, properties in (KINDS | fields).items():
        more = {"type": properties} if isinstance(properties, str) else properties
        listed.append({"name": name, "label": name.removesuffix("__c").replace("_", " "), **more})
    body = json.dumps({"name": obj, "label": obj, "fields": listed}).encode()
    return describe.schema_of(body, obj, "acme")


def listing(kind: str, values: tuple[tuple[str, str], ...] = SOURCES) -> dict[str, Any]:
    entries = [{"value": v, "label": label, "active": v != "FAX"} for v, label in values]
    return {"type": kind, "picklistValues": entries}


def built(org, table: str, columns: str) -> list[tuple[Any, ...]]:
    org.normalize(table)
    return org.rows(table, columns)


@pytest.mark.parametrize("shape", ["csv", "json"])
@pytest.mark.parametrize("obj", ["Contact", "Region__c"])
def test_pick_lists(org, obj: str, shape: str) -> None:
    """Views show labels, including those of inactive values, and lists of several; tables have the stored values."""
    source = "LeadSource" if obj == "Contact" else "Source__c"
    fields = {source: listing("picklist"), "Kinds__c": listing("multipicklist")}
    rows = [
        {"Id": "003A", source: "WEB", "Kinds__c": "WEB;Phone;other"},
        {"Id": "003B", source: "FAX", "Kinds__c": "FAX"},
        {"Id": "003C", source: "Phone", "Kinds__c": None},
    ]
    org.land(described(obj, **fields), rows, shape=shape)
    table, column = ("contacts", "source") if obj == "Contact" else ("region", "source")
    assert built(org, table, column) == [("FAX",), ("Phone",), ("WEB",)]
    org.publish()
    label = source.removesuffix("__c")
    view = obj.removesuffix("__c").lower()
    assert org.query(f'SELECT "{label}", "Kinds" FROM crm_acme.{view} ORDER BY "Id"') == [
        ("Website", ["Website", "Phone", "other"]),
        ("Telefax", ["Telefax"]),
        ("Phone", None),
    ]


def test_a_value_that_is_taken_off_the_list(org) -> None:
    """A value that is removed from the list keeps its label; a changed label is the new one."""
    before, after = described("Lead", LeadSource=listing("picklist")), (("WEB", "Web"),)
    org.land(before, [{"Id": "00QA", "LeadSource": "FAX"}, {"Id": "00QB", "LeadSource": "WEB"}])
    org.land(described("Lead", LeadSource=listing("picklist", after)), [{"Id": "00QC"}])
    org.normalize("leads")
    org.publish()
    assert org.query('SELECT "LeadSource" FROM crm_acme.lead ORDER BY "Id"') == [
        ("Telefax",),
        ("Web",),
        (None,),
    ]


NUMBER = {"type": "double", "precision": 18, "scale": 8}
PRICE = {"type": "currency", "precision": 18, "scale": 8}


@pytest.mark.parametrize("shape", ["csv", "json"])
def test_small_numbers(org, shape: str) -> None:
    """Prices, quantities and numbers of one's own keep every place, as JSON and CSV write them."""
    row = {"Id": "00kA", "UnitPrice": 0.00000125, "Quantity": 0.00000025}
    org.land(described("OpportunityLineItem", UnitPrice=PRICE, Quantity=NUMBER), [row], shape=shape)
    found = built(org, "deal_line_items", "unit_price, quantity, unconverted")
    assert found == [(Decimal("0.00000125"), Decimal("0.00000025"), None)]
    own = {"Id": "a01A", "Rate__c": 0.12345678, "Price__c": 0.00000125}
    org.land(described("Tariff__c", Rate__c=NUMBER, Price__c=PRICE), [own], shape=shape)
    assert built(org, "tariff", "rate, price") == [(0.12345678, Decimal("0.00000125"))]


@pytest.mark.parametrize("shape", ["csv", "json"])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("EmailBouncedDate", "EmailBouncedReason"), [True, True, True, False]),
        (("EmailBouncedDate",), [True, True, False, False]),
        (("EmailBouncedReason",), [False, True, True, False]),
        ((), [None, None, None, None]),
    ],
)
def test_bounces(org, fields: tuple[str, ...], expected: list[Any], shape: str) -> None:
    """A time or a reason means a bounce, neither means none; NULL if the login may read neither."""
    at, why = {"EmailBouncedDate": "2026-01-05T08:00:00.000Z"}, {"EmailBouncedReason": "unknown"}
    contacts = [at, at | why, why, {}]
    rows = [{"Id": f"003{n}", **{k: one.get(k) for k in fields}} for n, one in enumerate(contacts)]
    kinds = {"EmailBouncedDate": "datetime", "EmailBouncedReason": "string"}
    org.land(described("Contact", **{name: kinds[name] for name in fields}), rows, shape=shape)
    assert built(org, "contacts", "source_id, email_bounced") == [
        (f"003{n}", value) for n, value in enumerate(expected)
    ]


def test_person_accounts(org) -> None:
    """The person of a person account is a record of Contact, with the id that the account names."""
    account = {
        "Id": "001P",
        "Name": "Zoë Ng",
        "IsPersonAccount": "true",
        "PersonContactId": "003P",
        "PersonEmail": "zoe@ng.example",
    }
    person = {
        "Id": "003P",
        "AccountId": "001P",
        "IsPersonAccount": "true",
        "LastName": "Ng",
        "Email": "zoe@ng.example",
    }
    kinds = {"IsPersonAccount": "boolean", "PersonContactId": "reference", "PersonEmail": "email"}
    org.land(described("Account", Name="string", **kinds), [account])
    contact = {"AccountId": "reference", "LastName": "string", "Email": "email"}
    org.land(described("Contact", IsPersonAccount="boolean", **contact), [person])
    [(key, email, company)] = built(org, "contacts", "contact_key, email, company_key")
    assert (key, email, company) == ("acme:Contact:003P", "zoe@ng.example", "acme:Account:001P")
    [(key, custom)] = built(org, "companies", "company_key, custom")
    assert key == company
    assert json.loads(custom)["PersonContactId"] == "003P"
    assert json.loads(custom)["IsPersonAccount"] == "true"


@pytest.mark.parametrize(
    ("zone", "closed_on"), [("America/Los_Angeles", "2023-03-31"), ("Asia/Tokyo", "2023-04-01")]
)
def test_an_instant_that_is_mapped_to_a_day(org, zone: str, closed_on: str) -> None:
    """An instant of a custom field that is mapped to a day becomes the day in the org's zone."""
    note_facts(org.landing, "acme", AccountFacts(zone, "USD", "https://acme.example"))
    org.mappings = {"Opportunity": {"CloseDate": None, "Signed__c": "close_date"}}
    fields = {"Name": "string", "CloseDate": "date", "Signed__c": "datetime"}
    row = {"Id": "006A", "CloseDate": "2023-05-01", "Signed__c": "2023-04-01T01:09:44.000Z"}
    org.land(described("Opportunity", **fields), [row])
    assert built(org, "deals", "close_date::VARCHAR, url") == [
        (closed_on, "https://acme.example/lightning/r/Opportunity/006A/view")
    ]
