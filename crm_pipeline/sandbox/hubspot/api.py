"""One portal's API: which desk answers a request."""

from typing import Any

from crm_pipeline.sandbox.http import Request, Response
from crm_pipeline.sandbox.hubspot.association_reads import LinkReader
from crm_pipeline.sandbox.hubspot.association_writes import LinkWriter
from crm_pipeline.sandbox.hubspot.associations import AssociationDesk
from crm_pipeline.sandbox.hubspot.batches import BatchDesk
from crm_pipeline.sandbox.hubspot.errors import invalid, not_found, unsupported_method
from crm_pipeline.sandbox.hubspot.labels import LabelDesk
from crm_pipeline.sandbox.hubspot.merges import Merger
from crm_pipeline.sandbox.hubspot.paging import Page, answered, json_of
from crm_pipeline.sandbox.hubspot.portal import Portal
from crm_pipeline.sandbox.hubspot.properties import PropertyDesk
from crm_pipeline.sandbox.hubspot.reading import RecordReader, shape_of
from crm_pipeline.sandbox.hubspot.records import RecordDesk
from crm_pipeline.sandbox.hubspot.routes import Route
from crm_pipeline.sandbox.hubspot.schema import ObjectType
from crm_pipeline.sandbox.hubspot.schemas import SchemaDesk
from crm_pipeline.sandbox.hubspot.search import SearchDesk
from crm_pipeline.sandbox.hubspot.search_index import SearchIndex
from crm_pipeline.sandbox.hubspot.writes import Writer


class PortalApi:
    """Answers for one portal.

    Args:
        portal: whose.
    """

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        self.index = SearchIndex(portal)
        self.links = LinkWriter(portal)
        self.writer = Writer(portal, self.index, self.links)
        self.reader = RecordReader(portal)
        self.merger = Merger(portal, self.writer, self.links, self.index)
        self.properties = PropertyDesk(portal)
        self._records = RecordDesk(portal, self.reader, self.writer)
        self._batches = BatchDesk(portal, self.reader, self._records, self.writer)
        self._search = SearchDesk(portal, self.reader, self.index)
        self._link_reader = LinkReader(portal, self.reader)
        self._links = AssociationDesk(portal, self.reader, self._link_reader, self.links)
        self._labels = LabelDesk(portal, self.links)
        self._schemas = SchemaDesk(portal, self.properties)

    def types(self, route: Route) -> tuple[ObjectType, ...]:
        """Return the object types that a call is about."""
        if route.area in {"objects", "properties"} and route.parts:
            return (self._visible(route.parts[0]),)
        if route.area == "associations" and len(route.parts) > 1:
            return (self._visible(route.parts[0]), self._visible(route.parts[1]))
        return ()

    def answer(self, request: Request, route: Route) -> Response:
        """Answer one request.

        Raises:
            ApiError: it is refused.
        """
        page = Page(request, route)
        desks: dict[str, Any] = {
            "objects": self._object,
            "associations": self._association,
            "properties": self._property,
        }
        if route.area in desks:
            found: Response = desks[route.area](request, route, page)
            return found
        if route.area == "owners":
            return self.portal.owners.handle(request, route.parts, page)
        if route.area == "pipelines" and route.parts:
            name = self._visible(route.parts[0]).name
            return self.portal.pipeline_desk.handle(request, name, route.parts[1:], page)
        if route.area == "schemas":
            return self._schemas.handle(request, route.parts)
        if route.area == "account-info":
            return self._account(route)
        raise not_found()

    def _object(self, request: Request, route: Route, page: Page) -> Response:
        if not route.parts:
            raise not_found()
        one, rest = self._visible(route.parts[0]), route.parts[1:]
        if not rest:
            return self._records.collection(request, one, page)
        if rest == ("search",) and request.method == "POST":
            return self._search.answer(request, one)
        if rest == ("merge",) and request.method == "POST":
            return self._merge(request, one)
        if rest == ("gdpr-delete",) and request.method == "POST":
            return self._forget(request, one)
        if rest[0] == "batch" and len(rest) == 2:
            if request.method != "POST":
                raise unsupported_method()
            return self._batches.answer(request, one, rest[1], strict=route.version == "2026-09")
        if len(rest) > 1 and rest[1] == "associations":
            return self._links.of_record(request, one, rest[0], rest[2:], page)
        if len(rest) > 1:
            raise not_found()
        return self._records.single(request, one, rest[0])

    def _association(self, request: Request, route: Route, page: Page) -> Response:  # noqa: ARG002
        if len(route.parts) < 3:
            raise not_found()
        one, other = self._visible(route.parts[0]), self._visible(route.parts[1])
        head, rest = route.parts[2], route.parts[3:]
        if head == "labels":
            return self._labels.handle(request, one, other, rest)
        if head == "types" and route.version == "v3":
            return self._labels.types(one, other, self._link_reader.names(one, other))
        if head == "batch":
            return self._links.batch(request, one, other, "/".join(rest), route.version)
        raise not_found()

    def _property(self, request: Request, route: Route, page: Page) -> Response:  # noqa: ARG002
        if not route.parts:
            raise not_found()
        return self.properties.handle(request, self._visible(route.parts[0]), route.parts[1:])

    def _merge(self, request: Request, one: ObjectType) -> Response:
        body = json_of(request)
        ends = [str(body.get(name, "")) for name in ("primaryObjectId", "objectIdToMerge")]
        if not all(end.isdigit() for end in ends):
            raise invalid("primaryObjectId and objectIdToMerge have to be ids")
        first, second = (self.reader.resolved(one, int(end)) for end in ends)
        made = self.merger.merge(one, first, second)
        return answered(self.reader.by_ids(one, [made], shape_of(one, []))[made])

    def _forget(self, request: Request, one: ObjectType) -> Response:
        """Erase a contact for good; an address that is not known is blocked all the same."""
        body = json_of(request)
        named = str(body.get("objectId", ""))
        tables = self.portal.tables
        by_email = body.get("idProperty") == "email"
        column = "lower(email)" if by_email else "_id::VARCHAR"
        rows = tables.rows(
            f'SELECT _id, email FROM "{one.table}" WHERE {column} = lower(?)', [named]
        )
        mails = {str(row["email"]).lower() for row in rows if row["email"]}
        if by_email:
            mails.add(named.lower())
        tables.insert("blocked", [{"email": mail} for mail in mails])
        for row in rows:
            self.portal.events.tell(one, row["_id"], "privacyDeletion")
            self.portal.events.tell(one, row["_id"], "deletion", {"changeFlag": "DELETED"})
        self.writer.erase(one, [row["_id"] for row in rows])
        return Response(204)

    def _account(self, route: Route) -> Response:
        facts = self.portal.facts
        if route.parts == ("details",):
            return answered(
                {
                    "portalId": facts.hub_id,
                    "accountType": "SANDBOX",
                    "timeZone": facts.time_zone,
                    "companyCurrency": facts.currency,
                    "additionalCurrencies": [],
                    "utcOffset": facts.utc_offset,
                    "utcOffsetMilliseconds": 0,
                    "uiDomain": "app.hubspot.com",
                    "dataHostingLocation": facts.region,
                }
            )
        if route.parts == ("api-usage", "daily", "private-apps"):
            daily = self.portal.limits.daily
            entry = {
                "name": "private-apps-api-calls-daily",
                "usageLimit": daily.amount,
                "currentUsage": daily.used,
                "fetchStatus": "SUCCESS",
                "resetsAt": None,
                "collectedAt": None,
            }
            return answered({"results": [entry]})
        raise not_found()

    def _visible(self, name: str) -> ObjectType:
        found = self.portal.catalog.asked(name)
        if found.hidden:
            raise invalid(f"Unable to infer object type from: {name}")
        return found
