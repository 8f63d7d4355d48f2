"""The selection of a plan: the properties that are read, and whether they fit into a list or a search request.

Accounts have hundreds of properties. Where their names do not fit, a list or a search is read for ids only, and the
records are read by id.
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

# The longest id or number of milliseconds.
_LONG = "9" * 19
_HOST_CHARACTERS = 200


@dataclass(frozen=True)
class Selection:
    """The selection of a plan.

    Attributes:
        name: of the type of records, as in addresses.
        cursor_field: the property with the time of the last change.
        properties: all of the type.
        history: those whose earlier values are read, too.
        others: objects to which associations are read.
        window: None reads all records.
    """

    name: str
    cursor_field: str
    properties: tuple[str, ...]
    history: tuple[str, ...]
    others: tuple[str, ...]
    window: Window | None

    @classmethod
    def of(cls, api: Api, plan: Plan) -> "Selection":
        """Return the selection of a plan."""
        kind = type_of(plan.object)
        return cls(
            name=plan.object,
            cursor_field=plan.cursor_field or kind.cursor_field,
            properties=describe.properties_of(plan.schema),
            history=tuple(name for name in kind.history if name in plan.schema.by_name),
            others=()
            if plan.keys_only
            else linked_to(plan.object, (obj.name for obj in api.connection.objects)),
            window=plan.window,
        )

    @property
    def keys_only(self) -> "Selection":
        """The same records, with id and modification time only."""
        return replace(self, properties=(self.cursor_field,), history=())

    def list_query(self) -> dict[str, str]:
        """Return the parameters of a list request."""
        named = {"properties": self.properties, "propertiesWithHistory": self.history}
        return {key: ",".join(names) for key, names in named.items() if names}

    def fits_list(self, api: Api) -> bool:
        """Return whether the selection fits into a list request."""
        query = urlencode({**self.list_query(), "after": _LONG, "limit": "100"})
        path = api.at.objects(self.name)
        longest = api.meter.limit("uri_characters")
        return len(path) + len(query) + _HOST_CHARACTERS <= longest

    def fits_search(self, api: Api) -> bool:
        """Return whether the selection fits into a search, which has no histories."""
        body = encoded(self.search_body([*self.conditions(), *between(int(_LONG), int(_LONG))]))
        return not self.history and len(body) <= api.meter.limit("search_characters")

    def conditions(self) -> list[dict[str, Any]]:
        """Return the filters of the window; modification times are compared in milliseconds."""
        if self.window is None:
            return []
        return window_filters(self.cursor_field, self.window)

    def search_body(
        self, filters: Sequence[Mapping[str, Any]], *, limit: int = 200
    ) -> dict[str, Any]:
        """Return the body of a search in the order of ids."""
        return {
            "filterGroups": [{"filters": list(filters)}] if filters else [],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": list(self.properties),
            "limit": limit,
        }


def window_filters(cursor_field: str, window: Window) -> list[dict[str, Any]]:
    """Return the filters of a half-open window."""
    upper = condition(cursor_field, "LT", _milliseconds(window.to_at))
    if window.from_at is None:
        return [upper]
    return [condition(cursor_field, "GTE", _milliseconds(window.from_at)), upper]


def between(low: int, high: int | None) -> list[dict[str, Any]]:
    """Return the filters of ids from `low` (inclusive) to `high` (exclusive)."""
    lower = [condition("hs_object_id", "GTE", low)] if low else []
    upper = [] if high is None else [condition("hs_object_id", "LT", high)]
    return [*lower, *upper]


def condition(name: str, operator: str, value: int) -> dict[str, Any]:
    """Return one filter."""
    return {"propertyName": name, "operator": operator, "value": str(value)}


def encoded(body: Any) -> bytes:
    """Return JSON without spaces, because bodies of searches have a maximum length."""
    return msgspec.json.encode(body)


def _milliseconds(at: Any) -> int:
    # Rounded up: modification times have milliseconds, so this selects the same records.
    return -int(-at.timestamp() * 1000 // 1)
