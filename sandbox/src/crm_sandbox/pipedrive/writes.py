"""The operations of v2 that write records: POST, PATCH, DELETE.

Nothing is unique here and nothing is idempotent: the same POST twice makes two records.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from crm_sandbox.http import Response
from crm_sandbox.pipedrive.company import Company
from crm_sandbox.pipedrive.errors import ApiError, invalid, not_allowed
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.paging import rendered
from crm_sandbox.pipedrive.records import found
from crm_sandbox.pipedrive.rendering import shape_v2
from crm_sandbox.pipedrive.route import Call, Handler, Route, ok, writing
from crm_sandbox.pipedrive.schema import Entity
from crm_sandbox.pipedrive.store import Author
from crm_sandbox.pipedrive.values import Wrong, stored, stored_custom

_NEEDED: dict[str, tuple[str, ...]] = {
    "deals": ("title",),
    "persons": ("name",),
    "organizations": ("name",),
    "products": ("name",),
    "pipelines": ("name",),
    "stages": ("name", "pipeline_id"),
}
# Only a POST says when a person or an organization was added.
_AT_BIRTH = {"persons": ("add_time",), "organizations": ("add_time",)}
_TARGETS = {
    "org_id": "organizations",
    "person_id": "persons",
    "owner_id": "users",
    "stage_id": "stages",
    "pipeline_id": "pipelines",
    "deal_id": "deals",
    "product_id": "products",
}


def author(call: Call) -> Author:
    """Return who a call writes as."""
    return Author(call.sight.user, "api")


def read_body(
    company: Company, entity: Entity, body: Mapping[str, Any], *, is_new: bool
) -> dict[str, Any]:
    """Return the new values of a body by column.

    Raises:
        ApiError: 400 with every problem, 403 for what an app is missing for.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    for name, value in body.items():
        if name == "custom_fields" and entity.has_custom:
            _read_custom(company, entity, value, values, problems)
            continue
        column = entity.column(name)
        at_birth = is_new and name in _AT_BIRTH.get(entity.name, ())
        if column is None or not (column.writable or at_birth):
            problems.append(not_allowed(name))
            continue
        if column.shown == "sync" and not company.contact_sync:
            raise ApiError(403, "Contact sync is not enabled for this company")
        if name == "marketing_status" and not company.marketing:
            raise ApiError(403, "The marketing app is not enabled for this company")
        try:
            values[name] = stored(column, value)
        except Wrong as problem:
            problems.append(f"{name}: {name} {problem}")
    if is_new:
        needed = _NEEDED.get(entity.name, ())
        problems += [f"{name}: {name} is required" for name in needed if not body.get(name)]
    problems += _dangling(company, values)
    if problems:
        raise invalid(*problems)
    return values


def _read_custom(
    company: Company, entity: Entity, sent: Any, values: dict[str, Any], problems: list[str]
) -> None:
    if not isinstance(sent, Mapping):
        problems.append("custom_fields: custom_fields must be an object")
        return
    for code, value in sent.items():
        one = next((one for one in company.fields(entity.name) if one.code == code), None)
        if one is None:
            problems.append(not_allowed(f"custom_fields.{code}"))
            continue
        try:
            values[code] = stored_custom(one, value)
        except Wrong as problem:
            problems.append(f"custom_fields.{code}: {problem}")


def _dangling(company: Company, values: Mapping[str, Any]) -> list[str]:
    problems = []
    for name, table in _TARGETS.items():
        if values.get(name) is None:
            continue
        entity = ENTITIES[table]
        alive = " AND NOT is_deleted" if entity.is_binned else ""
        sql = f'SELECT count(*) FROM "{table}" WHERE id = ?{alive}'
        if not company.tables.value(sql, [values[name]]):
            problems.append(f"{name}: {entity.missing}")
    return problems


def shown(call: Call, entity: Entity, record: Any, status: int = 200) -> Response:
    """Answer a record as it is now."""
    texts = rendered(call.company.tables, entity, [record], shape_v2(call.company, entity))
    return Response(status, f'{{"success":true,"data":{texts[0]}}}'.encode())


def _adder(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        company = call.company
        if entity.name in {"pipelines", "stages"} and not call.sight.sees_all:
            raise ApiError(403, "You do not have permissions to do this.")
        _cap(company, entity)
        values = read_body(company, entity, call.body(), is_new=True)
        record = company.store.create(entity, values, author(call))
        return shown(call, entity, record, entity.created)

    return answer


def _cap(company: Company, entity: Entity) -> None:
    if entity.name != "deals" or company.most_deals is None:
        return
    count = company.tables.value(
        "SELECT count(*) FROM deals WHERE status = 'open' AND NOT is_deleted"
    )
    if count >= company.most_deals:
        raise ApiError(403, "You have reached your deals limit", "feature_capping_deals_limit")


def _changer(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        record = found(call.company, entity, call.parts["id"], call.sight, alive=True)
        values = read_body(call.company, entity, call.body(), is_new=False)
        if not call.company.ignores_write():
            call.company.store.update(entity, record, values, author(call))
        return shown(call, entity, record)

    return answer


def _deleter(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        record = found(call.company, entity, call.parts["id"], call.sight, alive=True)
        call.company.store.delete(entity, record, author(call))
        return ok({"id": record})

    return answer


def _routes() -> Iterator[Route]:
    for name in ("deals", "persons", "organizations", "activities", "products"):
        entity = ENTITIES[name]
        scopes = writing(entity.scope)
        yield Route("POST", f"/api/v2/{name}", 5, scopes, _adder(entity))
        yield Route("PATCH", f"/api/v2/{name}/{{id}}", 5, scopes, _changer(entity))
        yield Route("DELETE", f"/api/v2/{name}/{{id}}", 3, scopes, _deleter(entity))
    for name in ("pipelines", "stages"):
        entity = ENTITIES[name]
        yield Route("POST", f"/api/v2/{name}", 5, ("admin",), _adder(entity))
        yield Route("PATCH", f"/api/v2/{name}/{{id}}", 5, ("admin",), _changer(entity))
        yield Route("DELETE", f"/api/v2/{name}/{{id}}", 3, ("admin",), _deleter(entity))


ROUTES = tuple(_routes())
