"""What can be observed of a sandbox: every table, every setting, every answer, as values to compare."""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from crm_sandbox import SandboxServer
from crm_sandbox.answers import AnswerCache
from crm_sandbox.hubspot import credentials as hubspot
from crm_sandbox.journal import Journal
from crm_sandbox.pipedrive import credentials as pipedrive
from crm_sandbox.salesforce import credentials as salesforce
from crm_sandbox.tables import Tables
from crm_sandbox.world import World
from crm_sandbox.zoho import credentials as zoho

_OPAQUE = (
    *(type(threading.Lock()), type(threading.RLock()), threading.Event, threading.Thread),
    *(threading.local, threading.Condition, AnswerCache, World, SandboxServer, Journal),
)
_PASSING = re.compile(r"correlation|traceId|requestId|_at$|monotonic")


def state_of(value: Any, seen: set[int] | None = None) -> Any:
    """Return plain values for whatever hangs together with an object; what only machinery is, as its type."""
    seen = set() if seen is None else seen
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes | Path):  # a key or a folder of its own
        return type(value).__name__
    if isinstance(value, random.Random):
        return hash(value.getstate())
    if isinstance(value, Tables):
        return tables_of(value)
    if isinstance(value, _OPAQUE) or callable(value) or id(value) in seen:
        return type(value).__name__
    seen.add(id(value))
    if isinstance(value, Mapping):
        return [(state_of(k, seen), state_of(v, seen)) for k, v in value.items()]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, Iterable):
        return [state_of(one, seen) for one in value]
    fields = getattr(value, "__dict__", None)
    if fields is None:
        return repr(value)
    return [type(value).__name__, *((k, state_of(v, seen)) for k, v in fields.items())]


def tables_of(tables: Tables) -> dict[str, Any]:
    """Return every row of every table, in the order in which they lie there, and every column's type."""
    cursor = tables.cursor()
    catalog = cursor.execute("SELECT current_catalog()").fetchone()
    assert catalog is not None
    names = cursor.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = ? ORDER BY 1", [catalog[0]]
    ).fetchall()
    found = {}
    for (name,) in names:
        result = cursor.execute(f'FROM "{name}"')
        found[name] = ([entry[:2] for entry in result.description or []], result.fetchall())
    return found


@dataclass(frozen=True)
class Look:
    """What to ask of a vendor: its admin's addresses and its own."""

    admin: tuple[str, ...]
    paths: tuple[str, ...]


LOOKS = {
    "salesforce": Look(
        ("objects", "usage", "outbound", "rows/Contact", "identities/Lead"),
        (
            *("/services/data/v66.0/sobjects/Contact/describe", "/services/data/v66.0/limits"),
            "/services/data/v66.0/sobjects",
            "/services/data/v66.0/queryAll?q=SELECT Id, Name, Email, SystemModstamp FROM Contact",
            "/services/data/v66.0/query?q=SELECT Id, StageName, Amount FROM Opportunity",
            "/services/data/v66.0/jobs/query",
        ),
    ),
    "hubspot": Look(
        (
            *("objects", "limits", "settings", "webhooks", "fields/contacts", "merged/contacts"),
            *("rows/contacts", "rows/contacts?account=second", "settings?account=second"),
        ),
        (
            *("/crm/v3/objects/contacts?limit=100", "/crm/v3/properties/contacts"),
            *("/crm/v3/pipelines/deals", "/crm/v3/owners", "/crm/v3/schemas"),
            *("/crm/v3/lists/1/memberships", "/crm/v3/lists/4", "/crm/v3/lists/8"),
            *(
                "/account-info/v3/api-usage/daily/private-apps",
                "/crm/v4/associations/contacts/companies/labels",
            ),
            "/crm/v3/objects/deals?limit=50&propertiesWithHistory=dealstage&associations=contacts",
        ),
    ),
    "pipedrive": Look(
        (
            *("objects", "limits", "webhooks", "fields/persons", "rows/persons", "rows/deals"),
            *("rows/persons?account=second", "limits?account=second"),
        ),
        (
            *(
                "/api/v2/persons?limit=500",
                "/v1/personFields",
                "/api/v2/deals?limit=500",
                "/v1/webhooks",
            ),
            *("/v1/users/me", "/api/v2/pipelines", "/v1/leads?limit=100", "/v1/currencies"),
        ),
    ),
    "zoho": Look(
        ("objects", "usage", "deliveries", "rows/Contacts", "rows/Accounts?account=second"),
        (
            *("/crm/v8/settings/modules", "/crm/v8/settings/fields?module=Contacts", "/crm/v8/org"),
            *("/crm/v8/Contacts?fields=Last_Name,Email,Modified_Time", "/crm/v8/org/currencies"),
            *("/crm/v8/Deals?fields=Deal_Name,Stage,Amount", "/crm/v8/actions/watch"),
            "/crm/v8/settings/pipeline?layout_id=1",
        ),
    ),
}


def logged_in(sandbox: SandboxServer, vendor: str) -> requests.Session:
    """Return a client of the vendor's main account, with its public credentials."""
    http, root = requests.Session(), f"{sandbox.url}/{vendor}"
    if vendor == "hubspot":
        http.headers["Authorization"] = f"Bearer {hubspot.MAIN.token}"
    elif vendor == "pipedrive":
        http.headers["x-api-token"] = pipedrive.ACCOUNTS["main"].api_token
    elif vendor == "zoho":
        own = zoho.BY_ACCOUNT["main"]
        form = {"client_id": own.client_id, "client_secret": own.client_secret}
        form |= {"grant_type": "refresh_token", "refresh_token": own.refresh_token}
        token = http.post(f"{root}/oauth/v2/token", data=form).json()["access_token"]
        http.headers["Authorization"] = f"Zoho-oauthtoken {token}"
    else:
        form = {"client_id": salesforce.CLIENT_ID, "client_secret": salesforce.CLIENT_SECRET}
        form |= {"grant_type": "refresh_token", "refresh_token": salesforce.REFRESH_TOKEN}
        token = http.post(f"{root}/services/oauth2/token", data=form).json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
    return http


def observed(sandbox: SandboxServer, vendor: str) -> dict[str, Any]:
    """Return everything that one vendor and the admin API show, and what is behind it."""
    seen: dict[str, Any] = {}
    look = LOOKS[vendor]
    for path in ("", "/faults", "/journal", "/pace", "/clock"):
        seen[f"/_admin{path}"] = _plain(sandbox, requests.get(f"{sandbox.url}/_admin{path}"))
    for path in look.admin:
        url = f"{sandbox.url}/_admin/{vendor}/{path}"
        seen[url.removeprefix(sandbox.url)] = _plain(sandbox, requests.get(url))
    seen["state"] = state_of(sandbox.emulations[vendor])
    with logged_in(sandbox, vendor) as http:
        for path in look.paths:
            seen[path] = _plain(sandbox, http.get(f"{sandbox.url}/{vendor}{path}"))
    return seen


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the names of what is not the same in two observations."""
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


def _plain(sandbox: SandboxServer, response: requests.Response) -> Any:
    text = response.text.replace(sandbox.url, "http://sandbox")
    try:
        return response.status_code, _lasting(json.loads(text))
    except ValueError:
        return response.status_code, text


def _lasting(value: Any) -> Any:
    """Return a document without what no two answers share."""
    if isinstance(value, dict):
        return {key: _lasting(v) for key, v in value.items() if not _PASSING.search(key)}
    return [_lasting(one) for one in value] if isinstance(value, list) else value
