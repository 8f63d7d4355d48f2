"""The scopes that requests need, and those that a portal's tokens have."""

from crm_sandbox.http import Request
from crm_sandbox.hubspot.paging import json_of
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.routes import Route
from crm_sandbox.hubspot.schema import refuse_scope

_OBJECTS = (
    "contacts",
    "companies",
    "deals",
    "leads",
    "owners",
    "line_items",
    "quotes",
    "custom",
)
_SENSITIVE = ("sensitive", "highly_sensitive")
ALL_SCOPES = frozenset(
    {
        "oauth",
        "tickets",
        "e-commerce",
        "crm.export",
        "crm.import",
        "crm.schemas.custom.read",
        "crm.lists.read",
        "communication_preferences.read_write",
        "collector.graphql_schema.read",
        "collector.graphql_query.execute",
        *(f"crm.objects.{name}.{right}" for name in _OBJECTS for right in ("read", "write")),
        *(
            f"crm.objects.{name}.{kind}.read.v2"
            for name in ("contacts", "companies", "deals", "custom")
            for kind in _SENSITIVE
        ),
        *(f"tickets.{kind}.v2" for kind in _SENSITIVE),
    }
)
CONTACTS_ONLY = frozenset({"oauth", "crm.objects.contacts.read"})
# Whole names, without a right behind them.
_PLAIN = {"tickets", "e-commerce"}
_READS = ("read", "search")


def needed(portal: Portal, route: Route, method: str) -> frozenset[str]:
    """Return the scopes that a request needs, one of which is enough."""
    fixed = {
        "owners": "crm.objects.owners.read",
        "lists": "crm.lists.read",
        "exports": "crm.export",
        "imports": "crm.import",
        "schemas": "crm.schemas.custom.read",
        "communication-preferences": "communication_preferences.read_write",
        "collector": "collector.graphql_query.execute",
    }
    if route.area in fixed:
        return frozenset({fixed[route.area]})
    typed = {"objects", "properties", "legacy-properties", "pipelines", "associations"}
    if route.area not in typed or not route.parts:
        return frozenset()
    one = portal.catalog.named(route.parts[0])
    if one is None:
        return frozenset()
    reads = method == "GET" or any(part in _READS for part in route.parts[1:])
    return scope_of(one.scope, "read" if reads else "write")


def scope_of(scope: str, right: str) -> frozenset[str]:
    """Return the name of a right to an object type."""
    return frozenset({scope if scope in _PLAIN else f"{scope}.{right}"})


def check_values(portal: Portal, route: Route, request: Request, granted: frozenset[str]) -> None:
    """Refuse a request for values of sensitive properties whose token lacks the scope for them.

    Raises:
        ApiError: it does.
    """
    one = portal.catalog.named(route.parts[0]) if route.area == "objects" and route.parts else None
    known = (
        {p.name: p.sensitivity for p in one.visible if p.sensitivity in _SENSITIVE} if one else {}
    )
    if one is None or not known:
        return
    for name in known.keys() & set(_asked(request)):
        tickets = one.scope in _PLAIN
        wanted = f"{one.scope}.{known[name]}.{'v2' if tickets else 'read.v2'}"
        if wanted not in granted:
            raise refuse_scope({wanted})


def _asked(request: Request) -> list[str]:
    """Return the properties that a request wants to see."""
    if request.method == "GET":
        texts = [request.query.joined(key) for key in ("properties", "propertiesWithHistory")]
        return ",".join(texts).split(",")
    listed = json_of(request, dict).get("properties") if request.body else None
    return [str(name) for name in listed] if isinstance(listed, list) else []


def check(portal: Portal, route: Route, method: str, granted: frozenset[str]) -> None:
    """Refuse a request whose token lacks a scope, or whose object type was taken away.

    Raises:
        ApiError: it does.
    """
    wanted = needed(portal, route, method)
    hidden = {one.name for one in portal.catalog.types if one.hidden}
    touched = {found.name for part in route.parts[:3] if (found := portal.catalog.named(part))}
    if (wanted and not wanted & granted) or (hidden & touched):
        raise refuse_scope(wanted)
