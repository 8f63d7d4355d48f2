"""Single records over REST: read, create, change, delete, upsert, and the replication lists."""

from datetime import UTC, datetime, timedelta
from typing import Any

from crm_pipeline.sandbox.http import Request, Response, json_response
from crm_pipeline.sandbox.salesforce.changes import Changes
from crm_pipeline.sandbox.salesforce.errors import ApiError, invalid_field, not_found
from crm_pipeline.sandbox.salesforce.ids import full_id, is_id
from crm_pipeline.sandbox.salesforce.org import Org
from crm_pipeline.sandbox.salesforce.rendering import record_json
from crm_pipeline.sandbox.salesforce.schema import Field, SObject
from crm_pipeline.sandbox.salesforce.soql import Comparison, Item, Literal, Query
from crm_pipeline.sandbox.salesforce.translation import Translator, python_value

_LOOK_BACK = {"updated": timedelta(days=30), "deleted": timedelta(days=15)}
_MOST_IDS = 600_000


class RecordDesk:
    """Answer `/sobjects/X` and below.

    Args:
        org: whose records.
        changes: how they are changed.
    """

    def __init__(self, org: Org, changes: Changes) -> None:
        self._org = org
        self._changes = changes

    def collection(self, request: Request, name: str) -> Response:
        """Create a record from a POST to `/sobjects/X`."""
        sobject = self._org.visible(name)
        made = self._create(sobject, self._body(request))
        return json_response({"id": made, "success": True, "errors": []}, 201)

    def one(self, request: Request, name: str, record: str, version: str) -> Response:
        """Read, change or delete one record."""
        sobject = self._org.visible(name)
        if not is_id(record) or not self._exists(sobject, record):
            raise not_found()
        if request.method == "PATCH":
            self._guard_unmodified(request, sobject, record)
            self._edit(sobject, record, self._body(request))
            return Response(204)
        if request.method == "DELETE":
            self._changes.delete(sobject.name, record)
            return Response(204)
        names = request.query.get("fields", "")
        chosen = [part.strip() for part in names.split(",") if part.strip()]
        body = self._read(sobject, full_id(record), chosen, version)
        return Response(200, body.encode())

    def by_key(self, request: Request, name: str, field: str, value: str, version: str) -> Response:
        """Read or upsert by an external id."""
        sobject = self._org.visible(name)
        one = sobject.find(field)
        if one is None or not (one.external_id or one.type == "id"):
            raise ApiError(
                404,
                "NOT_FOUND",
                "Provided external ID field does not exist or is not accessible: " + field,
            )
        rows = (
            self._org.cursor()
            .execute(
                f'SELECT "Id" FROM "{sobject.name}" WHERE "{one.stored}" = ? AND NOT "IsDeleted"',
                [value],
            )
            .fetchall()
        )
        if len(rows) > 1:
            base = f"/services/data/v{version}/sobjects/{sobject.name}/"
            return json_response([base + row[0] for row in rows], 300)
        if request.method == "GET":
            if not rows:
                raise not_found()
            return Response(200, self._read(sobject, rows[0][0], [], version).encode())
        if request.method != "PATCH":
            raise ApiError(
                405, "METHOD_NOT_ALLOWED", f"HTTP Method '{request.method}' not allowed."
            )
        body = self._body(request)
        if any(key.lower() == one.name.lower() for key in body):
            raise ApiError(
                400,
                "INVALID_FIELD",
                f"The {one.name} field should not be specified in the sobject data.",
            )
        return self._upsert(sobject, one, value, rows, body=body, version=version)

    def _upsert(
        self,
        sobject: SObject,
        one: Field,
        value: str,
        rows: list[Any],
        *,
        body: dict[str, Any],
        version: str,
    ) -> Response:
        if rows:
            self._edit(sobject, rows[0][0], body)
            if float(version) < 46:
                return Response(204)
            return json_response(
                {"id": rows[0][0], "success": True, "errors": [], "created": False}
            )
        made = self._create(sobject, body | {one.name: value})
        return json_response({"id": made, "success": True, "errors": [], "created": True}, 201)

    def replication(self, request: Request, name: str, kind: str) -> Response:
        """Answer `/updated` and `/deleted`."""
        sobject = self._org.visible(name)
        if not sobject.has_deleted:
            raise ApiError(400, "INVALID_TYPE", f"{sobject.name} is not replicateable")
        start, end = (self._minute(request, key) for key in ("start", "end"))
        now = self._org.clock.stamp()
        if start >= end:
            raise ApiError(
                400,
                "INVALID_REPLICATION_DATE",
                "endDate must be at least one minute later than startDate",
            )
        if now - start > _LOOK_BACK[kind] + timedelta(minutes=1):
            raise ApiError(
                400,
                "INVALID_REPLICATION_DATE",
                f"startDate cannot be more than {_LOOK_BACK[kind].days} days ago",
            )
        rows = self._touched(sobject, kind, start, end)
        if len(rows) > _MOST_IDS:
            raise ApiError(400, "EXCEEDED_ID_LIMIT", f"more than {_MOST_IDS} ids")
        covered = python_value(min(end, now.replace(second=0)))
        if kind == "updated":
            return json_response({"ids": [row[0] for row in rows], "latestDateCovered": covered})
        gone = [{"id": row[0], "deletedDate": python_value(row[1])} for row in rows]
        earliest = python_value(now - _LOOK_BACK[kind])
        return json_response(
            {
                "deletedRecords": gone,
                "earliestDateAvailable": earliest,
                "latestDateCovered": covered,
            }
        )

    def _touched(
        self, sobject: SObject, kind: str, start: datetime, end: datetime
    ) -> list[tuple[str, datetime]]:
        gone = "" if kind == "deleted" else "NOT "
        sql = (
            f'SELECT "Id", "SystemModstamp" FROM "{sobject.name}" WHERE "SystemModstamp" >= ? '
            f'AND "SystemModstamp" < ? AND {gone}"IsDeleted" ORDER BY 2, 1'
        )
        return self._org.cursor().execute(sql, [start, end]).fetchall()

    def _minute(self, request: Request, key: str) -> datetime:
        try:
            moment = datetime.fromisoformat(request.query[key])
        except (KeyError, ValueError) as problem:
            raise ApiError(
                400, "MALFORMED_QUERY", f"{key} must be a dateTime with an offset"
            ) from problem
        return moment.astimezone(UTC).replace(tzinfo=None, second=0, microsecond=0)

    def _exists(self, sobject: SObject, record: str) -> bool:
        gone = ' AND NOT "IsDeleted"' if sobject.has_deleted else ""
        sql = f'SELECT 1 FROM "{sobject.name}" WHERE "Id" = ?{gone}'
        return self._org.cursor().execute(sql, [full_id(record)]).fetchone() is not None

    def _read(self, sobject: SObject, record: str, names: list[str], version: str) -> str:
        chosen = names or [one.name for one in sobject.visible_fields]
        by_id = Comparison("Id", "=", (Literal("string", record),))
        query = Query(tuple(Item(name) for name in chosen), sobject.name, by_id)
        plan = Translator(self._org, query, deleted=False).plan()
        sql = f"SELECT {record_json(plan, version)} {plan.source}{plan.where}"
        row = self._org.cursor().execute(sql, plan.params).fetchone()
        if row is None:
            raise not_found()
        return str(row[0])

    def _guard_unmodified(self, request: Request, sobject: SObject, record: str) -> None:
        since = request.header("if-unmodified-since")
        if not since:
            return
        from email.utils import parsedate_to_datetime

        row = (
            self._org.cursor()
            .execute(
                f'SELECT "LastModifiedDate" FROM "{sobject.name}" WHERE "Id" = ?', [full_id(record)]
            )
            .fetchone()
        )
        if row and row[0].replace(tzinfo=UTC) > parsedate_to_datetime(since):
            raise ApiError(412, "PRECONDITION_FAILED", "The record was modified since")

    def _body(self, request: Request) -> dict[str, Any]:
        try:
            body = request.json()
        except ValueError as problem:
            raise ApiError(400, "JSON_PARSER_ERROR", str(problem)) from problem
        if not isinstance(body, dict):
            raise ApiError(400, "JSON_PARSER_ERROR", "The HTTP entity body is required")
        return {key: value for key, value in body.items() if key != "attributes"}

    def _create(self, sobject: SObject, body: dict[str, Any]) -> str:
        self._check(sobject, body, new=True)
        required = [
            one.name
            for one in sobject.fields
            if not one.nillable
            and one.createable
            and one.type != "boolean"
            and one.name not in {"OwnerId", *body}
        ]
        if required:
            message = f"Required fields are missing: [{', '.join(required)}]"
            raise ApiError(400, "REQUIRED_FIELD_MISSING", message, required)
        try:
            return self._changes.create(sobject.name, **body)
        except ValueError as problem:
            raise ApiError(400, "JSON_PARSER_ERROR", str(problem)) from problem

    def _edit(self, sobject: SObject, record: str, body: dict[str, Any]) -> None:
        self._check(sobject, body, new=False)
        try:
            self._changes.edit(sobject.name, record, **body)
        except ValueError as problem:
            raise ApiError(400, "JSON_PARSER_ERROR", str(problem)) from problem

    def _check(self, sobject: SObject, body: dict[str, Any], *, new: bool) -> None:
        for name in body:
            one = sobject.find(name)
            if one is None:
                raise invalid_field(name, sobject.name)
            if not (one.createable if new else one.updateable):
                raise ApiError(
                    400,
                    "INVALID_FIELD_FOR_INSERT_UPDATE",
                    f"Unable to create/update fields: {one.name}. Please check the security settings "
                    "of this field and verify that it is read/write for your profile or permission set.",
                    [one.name],
                )
