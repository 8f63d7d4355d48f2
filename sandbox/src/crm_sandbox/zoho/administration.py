"""The admin API of the emulated orgs: look behind the API, change records and schema.

Every action takes `account` (`main` or `second`).
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from crm_sandbox.administering import administered, span_of, with_values
from crm_sandbox.http import Request, Response

if TYPE_CHECKING:
    from crm_sandbox.zoho.emulation import ZohoSandbox


_PLAIN = (
    "delete",
    "restore",
    "hard_delete",
    "merge",
    "rename_field",
    "relabel_field",
    "retype_field",
    "hide_field",
    "restrict_field",
    "add_field",
    "add_choice",
    "hide_object",
    "expire_sessions",
    "set_token_limits",
    "set_credits",
    "set_concurrency",
    "set_paging",
    "set_search",
    "set_coql",
    "set_bulk",
    "set_bulk_write",
    "hold_notices",
    "release_notices",
    "set_watch",
    "refuse_writes",
    "set_guard",
    "set_currencies",
    "set_developer",
    "set_foreign",
    "set_zone",
    "drop_pipelines",
    "stamp_history_late",
)


def administer(sandbox: "ZohoSandbox", request: Request) -> Response:
    """Answer one admin request; POST bodies are JSON objects with the arguments.

    Raises:
        KeyError: a record is missing.
        ValueError: an argument is missing or wrong.
    """
    return administered(
        request, lambda: _actions(sandbox), lambda parts, query: _seen(sandbox, parts, query)
    )


def _actions(sandbox: "ZohoSandbox") -> dict[str, Callable[..., Any]]:
    plain = [getattr(sandbox, name) for name in _PLAIN]
    actions: dict[str, Callable[..., Any]] = dict(zip(_PLAIN, plain, strict=True))
    return actions | dict(with_values(sandbox.edit, sandbox.create, sandbox.formula_change))


def _seen(sandbox: "ZohoSandbox", parts: list[str], query: dict[str, str]) -> Any:
    account = query.get("account", "main")
    options = {**span_of(query), "account": account}
    if len(parts) == 2 and parts[0] == "count":
        return {"object": parts[1], "count": sandbox.count(parts[1], **options)}
    if len(parts) == 2 and parts[0] == "rows":
        limit = int(query["limit"]) if "limit" in query else None
        rows = sandbox.rows(parts[1], limit=limit, **options)
        return {"rows": [{key: _plain(value) for key, value in row.items()} for row in rows]}
    if len(parts) == 2 and parts[0] == "identities":
        return {"identities": sandbox.identities(parts[1], account=account)}
    if parts == ["deliveries"]:
        return {"deliveries": sandbox.mailman.listed()}
    if parts == ["usage"]:
        spent = sandbox.apis[account].meter.credits
        return {"used": spent.used, "maximum": spent.calls}
    if parts == ["objects"]:
        shown = [one for one in sandbox.org(account).modules if not one.listed_only]
        return {one.name: sandbox.count(one.name, account=account) for one in shown}
    raise ValueError(
        "known: count/<module>, rows/<module>, identities/<module>, deliveries, usage, objects"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S+00:00")
    return value.isoformat() if isinstance(value, date) else value
