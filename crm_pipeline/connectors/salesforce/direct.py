"""Ad-hoc reads of an org: any SOQL query, one record. For people and scripts, not for landing.

A long result is read page by page with the org's query locator. A locator expires with its session and when too many
are open; the rest of the result cannot be read then, which is an error and never an end.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec

from crm_pipeline.connectors.salesforce.api import Api
from crm_pipeline.kernel.errors import MalformedResponse, ProtocolError, Rejected
from crm_pipeline.wire.decoding import malformed
from crm_pipeline.wire.paging import Link, walk

_EXPIRED = "INVALID_QUERY_LOCATOR"
_WHAT = "the answer to a query"


class QueryPage(msgspec.Struct, rename="camel"):
    """A response of the query endpoint."""

    done: bool
    total_size: int
    records: list[dict[str, Any]]
    next_records_url: str | None = None


def query(api: Api, soql: str, *, include_deleted: bool) -> Iterator[dict[str, Any]]:
    """Yield the records of a query, sub-queries as lists; `SELECT COUNT()` yields {"count": n}.

    Raises:
        Rejected: the org refuses the query, or its locator has expired.
        ProtocolError: the org sent another number of records than it announced.
    """
    first = f"{api.base}/{'queryAll' if include_deleted else 'query'}/"

    def fetch(path: str) -> QueryPage:
        if path == first:
            return api.ask(first, QueryPage, _WHAT, q=soql)
        return _following(api, path)

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
            cure="The result so far is incomplete; run the query again.",
        )


def get(api: Api, obj: str, record: str, by: str | None) -> dict[str, Any]:
    """Return one record with all its fields, by id or by the value of an external id field.

    Raises:
        Rejected: there is no such record.
    """
    path = "/".join(quote(part, safe="") for part in (obj, by, record) if part)
    what = "the answer with a record"
    fields = api.ask(f"{api.base}/sobjects/{path}", dict[str, Any], what)
    if "attributes" not in fields:
        raise MalformedResponse(f"{api.connection.name}: {what} holds no record.")
    return dict(_plain(api, fields))


def _next(api: Api, page: QueryPage) -> str | None:
    """Return the path of the next page; None after the last one.

    Raises:
        MalformedResponse: it is not the last page, and its next address is not one of a query.
    """
    if page.done:
        return None
    path = page.next_records_url or ""
    # `//host/`, `@host/` and whole addresses are not paths of the API.
    if not path.startswith(f"{api.base}/query") or ".." in path:
        raise MalformedResponse(
            f"{api.connection.name}: {_WHAT} is not the last page, and its next address is not one of this API. "
            "No request was sent there."
        )
    return path


def _following(api: Api, path: str) -> QueryPage:
    try:
        return api.ask(path, QueryPage, _WHAT)
    except Rejected as error:
        if error.code != _EXPIRED:
            raise
        raise Rejected(
            f"{api.connection.name}: the org no longer has the rest of this query's result.",
            code=_EXPIRED,
            cure="Run it again; a new login or too many open queries end a query.",
        ) from error


def _sub_query(api: Api, value: dict[str, Any]) -> QueryPage:
    try:
        return msgspec.convert(value, QueryPage)
    except msgspec.ValidationError as error:
        owner = api.connection.name
        raise malformed(b"{}", error, owner=owner, what="the answer of a sub-query") from None


def _plain(api: Api, value: Any) -> Any:
    """Return a record without `attributes`, with the complete results of its sub-queries."""
    if not isinstance(value, dict):
        return value
    if "records" in value and "totalSize" in value:
        page = _sub_query(api, value)
        records, seen = list(page.records), set[str]()
        while (path := _next(api, page)) is not None:
            if path in seen:
                raise ProtocolError(
                    f"{api.connection.name}: the org named the same page of a sub-query twice."
                )
            seen.add(path)
            page = _following(api, path)
            records += page.records
        return [_plain(api, record) for record in records]
    return {key: _plain(api, part) for key, part in value.items() if key != "attributes"}
