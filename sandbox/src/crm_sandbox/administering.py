"""The frame of a vendor's admin API: actions by name, looks behind the API, and what accounts share."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from crm_sandbox.http import Request, Response, json_response

Actions = Mapping[str, Callable[..., Any]]


def administered(
    request: Request,
    actions: Callable[[], Actions],
    seen: Callable[[list[str], dict[str, str]], Any],
) -> Response:
    """Answer one admin request; POST bodies are JSON objects with the arguments.

    Args:
        request: below the vendor's admin address.
        actions: what POST can do, by name.
        seen: what GET shows, by the parts of the path and the query.

    Raises:
        KeyError: a record is missing.
        ValueError: an argument is missing or wrong.
    """
    parts = [part for part in request.path.split("/") if part]
    if request.method == "GET":
        return json_response(seen(parts, request.query))
    known = actions()
    if len(parts) != 1 or parts[0] not in known:
        raise ValueError(f"unknown admin action '{'/'.join(parts)}'; known: {', '.join(known)}")
    arguments = request.json() or {}
    if not isinstance(arguments, dict):
        raise TypeError("the body must be a JSON object with the arguments")
    try:
        result = known[parts[0]](**arguments)
    except TypeError as problem:
        raise ValueError(f"{parts[0]}: {problem}") from problem
    return json_response({"ok": True, "result": result})


def with_values(
    edit: Callable[..., None], create: Callable[..., str], formula_change: Callable[..., None]
) -> Actions:
    """Return the actions that take values, which come as an object of their own.

    So no field's name can clash with an argument.
    """
    return {
        "edit": lambda name, record, fields, stamp=None, account="main": edit(
            name, record, stamp=stamp, account=account, **fields
        ),
        "create": lambda name, fields, stamp=None, account="main": create(
            name, stamp=stamp, account=account, **fields
        ),
        "formula_change": lambda name, record, fields, account="main": formula_change(
            name, record, account=account, **fields
        ),
    }


def span_of(query: Mapping[str, str]) -> dict[str, Any]:
    """Return which records a look is about: `include_deleted`, and `since` and `until` where given."""
    wanted: dict[str, Any] = {
        "include_deleted": query.get("include_deleted", "").lower() in {"1", "true"}
    }
    for key in ("since", "until"):
        if key in query:
            wanted[key] = datetime.fromisoformat(query[key])
    return wanted
