"""`/v1/webhooks`: subscribe, list, end. There is no way to change one.

Source: https://developers.pipedrive.com/docs/api/v1/Webhooks
"""

from typing import Any

from crm_sandbox.http import Response, is_number, json_response
from crm_sandbox.kernel.receivers import is_local
from crm_sandbox.pipedrive.route import Call, Route
from crm_sandbox.pipedrive.webhooks import ACTIONS, MOST_OF_USER, OBJECTS, Webhook


def _shown(call: Call, one: Webhook) -> dict[str, Any]:
    def text(moment: Any) -> str | None:
        return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z" if moment else None

    return {
        "id": one.id,
        "company_id": call.company.company_id,
        "owner_id": one.owner,
        "user_id": one.user,
        "event_action": one.action,
        "event_object": one.object,
        "subscription_url": one.url,
        "version": one.version,
        "is_active": 1,
        "add_time": text(one.made_at),
        "remove_time": None,
        "type": one.type,
        "http_auth_user": one.login[0] if one.login else None,
        "http_auth_password": one.login[1] if one.login else None,
        "remove_reason": None,
        "last_delivery_time": text(one.delivered_at),
        "last_http_status": one.status,
        "admin_id": call.company.admin,
        "name": one.name,
    }


def _errors(problems: dict[str, list[str]], status: int) -> Response:
    return json_response({"status": "error", "success": False, "errors": problems}, status)


def _forbidden(call: Call) -> Response | None:
    if call.sight.sees_all:
        return None
    return json_response({"success": False, "message": "Forbidden"}, 403)


def _list(call: Call) -> Response:
    rows = [_shown(call, one) for one in call.company.webhooks.listed()]
    return json_response({"success": True, "status": "ok", "data": rows})


def _add(call: Call) -> Response:
    if (refused := _forbidden(call)) is not None:
        return refused
    body, webhooks, now = call.body(), call.company.webhooks, call.company.clock.now()
    if problems := _problems(call, body):
        return _errors(problems, 400)
    owner = call.sight.user
    if sum(one.owner == owner for one in webhooks.listed()) >= MOST_OF_USER:
        return _errors({"webhooks": [f"limit of {MOST_OF_USER} webhooks per user reached"]}, 422)
    login = None
    if body.get("http_auth_user"):
        login = (str(body["http_auth_user"]), str(body.get("http_auth_password") or ""))
    webhook = Webhook(
        call.company.number("webhook", lambda: 1_800_001),
        owner,
        int(body.get("user_id") or owner),
        body["subscription_url"],
        body["event_action"],
        body["event_object"],
        body["name"],
        now,
        now,
        login,
        str(body.get("version") or "2.0"),
        "application" if call.sight.is_app else "general",
    )
    webhooks.add(webhook)
    return json_response({"success": True, "status": "ok", "data": _shown(call, webhook)}, 201)


def _problems(call: Call, body: dict[str, Any]) -> dict[str, list[str]]:
    """Return what is wrong; only receivers on this machine are reachable from here."""
    problems: dict[str, list[str]] = {}
    url, name = body.get("subscription_url"), body.get("name")
    if not isinstance(url, str) or not is_local(url):
        problems["subscription_url"] = ["invalid or non-reachable URL"]
    if not isinstance(name, str) or not 0 < len(name) <= 255:
        problems["name"] = ["must be a string of at most 255 characters"]
    for key, known in (("event_action", ACTIONS), ("event_object", OBJECTS)):
        if body.get(key) not in known:
            problems[key] = [f"must be one of {', '.join(known)}"]
    if str(body.get("version") or "2.0") not in {"1.0", "2.0"}:
        problems["version"] = ["must be 1.0 or 2.0"]
    sql = "SELECT count(*) FROM users WHERE id::VARCHAR = ?"
    user = body.get("user_id")
    if user is not None and not call.company.tables.value(sql, [str(user)]):
        problems["user_id"] = ["not found"]
    return problems


def _remove(call: Call) -> Response:
    if (refused := _forbidden(call)) is not None:
        return refused
    number = call.parts["id"]
    if not is_number(number) or not call.company.webhooks.remove(int(number)):
        return _errors({"id": ["not found"]}, 404)
    return json_response({"success": True, "status": "ok"})


ROUTES = (
    Route("GET", "/v1/webhooks", 10, ("admin",), _list),
    Route("POST", "/v1/webhooks", 10, ("admin",), _add),
    Route("DELETE", "/v1/webhooks/{id}", 6, ("admin",), _remove),
)
