"""The operations of v1 that write: leads and notes, and what is out of support.

Old v1 took custom fields at the top level and numbers in quotes, and a partial PUT left the rest alone.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from crm_sandbox.http import Response, is_number, json_response
from crm_sandbox.pipedrive.company import Company
from crm_sandbox.pipedrive.custom_fields import CustomField
from crm_sandbox.pipedrive.errors import ApiError
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.pages_v1 import records_v1
from crm_sandbox.pipedrive.reads_v1 import one_lead, one_note
from crm_sandbox.pipedrive.records import found
from crm_sandbox.pipedrive.route import Call, Handler, Route, ok, writing
from crm_sandbox.pipedrive.schema import Entity
from crm_sandbox.pipedrive.values import Wrong, stored, stored_custom
from crm_sandbox.pipedrive.writes import author

_LEADS, _NOTES = ENTITIES["leads"], ENTITIES["notes"]
_OLD_NAMES = {"user_id": "owner_id", "email": "emails", "phone": "phones", "label": "label_ids"}
_OLD_NAMES |= {"busy_flag": "busy"}
_NUMBERS = {"int", "ref", "user", "org", "people", "stage", "visible_to", "whole"}


def _bad(words: str) -> ApiError:
    return ApiError(400, f"Bad request: {words}")


def _read(company: Company, entity: Entity, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the new values of a v1 body by column; what nobody knows is ignored.

    Raises:
        ApiError: 400 for a value that does not fit.
    """
    values: dict[str, Any] = {}
    for sent, value in body.items():
        name = sent if entity.column(sent) else _OLD_NAMES.get(sent, sent)
        column = entity.column(name)
        try:
            if column is not None and column.writable:
                values[name] = stored(column, _plain(column.kind, value))
            elif one := _custom(company, entity, sent):
                values[one.code] = _custom_value(one, sent, value, body)
        except Wrong as problem:
            raise _bad(f"{sent} {problem}") from problem
    return values


def _plain(kind: str, value: Any) -> Any:
    """Return what old v1 clients send as today's JSON."""
    if kind in _NUMBERS and isinstance(value, str) and is_number(value):
        return int(value)
    if kind in {"money", "double"} and isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    if kind == "boolean" and value in (0, 1):
        return bool(value)
    if kind in {"emails", "phones"} and isinstance(value, str):
        return [{"value": value, "primary": True, "label": "work"}]
    if kind in {"emails", "phones"} and isinstance(value, list):
        return [{"value": one} if isinstance(one, str) else one for one in value]
    if kind == "labels" and isinstance(value, int):
        return [value]
    return value


def _custom(company: Company, entity: Entity, name: str) -> CustomField | None:
    return next((one for one in company.fields(entity.name) if one.code == name), None)


def _custom_value(one: CustomField, sent: str, value: Any, body: Mapping[str, Any]) -> Any:
    if value in (None, ""):
        return None
    if one.members and not isinstance(value, dict):
        siblings = {part: body.get(f"{sent}_{part}") for part in one.members if part != "value"}
        number = float(value) if one.type == "monetary" else value
        value = {"value": number} | {key: part for key, part in siblings.items() if part}
    elif one.type in {"enum", "org", "people", "user"} and isinstance(value, str):
        value = int(value) if is_number(value) else value
    elif one.type == "set" and isinstance(value, str):
        value = [int(part) for part in value.split(",") if is_number(part.strip())]
    elif one.type == "double" and isinstance(value, str):
        value = _plain("double", value)
    return stored_custom(one, value)


def _answer(call: Call, entity: Entity, record: Any, status: int = 200) -> Response:
    text = records_v1(call, entity, [record])[0]
    return Response(status, f'{{"success":true,"data":{text}}}'.encode())


def _lead_values(call: Call, body: Mapping[str, Any]) -> dict[str, Any]:
    values = _read(call.company, _LEADS, body)
    if "value" in body:
        money = body["value"] or {"amount": None, "currency": None}
        if not isinstance(money, Mapping) or set(money) != {"amount", "currency"}:
            raise _bad("value must be an object with amount and currency")
        amount, currency = money["amount"], money["currency"]
        if not isinstance(amount, int | float | None) or not isinstance(currency, str | None):
            raise _bad("value must have a number as amount and a text as currency")
        values |= {"amount": amount, "currency": currency}
    return values


def _add_lead(call: Call) -> Response:
    body = call.body()
    if not body.get("title"):
        raise _bad("title is required")
    if not body.get("person_id") and not body.get("organization_id"):
        raise _bad("A lead must be linked to a person or an organization")
    values = _lead_values(call, body)
    record = call.company.store.create(_LEADS, values, author(call))
    return _answer(call, _LEADS, record, 201)


def _change_lead(call: Call) -> Response:
    record = one_lead(call)
    call.company.store.update(_LEADS, record, _lead_values(call, call.body()), author(call))
    return _answer(call, _LEADS, record)


def _remove_lead(call: Call) -> Response:
    record = one_lead(call)
    call.company.store.delete(_LEADS, record, author(call))
    return ok({"id": record})


def _add_note(call: Call) -> Response:
    body = call.body()
    if not body.get("content"):
        raise _bad("content is required")
    targets = ("deal_id", "lead_id", "person_id", "org_id", "project_id")
    if not any(body.get(key) for key in targets):
        raise _bad("A note must be attached to a deal, a lead, a person or an organization")
    record = call.company.store.create(_NOTES, _read(call.company, _NOTES, body), author(call))
    return _answer(call, _NOTES, record)


def _change_note(call: Call) -> Response:
    record = one_note(call)
    values = _read(call.company, _NOTES, call.body())
    call.company.store.update(
        _NOTES, record, values | {"last_update_user_id": call.sight.user}, author(call)
    )
    return _answer(call, _NOTES, record)


def _remove_note(call: Call) -> Response:
    call.company.store.delete(_NOTES, one_note(call), author(call))
    return ok(data=True)


def _adder(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        body = call.body()
        needed = "title" if entity.name == "deals" else "name"
        if entity.name != "activities" and not body.get(needed):
            raise _bad(f"{needed} is required")
        values = _read(call.company, entity, body)
        return _answer(call, entity, call.company.store.create(entity, values, author(call)), 201)

    return answer


def _changer(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        record = found(call.company, entity, call.parts["id"], call.sight, alive=True)
        values = _read(call.company, entity, call.body())
        call.company.store.update(entity, record, values, author(call))
        return _answer(call, entity, record)

    return answer


def _remover(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        record = found(call.company, entity, call.parts["id"], call.sight, alive=True)
        call.company.store.delete(entity, record, author(call))
        return ok({"id": record})

    return answer


def _bulk_remover(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        ids = [word for word in call.query.joined("ids").split(",") if word]
        if not ids:
            raise _bad("ids are required")
        records = [found(call.company, entity, one, call.sight, alive=True) for one in ids]
        for record in records:
            call.company.store.delete(entity, record, author(call))
        return json_response({"success": True, "data": {"id": records}})

    return answer


def _routes() -> Iterator[Route]:
    leads, notes = writing("leads"), writing("contacts", "deals")
    yield Route("POST", "/v1/leads", 10, leads, _add_lead)
    yield Route("PATCH", "/v1/leads/{id}", 10, leads, _change_lead)
    yield Route("DELETE", "/v1/leads/{id}", 6, leads, _remove_lead)
    yield Route("POST", "/v1/notes", 10, notes, _add_note)
    yield Route("PUT", "/v1/notes/{id}", 10, notes, _change_note)
    yield Route("DELETE", "/v1/notes/{id}", 6, notes, _remove_note)
    for name in ("deals", "persons", "organizations", "activities", "products"):
        entity = ENTITIES[name]
        scopes = writing(entity.scope)
        path, one = f"/v1/{name}", f"/v1/{name}/{{id}}"
        yield Route("POST", path, 10, scopes, _adder(entity), is_retired=True)
        yield Route("PUT", one, 10, scopes, _changer(entity), is_retired=True)
        yield Route("DELETE", one, 6, scopes, _remover(entity), is_retired=True)
        if name != "products":
            yield Route("DELETE", path, 10, scopes, _bulk_remover(entity), is_retired=True)


ROUTES = tuple(_routes())
