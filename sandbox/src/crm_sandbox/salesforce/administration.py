"""The admin API of the org: the same methods as in Python, as JSON over HTTP."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from crm_sandbox.administering import administered, span_of
from crm_sandbox.http import Request, Response
from crm_sandbox.salesforce.translation import python_value

if TYPE_CHECKING:
    from crm_sandbox.salesforce.emulation import SalesforceSandbox


def administer(sandbox: "SalesforceSandbox", request: Request) -> Response:
    """Answer one admin request; POST bodies are JSON objects with the arguments.

    Raises:
        KeyError: a record is missing.
        ValueError: an argument is missing or wrong.
    """
    return administered(
        request, lambda: _actions(sandbox), lambda parts, query: _seen(sandbox, parts, query)
    )


def _actions(sandbox: "SalesforceSandbox") -> dict[str, Callable[..., Any]]:
    plain = (
        sandbox.delete,
        sandbox.restore,
        sandbox.hard_delete,
        sandbox.merge,
        sandbox.rename_field,
        sandbox.retype_field,
        sandbox.hide_field,
        sandbox.add_field,
        sandbox.hide_object,
        sandbox.expire_sessions,
        sandbox.rotate,
        sandbox.register_certificate,
        sandbox.set_daily_limit,
        sandbox.set_bulk,
        sandbox.refuse_writes,
        sandbox.set_replication,
        sandbox.set_long_requests,
        sandbox.set_largest_upload,
    )
    # Values come as an object of their own, so that no field name can clash with an argument.
    actions: dict[str, Callable[..., Any]] = {method.__name__: method for method in plain}
    return actions | {
        "edit": lambda name, record, fields, stamp=None: sandbox.edit(
            name, record, stamp=stamp, **fields
        ),
        "create": lambda name, fields, stamp=None: sandbox.create(name, stamp=stamp, **fields),
        "send_outbound": sandbox.outbound.send,
        "deliver_outbound": sandbox.outbound.deliver,
        "formula_change": lambda name, record, fields: sandbox.formula_change(
            name, record, **fields
        ),
    }


def _seen(sandbox: "SalesforceSandbox", parts: list[str], query: dict[str, str]) -> Any:
    options = span_of(query)
    if len(parts) == 2 and parts[0] == "count":
        return {"object": parts[1], "count": sandbox.count(parts[1], **options)}
    if len(parts) == 2 and parts[0] == "rows":
        limit = int(query["limit"]) if "limit" in query else None
        rows = sandbox.rows(parts[1], limit=limit, **options)
        return {"rows": [{key: python_value(value) for key, value in row.items()} for row in rows]}
    if len(parts) == 2 and parts[0] == "identities":
        return {"identities": sandbox.identities(parts[1])}
    if parts == ["outbound"]:
        return {"notifications": sandbox.outbound.listed()}
    if parts == ["usage"]:
        return {"used": sandbox.usage.used, "maximum": sandbox.usage.maximum}
    if parts == ["objects"]:
        return {one.name: sandbox.count(one.name) for one in sandbox.org.objects}
    raise ValueError(
        "known: count/<object>, rows/<object>, identities/<object>, outbound, usage, objects"
    )
