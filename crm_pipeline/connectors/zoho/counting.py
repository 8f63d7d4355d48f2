"""How many records there are: by COQL for a window, by `actions/count` for a whole module."""

from datetime import datetime

from crm_pipeline.connectors.api import as_mapping
from crm_pipeline.connectors.base import Plan
from crm_pipeline.connectors.zoho import coql, describe, meter, sheet
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.kernel.errors import NotPermitted, ProtocolError, Rejected
from crm_pipeline.model.schema import Schema

# A module or an org that queries are not offered for; anything else is an error.
_NO_QUERIES = frozenset(
    {"OAUTH_SCOPE_MISMATCH", "INVALID_MODULE", "NOT_SUPPORTED", "NO_PERMISSION", "INVALID_QUERY"}
)


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
    found = as_mapping(
        api.ask(f"/{module}/actions/count", meter.COUNT, {"converted": "both"}), api.connection.name
    ).get("count")
    if not isinstance(found, int):
        raise _no_number(api, module)
    return found


def newest(api: Api, schema: Schema, since: datetime) -> tuple[int, datetime | None]:
    """Return how many records changed at or after an instant, and the newest stamp.

    Where more than one page changed, the number is that of the page and one more: enough to know that
    there is news.
    """
    module, stamp = schema.object, describe.STAMP
    found = [f"{stamp} >= '{sheet.stamp_text(since)}'", *coql.conditions(schema, None)]
    query = coql.select((describe.ID, stamp), module, found, limit=200, order=f"{stamp} desc")
    if module in api.closed["coql"]:
        params = {"fields": stamp, "sort_by": stamp, "sort_order": "desc"}
        if describe.CONVERTED in schema.by_name:
            params["converted"] = "both"
        headers = {"If-Modified-Since": sheet.stamp_text(since)}
        response = api.ask(f"/{module}", meter.SORTED, params, headers)
    else:
        response = api.select(query, meter.coql(200))
    page = sheet.read(response.content, f"{api.connection.name}.{module}")
    stamps = [at for at in page.instants() if at is not None]
    return len(page) + page.has_more, max(stamps, default=None)


def _counted(api: Api, query: str) -> int | None:
    """Return what a query counts; None where the answer has no body (204)."""
    rows = api.entries(api.select(query, meter.COUNT), "data")
    if not rows:
        return None
    # The key is the expression, in the vendor's spelling.
    numbers = [value for value in rows[0].values() if isinstance(value, int)]
    if len(rows) != 1 or len(numbers) != 1:
        raise _no_number(api, "a query")
    return int(numbers[0])


def _really_none(api: Api, plan: Plan) -> int:
    """Return 0 where a count had no body (204) and a list shows nothing of the window, either.

    Raises:
        ProtocolError: the list does: what was empty was the answer, not the module.
    """
    window, owner = plan.window, f"{api.connection.name}.{plan.object}"
    headers = {}
    if window is not None and window.from_at is not None:
        headers["If-Modified-Since"] = sheet.stamp_text(window.from_at)
    params = {"fields": describe.STAMP, "per_page": "1"}
    if describe.CONVERTED in plan.schema.by_name:
        params["converted"] = "both"
    page = sheet.read(api.ask(f"/{plan.object}", meter.LIST, params, headers).content, owner)
    if any(at is None or window is None or at < window.to_at for at in page.instants()):
        raise ProtocolError(
            f"{owner}: a count was answered with nothing, although there are records."
        )
    return 0


def _no_number(api: Api, of: str) -> ProtocolError:
    return ProtocolError(
        f"{api.connection.name}: Zoho answered the count of {of} with something else.",
        cure="Run again; if it persists, report it to the vendor with the time of the run.",
    )
