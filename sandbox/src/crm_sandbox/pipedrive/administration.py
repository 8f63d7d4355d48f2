"""The admin API of the companies: the same methods as in Python, as JSON over HTTP."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from crm_sandbox.administering import administered, span_of, with_values
from crm_sandbox.http import Request, Response
from crm_sandbox.pipedrive.objects import ENTITIES

if TYPE_CHECKING:
    from crm_sandbox.pipedrive.emulation import PipedriveSandbox


def administer(sandbox: "PipedriveSandbox", request: Request) -> Response:
    """Answer one admin request; POST bodies are JSON objects with the arguments.

    Raises:
        KeyError: a record is missing.
        ValueError: an argument is missing or wrong.
    """
    return administered(
        request, lambda: _actions(sandbox), lambda parts, query: _seen(sandbox, parts, query)
    )


_PLAIN = (
    *("expire_sessions", "rotate", "grant", "set_limits", "set_daily_limit", "set_company"),
    *("accept_query_token", "retire_v1", "answer_nothing", "repeat_cursor", "ignore_writes"),
    *("set_webhooks", "deliver_webhooks"),
    *("delete", "restore", "hard_delete", "merge"),
    *("rename_field", "retype_field", "hide_field", "remove_field", "add_field"),
    *("add_option", "rename_option", "remove_option", "hide_object"),
)


def _actions(sandbox: "PipedriveSandbox") -> dict[str, Callable[..., Any]]:
    return {name: getattr(sandbox, name) for name in _PLAIN} | dict(
        with_values(sandbox.edit, sandbox.create, sandbox.formula_change)
    )


def _seen(sandbox: "PipedriveSandbox", parts: list[str], query: dict[str, str]) -> Any:
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
