"""Salesforce, for the conformance tests."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

import requests

from crm_pipeline_tests.connectors.conformance import ENDLESS, PAGE, Case, EmulatedRecord, RouteCase
from crm_sandbox.salesforce import credentials

_BUSY = (
    '[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"ConcurrentPerOrgLongTxn Limit exceeded."}]'
)


def _live(emulator: Any) -> dict[str, EmulatedRecord]:
    return {
        row["Id"]: EmulatedRecord(row["SystemModstamp"].replace(tzinfo=UTC), row["Title"])
        for row in emulator.rows("Contact")
    }


def _deleted_ids(emulator: Any) -> set[str]:
    return {row["Id"] for row in emulator.rows("Contact", include_deleted=True) if row["IsDeleted"]}


def _fetch(url: str) -> dict[str, dict[str, Any]]:
    form = {
        "grant_type": "client_credentials",
        "client_id": credentials.CLIENT_ID,
        "client_secret": credentials.CLIENT_SECRET,
    }
    token = requests.post(f"{url}/salesforce/services/oauth2/token", data=form, timeout=30).json()
    headers = {"Authorization": f"Bearer {token['access_token']}"}

    def ask(path: str, **params: str) -> Any:
        place = f"{url}/salesforce/services/data/v66.0{path}"
        return requests.get(place, params, headers=headers, timeout=30).json()

    fields = ask("/sobjects/Contact/describe")["fields"]
    names = [one["name"] for one in fields if one["type"] not in {"address", "location"}]
    rows = ask("/query/", q=f"SELECT {', '.join(names)} FROM Contact")["records"]
    return {row["Id"]: row for row in rows}


def _cells(record: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in record.items() if name != "attributes"}


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(float(value))
        case str() if value.endswith("+0000"):
            return value.removesuffix("+0000") + "Z"
        case _:
            return _number(str(value))


def _number(text: str) -> str:
    """Bulk writes numbers with or without a point."""
    return repr(float(text)) if text.replace(".", "", 1).isdigit() and "." in text else text


_AUTH = (
    "kind: refresh_token, client_id_env: SF_CLIENT_ID, client_secret_env: SF_CLIENT_SECRET, "
    "refresh_token_env: SF_REFRESH_TOKEN"
)

CASE = Case(
    vendor="salesforce",
    object="Contact",
    objects=("Contact", "Account"),
    absent="Invoice_That_Is_Not__c",
    unknown="003000000000009AAA",
    auth=_AUTH,
    metered=_AUTH,
    environ={
        "SF_CLIENT_ID": credentials.CLIENT_ID,
        "SF_CLIENT_SECRET": credentials.CLIENT_SECRET,
        "SF_REFRESH_TOKEN": credentials.REFRESH_TOKEN,
    },
    high_limits="",
    pages=f"query_page_records: {PAGE}",
    routes=(
        RouteCase(
            "rest",
            "GET",
            r"/queryAll/\?(?!.*COUNT)",
            records="records",
            lacks={"resume": "Pages of queries are not noted: a window of REST is read anew."},
        ),
        RouteCase("bulk", "GET", r"/jobs/query/\w+/results", repeats=r"/resultPages"),
    ),
    small_chunks={
        "crm_pipeline.connectors.salesforce.bulk_results.PAGE_RECORDS": PAGE,
        "crm_pipeline.connectors.salesforce.account.PAGE_RECORDS": PAGE,
    },
    text="Title",
    fresh={"LastName": "New"},
    table="contacts",
    column="title",
    vanishing="Department",
    token_path=r"/oauth2/token$",
    throttled={"status": 403, "body": _BUSY},
    widen=lambda emulator: emulator.set_bulk(page_rows=PAGE),
    publish_limits=lambda emulator: emulator.set_bulk(polls=0),
    live=_live,
    deleted_ids=_deleted_ids,
    fetch=_fetch,
    normal_form=dict,
    csv_form=_cells,
    text_of=lambda record: record["Title"],
    revoke=lambda emulator: emulator.sessions.revoke(credentials.REFRESH_TOKEN),
    exhaust_budget=lambda emulator: emulator.set_daily_limit(maximum=15_000, used=15_000),
    without_scope=lambda _: "",
    impossible_counters=tuple(
        {"Sforce-Limit-Info": f"api-usage={said}"}
        for said in (
            *(
                f"{ENDLESS}/15000",
                f"5/{ENDLESS}",
                f"{'9' * 5_000}/15000",
                "-5/15000",
                "5/0",
                "5/-1",
            ),
            *(
                "5",
                "",
                "²/²",
                "1e3/15000",
                "5/1",
                "2000000/15000",
                "0x10/15000",
                "15000/15000/15000",
            ),
        )
    ),
    lacks={
        "scope": "Salesforce has one scope for all data; what a login may see is told by its permissions."
    },
)
