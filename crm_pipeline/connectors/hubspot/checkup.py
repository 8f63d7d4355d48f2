"""What `crm-pipeline check` asks a HubSpot account: login, identity, version, budget, objects."""

from collections.abc import Callable, Iterator, Sequence

from crm_pipeline.connectors import checkup
from crm_pipeline.connectors.base import Finding, ObjectInfo
from crm_pipeline.connectors.hubspot import responses, sensitive
from crm_pipeline.connectors.hubspot.api import LIST, Api
from crm_pipeline.connectors.hubspot.catalog import OWNERS, PIPELINES, SNAPSHOTS, type_of
from crm_pipeline.kernel.errors import Fatal

_CURE = (
    "Give the app its scopes (custom objects also crm.schemas.custom.read), or take it out of "
    "connections.yaml."
)


def findings(api: Api, listed: Callable[[], Sequence[ObjectInfo]]) -> Iterator[Finding]:
    """Yield one finding after the other; without an answer or a login there is only one."""
    yield from checkup.findings(
        api,
        api.details,
        (
            ("identity", lambda: _identity(api)),
            ("version", lambda: _version(api)),
            ("scopes", lambda: _scopes(api)),
            # By now the answers have told the account's own ceilings.
            ("budget", lambda: _budget(api)),
            ("objects", lambda: _objects(api, listed)),
            ("properties", lambda: _properties(api)),
        ),
    )


def identity(api: Api) -> str:
    """Say to which account this is logged in."""
    found = api.details()
    kind = (found.account_type or "account").lower().replace("_", " ")
    return f"HubSpot {kind} {found.portal_id} ({found.ui_domain})"


def sight(api: Api) -> str:
    """Say what the login may see: an app sees all records of its account, or is refused."""
    return identity(api)


def _identity(api: Api) -> Iterator[Finding]:
    yield Finding("ok", "identity", identity(api))


def _version(api: Api) -> Iterator[Finding]:
    end = next((one for one in api.limits.versions if one.version == api.version), None)
    if api.version == api.limits.api_version:
        yield Finding("ok", "version", f"API {api.version}, the newest known here")
    elif end is None or end.retired_on is None:
        yield Finding(
            "warn",
            "version",
            f"API {api.version}, of which no end is known.",
            "Leave api_version out.",
        )
    else:
        yield Finding(
            "warn",
            "version",
            f"API {api.version}, supported until {end.retired_on}",
            f"Leave api_version out to use {api.limits.api_version}.",
        )


def _budget(api: Api) -> Iterator[Finding]:
    meter = api.meter
    pace = f"{meter.burst} calls in 10 s, {meter.search} searches in 1 s"
    yield Finding("ok", "pace", f"{pace}; we use {meter.share:.0%} of it")
    usage = api.usage
    if usage.used is not None and usage.allowed is not None:
        yield checkup.budget(api, usage.used, usage.allowed, period="today")


def _scopes(api: Api) -> Iterator[Finding]:
    """Ask each configured object for one record: a scope that is missing is named by the refusal."""
    refused = 0
    for obj in api.connection.objects:
        try:
            _peek(api, obj.name)
        except Fatal as error:
            if error.status == 403:
                refused += 1
                yield Finding("fail", "scope", error.message, error.cure)
    if not refused:
        yield Finding("ok", "scopes", "enough for the configured objects")


def _peek(api: Api, name: str) -> None:
    if name == OWNERS:
        path, size = api.at.owners(), {"limit": "1"}
    elif name in PIPELINES:
        path, size = api.at.pipelines(PIPELINES[name]), {}
    else:
        path, size = api.at.objects(name), {"limit": "1"}
    owner, stamp = f"{api.connection.name}.{name}", type_of(name).stamp
    is_list = name in SNAPSHOTS
    api.ask(
        path, lambda body: responses.read(body, stamp, owner, numeric=not is_list), LIST, **size
    )


def _objects(api: Api, listed: Callable[[], Sequence[ObjectInfo]]) -> Iterator[Finding]:
    known = {info.name: info.queryable for info in listed()}
    for obj in api.connection.objects:
        if obj.name not in known and _is_there(api, obj.name):
            known[obj.name] = True  # by another of its names, such as 2-123456
    yield from checkup.objects(api, known, cure=_CURE)


def _properties(api: Api) -> Iterator[Finding]:
    """Name the sensitive properties that are not read, and those that are."""
    for obj in api.connection.objects:
        # An object that cannot be read has findings of its own.
        if obj.name in SNAPSHOTS or not _is_there(api, obj.name):
            continue
        found = sensitive.of(api, obj.name)
        for one in found.left_out:
            yield Finding("warn", "properties", one.told(obj.name), one.cure)
        if found.readable:
            names = ", ".join(one["name"] for one in found.readable)
            yield Finding("ok", "properties", f"{obj.name}: sensitive ones are read: {names}")


def _is_there(api: Api, name: str) -> bool:
    try:
        _peek(api, name)
    except Fatal:
        return False
    return True
