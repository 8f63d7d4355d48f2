"""The operations of v2 that read."""

from collections.abc import Iterator

from crm_sandbox.http import Response
from crm_sandbox.pipedrive import records
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.route import Call, Handler, Route, reading
from crm_sandbox.pipedrive.schema import Entity

_LISTED = ("deals", "persons", "organizations", "activities", "products", "pipelines", "stages")


def _lister(entity: Entity, *, archived: bool = False) -> Handler:
    def answer(call: Call) -> Response:
        return call.kept(
            lambda: records.listed(call.company, entity, call.query, call.sight, archived=archived)
        )

    return answer


def _getter(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        return call.kept(
            lambda: records.one_record(
                call.company, entity, call.parts["id"], call.query, call.sight
            )
        )

    return answer


def _deal_products(call: Call) -> Response:
    deal = call.parts.get("id")
    return call.kept(lambda: records.deal_products(call.company, call.query, call.sight, deal))


def _routes() -> Iterator[Route]:
    items = reading("deals", "products")
    archived = _lister(ENTITIES["deals"], archived=True)
    yield Route("GET", "/api/v2/deals/archived", 20, reading("deals"), archived)
    yield Route("GET", "/api/v2/deals/products", 10, items, _deal_products)
    yield Route("GET", "/api/v2/deals/{id}/products", 10, items, _deal_products)
    for name in _LISTED:
        entity = ENTITIES[name]
        is_setup = name in {"pipelines", "stages"}
        scopes = (*reading(entity.scope), *(("admin",) if is_setup else ()))
        yield Route("GET", f"/api/v2/{name}", 5 if is_setup else 10, scopes, _lister(entity))
        yield Route("GET", f"/api/v2/{name}/{{id}}", 1, scopes, _getter(entity))


ROUTES = tuple(_routes())
