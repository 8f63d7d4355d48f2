"""The admin API of the portals: the same methods as in Python, as JSON over HTTP."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from crm_sandbox.administering import administered, span_of, with_values
from crm_sandbox.http import Request, Response

if TYPE_CHECKING:
    from crm_sandbox.hubspot.emulation import HubSpotSandbox


def administer(sandbox: "HubSpotSandbox", request: Request) -> Response:
    """Answer one admin request; POST bodies are JSON objects with the arguments.

    Raises:
        KeyError: a record is missing.
        ValueError: an argument is missing or wrong.
    """
    return administered(
        request, lambda: _actions(sandbox), lambda parts, query: _seen(sandbox, parts, query)
    )


def _actions(sandbox: "HubSpotSandbox") -> dict[str, Callable[..., Any]]:
    plain: tuple[Callable[..., Any], ...] = (
        sandbox.delete,
        sandbox.restore,
        sandbox.hard_delete,
        sandbox.merge,
        sandbox.burst,
        sandbox.rename_field,
        sandbox.relabel_field,
        sandbox.retype_field,
        sandbox.hide_field,
        sandbox.add_field,
        sandbox.hide_object,
    )
    orders: tuple[Callable[..., Any], ...] = (
        sandbox.expire_sessions,
        sandbox.revoke_refresh,
        sandbox.restore_refresh,
        sandbox.rotate,
        sandbox.set_limits,
        sandbox.set,
        sandbox.require,
        sandbox.require_when,
        sandbox.use_field,
        sandbox.change_owner,
        sandbox.ignore_writes,
        sandbox.repeat_cursor,
        sandbox.hide_records,
        sandbox.subscribe,
        sandbox.set_webhooks,
        sandbox.deliver_webhooks,
    )
    return {one.__name__: one for one in (*plain, *orders)} | dict(
        with_values(sandbox.edit, sandbox.create, sandbox.formula_change)
    )


def _seen(sandbox: "HubSpotSandbox", parts: list[str], query: dict[str, str]) -> Any:
    account = query.get("account", "main")
    options = {**span_of(query), "account": account}
    if len(parts) == 2 and parts[0] == "count":
        return {"object": parts[1], "count": sandbox.count(parts[1], **options)}
    if len(parts) == 2 and parts[0] == "rows":
        limit = int(query["limit"]) if "limit" in query else None
        return {"rows": sandbox.rows(parts[1], limit=limit, **options)}
    if len(parts) == 2 and parts[0] == "identities":
        return {"identities": sandbox.identities(parts[1], account=account)}
    if len(parts) == 2 and parts[0] == "fields":
        return {"fields": sandbox.fields(parts[1], account=account)}
    if len(parts) == 2 and parts[0] == "merged":
        return {"merged": sandbox.merged(parts[1], account=account)}
    if parts == ["objects"]:
        types = sandbox.api(account).portal.catalog.types
        return {one.name: sandbox.count(one.name, account=account) for one in types}
    if parts == ["webhooks"]:
        return {"webhooks": sandbox.webhooks.listed()}
    if parts == ["limits"]:
        return sandbox.set_limits(account=account)
    if parts == ["settings"]:
        return sandbox.set(account=account)
    raise ValueError(
        "known: count/<object>, rows/<object>, identities/<object>, fields/<object>, merged/<object>, "
        "objects, limits, settings, webhooks"
    )
