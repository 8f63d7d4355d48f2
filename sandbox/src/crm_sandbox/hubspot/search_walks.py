"""Searches page by page behind the last id: the matches apart from the ids are kept between pages.

So a page costs no scan of the table, and a benchmark measures the client.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from crm_sandbox.hubspot.paging import encoded
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.reading import Ids
from crm_sandbox.hubspot.schema import ObjectType
from crm_sandbox.hubspot.search_filters import Condition, FilterReader

_BY = "hs_object_id"
_MOST_KEPT = 8
_TOP = 2**63 - 1


class IdWalks:
    """Ids of one portal's live records by the filters that they match.

    Args:
        portal: holds the records.
        filters: how the filters are read.
    """

    def __init__(self, portal: Portal, filters: FilterReader) -> None:
        self._portal = portal
        self._filters = filters
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, bytes], tuple[int, Ids]] = OrderedDict()

    def page(
        self, one: ObjectType, body: Mapping[str, Any], limit: int, offset: int
    ) -> tuple[int, list[int]] | None:
        """Return how many match and the ids of a page; None for a search that does not go by ids."""
        sorts = body.get("sorts") or []
        if body.get("query") or not sorts or not isinstance(sorts[0], dict):
            return None
        parted = _parted(body.get("filterGroups") or [])
        if sorts[0].get("propertyName") != _BY or parted is None:
            return None
        low, high, rest = parted
        ids = self._matching(one, rest)
        begin, end = (int(place) for place in np.searchsorted(ids, [low, high]))
        if sorts[0].get("direction") == "DESCENDING":
            chosen = ids[begin:end][::-1][offset : offset + limit]
        else:
            chosen = ids[begin:end][offset : offset + limit]
        return max(0, end - begin), chosen.tolist()

    def _matching(self, one: ObjectType, filters: list[Any]) -> Ids:
        key, revision = (one.name, encoded(filters)), self._portal.tables.revision
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept[0] != revision:
                kept = (revision, self._scanned(one, filters))
            self._kept[key] = kept
            self._kept.move_to_end(key)
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
            return kept[1]

    def _scanned(self, one: ObjectType, filters: list[Any]) -> Ids:
        condition = Condition("NOT _archived").also(self._filters.read(one, [{"filters": filters}]))
        found = self._portal.tables.cursor().execute(
            f'SELECT _id FROM "{one.table}" WHERE {condition.sql} ORDER BY _id', condition.params
        )
        return np.asarray(found.fetchnumpy()["_id"], dtype=np.int64)


def _parted(groups: list[Any]) -> tuple[int, int, list[Any]] | None:
    """Return the lowest id, the one above the highest, and the filters that are about other things."""
    if len(groups) > 1:
        return None
    low, high = 0, _TOP
    rest: list[Any] = []
    for entry in (groups[0].get("filters") or ()) if groups else ():
        operator, value = entry.get("operator"), str(entry.get("value"))
        if entry.get("propertyName") != _BY or operator not in {"GT", "GTE", "LT", "LTE"}:
            rest.append(entry)
        elif operator in {"GT", "GTE"}:
            low = max(low, int(value) + (operator == "GT"))
        else:
            high = min(high, int(value) + (operator == "LTE"))
    return low, high, rest
