"""Counts records: by COQL for a window, by `actions/count` for a whole module."""

from datetime import datetime
from typing import Any

import msgspec
import requests

from crm_pipeline.connectors.base import Plan
from crm_pipeline.connectors.zoho import coql, describe, meter, responses
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import MalformedResponse, NotPermitted, ProtocolError, Rejected
from crm_pipeline.model.schema import Schema
from crm_pipeline.wire.decoding import Count, decoded

# Codes for modules and orgs without queries; anything else is an error.
_NO_QUERIES = frozenset(
    {"OAUTH_SCOPE_MISMATCH", "INVALID_MODULE", "NOT_SUPPORTED", "NO_PERMISSION", "INVALID_QUERY"}
)


class _Count(msgspec.Struct):
    count: Count


def of_plan(api: Api, plan: Plan) -> int | None:
    """Return the vendor's count of a plan's records; None where it cannot count them."""
    return of_window(api, plan.schema, plan.window)


def of_window(api: Api, schema: Schema, window: Window | None) -> int | None:
    """Return the vendor's count of the live records of a window; None where it cannot count them.

    A module without queries is added to `api.unavailable`.
    """
    module = schema.object
    if module not in api.unavailable["coql"]:
        try:
            query = coql.count(module, coql.conditions(schema, window))
            records = _counted(api, query)
            return _confirmed_zero(api, schema, window) if records is None else records
        except (NotPermitted, Rejected) as error:
            if error.code not in _NO_QUERIES:
                raise
            api.unavailable["coql"][module] = error.message
    return total(api, module) if window is None else None


def total(api: Api, module: str) -> int:
    """Return how many records a module has, including converted leads."""

    def read(response: requests.Response) -> int:
        what = f"the count of {module}"
        return decoded(response.content, _Count, owner=api.connection.name, what=what).count

    return api.ask(f"/{module}/actions/count", meter.COUNT, read, {"converted": "both"})


def probe_changes(api: Api, schema: Schema, since: datetime) -> tuple[int, datetime | None]:
    """Return how many records changed at or after an instant, and the last change.

    Where more than one page changed, the number is that of the page plus one: enough to see that there
    are changes.
    """
    module, modified = schema.object, describe.MODIFIED
    reader = responses.page_reader(f"{api.connection.name}.{module}")
    criteria = [
        f"{modified} >= '{responses.instant_text(since)}'",
        *coql.conditions(schema, None),
    ]
    names = (describe.ID, modified)
    query = coql.select(names, module, criteria, limit=200, order=f"{modified} desc")
    if module in api.unavailable["coql"]:
        params = {"fields": modified, "sort_by": modified, "sort_order": "desc"}
        if describe.CONVERTED in schema.by_name:
            params["converted"] = "both"
        headers = {"If-Modified-Since": responses.instant_text(since)}
        page = api.ask(f"/{module}", meter.SORTED, reader, params, headers)
    else:
        page = api.select(query, meter.coql(200), reader)
    changes = [at for at in page.instants() if at is not None]
    return page.seen + page.has_more, max(changes, default=None)


def _counted(api: Api, query: str) -> int | None:
    """Return the count of a query; None where the response has no body (204)."""
    listed = api.listed("data", dict[str, Any])

    def read(response: requests.Response) -> int | None:
        rows = listed(response)
        if not rows:
            return None
        # The key is the expression in the vendor's spelling.
        values = rows[0].values()
        numbers = [value for value in values if isinstance(value, int) and value is not True]
        if len(rows) != 1 or len(numbers) != 1 or numbers[0] < 0:
            raise MalformedResponse(
                f"{api.connection.name}: Zoho answered the count of a query with something else.",
                status=response.status_code,
            )
        return numbers[0]

    return api.select(query, meter.COUNT, read)


def _confirmed_zero(api: Api, schema: Schema, window: Window | None) -> int:
    """Return 0 if a list has no records of the window, after a count without a body (204).

    Raises:
        ProtocolError: the list has records: the response was empty, not the module.
    """
    owner = f"{api.connection.name}.{schema.object}"
    headers = {}
    if window is not None and window.from_at is not None:
        headers["If-Modified-Since"] = responses.instant_text(window.from_at)
    params = {"fields": describe.MODIFIED, "per_page": "1"}
    if describe.CONVERTED in schema.by_name:
        params["converted"] = "both"
    page = api.ask(f"/{schema.object}", meter.LIST, responses.page_reader(owner), params, headers)
    if page.rejected or any(
        at is None or window is None or at < window.to_at for at in page.instants()
    ):
        raise ProtocolError(
            f"{owner}: a count was answered with nothing, although there are records."
        )
    return 0
