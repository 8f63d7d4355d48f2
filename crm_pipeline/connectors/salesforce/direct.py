"""Single questions to an org: any SOQL, one record. For people and scripts, not for landing.

A long answer is read by the org's locator, page by page. A locator dies with its session and when too
many are open; then the rest cannot be had, which is an error and never an end.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from crm_pipeline.connectors.salesforce.api import Api
from crm_pipeline.kernel.errors import ProtocolError, Rejected
from crm_pipeline.wire.paging import Link, walk

_DEAD = "INVALID_QUERY_LOCATOR"


def query(api: Api, soql: str, *, include_deleted: bool) -> Iterator[dict[str, Any]]:
    """Yield the records of a query, sub-queries as lists; `SELECT COUNT()` yields {"count": n}.

    Raises:
        Rejected: the org refuses the query, or has forgotten the rest of it.
        ProtocolError: it sent another number of records than it announced.
    """
    first = f"{api.base}/{'queryAll' if include_deleted else 'query'}/"

    def fetch(place: str) -> dict[str, Any]:
        if place == first:
            return dict(api.ask(first, q=soql).json())
        return _following(api, place)

    seen = total = 0
    for page in walk(Link(first, _next), fetch, owner=f"{api.connection.name}: this query"):
        total = int(page["totalSize"])
        for record in page["records"]:
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
    return dict(_plain(api, api.ask(f"{api.base}/sobjects/{place}").json()))


def _next(page: dict[str, Any]) -> str | None:
    return None if page["done"] else str(page["nextRecordsUrl"])


def _following(api: Api, place: str) -> dict[str, Any]:
    try:
        return dict(api.ask(place).json())
    except Rejected as error:
        if error.code != _DEAD:
            raise
        raise Rejected(
            f"{api.connection.name}: the org has forgotten the rest of this query.",
            code=_DEAD,
            cure="Run it again; a new login or too many open queries end a query.",
        ) from error


def _plain(api: Api, value: Any) -> Any:
    """Take the bookkeeping out of a record, and read the rest of its sub-queries."""
    if not isinstance(value, dict):
        return value
    if "records" in value and "totalSize" in value:
        found = list(value["records"])
        while (place := _next(value)) is not None:
            value = _following(api, place)
            found += value["records"]
        return [_plain(api, record) for record in found]
    return {key: _plain(api, part) for key, part in value.items() if key != "attributes"}
