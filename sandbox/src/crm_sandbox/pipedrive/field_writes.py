"""The operations that change fields: v2 with its options, and what v1 still has."""

from collections.abc import Iterator
from typing import Any

from crm_sandbox.http import Response, json_response
from crm_sandbox.pipedrive import shaping
from crm_sandbox.pipedrive.custom_fields import TYPES, CustomField
from crm_sandbox.pipedrive.errors import ApiError, invalid
from crm_sandbox.pipedrive.metadata import SCOPES, custom_v1, custom_v2
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.route import Call, Handler, Route, ok, writing
from crm_sandbox.pipedrive.schema import Entity

_CHOICES = {"enum", "set"}


def _custom(call: Call, entity: Entity) -> CustomField:
    """Return the custom field that the path names, by key (v2) or number (v1)."""
    wanted = call.parts.get("code") or call.parts.get("id", "")
    for one in call.company.fields(entity.name):
        if wanted in {one.code, str(one.id)}:
            return one
    if entity.column(wanted):
        raise ApiError(403, "You do not have permissions to do this.")
    raise ApiError(404, "Field not found", "ERR_NOT_FOUND")


def _adder(entity: Entity, *, is_v1: bool) -> Handler:
    def answer(call: Call) -> Response:
        body = call.body()
        name, kind = body.get("name" if is_v1 else "field_name"), body.get("field_type")
        options = body.get("options") or []
        labels = _labels(options)
        if not isinstance(name, str) or not name:
            raise invalid("field_name: field_name is required")
        if not isinstance(kind, str) or kind not in TYPES:
            raise invalid(f"field_type: field_type must be one of [{', '.join(TYPES)}]")
        if (kind in _CHOICES) != bool(labels):
            raise invalid(
                "options: options are for fields of the types enum and set, and needed there"
            )
        one = shaping.add_field(call.company, entity, name, kind, labels)
        if is_v1:
            return ok(custom_v1(one), 201 if entity.name == "products" else 200)
        return ok(custom_v2(one))

    return answer


def _changer(entity: Entity, *, is_v1: bool) -> Handler:
    def answer(call: Call) -> Response:
        one, body = _custom(call, entity), call.body()
        name = body.get("name" if is_v1 else "field_name")
        if name is not None:
            shaping.rename_field(call.company, entity, one.code, str(name))
        if is_v1 and "options" in body:
            _replace_options(call, entity, one, _sent_options(body["options"] or []))
        return ok(custom_v1(one) if is_v1 else custom_v2(one))

    return answer


def _sent_options(options: Any) -> list[dict[str, Any]]:
    """Return the options of a v1 body.

    Raises:
        ApiError: 400 where one is no option.
    """
    if not isinstance(options, list) or not all(
        isinstance(one, dict) and "label" in one and isinstance(one.get("id", 0), int)
        for one in options
    ):
        raise ApiError(400, "Bad request: options must be a list of ids and labels")
    return options


def _replace_options(
    call: Call, entity: Entity, one: CustomField, options: list[dict[str, Any]]
) -> None:
    """v1 sends the whole list: what has no id is new, what is missing goes."""
    kept = {option["id"]: str(option["label"]) for option in options if "id" in option}
    if missing := kept.keys() - {option.id for option in one.options}:
        raise ApiError(400, f"Bad request: '{one.name}' has no option {min(missing)}")
    going = [option.id for option in one.options if option.id not in kept]
    shaping.rename_options(call.company, one, kept)
    if going:
        shaping.remove_options(call.company, entity, one, going)
    fresh = [str(option["label"]) for option in options if "id" not in option]
    if fresh:
        shaping.add_options(call.company, one, fresh)


def _remover(entity: Entity, *, is_v1: bool) -> Handler:
    def answer(call: Call) -> Response:
        one = _custom(call, entity)
        described = custom_v2(one)
        shaping.remove_field(call.company, entity, one.code)
        return ok({"id": one.id} if is_v1 else described)

    return answer


def _option_handler(entity: Entity, method: str) -> Handler:
    def answer(call: Call) -> Response:
        one, sent = _custom(call, entity), call.document()
        if one.type not in _CHOICES or not isinstance(sent, list) or not sent:
            raise invalid("options: a non-empty array is expected, for a field with options")
        try:
            if method == "POST":
                changed = shaping.add_options(call.company, one, _labels(sent))
            elif method == "PATCH":
                labels = {int(option["id"]): str(option["label"]) for option in sent}
                changed = shaping.rename_options(call.company, one, labels)
            else:
                ids = [int(option["id"]) for option in sent]
                changed = shaping.remove_options(call.company, entity, one, ids)
        except (KeyError, TypeError, ValueError) as problem:
            # Several options change together or not at all.
            raise invalid(f"options: {problem.args[0]}") from problem
        data = [{"id": option.id, "label": option.label} for option in changed]
        return json_response({"success": True, "data": data, "additional_data": None})

    return answer


def _labels(options: Any) -> list[str]:
    if not isinstance(options, list) or not all(isinstance(one, dict) for one in options):
        raise invalid("options: options must be an array of objects")
    return [str(option.get("label", "")) for option in options]


def _routes() -> Iterator[Route]:
    for name in ("deals", "persons", "organizations", "products"):
        entity = ENTITIES[name]
        path = entity.fields_path
        own = f"{SCOPES.get(path, 'product')}-fields:full"
        narrow = ("admin", own)
        wide = (*narrow, *writing(entity.scope))
        newer, older = f"/api/v2/{path}", f"/v1/{path}"
        yield Route("POST", newer, 5, narrow, _adder(entity, is_v1=False))
        yield Route("PATCH", f"{newer}/{{code}}", 5, wide, _changer(entity, is_v1=False))
        yield Route("DELETE", f"{newer}/{{code}}", 3, narrow, _remover(entity, is_v1=False))
        for method, cost in (("POST", 5), ("PATCH", 5), ("DELETE", 3)):
            handler = _option_handler(entity, method)
            yield Route(method, f"{newer}/{{code}}/options", cost, wide, handler)
        yield Route("POST", older, 10, narrow, _adder(entity, is_v1=True))
        yield Route("PUT", f"{older}/{{id}}", 10, narrow, _changer(entity, is_v1=True))
        yield Route("DELETE", f"{older}/{{id}}", 6, narrow, _remover(entity, is_v1=True))


ROUTES = tuple(_routes())
