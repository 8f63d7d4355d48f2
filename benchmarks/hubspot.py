"""The emulated HubSpot portal as the benchmarks meet it: its token, its ceilings out of the way."""

from collections.abc import Mapping
from typing import Any

import requests

TOKEN = "pat-na1-00000000-5a9d-4000-8000-000000000001"
HIGH = 1_000_000_000


def raise_ceilings(url: str) -> None:
    """Let everybody call as often as they like; `url` is the sandbox's."""
    limits = {"private": HIGH, "search": HIGH, "associations": HIGH, "daily": HIGH}
    administer(url, "set_limits", limits)


def administer(url: str, action: str, arguments: Mapping[str, Any]) -> Any:
    answer = requests.post(f"{url}/_admin/hubspot/{action}", json=arguments)
    answer.raise_for_status()
    return answer.json()["result"]


def properties(url: str) -> list[str]:
    """Return the names of all properties of contacts; `url` is the portal's."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    found = requests.get(f"{url}/crm/properties/2026-09/contacts", headers=headers).json()
    return [entry["name"] for entry in found["results"]]
