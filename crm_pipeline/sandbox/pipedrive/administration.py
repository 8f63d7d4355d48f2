"""The admin API of the companies: the same methods as in Python, as JSON over HTTP."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from crm_pipeline.sandbox.http import Request, Response, json_response
from crm_pipeline.sandbox.pipedrive.objects import ENTITIES

if TYPE_CHECKING:
    from crm_pipeline.sandbox.pipedrive.emulation import PipedriveSandbox


def administer(sandbox: "PipedriveSandbox", request: Request) -> Response:
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


_PLAIN = (
    *("expire_sessions", "rotate", "grant", "set_limits", "set_daily_limit", "set_company"),
    *("accept_query_token", "retire_v1", "answer_nothing", "repeat_cursor", "ignore_writes"),
    *("set_webhooks", "deliver_webhooks"),
    *("delete", "restore", "hard_delete", "merge"),
    *("rename_field", "retype_field", "hide_field", "remove_field", "add_field"),
    *("add_option", "rename_option", "remove_option", "hide_object"),
)


def _actions(sandbox: "PipedriveSandbox") -> dict[str, Callable[..., Any]]:
    # Values come as an object of their own, so that no field name can clash with an argument.
    return {name: getattr(sandbox, name) for name in _PLAIN} | {
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


def _seen(sandbox: "PipedriveSandbox", parts: list[str], query: dict[str, str]) -> Any:
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
    if parts == ["webhooks"]:
        desk = sandbox.companies[account].webhooks
        return {"deliveries": desk.deliveries(), "lost": desk.lost}
    if parts == ["limits"]:
        return sandbox.set_limits(account=account)
    if parts == ["objects"]:
        return {name: sandbox.count(name, account=account) for name in ENTITIES}
    raise ValueError(
        "known: count/<object>, rows/<object>, identities/<object>, fields/<object>, "
        "webhooks, limits, objects"
    )
