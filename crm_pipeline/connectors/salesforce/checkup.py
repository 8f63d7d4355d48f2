"""What `crm-pipeline check` asks a Salesforce org: login, identity, version, budget, objects."""

import difflib
from collections.abc import Iterator
from typing import Any

from crm_pipeline.connectors.base import Finding
from crm_pipeline.connectors.salesforce.api import Api
from crm_pipeline.kernel.errors import CrmError, Fatal

# Without these the API shows nothing, or silently only what the user owns or shares.
_PERMISSIONS = ("PermissionsApiEnabled", "PermissionsViewAllData")
_LOW_BUDGET = 0.9


def findings(api: Api) -> Iterator[Finding]:
    """Yield one finding after the other; without an answer or a login there is only one."""
    try:
        api.log_in()
        offered = {entry["version"] for entry in api.ask("/services/data/").json()}
    except CrmError as error:
        yield Finding("fail", "login", error.message, error.cure)
        return
    place = api.token().instance_url
    scheme = "TLS 1.2 or newer" if place.startswith("https") else "plain HTTP (sandbox)"
    yield Finding("ok", "login", f"{api.connection.auth.kind}, {place}, {scheme}")
    if api.passed_over:
        yield Finding(
            "warn",
            "refresh token",
            "Salesforce refuses that of the environment; the stored one is used.",
            api.passed_over,
        )
    if api.version not in offered:
        yield Finding(
            "fail",
            "version",
            f"API v{api.version} is not offered by this org.",
            f"Set api_version to one of: {', '.join(sorted(offered, key=float)[-5:])}.",
        )
        return
    yield Finding("ok", "version", f"API v{api.version}, newest offered v{max(offered, key=float)}")
    for ask in (_identity, _permissions, _budget, _objects):
        try:
            yield from ask(api)
        except CrmError as error:
            yield Finding("fail", ask.__name__.strip("_"), error.message, error.cure)


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
    used, ceiling = daily["Max"] - daily["Remaining"], daily["Max"]
    ours = int(ceiling * api.connection.share)
    detail = f"{used:,} of {ceiling:,} calls used in the last 24 h; we stop at {ours:,}"
    if used >= ours:
        yield Finding(
            "fail", "budget", detail, "Wait, or raise `share` in connections.yaml knowingly."
        )
    else:
        is_low = used >= ours * _LOW_BUDGET
        yield Finding("warn" if is_low else "ok", "budget", detail, "Little is left." * is_low)


def _objects(api: Api) -> Iterator[Finding]:
    listed = {entry["name"]: entry for entry in api.ask(f"{api.base}/sobjects").json()["sobjects"]}
    wanted = [settings.name for settings in api.connection.objects]
    if not wanted:
        yield Finding(
            "warn",
            "objects",
            "none are named in connections.yaml yet.",
            f"`crm-pipeline discover {api.connection.name} --write` adds those of this org.",
        )
        return
    missing = [name for name in wanted if not listed.get(name, {}).get("queryable")]
    for name in missing:
        close = difflib.get_close_matches(name, listed, n=1) if name not in listed else []
        yield Finding(
            "fail",
            "object",
            f"{name} does not exist or is not readable for this login.",
            (f"Did you mean '{close[0]}'? " if close else "")
            + "Grant Read and View All on it to the API user, or take it out of connections.yaml.",
        )
    readable = [name for name in wanted if name not in missing]
    yield Finding(
        "ok" if readable else "fail", "objects", f"{len(readable)} of {len(wanted)} readable"
    )
