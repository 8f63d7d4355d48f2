"""What `crm-pipeline check` asks a Salesforce org: login, identity, version, budget, objects."""

from collections.abc import Iterator
from typing import Any

from crm_pipeline.connectors import checkup
from crm_pipeline.connectors.base import Finding
from crm_pipeline.connectors.salesforce.api import Api
from crm_pipeline.kernel.errors import Fatal

# Without these the API shows nothing, or silently only what the user owns or shares.
_PERMISSIONS = ("PermissionsApiEnabled", "PermissionsViewAllData")


def findings(api: Api) -> Iterator[Finding]:
    """Yield one finding after the other; without an answer or a login there is only one."""
    offered: set[str] = set()

    def greet() -> None:
        offered.update(entry["version"] for entry in api.ask("/services/data/").json())

    yield from checkup.findings(
        api,
        greet,
        (
            ("version", lambda: _version(api, offered)),
            ("identity", lambda: _identity(api)),
            ("permissions", lambda: _permissions(api)),
            ("budget", lambda: _budget(api)),
            ("objects", lambda: _objects(api)),
        ),
    )


def _version(api: Api, offered: set[str]) -> Iterator[Finding]:
    newest = max(offered, key=float)
    if api.version in offered:
        yield Finding("ok", "version", f"API v{api.version}, newest offered v{newest}")
        return
    yield Finding(
        "fail",
        "version",
        f"API v{api.version} is not offered by this org.",
        f"Set api_version to one of: {', '.join(sorted(offered, key=float)[-5:])}.",
    )


def who(api: Api) -> str:
    """Say as whom, and to which org, an account is logged in."""
    found = api.identity()
    user = found.get("preferred_username") or found.get("user_id")
    return f"user {user} of organization {found.get('organization_id')}"


def _identity(api: Api) -> Iterator[Finding]:
    yield Finding("ok", "identity", who(api))


def _permissions(api: Api) -> Iterator[Finding]:
    query = f"SELECT {', '.join(_PERMISSIONS)} FROM UserPermissionAccess"
    try:
        rows: list[dict[str, Any]] = api.ask(f"{api.base}/query/", q=query).json()["records"]
    except Fatal as error:
        yield Finding(
            "warn",
            "permissions",
            f"could not be read ({error.code}).",
            "Make sure that the API user's permission set has API Enabled and View All Data.",
        )
        return
    missing = [name for name in _PERMISSIONS if not rows[0].get(name)]
    if missing:
        words = ", ".join(name.removeprefix("Permissions") for name in missing)
        yield Finding(
            "fail",
            "permissions",
            f"the API user lacks {words}: records that it does not own stay invisible.",
            "Assign a permission set with API Enabled and View All Data to the API user.",
        )
    else:
        yield Finding("ok", "permissions", "API Enabled, View All Data")


def _budget(api: Api) -> Iterator[Finding]:
    daily = api.ask(f"{api.base}/limits").json()["DailyApiRequests"]
    used = daily["Max"] - daily["Remaining"]
    yield checkup.budget(api, used, daily["Max"], span="in the last 24 h")


def _objects(api: Api) -> Iterator[Finding]:
    listed = api.ask(f"{api.base}/sobjects").json()["sobjects"]
    yield from checkup.objects(
        api,
        {entry["name"]: bool(entry["queryable"]) for entry in listed},
        cure="Grant Read and View All on it to the API user, or take it out of connections.yaml.",
    )
