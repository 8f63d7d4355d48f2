"""What a token may do: the scopes that a call needs, and those that there are.

Source: https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/scopes
"""

from crm_pipeline.sandbox.hubspot.routes import Route
from crm_pipeline.sandbox.hubspot.schema import Catalog, ObjectType, refuse_scope

_FREE = frozenset({"oauth", "account-info", "limits"})
_WRITES = frozenset({"POST", "PATCH", "PUT", "DELETE"})
_READS_BY_POST = frozenset({"search", "read"})
CONTACTS_ONLY = frozenset(
    {
        "oauth",
        "crm.objects.contacts.read",
        "crm.schemas.contacts.read",
        "crm.objects.owners.read",
    }
)


def all_scopes(catalog: Catalog) -> frozenset[str]:
    """Return every scope of a portal."""
    made = {
        "oauth",
        "crm.objects.owners.read",
        "crm.export",
        "crm.import",
        "crm.schemas.custom.read",
    }
    for one in catalog.types:
        made |= {f"crm.objects.{one.scope}.{kind}" for kind in ("read", "write")}
        made |= {f"crm.schemas.{one.scope}.{kind}" for kind in ("read", "write")}
    return frozenset(made)


def refuse_lacking(
    scopes: frozenset[str], route: Route, method: str, types: tuple[ObjectType, ...]
) -> None:
    """Refuse a call for which a token lacks a scope.

    Args:
        scopes: of the token.
        route: what is called.
        method: how.
        types: the object types that it is about.

    Raises:
        ApiError: something lacks.
    """
    needed = {_needed(route, method, one) for one in types}
    if route.area == "owners":
        needed = {"crm.objects.owners.read"}
    elif route.area == "exports":
        needed = {"crm.export"}
    elif route.area == "imports":
        needed = {"crm.import"}
    elif route.area in _FREE:
        needed = set()
    if lacking := needed - scopes:
        raise refuse_scope(lacking)


def _needed(route: Route, method: str, one: ObjectType) -> str:
    reads = method == "GET" or bool(_READS_BY_POST & set(route.parts[1:]))
    level = "read" if reads or method not in _WRITES else "write"
    family = "schemas" if route.area in {"properties", "schemas"} else "objects"
    return f"crm.{family}.{one.scope}.{level}"
