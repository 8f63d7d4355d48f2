import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from crm_pipeline.connectors.salesforce.mapping import MAPPING
from crm_pipeline.kernel.errors import CommitConflict
from crm_pipeline.stages.normalized import build, tables_for


def test_every_source_field_is_mapped_or_in_custom(org, schema_of):
    """Every field that the vendor sends is in a column or in `custom`."""
    names = [f"F{n}__c" for n in range(30)]
    contact = schema_of("Contact", "LastName", "Email:email:Email", *names)
    row = {"Id": "003A", "LastName": "Ng", "Email": "a@b.co", **{n: f"v {n}" for n in names}}
    org.land(contact, [row])
    org.normalize("contacts")
    ((custom,),) = org.rows("contacts", "custom")
    assert json.loads(custom) == {n: f"v {n}" for n in names}


def test_types_of_a_bulk_answer(org, schema_of):
    """Text of a Bulk page becomes typed values, the odd spellings included."""
    account = schema_of(
        "Account",
        "Name",
        "NumberOfEmployees:int",
        "AnnualRevenue:currency",
        "LastActivityDate:date",
    )
    row = {
        "Id": "001A",
        "Name": "Acme",
        "NumberOfEmployees": "7.0",
        "AnnualRevenue": "1.5E7",
        "LastActivityDate": "2026-02-03",
        "CreatedDate": "2018-12-10T17:50:19.000+0000",
        "SystemModstamp": "2026-01-02T03:04:05.678Z",
    }
    org.land(account, [row])
    org.normalize("companies")
    columns = (
        "employees, annual_revenue, last_activity_on, epoch_ms(created_at), epoch_ms(modified_at)"
    )
    assert org.rows("companies", columns) == [
        (
            7,
            Decimal("15000000.000000"),
            date(2026, 2, 3),
            int(datetime(2018, 12, 10, 17, 50, 19, tzinfo=UTC).timestamp() * 1000),
            int(datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC).timestamp() * 1000),
        )
    ]


def test_whole_numbers_are_not_rounded(org, schema_of):
    """7.5 does not fit a whole number and is not turned into 8."""
    org.land(
        schema_of("Account", "NumberOfEmployees:int"), [{"Id": "1", "NumberOfEmployees": "7.5"}]
    )
    assert org.normalize("companies").unconverted == {"Account.NumberOfEmployees": 1}


def test_references_carry_id_and_key(org, schema_of):
    """A look-up keeps the vendor's id and gains the key that joins the other table."""
    org.land(
        schema_of("Contact", "AccountId", "OwnerId"),
        [
            {"Id": "003A", "AccountId": "001A", "OwnerId": "005A"},
            {"Id": "003B", "AccountId": "", "OwnerId": "00GQ"},
        ],
    )
    org.normalize("contacts")
    assert org.rows(
        "contacts", "contact_key, company_source_id, company_key, owner_source_id, owner_key"
    ) == [
        ("acme:Contact:003A", "001A", "acme:Account:001A", "005A", "acme:User:005A"),
        ("acme:Contact:003B", None, None, "00GQ", None),
    ]


def test_contact_points_become_lists(org, schema_of):
    """Phones become a list with labels; the first that is filled is the primary one."""
    org.land(
        schema_of("Contact", "Email", "Phone", "MobilePhone", "HomePhone"),
        [
            {"Id": "003A", "Email": "a@b.co", "MobilePhone": "2", "HomePhone": "3"},
            {"Id": "003B"},
        ],
    )
    org.normalize("contacts")
    assert org.rows("contacts", "source_id, emails, phones, primary_phone") == [
        (
            "003A",
            [{"value": "a@b.co", "label": "main", "is_primary": True}],
            [
                {"value": "2", "label": "mobile", "is_primary": True},
                {"value": "3", "label": "home", "is_primary": False},
            ],
            "2",
        ),
        ("003B", [], [], None),
    ]


def test_tasks_and_events_are_activities(org, schema_of):
    """Two objects feed one table and keep their kinds, people and deals."""
    org.land(
        schema_of("Task", "Subject", "TaskSubtype", "WhoId", "WhatId"),
        [
            {"Id": "00TA", "TaskSubtype": "Call", "WhoId": "00QA", "WhatId": ""},
            {"Id": "00TB", "TaskSubtype": "Cadence", "WhoId": "003A", "WhatId": "006A"},
            {"Id": "00TC", "TaskSubtype": "", "WhatId": "a00X"},
        ],
    )
    org.land(schema_of("Event", "Subject", "WhatId"), [{"Id": "00UA", "WhatId": "001A"}])
    org.normalize("activities")
    columns = (
        "source_id, activity_type, lead_key, contact_key, deal_key, what_key, what_source_id, "
        "custom ->> 'TaskSubtype'"
    )
    assert org.rows("activities", columns) == [
        ("00TA", "call", "acme:Lead:00QA", None, None, None, None, "Call"),
        (
            "00TB",
            "task",
            None,
            "acme:Contact:003A",
            "acme:Opportunity:006A",
            "acme:Opportunity:006A",
            "006A",
            "Cadence",
        ),
        ("00TC", "task", None, None, None, None, "a00X", None),
        ("00UA", "meeting", None, None, None, "acme:Account:001A", "001A", None),
    ]


def test_one_pipeline_for_the_stages_of_an_org(org, schema_of):
    """Salesforce's stages form one pipeline that deals and stages refer to."""
    stage = schema_of(
        "OpportunityStage", "ApiName", "MasterLabel", "SortOrder:int", "IsWon:boolean"
    )
    org.land(
        stage, [{"Id": "01J", "ApiName": "Won", "SortOrder": "9", "IsWon": "true"}], complete=True
    )
    org.land(schema_of("Opportunity", "Name", "StageName"), [{"Id": "006A", "StageName": "Won"}])
    for table in ("pipelines", "stages", "deals"):
        org.normalize(table)
    assert org.rows("pipelines", "pipeline_key, name, is_default") == [
        ("acme:Pipeline:default", "default", True)
    ]
    assert org.rows("stages", "pipeline_key, name, position, is_won") == [
        ("acme:Pipeline:default", "Won", 9, True)
    ]
    assert org.rows("deals", "pipeline_key, stage") == [("acme:Pipeline:default", "Won")]


def test_a_custom_object_gets_typed_columns_of_its_own(org, schema_of):
    """Any object without a mapping becomes a table by its name, typed by its schema."""
    invoice = schema_of(
        "Invoice__c",
        "Name:string:Invoice Number",
        "Total__c:currency",
        "Due__c:date",
        "Paid__c:boolean",
        "Account__c:reference:Account:Account",
        "Connection__c",
        "OwnerId:reference:Owner",
    )
    row = {
        "Id": "a01A",
        "Name": "INV-0001",
        "Total__c": "12.34",
        "Due__c": "2026-05-06",
        "Paid__c": "true",
        "Account__c": "001A",
        "Connection__c": "C",
        "OwnerId": "005A",
    }
    org.land(invoice, [row])
    assert tables_for(org.connection(), MAPPING) == {"invoice": ("Invoice__c",)}
    org.normalize("invoice")
    assert org.rows(
        "invoice",
        "invoice_key, name, total, due, paid, account_source_id, account_key, connection_c, "
        "owner_source_id, owner_key, custom",
    ) == [
        (
            "acme:Invoice__c:a01A",
            "INV-0001",
            Decimal("12.340000"),
            date(2026, 5, 6),
            True,
            "001A",
            "acme:Account:001A",
            "C",
            "005A",
            "acme:User:005A",
            "{}",
        )
    ]


def test_unchanged_inputs_keep_the_version(org, schema_of):
    """The same batches, mapping and code give no new version; a new batch or mapping does."""
    contact = schema_of("Contact", "LastName", "Region__c")
    org.land(contact, [{"Id": "003A", "LastName": "Ng", "Region__c": "EMEA"}])
    first = org.normalize("contacts")
    again = org.normalize("contacts")
    assert (first.changed, again.changed) == (True, False)
    assert again.version == first.version
    assert (again.rows, again.live, again.results) == (first.rows, first.live, first.results)
    org.mappings = {"Contact": {"Region__c": "department"}}
    assert org.normalize("contacts").changed
    org.land(contact, [{"Id": "003B", "LastName": "Li"}])
    assert org.normalize("contacts").rows == 2


def test_both_shapes_make_one_table(org, schema_of):
    """REST and Bulk reads of one object fold together, whatever fields each carries."""
    contact = schema_of("Contact", "LastName", "MailingAddress:address", "Score__c:double")
    org.land(
        contact,
        [{"Id": "003A", "LastName": "bulk", "Score__c": "1.0"}],
        columns=["Id", "IsDeleted", "LastName", "Score__c", "SystemModstamp"],
    )
    address = {"city": "Köln", "lines": ["a", "b"]}
    org.land(
        contact,
        [{"Id": "003B", "LastName": "rest", "IsDeleted": False, "MailingAddress": address}],
        shape="json",
    )
    assert org.normalize("contacts").batches == 2
    bulk, rest = org.rows("contacts", "last_name, custom")
    assert json.loads(bulk[1]) == {"MailingAddress": None, "Score__c": "1.0"}
    assert json.loads(json.loads(rest[1])["MailingAddress"]) == address


def test_an_object_without_records_makes_an_empty_table(org, schema_of):
    """An object that was read and is empty has an empty table, unlike one that was never read."""
    org.land(schema_of("Lead", "LastName"), [])
    result = org.normalize("leads")
    assert (result.changed, result.rows) == (True, 0)


def test_a_table_whose_objects_were_never_read_is_left_alone(org, schema_of):
    """Before the first read nothing is built, and that is no error."""
    org.objects["acme"] = {"Lead"}
    result = org.normalize("leads")
    assert (result.changed, result.version) == (False, None)


def test_connections_do_not_collide(org, schema_of):
    """The same vendor ids in two accounts are two records with two keys."""
    contact = schema_of("Contact", "LastName")
    for name in ("acme", "globex"):
        org.land(contact, [{"Id": "003A", "LastName": name}], connection=name)
        org.normalize("contacts", name)
    org.publish()
    assert org.query("SELECT contact_key, last_name FROM crm.contacts ORDER BY 1") == [
        ("acme:Contact:003A", "acme"),
        ("globex:Contact:003A", "globex"),
    ]
    assert org.query('SELECT "LastName" FROM crm_globex.contact') == [("globex",)]


def test_merged_records_point_to_their_master(org, schema_of):
    """The loser of a merge is deleted and has the key of its winner."""
    org.land(
        schema_of("Contact", "MasterRecordId"),
        [{"Id": "003A", "IsDeleted": "true", "MasterRecordId": "003B"}],
    )
    org.normalize("contacts")
    assert org.rows("contacts", "is_deleted, merged_into") == [(True, "acme:Contact:003B")]


def test_a_build_that_was_overtaken_does_not_undo_the_other(org, schema_of, monkeypatch):
    """A build that read landing before another build's commit does not replace that commit."""
    contact = schema_of("Contact", "LastName")
    org.land(contact, [{"Id": "003A", "LastName": "first"}])
    collect = build.collect  # type: ignore[attr-defined]

    def overtaken(*given):
        found = collect(*given)
        monkeypatch.setattr(build, "collect", collect)
        org.land(contact, [{"Id": "003B", "LastName": "second"}])
        org.normalize("contacts")
        return found

    monkeypatch.setattr(build, "collect", overtaken)
    with pytest.raises(CommitConflict):
        org.normalize("contacts")
    assert org.rows("contacts", "last_name") == [("first",), ("second",)]
