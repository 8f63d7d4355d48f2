"""The check-up of a Pipedrive company: login, identity, visibility, scopes, budget, objects."""

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
    """Yield the findings; if the API does not respond or the login fails, there is only one."""
    users: list[Me] = []

    def ping() -> None:
        users.append(api.me())

    yield from checkup.findings(
        api,
        ping,
        (
            ("identity", lambda: _identity(api, users[0])),
            ("sight", lambda: _sight(users[0])),
            ("scopes", lambda: _scopes(api)),
            ("budget", lambda: _budget(api)),
            ("objects", lambda: _objects(api)),
        ),
    )


def identity(me: Me) -> str:
    """Return the user and the company of a login."""
    company = me.company_domain or me.company_name
    return f"user {me.id} of company {me.company_id} ({company})"


def sight(api: Api) -> str:
    """Return what the login may see; "" for a user without admin rights, from whom records may be hidden."""
    me = api.me()
    if any(finding.level != "ok" for finding in _sight(me)):
        return ""
    return "; ".join((identity(me), *sorted(api.scopes or ())))


def _identity(api: Api, me: Me) -> Iterator[Finding]:
    configured = urlsplit(api.connection.login_url).hostname
    actual = urlsplit(api.token().instance_url).hostname
    if configured != actual:
        yield Finding(
            "warn",
            "identity",
            f"{identity(me)}; the login belongs to {actual}, and login_url says {configured}.",
            "If that is the right company, write its address into login_url; if not, run `crm-pipeline "
            f"login {api.connection.name}` as a user of the other one.",
        )
        return
    yield Finding("ok", "identity", identity(me))


def _sight(me: Me) -> Iterator[Finding]:
    if any(access.admin for access in me.access or () if access.app in {"sales", "global"}):
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
        scopes = ", ".join(name if name == "base" else f"{name}:read" for name in missing)
        yield Finding(
            "warn",
            "scopes",
            f"the app lacks {scopes}.",
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
        page = lister.fetch(lister.item.listings[0], params)
        if item.paging == "per_deal":
            per_deal.records(Lister(api, item), page)
    except Fatal:
        return False
    return True
