"""The Zoho case of the conformance tests."""

import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any

import requests

from crm_pipeline_tests.connectors.conformance import ENDLESS, PAGE, Case, EmulatedRecord, RouteCase
from crm_sandbox.zoho.credentials import BY_ACCOUNT
from crm_sandbox.zoho.scopes import ALL_SCOPES

_MAIN = BY_ACCOUNT["main"]
# Exports cut it, so that people who have it never come by them.
_CONSENT = "Data_Processing_Basis_Details"


def _widen(emulator: Any) -> None:
    emulator.set_bulk(page_rows=PAGE)
    emulator.set_concurrency(total=1_000, heavy=1_000)
    emulator.set_token_limits(requests=10_000)
    if any(_CONSENT in row for row in emulator.rows("Contacts", limit=1)):
        emulator.hide_field("Contacts", _CONSENT)


def _strict(emulator: Any) -> None:
    emulator.set_concurrency(total=20, heavy=10)
    emulator.set_bulk(polls=0)


def _live(emulator: Any) -> dict[str, EmulatedRecord]:
    return {
        row["id"]: EmulatedRecord(row["Modified_Time"].replace(tzinfo=UTC), row["Title"])
        for row in emulator.rows("Contacts")
    }


def _deleted_ids(emulator: Any) -> set[str]:
    rows = emulator.rows("Contacts", include_deleted=True)
    return {row["id"] for row in rows if row["_ended"]}


def _fetch(url: str) -> dict[str, dict[str, Any]]:
    form = {
        "grant_type": "refresh_token",
        "client_id": _MAIN.client_id,
        "client_secret": _MAIN.client_secret,
        "refresh_token": _MAIN.refresh_token,
    }
    token = requests.post(f"{url}/zoho/oauth/v2/token", data=form, timeout=30).json()
    headers = {"Authorization": f"Zoho-oauthtoken {token['access_token']}"}

    def ask(path: str, **params: str) -> Any:
        return requests.get(f"{url}/zoho/crm/v8{path}", params, headers=headers, timeout=30).json()

    fields = ask("/settings/fields", module="Contacts")["fields"]
    # What is several records by itself is read as a module of its own.
    several = {"subform", "multiselectlookup", "multiuserlookup"}
    names = {field["api_name"] for field in fields if field["data_type"] not in several}
    # Lists cut long texts: whole is a record that is asked for by itself.
    records = {}
    for row in ask("/Contacts", fields="id", per_page="200")["data"]:
        [whole] = ask(f"/Contacts/{row['id']}")["data"]
        records[row["id"]] = {name: whole[name] for name in {"id", *names}}
    return records


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return look-ups as ids, which is all that queries and exports contain."""
    return {name: _value(value) for name, value in record.items()}


def _value(value: Any) -> Any:
    match value:
        case {"id": key}:
            return key
        case list():
            return [_value(item) for item in value]
        case _:
            return value


def _cells(record: Mapping[str, Any]) -> dict[str, str]:
    return {name: _cell(value) for name, value in record.items()}


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case {"id": key}:
            return str(key)
        case list():  # of tags the names
            return ";".join(str(item["name"]) if isinstance(item, dict) else item for item in value)
        case _:
            return str(value)


def _without_scope(emulator: Any) -> str:
    scopes = [scope for scope in ALL_SCOPES if scope != "ZohoCRM.modules.ALL"]
    emulator.oauth.grants.begin_chain("main", scopes, _MAIN.refresh_token)
    emulator.expire_sessions()
    return "ZohoCRM.modules.Contacts.READ"


_AUTH = (
    "kind: refresh_token, client_id_env: ZOHO_CLIENT_ID, client_secret_env: ZOHO_CLIENT_SECRET, "
    "refresh_token_env: ZOHO_REFRESH_TOKEN"
)

CASE = Case(
    vendor="zoho",
    object="Contacts",
    objects=("Contacts", "Accounts"),
    absent="Invoices__c",
    unknown="9000000000000009876",
    auth=_AUTH,
    metered=_AUTH,
    environ={
        "ZOHO_CLIENT_ID": _MAIN.client_id,
        "ZOHO_CLIENT_SECRET": _MAIN.client_secret,
        "ZOHO_REFRESH_TOKEN": _MAIN.refresh_token,
    },
    high_limits="concurrent_calls: 100, token_requests: 10000",
    pages=f"list_page_records: {PAGE}, coql_page_records: {PAGE}, bulk_job_records: {PAGE}",
    routes=(
        RouteCase("records", "GET", r"/crm/v8/Contacts\?", records="data"),
        RouteCase(
            "coql", "POST", "/coql", body=r"(?!.*count\(id\)).* limit (?!1\b)", records="data"
        ),
        RouteCase(
            "bulk", "GET", r"/read/\d+/result", repeats=r"/read/\d+\?", named=b"next_page_token"
        ),
    ),
    small_chunks={"crm_pipeline.connectors.range_reader._CHUNK_ROWS": PAGE},
    text="Title",
    fresh={"Last_Name": "New"},
    table="contacts",
    column="title",
    vanishing="Department",
    token_path=r"/oauth/v2/token$",
    throttled={
        "status": 429,
        "body": json.dumps(
            {"code": "TOO_MANY_REQUESTS", "details": {}, "message": "no", "status": "error"}
        ),
    },
    widen=_widen,
    publish_limits=_strict,
    live=_live,
    deleted_ids=_deleted_ids,
    fetch=_fetch,
    normal_form=_plain,
    csv_form=_cells,
    text_of=lambda record: record["Title"],
    revoke=lambda emulator: emulator.oauth.grants.revoke(_MAIN.refresh_token),
    exhaust_budget=lambda emulator: emulator.set_credits(total=75_000, used=75_000),
    without_scope=_without_scope,
    impossible_counters=tuple(
        {"X-API-CREDITS-REMAINING": left}
        for left in (ENDLESS, "9" * 5_000, "-5", "²", "nan", "many", "1e3", "4000000000", "0x10")
    ),
)
