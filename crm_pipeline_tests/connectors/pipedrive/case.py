"""The Pipedrive case of the conformance tests."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import requests

from crm_pipeline_tests.connectors.conformance import ENDLESS, PAGE, Case, EmulatedRecord, RouteCase
from crm_sandbox.pipedrive import credentials

_MAIN = credentials.ACCOUNTS["main"]
_PAGES = r"/api/v2/persons\?"


def _widen(emulator: Any) -> None:
    emulator.set_limits(api_token=10_000, app=10_000)


def _live(emulator: Any) -> dict[str, EmulatedRecord]:
    return {
        str(row["id"]): EmulatedRecord(_modified_at(row), row["name"])
        for row in emulator.rows("persons")
    }


def _modified_at(row: Mapping[str, Any]) -> datetime | None:
    modified: datetime | None = row["update_time"]
    return modified.replace(tzinfo=UTC) if modified else None


def _fetch(url: str) -> dict[str, dict[str, Any]]:
    def ask(path: str, **params: str) -> Any:
        headers = {"x-api-token": _MAIN.api_token}
        return requests.get(
            f"{url}/pipedrive/api/v2{path}", params, headers=headers, timeout=30
        ).json()

    fields = ask("/personFields", limit="500")["data"]
    optional = [field["field_code"] for field in fields if field["is_optional_response_field"]]
    records: dict[str, dict[str, Any]] = {}
    asked = {"limit": "500", "include_fields": ",".join(optional)}
    while True:
        page = ask("/persons", **asked)
        records |= {str(record["id"]): record for record in page["data"]}
        cursor = (page["additional_data"] or {}).get("next_cursor")
        if not cursor:
            return records
        asked["cursor"] = cursor


def _without_scope(emulator: Any) -> str:
    emulator.grant(["base", "deals:read"])
    return "contacts:read"


def _revoke(emulator: Any) -> None:
    emulator.oauth.grants.revoke(_MAIN.refresh_token)


CASE = Case(
    vendor="pipedrive",
    object="persons",
    objects=("persons", "deals"),
    absent="invoices",
    unknown="987654",
    auth="kind: refresh_token, client_id_env: PIPE_CLIENT_ID, client_secret_env: PIPE_CLIENT_SECRET, "
    "refresh_token_env: PIPE_REFRESH_TOKEN",
    metered="kind: token, token_env: PIPE_TOKEN",
    environ={
        "PIPE_TOKEN": _MAIN.api_token,
        "PIPE_CLIENT_ID": credentials.CLIENT_ID,
        "PIPE_CLIENT_SECRET": credentials.CLIENT_SECRET,
        "PIPE_REFRESH_TOKEN": _MAIN.refresh_token,
    },
    high_limits="burst_by_token: 10000, burst_by_app: 10000, searches: 10000",
    pages=f"page_records: {PAGE}",
    routes=(
        RouteCase("cursor", "GET", _PAGES, records="data"),
        RouteCase("windows", "GET", _PAGES, records="data"),
    ),
    small_chunks={
        "crm_pipeline.connectors.pipedrive.scan._CHUNK_ROWS": PAGE,
        "crm_pipeline.connectors.range_reader._CHUNK_ROWS": PAGE,
    },
    text="name",
    fresh={},
    table="contacts",
    column="full_name",
    vanishing="Legacy code",
    token_path=r"/oauth/token$",
    throttled={
        "status": 429,
        "body": json.dumps({"success": False, "error": "request over limit"}),
    },
    widen=_widen,
    publish_limits=lambda emulator: emulator.set_limits(plan="Lite"),
    live=_live,
    deleted_ids=lambda _: set(),
    fetch=_fetch,
    normal_form=dict,
    text_of=lambda record: record["name"],
    revoke=_revoke,
    exhaust_budget=lambda emulator: emulator.set_limits(used=emulator.set_limits()["daily"]),
    without_scope=_without_scope,
    impossible_counters=tuple(
        {
            "x-daily-ratelimit-token-limit": ceiling,
            "x-daily-ratelimit-token-remaining": left,
            "x-ratelimit-limit": ceiling,
            "x-ratelimit-remaining": left,
        }
        for left, ceiling in (
            *((ENDLESS, "190"), ("150", ENDLESS), ("9" * 5_000, "190"), ("-5", "190"), ("5", "0")),
            *(("5", "-1"), ("²", "²"), ("nan", "inf"), ("many", "190"), ("0", "1"), ("1e3", "1e6")),
        )
    ),
    lacks={
        "marks": "Lists of persons leave deleted ones out, without a word: snapshots miss them.",
        "losers": "Lists of persons leave the losers of merges out, without a word, and no winner names them.",
    },
)
