"""The checks of a Salesforce org: API version, identity, permissions, budget, objects."""

from collections.abc import Iterator
from typing import Annotated, Any, Required, TypedDict

import msgspec
import requests

from crm_pipeline.connectors import checkup
from crm_pipeline.connectors.base import Finding
from crm_pipeline.connectors.description import entries
from crm_pipeline.connectors.salesforce.api import Api
from crm_pipeline.kernel.errors import Fatal

# Without these the API returns nothing, or only the records that the user owns or shares, without an error.
_PERMISSIONS = ("PermissionsApiEnabled", "PermissionsViewAllData")


class Listed(TypedDict, total=False):
    """An object as the org lists it."""

    name: Required[str]
    label: str | None
    custom: bool | None
    queryable: bool | None


class _Objects(msgspec.Struct):
    sobjects: list[msgspec.Raw]


class _Version(msgspec.Struct):
    version: Annotated[str, msgspec.Meta(pattern=r"^\d{1,3}\.\d{1,2}$")]


class _Permissions(msgspec.Struct):
    records: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1)]


class _Daily(msgspec.Struct):
    most: int = msgspec.field(name="Max")
    left: int = msgspec.field(name="Remaining")


class _Limits(msgspec.Struct):
    daily: _Daily = msgspec.field(name="DailyApiRequests")


def findings(api: Api) -> Iterator[Finding]:
    """Yield the findings; a failed login is the only one."""
    offered: set[str] = set()

    def ping() -> None:
        offered.update(versions(api))

    yield from checkup.findings(
        api,
        ping,
        (
            ("version", lambda: _version(api, offered)),
            ("identity", lambda: _identity(api)),
            ("permissions", lambda: _permissions(api)),
            ("budget", lambda: _budget(api)),
            ("objects", lambda: _objects(api)),
        ),
    )


def _version(api: Api, offered: set[str]) -> Iterator[Finding]:
    newest = max(offered, key=float, default="?")
    if api.version in offered:
        yield Finding("ok", "version", f"API v{api.version}, newest offered v{newest}")
        return
    yield Finding(
        "fail",
        "version",
        f"API v{api.version} is not offered by this org.",
        f"Set api_version to one of: {', '.join(sorted(offered, key=float)[-5:])}.",
    )


def versions(api: Api) -> list[str]:
    """Return the API versions that the org offers."""
    offered = api.ask("/services/data/", list[_Version], "the list of API versions")
    return [each.version for each in offered]


def listed(api: Api) -> list[Listed]:
    """Return the objects that this login may see."""
    what = "the list of objects"

    def read(response: requests.Response) -> list[Listed]:
        body, owner = response.content, api.connection.name
        return entries(body, _Objects, Listed, list_name="sobjects", owner=owner, what=what).rows

    return api.asked(f"{api.base}/sobjects", read)


def identity(api: Api) -> str:
    """Return the user and the org of a login, as text."""
    info = api.identity()
    user = info.preferred_username or info.user_id
    return f"user {user} of organization {info.organization_id}"


def sight(api: Api) -> str:
    """Return a text of the login's user and permissions; it changes whenever the login sees other records."""
    permissions = [finding.detail for finding in _permissions(api)]
    return "; ".join((identity(api), *permissions))


def _identity(api: Api) -> Iterator[Finding]:
    yield Finding("ok", "identity", identity(api))


def _permissions(api: Api) -> Iterator[Finding]:
    query = f"SELECT {', '.join(_PERMISSIONS)} FROM UserPermissionAccess"
    try:
        what = "the answer about permissions"
        [row, *_] = api.ask(f"{api.base}/query/", _Permissions, what, q=query).records
    except Fatal as error:
        yield Finding(
            "warn",
            "permissions",
            f"could not be read ({error.code}).",
            "Make sure that the API user's permission set has API Enabled and View All Data.",
        )
        return
    missing = [name for name in _PERMISSIONS if row.get(name) is not True]
    if missing:
        lacking = ", ".join(name.removeprefix("Permissions") for name in missing)
        yield Finding(
            "fail",
            "permissions",
            f"the API user lacks {lacking}: records that it does not own stay invisible.",
            "Assign a permission set with API Enabled and View All Data to the API user.",
        )
    else:
        yield Finding("ok", "permissions", "API Enabled, View All Data")


def _budget(api: Api) -> Iterator[Finding]:
    daily = api.ask(f"{api.base}/limits", _Limits, "the answer about limits").daily
    yield checkup.budget(api, daily.most - daily.left, daily.most, period="in the last 24 h")


def _objects(api: Api) -> Iterator[Finding]:
    yield from checkup.objects(
        api,
        {entry["name"]: bool(entry.get("queryable")) for entry in listed(api)},
        cure="Grant Read and View All on it to the API user, or take it out of connections.yaml.",
    )
