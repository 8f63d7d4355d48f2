"""Links between records in both generations of the API: labels since v4, names before.

Source: https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
"""

from collections.abc import Callable
from typing import Any

from crm_sandbox.http import Request, Response, is_number
from crm_sandbox.hubspot import bodies
from crm_sandbox.hubspot.association_reads import LinkReader
from crm_sandbox.hubspot.association_types import LinkType
from crm_sandbox.hubspot.association_writes import Link, LinkWriter
from crm_sandbox.hubspot.errors import ApiError, invalid, not_found, unsupported_method
from crm_sandbox.hubspot.instants import iso_of
from crm_sandbox.hubspot.paging import (
    Page,
    answered,
    encoded,
    inputs_of,
    json_of,
    limit_of,
)
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.reading import RecordReader
from crm_sandbox.hubspot.schema import ObjectType

MOST_READ, MOST_WRITTEN, MOST_PAGE = 1_000, 2_000, 500


class AssociationHandler:
    """Answers about links of one portal.

    Args:
        portal: the portal.
        records: knows which records there are.
        reader: how links are read.
        writer: how they are written.
    """

    def __init__(
        self, portal: Portal, records: RecordReader, reader: LinkReader, writer: LinkWriter
    ) -> None:
        self._portal = portal
        self._records = records
        self._reader = reader
        self._writer = writer

    def of_record(
        self, request: Request, one: ObjectType, record: str, parts: tuple[str, ...], page: Page
    ) -> Response:
        """Answer for the links of one record; `parts` follow `/associations/`."""
        from_id = self._there(one, record)
        if parts[:1] == ("default",) and len(parts) == 3 and request.method == "PUT":
            return self._default(one, from_id, parts[1], parts[2])
        other = self._portal.catalog.asked(parts[0])
        if len(parts) == 1 and request.method == "GET":
            return self._page(request, one, other, from_id, page)
        if len(parts) == 3 and page.route.version == "v3":
            return self._named(request, one, other, from_id, parts)
        if len(parts) != 2:
            raise not_found()
        to_id = _number(parts[1])
        if request.method == "DELETE":
            self._writer.remove(one, other, [(from_id, to_id, None)])
            return Response(204)
        if request.method != "PUT":
            raise unsupported_method()
        kinds = self._writer.kinds(one, other, _list_of(request))
        self._writer.replace(one, other, from_id, to_id, kinds)
        return answered(self._labelled(one, other, from_id, to_id, kinds), 201)

    def batch(
        self, request: Request, one: ObjectType, other: ObjectType, action: str, version: str
    ) -> Response:
        """Answer a batch; `action` follows `/batch/`."""
        if request.method != "POST":
            raise unsupported_method()
        most = MOST_READ if action == "read" else MOST_WRITTEN
        inputs = inputs_of(json_of(request, bodies.LinkBatch), most)
        if action == "read":
            return self._read(one, other, inputs, version)
        actions: dict[str, Callable[..., Response]] = {
            "create": self._create,
            "archive": self._archive,
            "labels/archive": self._archive_labels,
            "associate/default": self._associate,
        }
        if action not in actions:
            raise not_found()
        return actions[action](one, other, inputs, version)

    def _there(self, one: ObjectType, record: str) -> int:
        number = self._records.resolved(one, _number(record))
        sql = f'SELECT count(*) FROM "{one.table}" WHERE _id = ? AND NOT _archived'
        if not self._portal.tables.value(sql, [number]):
            raise not_found(f"No {one.singular} with ID {record} exists", context={"id": [record]})
        return number

    def _page(
        self, request: Request, one: ObjectType, other: ObjectType, from_id: int, page: Page
    ) -> Response:
        limit = limit_of(request.query, default=MOST_PAGE, most=MOST_PAGE)
        after = request.query.get("after", "") or "0"
        if page.route.version == "v3":
            entries = self._reader.named(one, other, from_id)
            rest = [entry for entry in entries if int(entry["id"]) >= _number(after)]
            following = rest[limit]["id"] if len(rest) > limit else None
            return page.of(rest[:limit], following)
        results, more = self._reader.labelled(one, other, from_id, _number(after), limit)
        return page.of(results, more)

    def _named(
        self,
        request: Request,
        one: ObjectType,
        other: ObjectType,
        from_id: int,
        parts: tuple[str, ...],
    ) -> Response:
        kind = self._kind_named(one, other, parts[2])
        to_id = _number(parts[1])
        if request.method == "DELETE":
            self._writer.remove(one, other, [(from_id, to_id, kind)])
            return Response(204)
        if request.method != "PUT":
            raise unsupported_method()
        self._writer.add(one, other, [Link(from_id, to_id, kind)])
        shown = self._records.by_ids(one, [from_id], self._reader.shape(one, other))
        return answered(shown[from_id])

    def _default(self, one: ObjectType, from_id: int, to_type: str, to_id: str) -> Response:
        other = self._portal.catalog.asked(to_type)
        kind = self._plain(one, other)
        link = Link(from_id, _number(to_id), kind)
        self._writer.add(one, other, [link])
        return self._envelope(200, [_spec(link)], [])

    def _read(
        self,
        one: ObjectType,
        other: ObjectType,
        inputs: list[dict[str, Any]],
        version: str,
    ) -> Response:
        asked = list(dict.fromkeys(str(entry.get("id", "")) for entry in inputs))
        after = {
            str(entry.get("id", "")): _number(str(entry["after"]))
            for entry in inputs
            if entry.get("after")
        }
        if version == "v3":
            results, lacking = self._reader.many_named(one, other, asked)
        else:
            results, lacking = self._reader.many_labelled(one, other, asked, after)
        errors = [
            ApiError(
                404,
                "OBJECT_NOT_FOUND",
                f"No {other.singular} is associated with {one.singular} {record}.",
                sub_category="crm.associations.NO_ASSOCIATIONS_FOUND",
                context={
                    "fromObjectId": [record],
                    "fromObjectType": [one.singular],
                    "toObjectType": [other.singular],
                },
            ).entry()
            for record in lacking
        ]
        return self._envelope(200, results, errors)

    def _create(
        self, one: ObjectType, other: ObjectType, inputs: list[dict[str, Any]], version: str
    ) -> Response:
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for entry in inputs:
            from_id, to_id = _ends(entry)
            try:
                if version == "v3":
                    kinds = [self._kind_named(one, other, str(entry.get("type", "")))]
                else:
                    kinds = self._writer.kinds(one, other, entry.get("types"))
                self._writer.add(one, other, [Link(from_id, to_id, kind) for kind in kinds])
            except ApiError as refusal:
                if len(inputs) == 1:
                    raise
                errors.append(refusal.entry())
                continue
            if version == "v3":
                results.append(_pair(from_id, to_id) | {"type": entry.get("type")})
            else:
                results.append(self._labelled(one, other, from_id, to_id, kinds))
        status = 200 if version == "2026-09" else self._portal.settings.associated_status
        return self._envelope(status, results, errors)

    def _archive(
        self, one: ObjectType, other: ObjectType, inputs: list[dict[str, Any]], version: str
    ) -> Response:
        pairs: list[tuple[int, int, LinkType | None]] = []
        for entry in inputs:
            if version == "v3":
                kind = self._kind_named(one, other, str(entry.get("type", "")))
                pairs.append((*_ends(entry), kind))
                continue
            from_id = _end(entry.get("from"))
            ends = entry.get("to") or []
            listed = ends if isinstance(ends, list) else [ends]
            pairs += [(from_id, _end(to), None) for to in listed]
        self._writer.remove(one, other, pairs)
        return self._gone(version)

    def _archive_labels(
        self, one: ObjectType, other: ObjectType, inputs: list[dict[str, Any]], version: str
    ) -> Response:
        for entry in inputs:
            kinds = self._writer.kinds(one, other, entry.get("types"))
            self._writer.remove(one, other, [(*_ends(entry), kind) for kind in kinds])
        return self._gone(version)

    def _associate(
        self, one: ObjectType, other: ObjectType, inputs: list[dict[str, Any]], _: str
    ) -> Response:
        links = [Link(*_ends(entry), self._plain(one, other)) for entry in inputs]
        self._writer.add(one, other, links)
        return self._envelope(200, [_spec(link) for link in links], [])

    def _gone(self, version: str) -> Response:
        if version.startswith("v"):
            return Response(204)
        return self._envelope(200, [], [])

    def _plain(self, one: ObjectType, other: ObjectType) -> LinkType:
        kind = self._portal.link_types.plain(one.name, other.name)
        if kind is None:
            raise invalid(f"{one.id} cannot be associated with {other.id}")
        return kind

    def _kind_named(self, one: ObjectType, other: ObjectType, name: str) -> LinkType:
        for number, known in self._reader.names(one, other).items():
            if name in {known, str(number)}:
                found = self._portal.link_types.find(one.name, other.name, number)
                assert found is not None
                return found
        raise invalid(f"Invalid association type '{name}' between {one.id} and {other.id}")

    def _labelled(
        self, one: ObjectType, other: ObjectType, from_id: int, to_id: int, kinds: list[LinkType]
    ) -> dict[str, Any]:
        return {
            "fromObjectTypeId": one.id,
            "fromObjectId": from_id,
            "toObjectTypeId": other.id,
            "toObjectId": to_id,
            "labels": [kind.label for kind in kinds if kind.label],
        }

    def _envelope(
        self, status: int, results: list[dict[str, Any]], errors: list[dict[str, Any]]
    ) -> Response:
        now = iso_of(self._portal.now_ms())
        body: dict[str, Any] = {
            "status": "COMPLETE",
            "results": results,
            "startedAt": now,
            "completedAt": now,
        }
        if errors:
            body |= {"numErrors": len(errors), "errors": errors}
            status = self._portal.settings.partial_status
        return Response(status, encoded(body))


def _number(text: str) -> int:
    if not is_number(text):
        raise invalid(f"Invalid object id: {text}")
    return int(text)


def _ends(entry: dict[str, Any]) -> tuple[int, int]:
    return _end(entry.get("from")), _end(entry.get("to"))


def _end(reference: Any) -> int:
    """Return the id of a record that a link leads from or to."""
    if isinstance(reference, list):
        raise invalid("one record was expected where several are")
    return _number(str((reference or {}).get("id", "")))


def _pair(from_id: int, to_id: int) -> dict[str, Any]:
    return {"from": {"id": str(from_id)}, "to": {"id": str(to_id)}}


def _spec(link: Link) -> dict[str, Any]:
    spec = {"associationCategory": link.kind.category, "associationTypeId": link.kind.id}
    return _pair(link.from_id, link.to_id) | {"associationSpec": spec}


def _list_of(request: Request) -> Any:
    try:
        return request.json()
    except ValueError as problem:
        raise invalid(f"Invalid input JSON: {problem}") from problem
