"""The check-up of a Zoho org: login, identity, edition and credits, scopes, objects, fields."""

from collections.abc import Callable, Iterator

from crm_pipeline.connectors import checkup
from crm_pipeline.connectors.base import Finding
from crm_pipeline.connectors.zoho import describe, members, meter, setup
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.documents import Organization
from crm_pipeline.kernel.errors import NotPermitted, VendorError

_NO_PROFILE = (
    "Give the user's profile read access to it (Setup, Users and Control, Security Control, Profiles), and "
    "turn API access of the module on; or take it out of connections.yaml."
)


def findings(api: Api) -> Iterator[Finding]:
    """Yield the findings; if the API does not respond or the login fails, there is only one."""
    modules: list[describe.Module] = []

    def ping() -> None:
        modules.extend(describe.modules(api))

    yield from checkup.findings(
        api,
        ping,
        (
            ("identity", lambda: _identity(api)),
            ("edition", lambda: _edition(api)),
            ("scope", lambda: _scopes(api, modules)),
            ("budget", lambda: _budget(api)),
            ("objects", lambda: _objects(api, modules)),
            ("fields", lambda: _fields_not_listed(api, modules)),
        ),
    )


def identity(api: Api) -> str:
    """Return the user and the org of a login."""
    user = setup.current_user(api)
    try:
        org = api.org
    except NotPermitted:
        org = Organization()
    name = user.email or user.id or "unknown"
    return f"user {name} of organization {org.zgid or org.id or 'unknown'}"


def sight(api: Api) -> str:
    """Return what decides what the login may see: the user, with profile and role."""
    user = setup.current_user(api)
    rights = [str(right.id if right else None) for right in (user.profile, user.role)]
    return "; ".join((str(user.id), *rights))


def _identity(api: Api) -> Iterator[Finding]:
    yield Finding("ok", "identity", identity(api))


def _edition(api: Api) -> Iterator[Finding]:
    edition = meter.edition_of(api.org)
    if edition is None:
        yield Finding(
            "warn",
            "edition",
            f"the org's edition is not known; {api.limit(meter.CREDITS):,} credits are "
            "assumed, those of the Free edition.",
            "Set `ceilings: {daily_credits: ..., concurrent_calls: ...}` in connections.yaml (Setup, "
            "Developer Space, APIs, Dashboard shows the credits).",
        )
        return
    yield Finding(
        "ok",
        "edition",
        f"{edition.names[0]}, {api.limit(meter.CREDITS):,} credits in 24 hours, "
        f"{api.limit(meter.AT_ONCE)} calls at once",
    )


def _scopes(api: Api, modules: list[describe.Module]) -> Iterator[Finding]:
    module = next((module.name for module in modules if module.kind == "default"), "Leads")
    probes: dict[str, Callable[[], object]] = {
        "queries (COQL)": lambda: api.select(
            f"select id from {module} where id is not null limit 1",
            meter.coql(1),
            lambda response: response,
        ),
        "exports (Bulk Read)": lambda: api.request(
            "GET", f"{api.bulk_base}/read/1", meter.JOB_RESULT
        ),
        "users": lambda: setup.current_user(api),
    }
    missing = []
    for name, probe in probes.items():
        try:
            probe()
        except NotPermitted as error:
            if error.code == "OAUTH_SCOPE_MISMATCH":
                missing.append(name)
                yield Finding("warn", "scope", f"{name}: {error.message}", error.cure)
        except VendorError:
            continue  # the scope is there; the requested item need not exist
    if not missing:
        yield Finding("ok", "scope", f"modules, settings, {', '.join(probes)}")


def _budget(api: Api) -> Iterator[Finding]:
    usage = api.usage
    if usage.used is not None and usage.allowed is not None:
        yield checkup.budget(api, usage.used, usage.allowed, period="in 24 hours")
        return
    allowed = api.limit(meter.CREDITS)
    yield Finding(
        "ok",
        "budget",
        f"less than half of {allowed:,} credits used in 24 hours (Zoho reports more only then); we stop at "
        f"{int(allowed * api.connection.share):,}",
    )


def _objects(api: Api, modules: list[describe.Module]) -> Iterator[Finding]:
    names = [*(module.name for module in modules), *setup.SETUPS, *members.LINKS]
    yield from checkup.objects(api, names, cure=_NO_PROFILE)


def _fields_not_listed(api: Api, modules: list[describe.Module]) -> Iterator[Finding]:
    """Warn of fields that only single records contain, with the modules that hold their rows."""
    names = {module.name for module in modules}
    configured = {settings.name for settings in api.connection.objects}
    for name in sorted(configured & names):
        for entry in describe.fields(api, name):
            if entry["data_type"] not in describe.NOT_LISTED or not describe.is_shown(entry):
                continue
            module = describe.module_of_rows(entry)
            if module not in names or module in configured:
                continue
            yield Finding(
                "warn",
                "fields",
                f"{name}.{entry['api_name']} ({entry['data_type']}) is in no list; its rows are the module "
                f"{module}.",
                f"Add {module} to the objects, if they are wanted.",
            )
