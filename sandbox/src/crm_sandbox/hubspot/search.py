"""The search: pages by offset, at most 10,000 results, live records only.

Source: https://developers.hubspot.com/docs/api-reference/search/guide
"""

from typing import Any

from crm_sandbox.http import Request, Response, is_number
from crm_sandbox.hubspot import bodies
from crm_sandbox.hubspot.errors import ApiError, invalid
from crm_sandbox.hubspot.paging import encoded, json_of
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.reading import RecordReader, shape_of
from crm_sandbox.hubspot.schema import ObjectType
from crm_sandbox.hubspot.search_filters import Condition, FilterReader, column_of
from crm_sandbox.hubspot.search_index import SearchIndex
from crm_sandbox.hubspot.search_walks import IdWalks

MOST_PAGE, CEILING, LONGEST_BODY = 200, 10_000, 3_000


class SearchHandler:
    """Answers searches in one portal.

    Args:
        portal: holds the records.
        reader: how the bodies are read; a stale match shows the fresh one.
        index: what search sees.
    """

    def __init__(self, portal: Portal, reader: RecordReader, index: SearchIndex) -> None:
        self._portal = portal
        self._reader = reader
        self._index = index
        self._filters = FilterReader(portal)
        self._walks = IdWalks(portal, self._filters)

    def answer(self, request: Request, one: ObjectType) -> Response:
        """Answer one search."""
        if len(request.body.decode("utf-8", "replace")) > LONGEST_BODY:
            raise invalid(f"The request body must not be longer than {LONGEST_BODY} characters")
        body = json_of(request, bodies.Search)
        source, is_fresh = self._index.source(one)
        if not is_fresh:
            return Response(200, self._found(one, body, source, is_fresh=False))
        key = ("search", one.name, request.body)
        return self._portal.packed(key, lambda: self._found(one, body, source, is_fresh=True))

    def _found(
        self, one: ObjectType, body: dict[str, Any], source: str, *, is_fresh: bool
    ) -> bytes:
        limit, offset = _window(body)
        condition = Condition("NOT _archived").also(
            self._filters.read(one, body.get("filterGroups") or [])
        )
        if body.get("query"):
            condition = condition.also(self._filters.query(one, str(body["query"])))
        order = _order(one, body.get("sorts") or [])
        page = self._walks.page(one, body, limit, offset) if is_fresh else None
        total, ids = page or self._scanned(
            condition, source, f"{order} LIMIT {limit} OFFSET {offset}"
        )
        names = body.get("properties") or []
        records = self._reader.by_ids(one, ids, shape_of(one, [str(name) for name in names]))
        document: dict[str, Any] = {
            "total": total,
            "results": [records[record] for record in ids if record in records],
        }
        if offset + limit < total:
            document["paging"] = {"next": {"after": str(offset + limit)}}
        return encoded(document)

    def _scanned(self, condition: Condition, source: str, order: str) -> tuple[int, list[int]]:
        """Return how many records match, and the ids of those in an order."""
        tables, matching = self._portal.tables, f"FROM {source} WHERE {condition.sql}"
        total = int(tables.value(f"SELECT count(*) {matching}", condition.params))
        rows = tables.cursor().execute(f"SELECT _id {matching} ORDER BY {order}", condition.params)
        return total, [row[0] for row in rows.fetchall()]


def _window(body: dict[str, Any]) -> tuple[int, int]:
    limit = 10 if body.get("limit") is None else body["limit"]
    after = body.get("after") or 0
    if not is_number(str(limit)) or not 0 < int(limit) <= MOST_PAGE:
        raise invalid(f"limit must be between 1 and {MOST_PAGE}, but was {limit}")
    if not is_number(str(after)):
        raise invalid(f"Invalid value for 'after': {after}")
    if int(after) + int(limit) > CEILING:
        raise ApiError(400, "VALIDATION_ERROR", f"Search results are limited to {CEILING} results")
    return int(limit), int(after)


def _order(one: ObjectType, sorts: Any) -> str:
    """Return the order of the first sort; without one the creation decides."""
    first = sorts[0] if sorts else None
    if isinstance(first, str):
        name, down = first.lstrip("-"), first.startswith("-")
    elif isinstance(first, dict):
        name, down = str(first.get("propertyName", "")), first.get("direction") == "DESCENDING"
    else:
        return "_created, _id"
    prop = one.find(name)
    if prop is None:
        raise invalid("There was a problem with the request.")
    column, _ = column_of(prop)
    return f"{column} {'DESC' if down else 'ASC'} NULLS LAST, _id"
