"""Routes from addresses to APIs; the same APIs have addresses with version numbers and with dates.

`/crm/v3/objects/contacts` and `/crm/objects/2026-09/contacts` are one and the same resource.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

_VERSION = re.compile(r"v\d+|\d{4}-\d{2}")
# Where the results of exports are fetched.
FILES = "/export-files/"
DATED = ("2026-03", "2026-09")
# What is answered under which versions.
SERVED = {
    "objects": ("v3", "v4", *DATED),
    "properties": ("v3", *DATED),
    "pipelines": ("v3", *DATED),
    "owners": ("v3", *DATED),
    "lists": ("v3", *DATED),
    "schemas": ("v3", *DATED),
    "associations": ("v3", "v4", *DATED),
    "imports": ("v3", *DATED),
    "exports": ("v3", *DATED),
    "limits": ("2026-09",),
    "property-validations": ("2026-03", "2026-09"),
    "communication-preferences": ("v4", *DATED),
    "webhooks": ("v3", *DATED),
    "oauth": ("v1", "v3", *DATED),
    "account-info": ("v3", *DATED),
    "legacy-properties": ("v2",),
}
# What stands at the root of the host; everything else is below `/crm`.
_AT_ROOT = frozenset({"communication-preferences", "webhooks", "oauth", "account-info"})


@dataclass(frozen=True)
class Route:
    """Where a request goes.

    Attributes:
        area: the API.
        version: as it stands in the address.
        parts: what follows.
    """

    area: str
    version: str
    parts: tuple[str, ...]

    @property
    def is_dated(self) -> bool:
        """Whether it was called by date."""
        return not self.version.startswith("v")


def route_of(path: str) -> Route | None:
    """Return the route of an address, or None where there is nothing."""
    parts = [unquote(part) for part in path.split("/") if part]
    head = parts[0] if parts else ""
    if head == "crm" and len(parts) > 2:
        versioned = parts[1] if _VERSION.fullmatch(parts[1]) else parts[2]
        area = parts[2] if versioned is parts[1] else parts[1]
        if area in {*_AT_ROOT, "legacy-properties"}:
            return None
        found = Route(area, versioned, tuple(parts[3:]))
    elif parts[:2] == ["properties", "v2"]:
        found = Route("legacy-properties", "v2", tuple(parts[2:]))
    elif head == "crm-object-schemas" and parts[2:3] == ["schemas"]:
        found = Route("schemas", parts[1], tuple(parts[3:]))
    elif head == "app-webhooks" and len(parts) > 1:
        found = Route("webhooks", parts[1], tuple(parts[2:]))
    elif parts == ["collector", "graphql"]:
        return Route("collector", "graphql", ())
    elif len(parts) > 1 and head in _AT_ROOT:
        found = Route(head, parts[1], tuple(parts[2:]))
    else:
        return None
    return found if found.version in SERVED.get(found.area, ()) else None


def address_of(area: str, version: str, parts: tuple[str, ...]) -> str:
    """Return the path of a resource under one version."""
    where = f"{version}/{area}" if version.startswith("v") else f"{area}/{version}"
    return "/".join(["/crm", where, *parts])
