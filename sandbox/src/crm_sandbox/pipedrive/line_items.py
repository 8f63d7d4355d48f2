"""Products of a deal: added, changed and removed, one by one or many at once.

Source: https://developers.pipedrive.com/docs/api/v1/Deals#addDealProduct
"""

from collections.abc import Mapping
from typing import Any

from crm_sandbox.http import Response, is_number, json_response
from crm_sandbox.pipedrive.errors import ApiError, invalid
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.paging import rendered
from crm_sandbox.pipedrive.records import found
from crm_sandbox.pipedrive.rendering import shape_v2
from crm_sandbox.pipedrive.route import Call, Route, ok, parsed, writing
from crm_sandbox.pipedrive.writes import author, read_body

_ITEMS, _DEALS, _PRODUCTS = (ENTITIES[key] for key in ("deal_products", "deals", "products"))
_MOST = 100
_SCOPES = writing("deals", "products")


def _sum(values: Mapping[str, Any]) -> float:
    """Return what a line costs, discount off, tax on top where it is exclusive."""
    gross = float(values["item_price"]) * float(values["quantity"])
    discount = float(values["discount"] or 0)
    is_percent = values["discount_type"] == "percentage"
    net = gross * (1 - discount / 100) if is_percent else gross - discount
    tax = float(values["tax"] or 0) if values["tax_method"] == "exclusive" else 0.0
    return round(net * (1 + tax / 100), 2)


def _values(call: Call, body: Mapping[str, Any]) -> dict[str, Any]:
    needed = [key for key in ("product_id", "item_price", "quantity") if body.get(key) is None]
    if needed:
        raise invalid(*(f"{key}: {key} is required" for key in needed))
    return read_body(call.company, _ITEMS, body, is_new=True)


def _create(call: Call, deal: int, values: dict[str, Any]) -> int:
    company = call.company
    product = company.store.row(_PRODUCTS, values["product_id"])
    parent = company.store.row(_DEALS, deal)
    assert product is not None
    assert parent is not None
    sql = "SELECT coalesce(max(order_nr), 0) + 1 FROM deal_products WHERE deal_id = ?"
    fixed = {"discount": 0.0, "discount_type": "percentage", "tax": 0.0, "tax_method": "none"}
    whole = fixed | values
    whole |= {
        "deal_id": deal,
        "name": product["name"],
        "currency": parent["currency"],
        "order_nr": int(company.tables.value(sql, [deal])),
        "sum": _sum(whole),
    }
    return int(company.store.create(_ITEMS, whole, author(call)))


def _shown(call: Call, ids: list[int]) -> list[Any]:
    shape = shape_v2(call.company, _ITEMS)
    return [parsed(text) for text in rendered(call.company.tables, _ITEMS, ids, shape)]


def _deal(call: Call) -> int:
    return found(call.company, _DEALS, call.parts["id"], call.sight, alive=True)


def _item(call: Call) -> int:
    deal, item = _deal(call), call.parts["item"]
    row = call.company.store.row(_ITEMS, int(item)) if is_number(item) else None
    if row is None or row["deal_id"] != deal:
        raise ApiError(404, "Deal product not found", "ERR_NOT_FOUND")
    return int(item)


def _add(call: Call) -> Response:
    deal = _deal(call)
    item = _create(call, deal, _values(call, call.body()))
    return ok(_shown(call, [item])[0], 201)


def _add_many(call: Call) -> Response:
    deal, bodies = _deal(call), call.body().get("data")
    if not isinstance(bodies, list) or not 0 < len(bodies) <= _MOST:
        raise invalid(f"data: data must have 1 to {_MOST} products")
    # All are judged before the first is written.
    everything = [_values(call, body) for body in bodies]
    with call.company.tables.writing():
        items = [_create(call, deal, values) for values in everything]
    return ok(_shown(call, items), 201)


def _change(call: Call) -> Response:
    item = _item(call)
    row = call.company.store.row(_ITEMS, item)
    assert row is not None
    values = read_body(call.company, _ITEMS, call.body(), is_new=False)
    values["sum"] = _sum(row | values)
    call.company.store.update(_ITEMS, item, values, author(call))
    return ok(_shown(call, [item])[0])


def _remove(call: Call) -> Response:
    item = _item(call)
    call.company.store.delete(_ITEMS, item, author(call))
    return ok({"id": item})


def _remove_many(call: Call) -> Response:
    deal = _deal(call)
    wanted = [word for word in call.query.joined("ids").split(",") if word]
    sql = "SELECT id FROM deal_products WHERE deal_id = ? ORDER BY id"
    ids = [row["id"] for row in call.company.tables.rows(sql, [deal])]
    chosen = [one for one in ids if not wanted or str(one) in wanted]
    going, left = chosen[:_MOST], chosen[_MOST:]
    for item in going:
        call.company.store.delete(_ITEMS, item, author(call))
    more = {"more_items_in_collection": bool(left)}
    return json_response({"success": True, "data": {"ids": going}, "additional_data": more})


_PATH = "/api/v2/deals/{id}/products"
ROUTES = (
    Route("POST", _PATH, 5, _SCOPES, _add),
    Route("DELETE", _PATH, 15, _SCOPES, _remove_many),
    Route("POST", f"{_PATH}/bulk", 25, _SCOPES, _add_many),
    Route("PATCH", f"{_PATH}/{{item}}", 5, _SCOPES, _change),
    Route("DELETE", f"{_PATH}/{{item}}", 3, _SCOPES, _remove),
)
