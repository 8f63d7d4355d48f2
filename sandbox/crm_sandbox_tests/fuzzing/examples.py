"""Bodies that the vendors take, and operations that stand in none of their descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_sandbox_tests.fuzzing.descriptions import Operation

# In an example: any living record.
LIVING = "@living"


def operation(method: str, template: str, media: str = "application/json") -> Operation:
    return Operation(method, template, {}, "" if method == "GET" else media, {}, {})


def _composite() -> Any:
    one = {"method": "GET", "url": "/services/data/v64.0/sobjects/Contact", "referenceId": "a"}
    two = {"method": "POST", "url": "/services/data/v64.0/sobjects/Contact", "referenceId": "b"}
    return {"allOrNone": True, "compositeRequest": [one, two | {"body": {"LastName": "x"}}]}


def _batch() -> Any:
    return {"batchRequests": [{"method": "GET", "url": "v64.0/limits"}], "haltOnError": True}


def _records() -> Any:
    one = {"attributes": {"type": "Contact"}, "LastName": "x", "Email": "a@b.example"}
    return {"allOrNone": False, "records": [one, {"attributes": {"type": "Lead"}, "id": LIVING}]}


PROSPEO_BODIES: Mapping[str, tuple[Any, ...]] = {
    "/bulk-enrich-person": ({"data": [{"identifier": "a", "person_id": LIVING}]},),
    "/bulk-enrich-company": ({"data": [{"identifier": "a", "company_id": "c00000000"}]},),
    "/enrich-person": ({"enrich_mobile": True, "data": {"person_id": LIVING}},),
    "/enrich-company": ({"data": {"company_id": "c00000001"}},),
    "/search-person": (
        {"page": 1, "filters": {"company_industry": {"include": ["Banking", "Energy"]}}},
        {"page": 1, "filters": {"company_headcount_range": ["51-100"], "company": {"names": []}}},
    ),
}
SALESFORCE_BODIES: Mapping[str, tuple[Any, ...]] = {
    "/composite": (_composite(),),
    "/composite/batch": (_batch(),),
    "/composite/sobjects": (_records(),),
    "{FIELD_NAME}": (_records(),),
    "{SOBJECT_API_NAME}": ({"ids": [LIVING], "fields": ["Id"]}, {"LastName": "x"}),
    "{RECORD_ID}": ({"LastName": "x", "AccountId": LIVING, "Birthdate": "2000-01-01"},),
    "{FIELD_VALUE}": ({"LastName": "x", "AccountId": LIVING, "Birthdate": "2000-01-01"},),
    "/jobs/query": ({"operation": "query", "query": "SELECT Id FROM Contact"},),
    "/jobs/ingest": (
        {"operation": "insert", "object": "Contact"},
        {"operation": "upsert", "object": "Contact", "externalIdFieldName": "External_Id__c"},
    ),
    "/jobs/ingest/{jobId}": ({"state": "UploadComplete"}, {"state": "Aborted"}),
    "/jobs/query/{jobId}": ({"state": "Aborted"},),
}
DATA = "/services/data/v64.0"
SALESFORCE_MORE = (
    ("GET", f"{DATA}/query?q={{query}}"),
    ("GET", f"{DATA}/queryAll?q={{query}}"),
    ("POST", f"{DATA}/sobjects/{{SOBJECT_API_NAME}}"),
    ("GET", f"{DATA}/sobjects/{{SOBJECT_API_NAME}}/{{RECORD_ID}}"),
    ("PATCH", f"{DATA}/sobjects/{{SOBJECT_API_NAME}}/{{RECORD_ID}}"),
    ("PATCH", f"{DATA}/sobjects/{{SOBJECT_API_NAME}}/{{FIELD_NAME}}/{{FIELD_VALUE}}"),
    ("GET", f"{DATA}/sobjects/{{SOBJECT_API_NAME}}/updated?start={{moment}}&end={{moment}}"),
    ("GET", f"{DATA}/sobjects/{{SOBJECT_API_NAME}}/deleted?start={{moment}}&end={{moment}}"),
    ("POST", f"{DATA}/composite/sobjects/{{SOBJECT_API_NAME}}"),
    ("PATCH", f"{DATA}/composite/sobjects/{{SOBJECT_API_NAME}}/{{FIELD_NAME}}"),
    ("POST", f"{DATA}/jobs/query"),
    ("POST", f"{DATA}/jobs/ingest"),
    ("GET", f"{DATA}/jobs/query/{{jobId}}/results?maxRecords={{number}}&locator={{locator}}"),
    ("PUT", f"{DATA}/jobs/ingest/{{jobId}}/batches", "text/csv"),
    ("PATCH", f"{DATA}/jobs/ingest/{{jobId}}"),
    ("POST", "/services/Soap/u/64.0", "text/xml"),
    ("POST", "/services/oauth2/token", "application/x-www-form-urlencoded"),
)
HUBSPOT_MORE = (
    ("POST", "/collector/graphql"),
    ("POST", "/crm/v3/schemas"),
    ("PATCH", "/crm/v3/schemas/{objectType}"),
    ("POST", "/crm/v3/schemas/{objectType}/associations"),
    ("GET", "/crm/v3/schemas/{objectType}"),
    ("POST", "/crm/v3/imports", "multipart/form-data"),
    ("GET", "/properties/v2/{objectType}/properties"),
)
HUBSPOT_BODIES: Mapping[str, tuple[Any, ...]] = {
    "/search": (
        {
            "filterGroups": [
                {"filters": [{"propertyName": "email", "operator": "EQ", "value": "x"}]},
                {
                    "filters": [
                        {"propertyName": "createdate", "operator": "GT", "value": "9" * 13},
                        {"propertyName": "hs_object_id", "operator": "LT", "value": "5"},
                    ]
                },
            ],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "limit": 5,
            "after": "0",
        },
        {
            "filterGroups": [
                {
                    "filters": [
                        {"propertyName": "hs_object_id", "operator": "GT", "value": "5"},
                        {
                            "propertyName": "lastmodifieddate",
                            "operator": "BETWEEN",
                            "value": "1",
                            "highValue": "1893456000000",
                        },
                        {"propertyName": "email", "operator": "IN", "values": ["a", "b"]},
                        {"propertyName": "associations.company", "operator": "EQ", "value": "5"},
                    ]
                }
            ],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        },
    ),
    "/graphql": (
        {
            "query": "query($n: Int){CRM{contact_collection(limit:$n,offset:0,filter:"
            '{email__contains:"a"}){total items{email}}}}',
            "variables": {"n": 3},
        },
        {"query": '{CRM{contact(uniqueIdentifier:"id",uniqueIdentifierValue:"5"){email}}}'},
    ),
    "/schemas": (
        {
            "name": "boat",
            "labels": {"singular": "Boat", "plural": "Boats"},
            "properties": [{"name": "b_name", "label": "Name", "type": "string"}],
            "searchableProperties": ["b_name"],
            "requiredProperties": ["b_name"],
            "primaryDisplayProperty": "b_name",
        },
    ),
    "/imports": (
        {
            "importRequest": {
                "name": "x",
                "files": [
                    {
                        "fileName": "a.csv",
                        "fileFormat": "CSV",
                        "fileImportPage": {
                            "hasHeader": True,
                            "columnMappings": [
                                {
                                    "columnObjectTypeId": "0-1",
                                    "columnName": "Email",
                                    "propertyName": "email",
                                }
                            ],
                        },
                    }
                ],
            },
            "files": "Email\na@b.example\n",
        },
    ),
}
SOQL = (
    "SELECT Id FROM Contact",
    "SELECT Id FROM Contact LIMIT 99999999999999999999999",
    "SELECT Id FROM Contact WHERE CreatedDate > 2026-01-01T00:00:00Z ORDER BY Id LIMIT 1 OFFSET 2",
    "SELECT COUNT(Id) FROM Contact GROUP BY Email HAVING COUNT(Id) > 1",
    "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
    "SELECT Id FROM Contact WHERE AccountId IN (SELECT Id FROM Account)",
    "SELECT toLabel(Status) FROM Lead",
    "SELECT CALENDAR_YEAR(CreatedDate) FROM Contact",
    "SELECT FIELDS(ALL) FROM Contact LIMIT 200",
    "SELECT Id FROM Contact WHERE Email = 'a\\'",
    "SELECT Id FROM Contact WHERE CreatedDate = LAST_N_DAYS:99999999999999999999",
    "SELECT Id FROM Contact WHERE Birthdate > 9999-99-99",
    *("SELECT", "x", "'", "SELECT Id FROM", "SELECT Id FROM Contact WHERE (((((Id = 'x'"),
)
COQL = (
    "select Last_Name from Contacts where id is not null",
    "select id from Contacts where Created_Time > '2026-01-01T00:00:00+01:00' limit 2, 3",
    "select COUNT(id), Last_Name from Contacts where id is not null group by Last_Name",
    "select id from Contacts where id is not null limit 99999999999999999999999",
    "select id from Contacts where Visits > 99999999999999999999999",
    "select id from Contacts where id in ('1', '2')",
    "select id from Contacts where Email like '%'",
    *("select", "x", "'", "select id from Contacts where ((((id = 1"),
)

ZOHO_RECORDS = {
    "data": [
        {
            "Last_Name": "x",
            "Email": "x@b.example",
            "Account_Name": {"id": LIVING},
            "Created_Time": "2026-01-01T00:00:00+01:00",
            "Visits": 3,
            "Tag": [{"name": "a"}],
            "Owner": {"id": LIVING},
            "Email_Opt_Out": True,
            "Lifetime_Value": 1.5,
            "Date_of_Birth": "2000-01-01",
        },
        {"id": LIVING, "Deal_Name": "x", "Stage": "Qualification", "Amount": 5, "Subject": "s"},
    ],
    "trigger": [],
    "duplicate_check_fields": ["Email"],
}
ZOHO_BODIES: Mapping[str, tuple[Any, ...]] = {
    "/coql": tuple({"select_query": one} for one in COQL),
    "/write": (
        {
            "operation": "insert",
            "ignore_empty": True,
            "callback": {"url": "http://127.0.0.1:1/x", "method": "post"},
            "resource": [
                {
                    "type": "data",
                    "module": {"api_name": "Contacts"},
                    "file_id": LIVING,
                    "file_names": ["a.csv"],
                    "field_mappings": [{"api_name": "Last_Name", "index": 0}],
                }
            ],
        },
    ),
    "/read": (
        {
            "query": {
                "module": {"api_name": "Contacts"},
                "fields": ["Last_Name", "Email"],
                "page": 1,
                "criteria": {
                    "group_operator": "and",
                    "group": [
                        {
                            "field": {"api_name": "Created_Time"},
                            "comparator": "between",
                            "value": ["2026-01-01T00:00:00+01:00", "2026-02-01T00:00:00+01:00"],
                        },
                        {
                            "field": {"api_name": "Visits"},
                            "comparator": "greater_than",
                            "value": 3,
                        },
                        {
                            "field": {"api_name": "Account_Name"},
                            "comparator": "equal",
                            "value": "${EMPTY}",
                        },
                    ],
                },
            },
            "file_type": "csv",
        },
    ),
    "/actions/watch": (
        {
            "watch": [
                {
                    "channel_id": "7",
                    "events": ["Contacts.all"],
                    "notify_url": "http://127.0.0.1:1/x",
                    "token": "t",
                    "channel_expiry": "2026-11-02T00:00:00+01:00",
                    "return_affected_field_values": True,
                    "notification_condition": [
                        {
                            "type": "field_selection",
                            "module": {"api_name": "Contacts"},
                            "field_selection": {
                                "group_operator": "or",
                                "group": [{"field": {"api_name": "Email"}}],
                            },
                        }
                    ],
                }
            ]
        },
    ),
    "/__composite_requests": (
        {
            "rollback_on_fail": True,
            "__composite_requests": [
                {"sub_request_id": "1", "method": "GET", "uri": "/crm/v8/org", "params": {"a": 1}},
                {
                    "sub_request_id": "2",
                    "method": "POST",
                    "uri": "/crm/v8/Contacts",
                    "headers": {"x": "y"},
                    "body": {"data": [{"Last_Name": "@{1:$.org[0].id}"}]},
                },
            ],
        },
    ),
    "/upsert": (ZOHO_RECORDS,),
    "/{module}": (ZOHO_RECORDS,),
    "/{module_api_name}": (ZOHO_RECORDS,),
    "/{recordID}": (ZOHO_RECORDS,),
    "/{id}": (ZOHO_RECORDS,),
}


PIPEDRIVE_RECORD = {
    "title": "x",
    "name": "x",
    "subject": "x",
    "person_id": 1,
    "org_id": 1,
    "value": 5,
    "currency": "EUR",
    "stage_id": 1,
    "label_ids": [1],
    "emails": [{"value": "a@b.example", "primary": True, "label": "work"}],
    "address": {"value": "Markt 1"},
    "participants": [{"person_id": 1, "primary": True}],
    "prices": [{"price": 5, "currency": "EUR"}],
    "custom_fields": {},
}
# The path's ending is that of every operation: what a body does not need is refused or passed over.
PIPEDRIVE_BODIES: Mapping[str, tuple[Any, ...]] = {
    "/webhooks": (
        {
            "subscription_url": "http://127.0.0.1:1/x",
            "event_action": "*",
            "event_object": "deal",
            "name": "x",
            "user_id": 1,
        },
    ),
    "Fields": ({"field_name": "x", "field_type": "enum", "options": [{"label": "a"}]},),
    "/options": ([{"id": 1, "label": "a"}],),
    "/merge": ({"merge_with_id": 2},),
    "/leads": ({"title": "x", "person_id": 1, "value": {"amount": 5, "currency": "EUR"}},),
    "/notes": ({"content": "x", "deal_id": 1},),
    "/products": ({"product_id": 1, "item_price": 5, "quantity": 1}, PIPEDRIVE_RECORD),
    "": (PIPEDRIVE_RECORD,),
}
