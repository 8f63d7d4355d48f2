"""Pipedrive by its API: v2 by cursor; leads, notes, users and histories, which only v1 has, by offset.

https://developers.pipedrive.com/docs/api/v1
"""

from collections.abc import Iterator
from typing import Any

import requests

from crm_pipeline_tests.meaning.vendor_api import Facts, Record, VendorApi

_V1 = {"leads", "notes", "users", "currencies", "leadLabels", "roles", "legacyTeams"}
# Only logins of administrators may read roles, and only companies of some plans have teams.
_MAY_LACK = {"roles", "legacyTeams"}
_OPTIONAL = {"persons": {"include_fields": "marketing_status,doi_status"}}
_FIELDS = {
    "deals": "dealFields",
    "persons": "personFields",
    "organizations": "organizationFields",
    "products": "productFields",
    "activities": "activityFields",
}


class Pipedrive(VendorApi):
    """One company."""

    def __init__(self, url: str, *, token: str) -> None:
        super().__init__(url)
        self.session.headers["x-api-token"] = token

    def live(self, obj: str) -> list[Record]:
        if "/" in obj:
            return list(self._below(*obj.split("/")))
        if obj in _MAY_LACK:
            asked = self.session.get(f"{self.url}/v1/{obj}", timeout=60)
            if asked.status_code == requests.codes.not_found:
                return []
        if obj in _V1:
            records = list(self._offsets(f"/v1/{obj}"))
            return (
                records + list(self._offsets("/v1/leads/archived")) if obj == "leads" else records
            )
        records = list(self._cursor(f"/api/v2/{obj}", **_OPTIONAL.get(obj, {})))
        return records + list(self._cursor("/api/v2/deals/archived")) if obj == "deals" else records

    def gone(self, obj: str) -> list[Record]:
        # Only deals are listed when they are deleted, for 30 days.
        return list(self._cursor("/api/v2/deals", status="deleted")) if obj == "deals" else []

    def facts(self) -> Facts:
        me = self.get("/v1/users/me")["data"]
        return Facts(me["timezone_name"], me["default_currency"])

    def labels(self, obj: str, field: str) -> dict[str, str]:
        fields = self._cursor(f"/api/v2/{_FIELDS[obj]}")
        [described] = [one for one in fields if one["field_code"] == field]
        return {str(one["id"]): one["label"] for one in described["options"] or ()}

    def _below(self, parent: str, child: str) -> Iterator[Record]:
        for record in self.live(parent):
            path = f"/v1/{parent}/{record['id']}/{child}"
            rows = self._cursor(path) if child == "changelog" else self._offsets(path)
            yield from ({"of": record["id"], **row} for row in rows)

    def _cursor(self, path: str, **query: str) -> Iterator[Record]:
        asked: dict[str, Any] = {"limit": 500, **query}
        while True:
            page = self.get(path, **asked)
            yield from page["data"] or ()
            asked["cursor"] = (page.get("additional_data") or {}).get("next_cursor")
            if not asked["cursor"]:
                return

    def _offsets(self, path: str) -> Iterator[Record]:
        start: int | None = 0
        while start is not None:
            page = self.get(path, start=start, limit=100)
            yield from page["data"] or ()
            paging = (page.get("additional_data") or {}).get("pagination", {})
            start = paging.get("next_start") if paging.get("more_items_in_collection") else None
