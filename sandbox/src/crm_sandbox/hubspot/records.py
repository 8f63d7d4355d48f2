"""Lists of records and single records."""

from typing import Any

from crm_sandbox.http import Request, Response, is_number
from crm_sandbox.hubspot import bodies
from crm_sandbox.hubspot.errors import ApiError, not_found, unsupported_method
from crm_sandbox.hubspot.paging import (
    Page,
    after_of,
    answered,
    encoded,
    flag_of,
    json_of,
    limit_of,
    names_of,
)
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.reading import RecordReader, Shape, is_fleeting, shape_of
from crm_sandbox.hubspot.schema import ObjectType
from crm_sandbox.hubspot.writes import Writer

# In this version the administrator's rules for properties hold.
STRICT = "2026-09"
MOST_LISTED = 100
MOST_WITH_HISTORY = 50


class RecordHandler:
    """Answers about records of one portal.

    Args:
        portal: the portal.
        reader: how they are read.
        writer: how they are written.
    """

    def __init__(self, portal: Portal, reader: RecordReader, writer: Writer) -> None:
        self._portal = portal
        self._reader = reader
        self._writer = writer

    def collection(self, request: Request, one: ObjectType, page: Page) -> Response:
        """Answer a list or a create."""
        if request.method == "GET":
            if is_fleeting(one, self._shape(request, one)):
                return Response(200, self._list(request, one, page))
            key = ("list", request.path, request.base_url, request.query_text)
            return self._portal.packed(key, lambda: self._list(request, one, page))
        if request.method != "POST":
            raise unsupported_method()
        body = json_of(request, bodies.Record)
        strict = page.route.version == STRICT
        record = self._writer.create_one(one, body, strict=strict)
        shape = shape_of(one, body.get("properties") or {})
        return answered(self._reader.by_ids(one, [record], shape)[record], 201)

    def single(self, request: Request, one: ObjectType, named: str, *, strict: bool) -> Response:
        """Answer for one record."""
        if request.method == "GET":
            return self._get(request, one, named)
        if request.method == "PATCH":
            record = self._found(request, one, named)
            body = json_of(request, bodies.Record)
            self._writer.update_one(one, record, body, strict=strict)
            shape = shape_of(one, body.get("properties") or {})
            return answered(self._reader.by_ids(one, [record], shape)[record])
        if request.method == "DELETE":
            if is_number(named):
                self._writer.archive(one, [self._reader.resolved(one, int(named))])
            return Response(204)
        raise unsupported_method()

    def _list(self, request: Request, one: ObjectType, page: Page) -> bytes:
        query = request.query
        history = names_of(query, "propertiesWithHistory")
        limit = limit_of(query, default=10, most=MOST_WITH_HISTORY if history else MOST_LISTED)
        archived = flag_of(query, "archived")
        after = after_of(query)
        shape = self._shape(request, one)
        ids, following = self._reader.page(one, after, limit, archived=archived)
        records = self._reader.by_ids(one, ids, shape, archived=archived)
        document: dict[str, Any] = {"results": [records[one_id] for one_id in sorted(records)]}
        if following is not None:
            document["paging"] = page.paging(str(following))
        return encoded(document)

    def _shape(self, request: Request, one: ObjectType) -> Shape:
        query = request.query
        return shape_of(
            one,
            names_of(query, "properties"),
            names_of(query, "propertiesWithHistory"),
            names_of(query, "associations"),
            request.base_url,
        )

    def _get(self, request: Request, one: ObjectType, named: str) -> Response:
        query = request.query
        archived = flag_of(query, "archived")
        record = self._found(request, one, named, archived=archived)
        found = self._reader.by_ids(one, [record], self._shape(request, one), archived=archived)
        return answered(found[record])

    def _found(
        self, request: Request, one: ObjectType, named: str, *, archived: bool = False
    ) -> int:
        """Return the id of a record that is there.

        Raises:
            ApiError: it is not.
        """
        by = request.query.get("idProperty", "")
        record = self._by_key(one, by, named, archived=archived) if by else _number(named)
        if record is not None and not by:
            record = self._reader.resolved(one, record)
        state = "_archived" if archived else "NOT _archived"
        sql = f'SELECT count(*) FROM "{one.table}" WHERE _id = ? AND {state}'
        if record is None or not self._portal.tables.value(sql, [record]):
            raise not_found("resource not found")
        return record

    def _by_key(self, one: ObjectType, by: str, value: str, *, archived: bool) -> int | None:
        found = self.keyed(one, by, [value], archived=archived)
        return found.get(value)

    def keyed(
        self, one: ObjectType, by: str, values: list[str], *, archived: bool = False
    ) -> dict[str, int]:
        """Return ids by the values of a property that tells records apart.

        Raises:
            ApiError: the property does not.
        """
        prop = one.find(by)
        if by == "hs_object_id":
            return {value: int(value) for value in values if is_number(value)}
        if prop is None or not prop.unique:
            raise ApiError(
                400,
                "VALIDATION_ERROR",
                f"Property {by} for object type {one.id} is not a unique identifier property",
            )
        state = "_archived" if archived else "NOT _archived"
        rows = self._portal.tables.cursor().execute(
            f'SELECT lower("{prop.column}"), _id FROM "{one.table}" WHERE {state} AND '
            f'lower("{prop.column}") IN (SELECT unnest(?::VARCHAR[]))',
            [[value.lower() for value in values]],
        )
        known: dict[str, int] = dict(rows.fetchall())
        if one.name == "contacts" and by == "email":
            known = self._additional(one, values) | known
        return {value: known[value.lower()] for value in values if value.lower() in known}

    def _additional(self, one: ObjectType, values: list[str]) -> dict[str, int]:
        rows = self._portal.tables.cursor().execute(
            f"SELECT mail, _id FROM (SELECT _id, unnest(string_split(lower(hs_additional_emails), ';')) "
            f'AS mail FROM "{one.table}" WHERE NOT _archived AND hs_additional_emails IS NOT NULL) '
            "WHERE mail IN (SELECT unnest(?::VARCHAR[]))",
            [[value.lower() for value in values]],
        )
        return dict(rows.fetchall())


def _number(named: str) -> int | None:
    return int(named) if is_number(named) else None
