"""Single records over REST: read, create, change, delete, and the same by external id."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.salesforce.errors import ApiError, malformed_id, not_found, unreadable
from crm_sandbox.salesforce.ids import full_id, is_id
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.rendering import record_json
from crm_sandbox.salesforce.schema import Field, SObject
from crm_sandbox.salesforce.soql import Comparison, Item, Literal, Query
from crm_sandbox.salesforce.translation import Translator
from crm_sandbox.salesforce.writes import Order, SeveralMatches, Writer, key_field

_UPSERT_ANSWERS_SINCE = 46


class RecordHandler:
    """Answer `/sobjects/X` and below.

    Args:
        org: holds the records.
        writer: how they are written.
    """

    def __init__(self, org: Org, writer: Writer) -> None:
        self._org = org
        self._writer = writer

    def create(self, request: Request, name: str, version: str) -> Response:
        """Create a record from a POST to `/sobjects/X`."""
        order = Order("create", self._org.visible(name), body=body_of(request))
        self._write(order)
        return _made(order, version, {})

    def one(self, request: Request, name: str, record: str, version: str) -> Response:
        """Read, change or delete one record."""
        sobject = self._org.visible(name)
        if not is_id(record):
            raise not_found()
        if not record.startswith(sobject.prefix):
            raise malformed_id(f"{sobject.name} ID", record, "Id")
        if request.method in {"PATCH", "DELETE"}:
            with self._org.lock:
                self._guard_unmodified(request, sobject, full_id(record))
                self._write(_order_of(request, sobject, record))
            return Response(204)
        if request.method not in {"GET", "HEAD"}:
            raise _not_allowed(request)
        if not self._exists(sobject, record):
            raise not_found()
        if self._unchanged(request, sobject, full_id(record)):
            return Response(304)
        return Response(200, self._read(request, sobject, full_id(record), version).encode())

    def by_key(self, request: Request, name: str, field: str, value: str, version: str) -> Response:
        """Read, upsert or delete by an external id."""
        sobject, value = self._org.visible(name), unquote(value)
        key = key_field(sobject, field)
        if key is None:
            raise ApiError(
                404,
                "NOT_FOUND",
                "Provided external ID field does not exist or is not accessible: " + field,
            )
        try:
            if request.method == "PATCH":
                return self._upsert(request, sobject, key, value, version)
            record = self._with_key(sobject, key, value)
        except SeveralMatches as several:
            return json_response([_url_of(sobject, record, version) for record in several.ids], 300)
        if request.method == "DELETE":
            self._write(Order("delete", sobject, record))
            return Response(204)
        if request.method not in {"GET", "HEAD"}:
            raise _not_allowed(request)
        return Response(200, self._read(request, sobject, record, version).encode())

    def retrieve(
        self, sobject: SObject, records: Sequence[str], names: list[str], version: str
    ) -> list[str]:
        """Return the JSON of several living records in the order asked for, null for the others."""
        query = Query(tuple(Item(name) for name in names), sobject.name)
        plan = Translator(self._org, query, deleted=False).plan()
        sql = f'SELECT t."Id", {record_json(plan, version)} {plan.source}{plan.where}'
        sql += f'{" AND" if plan.where else " WHERE"} t."Id" IN (SELECT unnest(?::VARCHAR[]))'
        wanted = [full_id(record) for record in records]
        rows = self._org.cursor().execute(sql, [*plan.params, wanted]).fetchall()
        found: dict[str, str] = dict(rows)
        return [found.get(record, "null") for record in wanted]

    def _upsert(
        self, request: Request, sobject: SObject, key: Field, value: str, version: str
    ) -> Response:
        body = body_of(request)
        if any(name.lower() == key.name.lower() for name in body):
            raise ApiError(
                400,
                "INVALID_FIELD",
                f"The {key.name} field should not be specified in the sobject data.",
            )
        order = Order("upsert", sobject, body=body, key=key, key_value=value)
        self._write(order)
        if not order.created and float(version) < _UPSERT_ANSWERS_SINCE:
            return Response(204)
        return _made(order, version, {"created": order.created})

    def _write(self, order: Order) -> None:
        self._writer.apply([order])
        if order.error is None:
            return
        if order.error.code == "INVALID_CROSS_REFERENCE_KEY" and not order.error.fields:
            raise not_found()
        raise order.error

    def _with_key(self, sobject: SObject, key: Field, value: str) -> str:
        gone = ' AND NOT "IsDeleted"' if sobject.has_deleted else ""
        sql = f'SELECT "Id" FROM "{sobject.name}" WHERE "{key.stored}" = ?{gone} ORDER BY 1'
        found = [row[0] for row in self._org.cursor().execute(sql, [value]).fetchall()]
        if not found:
            raise not_found()
        if len(found) > 1:
            raise SeveralMatches(found, key)
        return str(found[0])

    def _exists(self, sobject: SObject, record: str) -> bool:
        gone = ' AND NOT "IsDeleted"' if sobject.has_deleted else ""
        sql = f'SELECT 1 FROM "{sobject.name}" WHERE "Id" = ?{gone}'
        return bool(self._org.cursor().execute(sql, [full_id(record)]).fetchall())

    def _read(self, request: Request, sobject: SObject, record: str, version: str) -> str:
        wanted = request.query.joined("fields").split(",")
        chosen = [name.strip() for name in wanted if name.strip()]
        chosen = chosen or [one.name for one in sobject.visible_fields]
        by_id = Comparison("Id", "=", (Literal("string", record),))
        query = Query(tuple(Item(name) for name in chosen), sobject.name, by_id)
        plan = Translator(self._org, query, deleted=False).plan()
        sql = f"SELECT {record_json(plan, version)} {plan.source}{plan.where}"
        rows = self._org.cursor().execute(sql, plan.params).fetchall()
        if not rows:
            raise not_found()
        return str(rows[0][0])

    def _modified(self, sobject: SObject, record: str) -> datetime | None:
        stored = {one.stored for one in sobject.fields}
        column = "LastModifiedDate" if "LastModifiedDate" in stored else "SystemModstamp"
        sql = f'SELECT "{column}" FROM "{sobject.name}" WHERE "Id" = ?'
        rows = self._org.cursor().execute(sql, [record]).fetchall() if column in stored else []
        return rows[0][0].replace(tzinfo=UTC) if rows else None

    def _guard_unmodified(self, request: Request, sobject: SObject, record: str) -> None:
        since = _moment(request.header("if-unmodified-since"))
        modified = self._modified(sobject, record) if since else None
        if since and modified and modified > since:
            raise ApiError(412, "PRECONDITION_FAILED", "The record was modified since")

    def _unchanged(self, request: Request, sobject: SObject, record: str) -> bool:
        since = _moment(request.header("if-modified-since"))
        modified = self._modified(sobject, record) if since else None
        return bool(since and modified and modified <= since)


def body_of(request: Request) -> dict[str, Any]:
    """Return the fields in the body of a write.

    Raises:
        ApiError: `JSON_PARSER_ERROR` unless the body is a JSON object.
    """
    try:
        body = request.json()
    except ValueError as problem:
        raise unreadable(str(problem)) from problem
    if not isinstance(body, dict):
        raise unreadable("The HTTP entity body is required")
    return {key: value for key, value in body.items() if key != "attributes"}


def _order_of(request: Request, sobject: SObject, record: str) -> Order:
    if request.method == "DELETE":
        return Order("delete", sobject, record)
    return Order("update", sobject, record, body_of(request))


def _made(order: Order, version: str, more: dict[str, Any]) -> Response:
    document = {"id": order.record, "success": True, "errors": []} | more
    if not order.created:
        return json_response(document)
    location = ("Location", _url_of(order.sobject, order.record, version))
    return json_response(document, 201, (location,))


def _url_of(sobject: SObject, record: str, version: str) -> str:
    return f"/services/data/v{version}/sobjects/{sobject.name}/{record}"


def _not_allowed(request: Request) -> ApiError:
    method = request.method
    return ApiError(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{method}' not allowed.")


def _moment(header: str) -> datetime | None:
    """Return the moment in a conditional header; one that cannot be read counts as absent."""
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
