"""Zoho CRM by its API: lists in parts of at most fifty fields, joined by id.

https://www.zoho.com/crm/developer/docs/api/v8/
"""

from collections.abc import Iterator
from typing import Any

from crm_pipeline_tests.meaning.vendor_api import Facts, Record, VendorApi

_V8 = "/crm/v8"
_MOST_FIELDS = 48
_HISTORY = ("Stage", "Moved_To__s", "Modified_Time", "Modified_By", "Amount", "Probability")


class Zoho(VendorApi):
    """One org."""

    def __init__(self, url: str, *, client_id: str, client_secret: str, refresh_token: str) -> None:
        super().__init__(url)
        form = {
            "grant_type": "refresh_token",
            "client_id": client_id,
            "client_secret": client_secret,
            "refresh_token": refresh_token,
        }
        token = self.session.post(f"{url}/oauth/v2/token", data=form, timeout=60).json()
        self.session.headers["Authorization"] = f"Zoho-oauthtoken {token['access_token']}"

    def live(self, obj: str) -> list[Record]:
        match obj.split("/"):
            case [parent, child]:
                return list(self._below(parent, child))
            case ["Users"]:
                return list(self._pages("/users", "users", type="AllUsers"))
            case ["Currencies"]:
                return list(self.get(f"{_V8}/org/currencies")["currencies"])
            case ["Pipelines"]:
                return self._pipelines()
            case _:
                return self._module(obj)

    def gone(self, obj: str) -> list[Record]:
        if obj in {"Users", "Currencies", "Pipelines"}:
            return []
        return list(self._pages(f"/{obj}/deleted", "data", type="all"))

    def facts(self) -> Facts:
        [org] = self.get(f"{_V8}/org")["org"]
        return Facts(org["time_zone"], org["iso_code"])

    def labels(self, obj: str, field: str) -> dict[str, str]:
        [described] = [one for one in self._fields(obj) if one["api_name"] == field]
        values = described["pick_list_values"]
        return {one["actual_value"]: one["display_value"] for one in values}

    def _fields(self, module: str) -> list[Record]:
        fields: list[Record] = self.get(f"{_V8}/settings/fields", module=module)["fields"]
        return fields

    def _pipelines(self) -> list[Record]:
        [layout] = self.get(f"{_V8}/settings/layouts", module="Deals")["layouts"]
        response = self.get(f"{_V8}/settings/pipeline", layout_id=layout["id"])
        pipelines: list[Record] = response["pipeline"]
        return pipelines

    def _module(self, module: str) -> list[Record]:
        names = [field["api_name"] for field in self._fields(module)] + ["$se_module"]
        whole: dict[str, Record] = {}
        for start in range(0, len(names), _MOST_FIELDS):
            part = ",".join(names[start : start + _MOST_FIELDS])
            for record in self._pages(f"/{module}", "data", fields=part, converted="both"):
                whole.setdefault(record["id"], {}).update(record)
        return list(whole.values())

    def _below(self, parent: str, child: str) -> Iterator[Record]:
        names = [*_HISTORY, "Close_Date"] if child == "Stage_History" else ["Contact_Role"]
        for record in self._module(parent):
            path = f"/{parent}/{record['id']}/{child}"
            for row in self._pages(path, "data", fields=",".join(names)):
                yield {"of": record["id"], **row}

    def _pages(self, path: str, key: str, **query: str) -> Iterator[Record]:
        asked: dict[str, Any] = {"per_page": 200, "page": 1, **query}
        while True:
            page = self.get(_V8 + path, **asked)
            if page is None:  # nothing is no JSON here
                return
            yield from page[key]
            if not page["info"]["more_records"]:
                return
            asked["page"] += 1
