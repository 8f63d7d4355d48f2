"""HubSpot, for the conformance tests."""

import json
from collections.abc import Mapping
from typing import Any

import requests

from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline_tests.connectors.conformance import ENDLESS, PAGE, Case, EmulatedRecord, RouteCase
from crm_sandbox.hubspot import credentials

_MAIN = credentials.MAIN
_LIST = r"/crm/objects/2026-09/contacts\?(?!.*archived=true)"
_SEARCH = r"/contacts/search"
# A search for one record counts, or looks for the ends of the ids.
_NOT_ONE = r'"limit": ?(?!1\b)\d'
_OURS = ("associations", "propertiesWithHistory")
_CHUNKS = ("record_assembly", "search", "listing", "estimate")
_PUBLISHED = {"private": 190, "marketplace": 110, "search": 5, "associations": 200}


def _widen(emulator: Any) -> None:
    emulator.set_limits(**dict.fromkeys(_PUBLISHED, 100_000))


def _live(emulator: Any) -> dict[str, EmulatedRecord]:
    return {
        row["id"]: EmulatedRecord(parse_instant(row["lastmodifieddate"]), row["jobtitle"])
        for row in emulator.rows("contacts")
    }


def _deleted_ids(emulator: Any) -> set[str]:
    rows = emulator.rows("contacts", include_deleted=True)
    return {row["id"] for row in rows if row["_archived"]} - set(emulator.merged("contacts"))


def _fetch(url: str) -> dict[str, dict[str, Any]]:
    def ask(path: str, **params: str) -> Any:
        headers = {"Authorization": f"Bearer {_MAIN.token}"}
        return requests.get(f"{url}/hubspot{path}", params, headers=headers, timeout=30).json()

    names = ",".join(one["name"] for one in ask("/crm/v3/properties/contacts")["results"])
    found: dict[str, dict[str, Any]] = {}
    asked = {"limit": "100", "properties": names}
    while True:
        page = ask("/crm/v3/objects/contacts", **asked)
        found |= {one["id"]: one for one in page["results"]}
        if "paging" not in page:
            return found
        asked["after"] = page["paging"]["next"]["after"]


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the connector adds."""
    return {key: value for key, value in record.items() if key not in _OURS}


def _without_scope(emulator: Any) -> str:
    scopes = ["oauth", "crm.objects.companies.read"]
    emulator.oauth.grants.begin_chain("main", scopes, _MAIN.refresh_token)
    emulator.expire_sessions()
    return "crm.objects.contacts.read"


CASE = Case(
    vendor="hubspot",
    object="contacts",
    objects=("contacts", "companies"),
    absent="2-9999999",
    unknown="98765432109",
    auth="kind: refresh_token, client_id_env: HUB_CLIENT_ID, client_secret_env: HUB_CLIENT_SECRET, "
    "refresh_token_env: HUB_REFRESH_TOKEN",
    metered="kind: token, token_env: HUB_TOKEN",
    environ={
        "HUB_TOKEN": _MAIN.token,
        "HUB_CLIENT_ID": credentials.CLIENT_ID,
        "HUB_CLIENT_SECRET": credentials.CLIENT_SECRET,
        "HUB_REFRESH_TOKEN": _MAIN.refresh_token,
    },
    high_limits="search_calls: 10000, private_calls: 100000, oauth_calls: 100000, association_calls: 100000",
    pages=f"list_records: {PAGE}, search_records: {PAGE}, batch_records: {PAGE}",
    routes=(
        RouteCase("list", "GET", _LIST, records="results"),
        RouteCase("search", "POST", _SEARCH, body=_NOT_ONE, records="results"),
        RouteCase("both", "", f"{_SEARCH}|{_LIST}", body=f"^$|{_NOT_ONE}", records="results"),
    ),
    small_chunks={f"crm_pipeline.connectors.hubspot.{name}.BATCH_RECORDS": PAGE for name in _CHUNKS}
    | {"crm_pipeline.connectors.range_reader._CHUNK_ROWS": PAGE},
    text="jobtitle",
    fresh={"lastname": "New", "email": "new@acme.example"},
    table="contacts",
    column="title",
    vanishing="city",
    token_path=r"/oauth/.*token$",
    throttled={
        "status": 429,
        "body": json.dumps(
            {
                "status": "error",
                "message": "You have reached your ten_secondly_rolling limit.",
                "errorType": "RATE_LIMIT",
                "policyName": "TEN_SECONDLY_ROLLING",
            }
        ),
    },
    widen=_widen,
    publish_limits=lambda emulator: emulator.set_limits(**_PUBLISHED),
    live=_live,
    deleted_ids=_deleted_ids,
    fetch=_fetch,
    normal_form=_plain,
    text_of=lambda record: record["properties"]["jobtitle"],
    revoke=lambda emulator: emulator.revoke_refresh(),
    exhaust_budget=lambda emulator: emulator.set_limits(daily=1_000, daily_used=1_000),
    without_scope=_without_scope,
    impossible_counters=tuple(
        {
            "X-HubSpot-RateLimit-Daily": ceiling,
            "X-HubSpot-RateLimit-Daily-Remaining": left,
            "X-HubSpot-RateLimit-Max": ceiling,
            "X-HubSpot-RateLimit-Remaining": left,
        }
        for left, ceiling in (
            *((ENDLESS, "190"), ("150", ENDLESS), ("9" * 5_000, "190"), ("-5", "190"), ("5", "0")),
            *(("5", "-1"), ("²", "²"), ("nan", "inf"), ("many", "190"), ("0", "1"), ("1e3", "1e6")),
        )
    ),
    lacks={
        "losers": "A merge leaves no mark of its losers; only the winner names them, which is read later."
    },
)
