"""sObject collections: up to 200 records in one call, each with its own result."""

from typing import Any

from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.salesforce.errors import ApiError, not_found, unreadable
from crm_sandbox.salesforce.ids import is_id
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.records import RecordHandler, body_of
from crm_sandbox.salesforce.schema import SObject
from crm_sandbox.salesforce.writes import Order, Writer, key_field, object_for_write

MOST_RECORDS = 200
_MOST_RETRIEVED = 2000


class CollectionHandler:
    """Answer `/composite/sobjects` and below.

    Args:
        org: holds the records.
        writer: how they are written.
        records: how they are read.
    """

    def __init__(self, org: Org, writer: Writer, records: RecordHandler) -> None:
        self._org = org
        self._writer = writer
        self._records = records

    def handle(self, request: Request, version: str, rest: list[str]) -> Response:
        """Answer one request; `rest` is the path behind `/composite/sobjects`."""
        if len(rest) == 1 and request.method in {"GET", "POST"}:
            return self._retrieve(request, version, self._org.visible(rest[0]))
        if request.method == "DELETE" and not rest:
            return self._delete(request)
        if request.method == "POST" and not rest:
            return self._write(request, "create", None, "")
        if request.method == "PATCH" and len(rest) in {0, 2}:
            operation = "upsert" if rest else "update"
            target = self._org.visible(rest[0]) if rest else None
            return self._write(request, operation, target, rest[1] if rest else "")
        raise not_found()

    def _write(
        self, request: Request, operation: str, target: SObject | None, key: str
    ) -> Response:
        body = body_of(request)
        records = body.get("records")
        if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
            raise unreadable("'records' must be an array of records")
        _check_count(len(records), MOST_RECORDS)
        orders = [self._order(operation, one, target, key) for one in records]
        return self._carried_out(orders, all_or_none=body.get("allOrNone") is True)

    def _order(
        self, operation: str, record: dict[str, Any], target: SObject | None, key: str
    ) -> Order:
        attributes = record.get("attributes")
        kind = attributes.get("type") if isinstance(attributes, dict) else None
        sobject = target or object_for_write(self._org, kind)
        body = {name: value for name, value in record.items() if name != "attributes"}
        order = Order(operation, sobject, body=body)
        if operation == "update":
            order.record = str(_taken(body, "id") or "")
        if operation == "upsert":
            order.key = key_field(sobject, key)
            if order.key is None:
                raise ApiError(
                    404,
                    "NOT_FOUND",
                    "Provided external ID field does not exist or is not accessible: " + key,
                )
            order.key_value = _taken(body, order.key.name)
        return order

    def _delete(self, request: Request) -> Response:
        ids = [one.strip() for one in request.query.joined("ids").split(",") if one.strip()]
        if not ids:
            raise ApiError(400, "MISSING_ARGUMENT", "the ids parameter is missing")
        _check_count(len(ids), MOST_RECORDS)
        prefixes = {one.prefix: one for one in self._org.objects}
        anything = self._org.objects[0]
        orders = []
        for record in ids:
            order = Order("delete", prefixes.get(record[:3], anything), record)
            if not is_id(record) or record[:3] not in prefixes:
                order.error = ApiError(400, "MALFORMED_ID", f"malformed id {record}")
            orders.append(order)
        everything = request.query.get("allOrNone", "").lower() == "true"
        return self._carried_out(orders, all_or_none=everything)

    def _carried_out(self, orders: list[Order], *, all_or_none: bool) -> Response:
        self._writer.apply(orders, all_or_none=all_or_none)
        return json_response([_result(order) for order in orders])

    def _retrieve(self, request: Request, version: str, sobject: SObject) -> Response:
        given: dict[str, Any] = {
            key: request.query.joined(key).split(",")
            for key, value in request.query.items()
            if value
        }
        if request.method == "POST":
            given = body_of(request)
        ids, names = _texts(given, "ids"), _texts(given, "fields")
        _check_count(len(ids), _MOST_RETRIEVED)
        found = self._records.retrieve(sobject, ids, names, version)
        return Response(200, f"[{','.join(found)}]".encode())


def _result(order: Order) -> dict[str, Any]:
    problem = order.error
    if problem is None:
        made: dict[str, Any] = {"id": order.record, "success": True, "errors": []}
        return made | ({"created": order.created} if order.operation == "upsert" else {})
    error = {"statusCode": problem.code, "message": problem.message, "fields": problem.fields}
    failed: dict[str, Any] = {"success": False, "errors": [error]}
    rolled_back = problem.code == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    if order.record and not order.created and not rolled_back:
        failed = {"id": order.record} | failed
    return failed | ({"created": False} if order.operation == "upsert" else {})


def _taken(body: dict[str, Any], name: str) -> Any:
    """Take a value out of a record, whatever the case of its name."""
    for key in list(body):
        if key.lower() == name.lower():
            return body.pop(key)
    return None


def _texts(given: dict[str, Any], key: str) -> list[str]:
    values = given.get(key)
    if not isinstance(values, list) or not values or not all(isinstance(v, str) for v in values):
        raise ApiError(400, "MISSING_ARGUMENT", f"the {key} parameter is missing")
    return values


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise ApiError(
            400,
            "EXCEEDED_ID_LIMIT",
            f"record limit reached. cannot submit more than {most} records in this call",
        )
