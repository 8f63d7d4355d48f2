"""The admin API of the portals: the same methods as in Python, as JSON over HTTP."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from crm_pipeline.sandbox.http import Request, Response, json_response

if TYPE_CHECKING:
    from crm_pipeline.sandbox.hubspot.emulation import HubSpotSandbox


def administer(sandbox: "HubSpotSandbox", request: Request) -> Response:
    """Answer one admin request; POST bodies are JSON objects with the arguments.

    Raises:
        KeyError: a record is missing.
        ValueError: an argument is missing or wrong.
    """
    parts = [part for part in request.path.split("/") if part]
    if request.method == "GET":
        return json_response(_seen(sandbox, parts, request.query))
    actions = _actions(sandbox)
    if len(parts) != 1 or parts[0] not in actions:
        raise ValueError(f"unknown admin action '{'/'.join(parts)}'; known: {', '.join(actions)}")
    arguments = request.json() or {}
    if not isinstance(arguments, dict):
        raise TypeError("the body must be a JSON object with the arguments")
    try:
        result = actions[parts[0]](**arguments)
    except TypeError as problem:
        raise ValueError(f"{parts[0]}: {problem}") from problem
    return json_response({"ok": True, "result": result})


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
    return {one.__name__: one for one in (*plain, *orders)} | _with_values(sandbox)


def _with_values(sandbox: "HubSpotSandbox") -> dict[str, Callable[..., Any]]:
    # Values come as an object of their own, so that no property name can clash with an argument.
    return {
        "edit": lambda name, record, fields, stamp=None, account="main": sandbox.edit(
            name, record, stamp=stamp, account=account, **fields
        ),
        "create": lambda name, fields, stamp=None, account="main": sandbox.create(
            name, stamp=stamp, account=account, **fields
        ),
        "formula_change": lambda name, record, fields, account="main": sandbox.formula_change(
            name, record, account=account, **fields
        ),
    }


def _seen(sandbox: "HubSpotSandbox", parts: list[str], query: dict[str, str]) -> Any:
    account = query.get("account", "main")
    options: dict[str, Any] = {
        "include_deleted": query.get("include_deleted", "").lower() in {"1", "true"},
        "account": account,
    }
    for key in ("since", "until"):
        if key in query:
            options[key] = datetime.fromisoformat(query[key])
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
