"""Everything that can be changed in a sandbox, at each vendor: admin actions, and writes, jobs and webhooks of its API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from crm_sandbox import SandboxServer
from crm_sandbox.hubspot.owners import owner_ids
from crm_sandbox_tests.observations import logged_in

_OWNER = str(owner_ids()[0])
NOWHERE = "http://127.0.0.1:9/hook"  # the port of nobody: a delivery fails at once


@dataclass(frozen=True)
class Upheaval:
    """What to change at one vendor.

    Attributes:
        crowd: the object whose records are changed.
        actions: admin actions with their arguments; from the ids of the first records.
        calls: requests of the vendor's API: method, path, document.
    """

    crowd: str
    actions: Callable[[list[str]], list[tuple[str, dict[str, Any]]]]
    calls: Callable[[list[str]], list[tuple[str, str, Any]]]


def _public_key() -> str:
    key = rsa.generate_private_key(65537, 2048).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _salesforce(ids: list[str]) -> list[tuple[str, dict[str, Any]]]:
    name = {"name": "Contact"}
    return [
        ("create", {**name, "fields": {"LastName": "New"}}),
        ("edit", {**name, "record": ids[0], "fields": {"LastName": "Changed"}}),
        ("formula_change", {**name, "record": ids[1], "fields": {"LastName": "Silent"}}),
        ("delete", {**name, "record": ids[2]}),
        ("restore", {**name, "record": ids[2]}),
        ("hard_delete", {**name, "record": ids[3]}),
        ("merge", {**name, "winner": ids[4], "loser": ids[5]}),
        ("rename_field", {**name, "field": "Department", "new_name": "Division"}),
        ("retype_field", {**name, "field": "Title", "new_type": "textarea"}),
        ("hide_field", {**name, "field": "Phone"}),
        ("add_field", {**name, "field": "Shoe__c", "value": "44"}),
        ("hide_object", {"name": "Campaign"}),
        ("rotate", {"on": True}),
        ("expire_sessions", {}),
        ("register_certificate", {"pem": _public_key()}),
        ("set_daily_limit", {"maximum": 7000, "used": 12}),
        ("set_bulk", {"polls": 5, "page_rows": 3}),
        ("refuse_writes", {"code": "UNABLE_TO_LOCK_ROW", "times": 4}),
        ("set_replication", {"most_ids": 5, "open_since": "2026-01-01T00:00:00+00:00"}),
        ("set_long_requests", {"maximum": 2, "threshold_s": 1}),
        ("set_largest_upload", {"size": 99}),
        ("send_outbound", {"url": NOWHERE, "name": "Contact", "records": ids[:2]}),
        ("deliver_outbound", {}),
    ]


def _hubspot(ids: list[str]) -> list[tuple[str, dict[str, Any]]]:
    name = {"name": "contacts"}
    return [
        ("create", {**name, "fields": {"lastname": "New"}}),
        ("create", {**name, "fields": {"lastname": "New"}, "account": "second"}),
        ("edit", {**name, "record": ids[0], "fields": {"lastname": "Changed"}}),
        ("formula_change", {**name, "record": ids[1], "fields": {"lastname": "Silent"}}),
        ("delete", {**name, "record": ids[2]}),
        ("restore", {**name, "record": ids[2]}),
        ("hard_delete", {**name, "record": ids[3]}),
        ("merge", {**name, "winner": ids[4], "loser": ids[5]}),
        ("make_list", {"name": "Upset", "records": ids[6:8]}),
        ("change_members", {"number": "1", "add": ids[6:8], "remove": ids[8:9]}),
        ("drop_list", {"number": "4"}),
        ("burst", {**name, "rows": 70}),
        ("rename_field", {**name, "field": "jobtitle", "new_name": "position"}),
        ("relabel_field", {**name, "field": "phone", "label": "Telephone"}),
        ("retype_field", {**name, "field": "city", "new_type": "number"}),
        ("hide_field", {**name, "field": "mobilephone"}),
        ("add_field", {**name, "field": "shoe", "value": "44"}),
        ("hide_object", {"name": "tickets"}),
        ("rotate", {"on": True}),
        ("expire_sessions", {}),
        ("revoke_refresh", {"account": "second"}),
        ("restore_refresh", {"account": "second"}),
        ("set_limits", {"private": 1_000, "search": 50, "daily": 9_000, "daily_used": 3}),
        ("set", {"search_lag_s": 5, "retired": {"v4": "2027-09-01"}, "data_privacy": True}),
        ("require", {**name, "properties": ["email"]}),
        (
            "require_when",
            {**name, "rules": [{"property": "phone", "when": "city", "values": ["Rome"]}]},
        ),
        ("use_field", {"field": "email"}),
        ("change_owner", {"owner": _OWNER, "values": {"archived": True}}),
        ("repeat_cursor", {"path": "/never"}),
        ("hide_records", {**name, "records": ids[6:8]}),
        ("subscribe", {"url": NOWHERE, "events": [{"event_type": "contact.creation"}]}),
        ("set_webhooks", {"duplicates": 2, "paused": True}),
        ("create", {**name, "fields": {"lastname": "Announced"}}),
        ("deliver_webhooks", {}),
        ("ignore_writes", {"times": 3}),
    ]


def _pipedrive(ids: list[str]) -> list[tuple[str, dict[str, Any]]]:
    name = {"name": "persons"}
    return [
        ("create", {**name, "fields": {"name": "New"}}),
        ("create", {**name, "fields": {"name": "New"}, "account": "second"}),
        ("edit", {**name, "record": ids[0], "fields": {"name": "Changed"}}),
        ("formula_change", {**name, "record": ids[1], "fields": {"name": "Silent"}}),
        ("delete", {**name, "record": ids[2]}),
        ("restore", {**name, "record": ids[2]}),
        ("hard_delete", {**name, "record": ids[3]}),
        ("merge", {**name, "winner": ids[4], "loser": ids[5]}),
        ("add_field", {**name, "field": "Shoe", "kind": "varchar", "value": "44"}),
        ("rename_field", {**name, "field": "Shoe", "new_name": "Shoe size"}),
        ("retype_field", {**name, "field": "Shoe size", "new_type": "double"}),
        ("hide_field", {**name, "field": "Shoe size"}),
        ("remove_field", {**name, "field": "Shoe size"}),
        ("add_option", {**name, "field": "Do not call", "label": "Purple"}),
        (
            "rename_option",
            {**name, "field": "Do not call", "label": "Purple", "new_label": "Lilac"},
        ),
        ("remove_option", {**name, "field": "Do not call", "label": "Lilac"}),
        ("hide_object", {"name": "products"}),
        ("rotate", {"on": False}),
        ("expire_sessions", {}),
        ("grant", {"scopes": ["deals:read"]}),
        ("set_limits", {"plan": "Ultimate", "used": 7, "search": 99}),
        ("set_daily_limit", {"maximum": 5_000}),
        ("set_company", {"search_lag_s": 4, "flat_paging": True, "gone_as_404": ["deals"]}),
        ("accept_query_token", {"on": True}),
        ("retire_v1", {"at": "2027-01-01T00:00:00+00:00"}),
        ("answer_nothing", {"path": "/never"}),
        ("repeat_cursor", {"path": "/never"}),
        ("set_webhooks", {"duplicates": 1}),
        ("deliver_webhooks", {}),
        ("ignore_writes", {"times": 2}),
    ]


def _zoho(ids: list[str]) -> list[tuple[str, dict[str, Any]]]:
    name = {"name": "Contacts"}
    return [
        ("create", {**name, "fields": {"Last_Name": "New"}}),
        ("create", {"name": "Accounts", "fields": {"Account_Name": "New"}, "account": "second"}),
        ("edit", {**name, "record": ids[0], "fields": {"Last_Name": "Changed"}}),
        ("formula_change", {**name, "record": ids[1], "fields": {"Last_Name": "Silent"}}),
        ("delete", {**name, "record": ids[2]}),
        ("restore", {**name, "record": ids[2]}),
        ("hard_delete", {**name, "record": ids[3]}),
        ("merge", {**name, "winner": ids[4], "loser": ids[5]}),
        ("rename_field", {**name, "field": "Department", "new_name": "Division"}),
        ("relabel_field", {**name, "field": "Phone", "label": "Telephone"}),
        ("retype_field", {**name, "field": "Title", "new_type": "textarea"}),
        ("hide_field", {**name, "field": "Mobile"}),
        ("restrict_field", {**name, "field": "Email"}),
        ("add_field", {**name, "field": "Shoe", "value": "44"}),
        ("add_choice", {**name, "field": "Lead_Source", "value": "Rumour"}),
        ("hide_object", {"name": "Campaigns"}),
        ("expire_sessions", {}),
        ("set_token_limits", {"requests": 50, "most_access": 3}),
        ("set_credits", {"total": 9_000, "used": 100}),
        ("set_concurrency", {"total": 30, "heavy": 11}),
        ("set_paging", {"by_number": 1_500}),
        ("set_search", {"lag_s": 3, "contains": True}),
        ("set_coql", {"most_rows": 10}),
        ("set_bulk", {"polls": 4, "page_rows": 10}),
        ("set_bulk_write", {"polls": 4, "most_rows": 10}),
        ("set_guard", {"header": "X-Guard"}),
        ("set_currencies", {"rates": {"EUR": 0.5}}),
        ("set_developer", {"on": True}),
        ("set_foreign", {"code": "INVALID_TOKEN"}),
        ("set_zone", {"zone": "Asia/Tokyo"}),
        ("drop_pipelines", {}),
        ("stamp_history_late", {}),
        ("set_watch", {"uri_version": "v3"}),
        ("hold_notices", {"on": True}),
        ("release_notices", {}),
        ("refuse_writes", {"code": "SILENT", "times": 2}),
    ]


_QUERY_JOB = {"operation": "query", "query": "SELECT Id FROM Contact"}
_PROPERTY = {
    "name": "hat",
    "label": "Hat",
    "type": "string",
    "fieldType": "text",
    "groupName": "contactinformation",
}
_STAGE = {"label": "Open", "displayOrder": 0, "metadata": {"ticketState": "OPEN"}}
_PIPELINE = {"label": "Another", "displayOrder": 5, "stages": [_STAGE]}
_EXPORT = {
    "exportType": "VIEW",
    "exportName": "all",
    "format": "CSV",
    "language": "EN",
    "objectType": "contacts",
    "objectProperties": ["email"],
    "associatedObjectType": [],
}
_WEBHOOK = {
    "subscription_url": NOWHERE,
    "event_action": "*",
    "event_object": "*",
    "name": "x",
}
_CHANNEL = {
    "channel_id": "1000000068001",
    "events": ["Contacts.all"],
    "notify_url": NOWHERE,
    "token": "t1",
}

UPHEAVALS = {
    "salesforce": Upheaval(
        "Contact",
        _salesforce,
        lambda ids: [
            ("POST", "/services/data/v66.0/sobjects/Contact", {"LastName": "By the API"}),
            ("PATCH", f"/services/data/v66.0/sobjects/Contact/{ids[6]}", {"LastName": "Patched"}),
            ("POST", "/services/data/v66.0/jobs/query", _QUERY_JOB),
            ("POST", "/services/data/v66.0/jobs/ingest", {"object": "Lead", "operation": "insert"}),
        ],
    ),
    "hubspot": Upheaval(
        "contacts",
        _hubspot,
        lambda ids: [
            ("POST", "/crm/v3/objects/contacts", {"properties": {"lastname": "By the API"}}),
            (
                "PATCH",
                f"/crm/v3/objects/contacts/{ids[8]}",
                {"properties": {"lastname": "Patched"}},
            ),
            ("POST", "/crm/v3/properties/contacts", _PROPERTY),
            ("POST", "/crm/v3/pipelines/tickets", _PIPELINE),
            ("POST", "/crm/v3/exports/export/async", _EXPORT),
        ],
    ),
    "pipedrive": Upheaval(
        "persons",
        _pipedrive,
        lambda ids: [
            ("POST", "/v1/webhooks", _WEBHOOK),
            ("POST", "/api/v2/persons", {"name": "By the API"}),
            ("PATCH", f"/api/v2/persons/{ids[6]}", {"name": "Patched"}),
            ("POST", "/v1/personFields", {"name": "Hat", "field_type": "varchar"}),
        ],
    ),
    "zoho": Upheaval(
        "Contacts",
        _zoho,
        lambda ids: [
            ("POST", "/crm/v8/actions/watch", {"watch": [_CHANNEL]}),
            ("POST", "/crm/v8/Contacts", {"data": [{"Last_Name": "By the API"}]}),
            ("PUT", f"/crm/v8/Contacts/{ids[6]}", {"data": [{"Last_Name": "Patched"}]}),
            ("POST", "/crm/bulk/v8/read", {"query": {"module": {"api_name": "Contacts"}}}),
        ],
    ),
}


def turned_upside_down(sandbox: SandboxServer, vendor: str) -> set[str]:
    """Change whatever can be changed, and return the admin actions that were used.

    Raises:
        AssertionError: something was refused.
    """
    upheaval = UPHEAVALS[vendor]
    key = "Id" if vendor == "salesforce" else "id"
    emulation: Any = sandbox.emulations[vendor]
    ids = [str(row[key]) for row in emulation.rows(upheaval.crowd, limit=9)]
    with logged_in(sandbox, vendor) as http:
        for method, path, document in upheaval.calls(ids):
            response = http.request(method, f"{sandbox.url}/{vendor}{path}", json=document)
            assert response.ok, (path, response.text)
    actions = upheaval.actions(ids)
    for action, arguments in actions:
        response = requests.post(f"{sandbox.url}/_admin/{vendor}/{action}", json=arguments)
        assert response.ok, (action, response.text)
    for path, order in _EVERYWHERE:
        response = requests.post(f"{sandbox.url}/_admin/{path}", json=order)
        assert response.ok, (path, response.text)
    return {action for action, _ in actions}


_EVERYWHERE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("faults", {"kind": "status", "path": "/never"}),
    ("pace", {"latency": [0.001, 0.002], "ceilings": [[1000, 1]]}),
    ("clock", {"advance": 86_400}),
)
