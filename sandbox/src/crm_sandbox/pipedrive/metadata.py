"""Field metadata in the shapes of v2 and v1: system fields of the schema, custom ones of the company."""

from collections.abc import Iterator
from typing import Any

from crm_sandbox.http import Response, json_response
from crm_sandbox.pipedrive.company import Company
from crm_sandbox.pipedrive.custom_fields import CustomField
from crm_sandbox.pipedrive.errors import ApiError
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.paging import read_cursor, write_cursor
from crm_sandbox.pipedrive.question import Question, Reader
from crm_sandbox.pipedrive.route import Call, Handler, Route, reading
from crm_sandbox.pipedrive.schema import Column, Entity

_EXTRAS = ("ui_visibility", "important_fields", "required_fields")
_SUBFIELDS = {"value": "double", "currency": "varchar", "until": "date"}
SCOPES = {"dealFields": "deal", "personFields": "contact", "organizationFields": "contact"}


def fields_v2(
    company: Company, entity: Entity, extras: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """Return every field of an object as v2 describes it."""
    made = [_system_v2(one) for one in entity.columns if one.shown != "never"]
    made += [custom_v2(one) for one in company.fields(entity.name)]
    for one in made:
        one |= {name: _extra(name) for name in extras}
    return made


def _extra(name: str) -> dict[str, Any]:
    if name == "ui_visibility":
        return {"add_visible_flag": True, "details_visible_flag": True}
    return {"enabled": False} | ({"stage_ids": []} if name == "important_fields" else {})


def _system_v2(column: Column) -> dict[str, Any]:
    options = [{"id": number, "label": label} for number, label in column.options]
    return {
        "field_name": column.title,
        "field_code": column.name,
        "field_type": column.field_type,
        "options": options or None,
        "subfields": None,
        "is_custom_field": False,
        "is_optional_response_field": column.shown == "asked",
    }


def custom_v2(one: CustomField) -> dict[str, Any]:
    """Return a custom field as v2 describes it."""
    stamps = {"update_time": f"{one.updated.isoformat()}Z", "add_time": f"{one.added.isoformat()}Z"}
    options = [{"id": o.id, "label": o.label, "color": o.color} | stamps for o in one.options]
    subfields = [
        {
            "field_code": member,
            "field_name": f"{member.replace('_', ' ').capitalize()} of {one.name}",
            "field_type": _SUBFIELDS.get(member, "varchar"),
        }
        for member in one.members
    ]
    return {
        "field_name": one.name,
        "field_code": one.code,
        "field_type": one.type,
        "options": options if one.type in {"enum", "set"} else None,
        "subfields": subfields or None,
        "is_custom_field": True,
        "is_optional_response_field": False,
    }


def fields_v1(company: Company, entity: Entity) -> list[dict[str, Any]]:
    """Return every field of an object as v1 describes it."""
    made = []
    for place, column in enumerate(one for one in entity.columns if one.shown != "never"):
        options = [{"id": number, "label": label} for number, label in column.options]
        made.append(
            _v1(
                place + 1,
                column.name,
                column.title,
                kind=column.field_type,
                place=place,
                options=options,
            )
        )
    for place, one in enumerate(company.fields(entity.name), len(made)):
        made.append(custom_v1(one, place))
    return made


def custom_v1(one: CustomField, place: int = 0) -> dict[str, Any]:
    """Return a custom field as v1 describes it."""
    options = [{"id": o.id, "label": o.label} for o in one.options]
    described = _v1(one.id, one.code, one.name, kind=one.type, place=place, options=options)
    stamps = {"add_time": str(one.added), "update_time": str(one.updated)}
    described |= {**stamps, "edit_flag": True}
    if one.gone:
        described["options_deleted"] = [{"id": o.id, "label": o.label} for o in one.gone]
    return described


def _v1(
    number: int, key: str, name: str, *, kind: str, place: int, options: list[dict[str, Any]]
) -> dict[str, Any]:
    on = dict.fromkeys(
        ("active_flag", "index_visible_flag", "details_visible_flag", "add_visible_flag"), True
    )
    on |= dict.fromkeys(("searchable_flag", "filtering_allowed", "sortable_flag"), True)
    off = dict.fromkeys(("edit_flag", "important_flag", "mandatory_flag", "is_subfield"), False)
    stamps = {"add_time": "2018-01-01 00:00:00", "update_time": "2018-01-01 00:00:00"}
    made = {"id": number, "key": key, "name": name, "order_nr": place, "field_type": kind}
    return made | stamps | on | off | {"bulk_edit_allowed": True, "options": options or None}


def _list_v2(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        reader = Reader(call.query)
        reader.check({"limit", "cursor", "include_fields"})
        limit = reader.number("limit", 100, 500)
        extras = reader.words("include_fields", 3)
        reader.problems += [
            f"include_fields: '{one}' is not a valid value" for one in extras if one not in _EXTRAS
        ]
        reader.refuse()
        every = fields_v2(call.company, entity, extras)
        question = Question(limit=limit, cursor=call.query.get("cursor", ""))
        after = read_cursor(question)
        start = int(after[1]) if after else 0
        shown = every[start : start + limit]
        is_last = start + limit >= len(every)
        following = None if is_last else write_cursor(question, None, start + limit)
        paging = {"next_cursor": following}
        return json_response({"success": True, "data": shown, "additional_data": paging})

    return answer


def _get_v2(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        for one in fields_v2(call.company, entity):
            if one["field_code"] == call.parts["code"]:
                return json_response({"success": True, "data": one})
        raise ApiError(404, "Field not found", "ERR_NOT_FOUND")

    return answer


def _routes() -> Iterator[Route]:
    for name in ("deals", "persons", "organizations", "activities", "products"):
        entity = ENTITIES[name]
        path = entity.fields_path
        scopes: tuple[str, ...] = ("admin",)
        if name != "activities":
            own = f"{SCOPES.get(path, 'product')}-fields:full"
            scopes = ("admin", own, *reading(entity.scope))
        yield Route("GET", f"/api/v2/{path}", 10, scopes, _list_v2(entity))
        yield Route("GET", f"/api/v2/{path}/{{code}}", 1, scopes, _get_v2(entity))


ROUTES = tuple(_routes())
