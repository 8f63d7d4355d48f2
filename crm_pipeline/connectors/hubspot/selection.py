"""What is read of the records of one plan, and whether it fits into an address or into a search.

Accounts have hundreds of properties. Where their names do not fit, a list or a search only says which
records there are, and those are read by their ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import msgspec

from crm_pipeline.connectors.base import Plan
from crm_pipeline.connectors.hubspot import describe
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.catalog import linked_to, type_of
from crm_pipeline.kernel.clock import Window

# The longest that ids and milliseconds get; what was left out of a count takes some room too.
_LONG = "9" * 19
_HOST_CHARACTERS = 200


@dataclass(frozen=True)
class Selection:
    """What is read of the records of a plan.

    Attributes:
        name: of their type, as in addresses.
        stamp: the property that changes with each edit.
        properties: all that there are.
        history: those whose earlier values are read too.
        others: objects to which associations are read.
        window: None reads everything.
    """

    name: str
    stamp: str
    properties: tuple[str, ...]
    history: tuple[str, ...]
    others: tuple[str, ...]
    window: Window | None

    @classmethod
    def of(cls, api: Api, plan: Plan) -> "Selection":
        """Return what a plan reads."""
        kind = type_of(plan.object)
        return cls(
            name=plan.object,
            stamp=plan.cursor_field or kind.stamp,
            properties=describe.properties_of(plan.schema),
            history=tuple(name for name in kind.history if name in plan.schema.by_name),
            others=linked_to(plan.object, (one.name for one in api.connection.objects)),
            window=plan.window,
        )

    @property
    def keys_only(self) -> "Selection":
        """The same records, but of each no more than its id and stamp."""
        return replace(self, properties=(self.stamp,), history=())

    def list_query(self) -> dict[str, str]:
        """Return what a list is asked for."""
        named = {"properties": self.properties, "propertiesWithHistory": self.history}
        return {key: ",".join(names) for key, names in named.items() if names}

    def fits_list(self, api: Api) -> bool:
        """Say whether a list can show all of it."""
        query = urlencode({**self.list_query(), "after": _LONG, "limit": "100"})
        path = api.at.objects(self.name)
        longest = api.meter.limit("uri_characters")
        return len(path) + len(query) + _HOST_CHARACTERS <= longest

    def fits_search(self, api: Api) -> bool:
        """Say whether a search can show all of it; histories it never shows."""
        body = encoded(self.search_body([*self.conditions(), *between(int(_LONG), int(_LONG))]))
        return not self.history and len(body) <= api.meter.limit("search_characters")

    def conditions(self) -> list[dict[str, Any]]:
        """Return the filters of the window; stamps are compared in milliseconds."""
        if self.window is None:
            return []
        return span_of_time(self.stamp, self.window)

    def search_body(
        self, filters: Sequence[Mapping[str, Any]], *, limit: int = 200
    ) -> dict[str, Any]:
        """Return a search that goes by ids, upward."""
        return {
            "filterGroups": [{"filters": list(filters)}] if filters else [],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": list(self.properties),
            "limit": limit,
        }


def span_of_time(stamp: str, window: Window) -> list[dict[str, Any]]:
    """Return the filters of a half-open window."""
    upper = condition(stamp, "LT", _milliseconds(window.to_at))
    if window.from_at is None:
        return [upper]
    return [condition(stamp, "GTE", _milliseconds(window.from_at)), upper]


def between(low: int, high: int | None) -> list[dict[str, Any]]:
    """Return the filters of ids from `low` on, below `high`."""
    lower = [condition("hs_object_id", "GTE", low)] if low else []
    upper = [] if high is None else [condition("hs_object_id", "LT", high)]
    return [*lower, *upper]


def condition(name: str, operator: str, value: int) -> dict[str, Any]:
    """Return one filter."""
    return {"propertyName": name, "operator": operator, "value": str(value)}


def encoded(body: Any) -> bytes:
    """Return JSON without a character too many: bodies of searches have a greatest length."""
    return msgspec.json.encode(body)


def _milliseconds(at: Any) -> int:
    # Stamps have milliseconds: an edge between two of them is as good as the later one.
    return -int(-at.timestamp() * 1000 // 1)
