"""The operations of v1 about what an account is set up like: types, labels, currencies, fields."""

from collections.abc import Iterator
from typing import Any

from crm_sandbox.http import Response, json_response
from crm_sandbox.pipedrive.errors import ApiError
from crm_sandbox.pipedrive.metadata import SCOPES, fields_v1
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.pages_v1 import paged, window
from crm_sandbox.pipedrive.route import Call, Handler, Route, ok, reading
from crm_sandbox.pipedrive.schema import Entity
from crm_sandbox.vocabulary import LOCALES

_COLORS = ("red", "yellow", "blue", "green", "purple")
_SINCE = "2018-01-01 00:00:00"
_LEAD_SINCE = "2018-01-01T00:00:00.000Z"


def _activity_types(call: Call) -> Response:
    made = [
        {
            "id": place,
            "name": key.capitalize(),
            "icon_key": key if key != "meeting" else "calendar",
            "color": "FFFFFF",
            "order_nr": place,
            "key_string": key,
            "active_flag": True,
            "is_custom_flag": False,
            "add_time": _SINCE,
            "update_time": _SINCE,
        }
        for place, key in enumerate(call.company.plan.activity_types, 1)
    ]
    return ok(made)


def _lead_labels(call: Call) -> Response:
    made = [
        {"id": number, "name": name, "color": color, "add_time": _LEAD_SINCE}
        | {"update_time": _LEAD_SINCE}
        for (name, number), color in zip(call.company.lead_labels.items(), _COLORS, strict=False)
    ]
    return ok(made)


def _lead_sources(_: Call) -> Response:
    names = ("API", "Import", "Live chat", "Manually created", "Web forms", "Prospector")
    return ok([{"name": name} for name in names])


def _currencies(call: Call) -> Response:
    codes = list(dict.fromkeys(locale.currency for locale in LOCALES))
    made = [
        {
            "id": place,
            "code": code,
            "name": code,
            "decimal_points": 0 if code == "JPY" else 2,
            "symbol": code,
            "active_flag": True,
            "is_custom_flag": False,
        }
        for place, code in enumerate(codes, 1)
        if call.query.get("term", "").upper() in code
    ]
    return ok(made)


def _roles(call: Call) -> Response:
    """Answer all roles; each is below the one before it."""
    users = call.company.tables.rows("SELECT role_id, count(*) AS n FROM users GROUP BY role_id")
    held = {row["role_id"]: row["n"] for row in users}
    names = call.company.plan.roles
    rows = [
        _text(
            {
                "id": number,
                "parent_role_id": max(1, number - 1),
                "name": name,
                "active_flag": True,
                "assignment_count": str(held.get(number, 0)),
                "sub_role_count": str(int(number < len(names))),
                "level": min(number, 2),
            }
        )
        for number, name in enumerate(names, 1)
    ]
    start, limit = window(call)
    more = start + limit < len(rows)
    return Response(200, paged(call, rows[start : start + limit], start, limit, more=more))


def _teams(call: Call) -> Response:
    """Answer all teams at once, one that is no more among them."""
    users = [row["id"] for row in call.company.tables.rows("SELECT id FROM users ORDER BY id")]
    teams = (*call.company.plan.teams, ("Dissolved", 1))
    made = [
        {
            "id": number,
            "name": name,
            "description": "",
            "manager_id": users[0],
            "users": users[::every],
            "active_flag": int(name != "Dissolved"),
            "deleted_flag": int(name == "Dissolved"),
            "add_time": _SINCE,
            "created_by_user_id": users[0],
        }
        for number, (name, every) in enumerate(teams, 1)
    ]
    return ok(made)


def _filters(call: Call) -> Response:
    kinds = ("deals", "org", "people", "products", "activity", "leads")
    wanted = call.query.get("type")
    if wanted is not None and wanted not in kinds:
        raise ApiError(400, f"Bad request: type must be one of {', '.join(kinds)}")
    made = [
        {
            "id": place,
            "name": f"All {kind}",
            "active_flag": True,
            "is_editable": True,
            "type": kind,
            "temporary_flag": None,
            "user_id": call.company.admin,
            "add_time": _SINCE,
            "update_time": _SINCE,
            "visible_to": "7",
            "custom_view_id": None,
        }
        for place, kind in enumerate(kinds, 1)
        if wanted in {None, kind}
    ]
    return ok(made)


def _settings(_: Call) -> Response:
    return ok(
        {
            "marketplace_team": False,
            "list_limit": 10_000,
            "beta_app": False,
            "prevent_salesphone_callto_override": False,
            "file_upload_destination": "s3",
            "callto_link_syntax": "callto:",
            "autofill_deal_expected_close_date": True,
            "person_duplicate_condition": "phone OR email",
        }
    )


def _fields(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        every = fields_v1(call.company, entity)
        start, limit = window(call)
        rows = [_text(one) for one in every[start : start + limit]]
        return Response(200, paged(call, rows, start, limit, more=start + limit < len(every)))

    return answer


def _field(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        for one in fields_v1(call.company, entity):
            if str(one["id"]) == call.parts["id"]:
                return ok(one)
        raise ApiError(404, "Field not found")

    return answer


def _lead_fields(call: Call) -> Response:
    """Answer the fields of leads: the own ones and the custom fields of deals, which they inherit."""
    every = fields_v1(call.company, ENTITIES["leads"])
    start, limit = window(call)
    rows = [_text(one) for one in every[start : start + limit]]
    return Response(200, paged(call, rows, start, limit, more=start + limit < len(every)))


def _text(value: dict[str, Any]) -> str:
    return json_response(value).body.decode()


def _routes() -> Iterator[Route]:
    leads, everything = reading("leads"), reading("deals", "activities", "contacts")
    types = (*reading("activities"), "admin")
    yield Route("GET", "/v1/activityTypes", 20, types, _activity_types)
    yield Route("GET", "/v1/leadLabels", 10, leads, _lead_labels)
    yield Route("GET", "/v1/leadSources", 2, leads, _lead_sources)
    yield Route("GET", "/v1/currencies", 20, (), _currencies)
    yield Route("GET", "/v1/roles", 20, ("admin",), _roles)
    yield Route("GET", "/v1/legacyTeams", 20, ("users:read",), _teams)
    yield Route("GET", "/v1/filters", 20, everything, _filters)
    yield Route("GET", "/v1/userSettings", 2, (), _settings)
    yield Route("GET", "/v1/leadFields", 20, ("admin", *leads), _lead_fields)
    yield Route(
        "GET", "/v1/noteFields", 20, reading("contacts", "deals"), _fields(ENTITIES["notes"])
    )
    for name in ("deals", "persons", "organizations", "activities", "products"):
        entity = ENTITIES[name]
        own = f"{SCOPES.get(entity.fields_path, 'product')}-fields:full"
        scopes = ("admin", own, *reading(entity.scope))
        path = f"/v1/{entity.fields_path}"
        yield Route("GET", path, 20, scopes, _fields(entity))
        if name != "activities":
            yield Route("GET", f"{path}/{{id}}", 2, scopes, _field(entity))


ROUTES = tuple(_routes())
