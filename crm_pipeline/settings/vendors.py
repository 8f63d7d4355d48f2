"""What connections.yaml may say about each vendor, read from the vendors' folders without importing them.

A folder of crm_pipeline/connectors is a vendor; its `limits.yaml` names the routes, the pattern of API
versions, and the ceilings that an account may override.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

_CONNECTORS = Path(__file__).resolve().parent.parent / "connectors"


@dataclass(frozen=True)
class VendorFacts:
    """What a connection of a vendor may choose.

    Attributes:
        routes: names for `route:`, besides `auto`.
        version_pattern: what an `api_version` looks like; `version_example` is one.
        ceilings: names for `ceilings:`, with the published figures.
    """

    routes: tuple[str, ...]
    version_pattern: str
    version_example: str
    ceilings: Mapping[str, int]


def known_vendors() -> tuple[str, ...]:
    """Return the names that `vendor:` may have."""
    return tuple(sorted(entry.parent.name for entry in _CONNECTORS.glob("*/limits.yaml")))


@cache
def facts_of(vendor: str) -> VendorFacts:
    """Return what a connection of a known vendor may choose."""
    raw = yaml.safe_load((_CONNECTORS / vendor / "limits.yaml").read_text(encoding="utf-8"))
    return VendorFacts(
        routes=tuple(raw["routes"]),
        version_pattern=raw["version_pattern"],
        version_example=raw["api_version"],
        ceilings=raw["ceilings"],
    )
