"""The checks of a HubSpot account: identity, API version, scopes, budget, objects, properties."""

from collections.abc import Callable, Iterator, Sequence

from crm_pipeline.connectors import checkup
from crm_pipeline.connectors.base import Finding, ObjectInfo
from crm_pipeline.connectors.hubspot import lists, responses, sensitive
from crm_pipeline.connectors.hubspot.api import LIST, Api
from crm_pipeline.connectors.hubspot.catalog import OF_LISTS, OWNERS, PIPELINES, SNAPSHOTS, type_of
from crm_pipeline.kernel.errors import Fatal

_CURE = (
    "Give the app its scopes (custom objects also crm.schemas.custom.read), or take it out of "
    "connections.yaml."
)


def findings(api: Api, listed: Callable[[], Sequence[ObjectInfo]]) -> Iterator[Finding]:
    """Yield the findings; a failed login is the only one."""
    yield from checkup.findings(
        api,
        api.details,
        (
            ("identity", lambda: _identity(api)),
            ("version", lambda: _version(api)),
            ("scopes", lambda: _scopes(api)),
            # The responses so far have reported the account's own limits.
            ("budget", lambda: _budget(api)),
            ("objects", lambda: _objects(api, listed)),
            ("properties", lambda: _properties(api)),
        ),
    )


def identity(api: Api) -> str:
    """Return the account that this is logged in to, as text."""
    details = api.details()
    kind = (details.account_type or "account").lower().replace("_", " ")
    return f"HubSpot {kind} {details.portal_id} ({details.ui_domain})"


def sight(api: Api) -> str:
    """Return the account: an app sees all records of its account, or is refused."""
    return identity(api)


def _identity(api: Api) -> Iterator[Finding]:
    yield Finding("ok", "identity", identity(api))


def _version(api: Api) -> Iterator[Finding]:
    dates = next((listed for listed in api.limits.versions if listed.version == api.version), None)
    if api.version == api.limits.api_version:
        yield Finding("ok", "version", f"API {api.version}, the newest known here")
    elif dates is None or dates.retired_on is None:
        yield Finding(
            "warn",
            "version",
            f"API {api.version}, whose end of life is unknown.",
            "Leave api_version out.",
        )
    else:
        yield Finding(
            "warn",
            "version",
            f"API {api.version}, supported until {dates.retired_on}",
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
    """Yield the findings about scopes: a request for one record of each object; its refusal names a missing scope."""
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
    if name in OF_LISTS:
        lists.search(api, count=1)
        return
    if name == OWNERS:
        path, size = api.at.owners(), {"limit": "1"}
    elif name in PIPELINES:
        path, size = api.at.pipelines(PIPELINES[name]), {}
    else:
        path, size = api.at.objects(name), {"limit": "1"}
    owner, cursor_field = f"{api.connection.name}.{name}", type_of(name).cursor_field
    is_list = name in SNAPSHOTS
    api.ask(
        path,
        lambda body: responses.read(body, cursor_field, owner, numeric=not is_list),
        LIST,
        **size,
    )


def _objects(api: Api, listed: Callable[[], Sequence[ObjectInfo]]) -> Iterator[Finding]:
    is_readable = {info.name: info.queryable for info in listed()}
    for obj in api.connection.objects:
        if obj.name not in is_readable and _is_readable(api, obj.name):
            is_readable[obj.name] = True  # by another of its names, such as 2-123456
    yield from checkup.objects(api, is_readable, cure=_CURE)


def _properties(api: Api) -> Iterator[Finding]:
    """Yield the findings about sensitive properties: those that are left out, and those that are read."""
    for obj in api.connection.objects:
        # An object that cannot be read has other findings.
        if obj.name in SNAPSHOTS or not _is_readable(api, obj.name):
            continue
        private = sensitive.of(api, obj.name)
        for left_out in private.left_out:
            yield Finding("warn", "properties", left_out.text(obj.name), left_out.cure)
        if private.readable:
            names = ", ".join(listed["name"] for listed in private.readable)
            yield Finding("ok", "properties", f"{obj.name}: sensitive ones are read: {names}")


def _is_readable(api: Api, name: str) -> bool:
    try:
        _peek(api, name)
    except Fatal:
        return False
    return True
