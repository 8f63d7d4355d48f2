"""What `crm-pipeline check` asks a Zoho org: login, identity, edition and credits, scopes, objects."""

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
    """Yield one finding after the other; without an answer or a login there is only one."""
    listed: list[describe.Module] = []

    def ping() -> None:
        listed.extend(describe.modules(api))

    yield from checkup.findings(
        api,
        ping,
        (
            ("identity", lambda: _identity(api)),
            ("edition", lambda: _edition(api)),
            ("scope", lambda: _scopes(api, listed)),
            ("budget", lambda: _budget(api)),
            ("objects", lambda: _objects(api, listed)),
            ("fields", lambda: _elsewhere(api, listed)),
        ),
    )


def identity(api: Api) -> str:
    """Say as whom, and to which org, an account is logged in."""
    user = setup.user_now(api)
    try:
        org = api.org
    except NotPermitted:
        org = Organization()
    name = user.email or user.id or "unknown"
    return f"user {name} of organization {org.zgid or org.id or 'unknown'}"


def sight(api: Api) -> str:
    """Say what the login may see: whose it is, and the user's profile and role."""
    user = setup.user_now(api)
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
            f"the org does not tell its edition in known words; {api.limit(meter.CREDITS):,} credits are "
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


def _scopes(api: Api, listed: list[describe.Module]) -> Iterator[Finding]:
    module = next((one.name for one in listed if one.kind == "default"), "Leads")
    tries: dict[str, Callable[[], object]] = {
        "queries (COQL)": lambda: api.select(
            f"select id from {module} where id is not null limit 1",
            meter.coql(1),
            lambda response: response,
        ),
        "exports (Bulk Read)": lambda: api.request(
            "GET", f"{api.bulk_base}/read/1", meter.JOB_RESULT
        ),
        "users": lambda: setup.user_now(api),
    }
    missing = []
    for what, attempt in tries.items():
        try:
            attempt()
        except NotPermitted as error:
            if error.code == "OAUTH_SCOPE_MISMATCH":
                missing.append(what)
                yield Finding("warn", "scope", f"{what}: {error.message}", error.cure)
        except VendorError:
            continue  # the login may ask; what was asked for need not be there
    if not missing:
        yield Finding("ok", "scope", f"modules, settings, {', '.join(tries)}")


def _budget(api: Api) -> Iterator[Finding]:
    told = api.usage
    if told.used is not None and told.allowed is not None:
        yield checkup.budget(api, told.used, told.allowed, period="in 24 hours")
        return
    ceiling = api.limit(meter.CREDITS)
    yield Finding(
        "ok",
        "budget",
        f"less than half of {ceiling:,} credits used in 24 hours (Zoho tells more only then); we stop at "
        f"{int(ceiling * api.connection.share):,}",
    )


def _objects(api: Api, listed: list[describe.Module]) -> Iterator[Finding]:
    known = [*(one.name for one in listed), *setup.SETUPS, *members.LINKS]
    yield from checkup.objects(api, known, cure=_NO_PROFILE)


def _elsewhere(api: Api, listed: list[describe.Module]) -> Iterator[Finding]:
    """Name fields that only single records show, and the modules that hold their rows."""
    known = {one.name for one in listed}
    wanted = {one.name for one in api.connection.objects}
    for name in sorted(wanted & known):
        for raw in describe.fields(api, name):
            if raw["data_type"] not in describe.ELSEWHERE or not describe.is_shown(raw):
                continue
            module = describe.module_behind(raw)
            if module not in known or module in wanted:
                continue
            yield Finding(
                "warn",
                "fields",
                f"{name}.{raw['api_name']} ({raw['data_type']}) stands in no list; its rows are the module "
                f"{module}.",
                f"Add {module} to the objects, if they are wanted.",
            )
