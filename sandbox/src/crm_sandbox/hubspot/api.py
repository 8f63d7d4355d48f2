"""All handlers of one portal, and the routes to them."""

from collections.abc import Callable

from crm_sandbox.http import Request, Response
from crm_sandbox.hubspot.account import AccountHandler
from crm_sandbox.hubspot.association_reads import LinkReader
from crm_sandbox.hubspot.association_writes import LinkWriter
from crm_sandbox.hubspot.associations import AssociationHandler
from crm_sandbox.hubspot.batches import BatchHandler
from crm_sandbox.hubspot.consent import ConsentHandler
from crm_sandbox.hubspot.errors import not_found, unsupported_method
from crm_sandbox.hubspot.exports import ExportHandler
from crm_sandbox.hubspot.fullness import FullnessHandler
from crm_sandbox.hubspot.imports import ImportHandler
from crm_sandbox.hubspot.labels import LabelHandler
from crm_sandbox.hubspot.lists import ListHandler
from crm_sandbox.hubspot.merges import MergeHandler
from crm_sandbox.hubspot.operations import OPERATIONS
from crm_sandbox.hubspot.paging import Page
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.properties import PropertyHandler
from crm_sandbox.hubspot.reading import RecordReader
from crm_sandbox.hubspot.records import STRICT, RecordHandler
from crm_sandbox.hubspot.routes import Route
from crm_sandbox.hubspot.schemas import SchemaHandler
from crm_sandbox.hubspot.search import SearchHandler
from crm_sandbox.hubspot.search_index import SearchIndex
from crm_sandbox.hubspot.validation_rules import ValidationHandler
from crm_sandbox.hubspot.writes import Writer


class PortalApi:
    """What answers for one portal.

    Args:
        portal: which.
    """

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        self.reader = RecordReader(portal)
        self.index = SearchIndex(portal)
        self.links = LinkWriter(portal)
        self.writer = Writer(portal, self.index, self.links)
        self.lists = ListHandler(portal)
        self.merges = MergeHandler(portal, self.reader, self.writer, self.links, self.lists)
        self.properties = PropertyHandler(portal)
        self._link_reader = LinkReader(portal, self.reader)
        self._records = RecordHandler(portal, self.reader, self.writer)
        self._batches = BatchHandler(portal, self.reader, self._records, self.writer)
        self._search = SearchHandler(portal, self.reader, self.index)
        self._associations = AssociationHandler(portal, self.reader, self._link_reader, self.links)
        self._labels = LabelHandler(portal)
        self._schemas = SchemaHandler(portal, self.properties)
        self.exports = ExportHandler(portal)
        self._imports = ImportHandler(portal, self.writer)
        self._consent = ConsentHandler(portal, self.writer)
        self._validations = ValidationHandler(portal)
        self._account = AccountHandler(portal)
        self._fullness = FullnessHandler(portal)

    def answer(self, request: Request, route: Route) -> Response:
        """Answer a request to one of the APIs.

        Raises:
            ApiError: it is refused.
        """
        if not OPERATIONS.leads_anywhere(request.path):
            raise not_found()
        page = Page(request, route)
        if route.area == "objects":
            return self._objects(request, route, page)
        if route.area == "associations":
            return self._linked(request, route)
        if route.area == "properties" and route.parts:
            one = self.portal.catalog.asked(route.parts[0])
            return self.properties.handle(request, one, route.parts[1:])
        if route.area == "legacy-properties" and route.parts:
            one = self.portal.catalog.asked(route.parts[0])
            return self.properties.legacy(request, one, route.parts[1:])
        if route.area == "pipelines" and route.parts:
            one = self.portal.catalog.asked(route.parts[0])
            response = self.portal.pipeline_handler.handle(request, one.name, route.parts[1:], page)
            if request.method != "GET":
                self.portal.tables.bump()
            return response
        plain: dict[str, Callable[[Request, tuple[str, ...]], Response]] = {
            "owners": lambda asked, parts: self.portal.owners.handle(asked, parts, page),
            "lists": lambda asked, parts: self.lists.handle(asked, parts, page),
            "imports": lambda asked, parts: self._imports.handle(asked, parts, page),
            "schemas": self._schemas.handle,
            "account-info": self._account.info,
            "communication-preferences": self._consent.handle,
            "exports": self.exports.handle,
            "limits": self._fullness.handle,
            "property-validations": self._validations.handle,
            "collector": self._graph,
        }
        if route.area not in plain:
            raise not_found()
        return plain[route.area](request, route.parts)

    def _graph(self, request: Request, parts: tuple[str, ...]) -> Response:
        # Loaded at first use: hardly anybody asks this way, and everybody would wait for the library.
        from crm_sandbox.hubspot.graphql import GraphHandler

        return GraphHandler(self.portal, self.reader, self._link_reader).handle(request, parts)

    def _objects(self, request: Request, route: Route, page: Page) -> Response:
        if not route.parts:
            raise not_found()
        one = self.portal.catalog.asked(route.parts[0])
        rest = route.parts[1:]
        if rest[1:2] == ("associations",) and len(rest) > 2:
            return self._associations.of_record(request, one, rest[0], rest[2:], page)
        if route.version == "v4":
            raise not_found()
        if not rest:
            return self._records.collection(request, one, page)
        if rest[0] == "batch" and len(rest) == 2:
            strict = route.version == STRICT
            return self._batches.answer(request, one, rest[1], strict=strict)
        if len(rest) > 1:
            raise not_found()
        if rest[0] in {"search", "merge", "gdpr-delete"}:
            if request.method != "POST":
                raise unsupported_method()
            if rest[0] == "search":
                return self._search.answer(request, one)
            if rest[0] == "merge":
                return self.merges.merge(request, one)
            return self.merges.erase(request, one)
        return self._records.single(request, one, rest[0], strict=route.version == STRICT)

    def _linked(self, request: Request, route: Route) -> Response:
        if len(route.parts) < 3:
            raise not_found()
        one, other = (self.portal.catalog.asked(name) for name in route.parts[:2])
        rest = route.parts[2:]
        if rest[0] == "batch":
            action = "/".join(rest[1:])
            return self._associations.batch(request, one, other, action, route.version)
        if rest[0] == "labels":
            return self._labels.handle(request, one, other, rest[1:])
        if rest == ("types",):
            return self._labels.types(self._link_reader.names(one, other))
        raise not_found()
