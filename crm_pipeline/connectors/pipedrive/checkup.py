"""What `crm-pipeline check` asks a Pipedrive company: login, identity, sight, budget, objects."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from crm_pipeline.connectors import checkup
from crm_pipeline.connectors.base import Finding
from crm_pipeline.connectors.pipedrive import per_deal
from crm_pipeline.connectors.pipedrive.api import Api, Me
from crm_pipeline.connectors.pipedrive.catalog import ITEMS
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.pipedrive.meter import DAILY
from crm_pipeline.kernel.errors import Fatal

_READ_SCOPES = ("base", "deals", "contacts", "activities", "products", "leads", "users")


def findings(api: Api) -> Iterator[Finding]:
    """Yield one finding after the other; without an answer or a login there is only one."""
    told: list[Me] = []

    def ping() -> None:
        told.append(api.me())

    yield from checkup.findings(
        api,
        ping,
        (
            ("identity", lambda: _identity(api, told[0])),
            ("sight", lambda: _sight(told[0])),
            ("scopes", lambda: _scopes(api)),
            ("budget", lambda: _budget(api)),
            ("objects", lambda: _objects(api)),
        ),
    )


def identity(me: Me) -> str:
    """Say as whom, and to which company, an account is logged in."""
    company = me.company_domain or me.company_name
    return f"user {me.id} of company {me.company_id} ({company})"


def sight(api: Api) -> str:
    """Say what the login may see; "" for a user who is no admin: others may take records from its sight."""
    me = api.me()
    if any(finding.level != "ok" for finding in _sight(me)):
        return ""
    return "; ".join((identity(me), *sorted(api.scopes or ())))


def _identity(api: Api, me: Me) -> Iterator[Finding]:
    ours = urlsplit(api.connection.login_url).hostname
    theirs = urlsplit(api.token().instance_url).hostname
    if ours != theirs:
        yield Finding(
            "warn",
            "identity",
            f"{identity(me)}; the login belongs to {theirs}, and login_url says {ours}.",
            "If that is the right company, write its address into login_url; if not, run `crm-pipeline "
            f"login {api.connection.name}` as a user of the other one.",
        )
        return
    yield Finding("ok", "identity", identity(me))


def _sight(me: Me) -> Iterator[Finding]:
    if any(one.admin for one in me.access or () if one.app in {"sales", "global"}):
        yield Finding("ok", "sight", "an admin: sees all records")
        return
    yield Finding(
        "warn",
        "sight",
        "the user is no deals admin: records that it may not see are left out without a word.",
        "Use the token of a user with the permission set 'Deals admin', or of one in the visibility "
        "group that sees everything.",
    )


def _scopes(api: Api) -> Iterator[Finding]:
    granted = api.scopes
    if granted is None:
        return
    groups = {scope.partition(":")[0] for scope in granted}
    missing = [name for name in _READ_SCOPES if name not in groups]
    if missing:
        words = ", ".join(name if name == "base" else f"{name}:read" for name in missing)
        yield Finding(
            "warn",
            "scopes",
            f"the app lacks {words}.",
            "Add them in the Developer Hub (the app, OAuth & access scopes), install the app again and "
            f"run `crm-pipeline login {api.connection.name}`; or leave those objects out.",
        )
    else:
        yield Finding("ok", "scopes", ", ".join(sorted(granted)))


def _budget(api: Api) -> Iterator[Finding]:
    usage = api.usage
    if usage.used is None or usage.allowed is None:
        yield Finding(
            "warn",
            "budget",
            f"Pipedrive did not say how many tokens the company has; we reckon with "
            f"{api.pace.limit(DAILY):,} a day.",
            "Set `ceilings: {daily_tokens: ...}` to 30,000 x plan (Lite 1, Growth 2, Premium 5, Ultimate "
            "7) x seats.",
        )
    else:
        yield checkup.budget(api, usage.used, usage.allowed, period="today, by all of the company")
    yield Finding("ok", "pace", f"{api.pace.limit(api.pace.burst)} calls in 2 s with this login")


def _objects(api: Api) -> Iterator[Finding]:
    readable = dict.fromkeys(ITEMS, True)
    for settings in api.connection.objects:
        if settings.name in ITEMS:
            readable[settings.name] = _is_readable(api, settings.name)
    yield from checkup.objects(
        api,
        readable,
        cure="Give the user (permission set) or the app (scopes) access to it, or take it out of "
        "connections.yaml.",
    )


def _is_readable(api: Api, name: str) -> bool:
    item = ITEMS[name]
    lister = Lister(api, ITEMS["deals"] if item.paging in {"deals", "per_deal"} else item)
    params = {} if item.paging == "whole" else {"limit": "1"}
    try:
        page = lister.ask(lister.item.listings[0], params)
        if item.paging == "per_deal":
            per_deal.some(Lister(api, item), page)
    except Fatal:
        return False
    return True
