"""Single questions to an org: any SOQL, one record. For people and scripts, not for landing.

A long answer is read by the org's locator, page by page. A locator dies with its session and when too
many are open; then the rest cannot be had, which is an error and never an end.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec

from crm_pipeline.connectors.salesforce.api import Api
from crm_pipeline.kernel.errors import MalformedAnswer, ProtocolError, Rejected
from crm_pipeline.wire.decoding import malformed
from crm_pipeline.wire.paging import Link, walk

_DEAD = "INVALID_QUERY_LOCATOR"
_WHAT = "the answer to a query"


class QueryPage(msgspec.Struct, rename="camel"):
    """One answer of the query endpoint, for people."""

    done: bool
    total_size: int
    records: list[dict[str, Any]]
    next_records_url: str | None = None


def query(api: Api, soql: str, *, include_deleted: bool) -> Iterator[dict[str, Any]]:
    """Yield the records of a query, sub-queries as lists; `SELECT COUNT()` yields {"count": n}.

    Raises:
        Rejected: the org refuses the query, or has forgotten the rest of it.
        ProtocolError: it sent another number of records than it announced.
    """
    first = f"{api.base}/{'queryAll' if include_deleted else 'query'}/"

    def fetch(place: str) -> QueryPage:
        if place == first:
            return api.ask(first, QueryPage, _WHAT, q=soql)
        return _following(api, place)

    seen = total = 0
    for page in walk(
        Link(first, partial(_next, api)), fetch, owner=f"{api.connection.name}: this query"
    ):
        total = page.total_size
        for record in page.records:
            seen += 1
            yield _plain(api, record)
    if seen == 0 and total:
        yield {"count": total}
    elif seen != total:
        raise ProtocolError(
            f"{api.connection.name}: the org announced {total:,} records and sent {seen:,}.",
            cure="What was read so far is not the answer; run the query again.",
        )


def get(api: Api, obj: str, record: str, by: str | None) -> dict[str, Any]:
    """Return one record with all its fields, by id or by the value of an external id field.

    Raises:
        Rejected: there is no such record.
    """
    place = "/".join(quote(part, safe="") for part in (obj, by, record) if part)
    what = "the answer with a record"
    found = api.ask(f"{api.base}/sobjects/{place}", dict[str, Any], what)
    if "attributes" not in found:
        raise MalformedAnswer(f"{api.connection.name}: {what} holds none.")
    return dict(_plain(api, found))


def _next(api: Api, page: QueryPage) -> str | None:
    """Return the path of the next page, None behind the last one.

    Raises:
        MalformedAnswer: more are to come, and the org names no page of a query.
    """
    if page.done:
        return None
    place = page.next_records_url or ""
    # `//host/`, `@host/` and whole addresses are no paths below the API.
    if not place.startswith(f"{api.base}/query") or ".." in place:
        raise MalformedAnswer(
            f"{api.connection.name}: {_WHAT} is not the last one, and names no next one of its own. Nothing was "
            "asked there."
        )
    return place


def _following(api: Api, place: str) -> QueryPage:
    try:
        return api.ask(place, QueryPage, _WHAT)
    except Rejected as error:
        if error.code != _DEAD:
            raise
        raise Rejected(
            f"{api.connection.name}: the org has forgotten the rest of this query.",
            code=_DEAD,
            cure="Run it again; a new login or too many open queries end a query.",
        ) from error


def _sub_query(api: Api, value: dict[str, Any]) -> QueryPage:
    try:
        return msgspec.convert(value, QueryPage)
    except msgspec.ValidationError as error:
        owner = api.connection.name
        raise malformed(b"{}", error, owner=owner, what="the answer of a sub-query") from None


def _plain(api: Api, value: Any) -> Any:
    """Take the bookkeeping out of a record, and read the rest of its sub-queries."""
    if not isinstance(value, dict):
        return value
    if "records" in value and "totalSize" in value:
        page = _sub_query(api, value)
        found, seen = list(page.records), set[str]()
        while (place := _next(api, page)) is not None:
            if place in seen:
                raise ProtocolError(
                    f"{api.connection.name}: the org named the same page of a sub-query twice."
                )
            seen.add(place)
            page = _following(api, place)
            found += page.records
        return [_plain(api, record) for record in found]
    return {key: _plain(api, part) for key, part in value.items() if key != "attributes"}
