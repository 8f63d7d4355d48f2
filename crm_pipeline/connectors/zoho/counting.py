"""How many records there are: by COQL for a window, by `actions/count` for a whole module."""

from datetime import datetime
from typing import Any

import msgspec
import requests

from crm_pipeline.connectors.base import Plan
from crm_pipeline.connectors.zoho import coql, describe, meter, responses
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.kernel.errors import MalformedAnswer, NotPermitted, ProtocolError, Rejected
from crm_pipeline.model.schema import Schema
from crm_pipeline.wire.decoding import Count, decoded

# A module or an org that queries are not offered for; anything else is an error.
_NO_QUERIES = frozenset(
    {"OAUTH_SCOPE_MISMATCH", "INVALID_MODULE", "NOT_SUPPORTED", "NO_PERMISSION", "INVALID_QUERY"}
)


class _Count(msgspec.Struct):
    count: Count


def of_plan(api: Api, plan: Plan) -> int | None:
    """Return the vendor's count of what a plan reads; None where it cannot count that.

    A module that queries are not offered for is noted in `api.closed`.
    """
    module = plan.object
    if module not in api.closed["coql"]:
        try:
            query = coql.count(module, coql.conditions(plan.schema, plan.window))
            found = _counted(api, query)
            return _really_none(api, plan) if found is None else found
        except (NotPermitted, Rejected) as error:
            if error.code not in _NO_QUERIES:
                raise
            api.closed["coql"][module] = error.message
    return total(api, module) if plan.window is None else None


def total(api: Api, module: str) -> int:
    """Return how many records a module has, converted leads included."""

    def read(response: requests.Response) -> int:
        what = f"the count of {module}"
        return decoded(response.content, _Count, owner=api.connection.name, what=what).count

    return api.ask(f"/{module}/actions/count", meter.COUNT, read, {"converted": "both"})


def newest(api: Api, schema: Schema, since: datetime) -> tuple[int, datetime | None]:
    """Return how many records changed at or after an instant, and the newest stamp.

    Where more than one page changed, the number is that of the page and one more: enough to know that
    there is news.
    """
    module, stamp = schema.object, describe.STAMP
    reader = responses.reading(f"{api.connection.name}.{module}")
    found = [f"{stamp} >= '{responses.stamp_text(since)}'", *coql.conditions(schema, None)]
    query = coql.select((describe.ID, stamp), module, found, limit=200, order=f"{stamp} desc")
    if module in api.closed["coql"]:
        params = {"fields": stamp, "sort_by": stamp, "sort_order": "desc"}
        if describe.CONVERTED in schema.by_name:
            params["converted"] = "both"
        headers = {"If-Modified-Since": responses.stamp_text(since)}
        page = api.ask(f"/{module}", meter.SORTED, reader, params, headers)
    else:
        page = api.select(query, meter.coql(200), reader)
    stamps = [at for at in page.instants() if at is not None]
    return page.seen + page.has_more, max(stamps, default=None)


def _counted(api: Api, query: str) -> int | None:
    """Return what a query counts; None where the answer has no body (204)."""
    listed = api.listed("data", dict[str, Any])

    def read(response: requests.Response) -> int | None:
        rows = listed(response)
        if not rows:
            return None
        # The key is the expression, in the vendor's spelling.
        numbers = [one for one in rows[0].values() if isinstance(one, int) and one is not True]
        if len(rows) != 1 or len(numbers) != 1 or numbers[0] < 0:
            raise MalformedAnswer(
                f"{api.connection.name}: Zoho answered the count of a query with something else.",
                status=response.status_code,
            )
        return numbers[0]

    return api.select(query, meter.COUNT, read)


def _really_none(api: Api, plan: Plan) -> int:
    """Return 0 where a count had no body (204) and a list shows nothing of the window, either.

    Raises:
        ProtocolError: the list does: what was empty was the answer, not the module.
    """
    window, owner = plan.window, f"{api.connection.name}.{plan.object}"
    headers = {}
    if window is not None and window.from_at is not None:
        headers["If-Modified-Since"] = responses.stamp_text(window.from_at)
    params = {"fields": describe.STAMP, "per_page": "1"}
    if describe.CONVERTED in plan.schema.by_name:
        params["converted"] = "both"
    page = api.ask(f"/{plan.object}", meter.LIST, responses.reading(owner), params, headers)
    if page.rejected or any(
        at is None or window is None or at < window.to_at for at in page.instants()
    ):
        raise ProtocolError(
            f"{owner}: a count was answered with nothing, although there are records."
        )
    return 0
