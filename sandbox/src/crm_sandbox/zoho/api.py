"""Everything that one org answers below `/crm/v8`: handlers, scopes and prices."""

from collections.abc import Callable
from dataclasses import dataclass

from crm_sandbox.answers import AnswerCache
from crm_sandbox.grants import Access
from crm_sandbox.http import Request, Response
from crm_sandbox.zoho.bulk_read import BulkReadHandler
from crm_sandbox.zoho.bulk_write import BulkWriteHandler
from crm_sandbox.zoho.centres import is_developer
from crm_sandbox.zoho.composite import CompositeHandler
from crm_sandbox.zoho.coql_plan import CoqlHandler
from crm_sandbox.zoho.deliveries import DeliveryLog
from crm_sandbox.zoho.errors import no_such_address, wrong_method
from crm_sandbox.zoho.limits import CUSTOM_VIEW, Meter, query_cost
from crm_sandbox.zoho.listing import ListingHandler
from crm_sandbox.zoho.metadata import MetadataHandler
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.page_tokens import PageTokens
from crm_sandbox.zoho.records import RecordHandler
from crm_sandbox.zoho.related import RelatedHandler
from crm_sandbox.zoho.schema import Module
from crm_sandbox.zoho.scopes import demand, operation
from crm_sandbox.zoho.searching import SearchHandler
from crm_sandbox.zoho.setup_answers import SetupHandler
from crm_sandbox.zoho.staging import USER_COUNT
from crm_sandbox.zoho.store import RecordStore
from crm_sandbox.zoho.uploads import UploadHandler
from crm_sandbox.zoho.versions import Version, addressed
from crm_sandbox.zoho.watch import WatchHandler
from crm_sandbox.zoho.write_handler import WriteHandler
from crm_sandbox.zoho.writes import Writer


@dataclass(frozen=True)
class Call:
    """One call: the request, the token it came with, the parts of its path behind the version, that."""

    request: Request
    access: Access
    parts: list[str]
    version: Version

    @classmethod
    def addressed(cls, request: Request, access: Access) -> "Call":
        """Return the call of a request.

        Raises:
            ZohoError: its address leads nowhere.
        """
        found = addressed(request.path)
        if found is None:
            raise no_such_address()
        version, rest = found
        return cls(request, access, [part for part in rest.split("/") if part], version)

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.request.method

    def demand(self, *scopes: str) -> None:
        """Check that the token has scopes."""
        demand(self.access.scopes, *scopes)

    def must_be(self, *methods: str) -> None:
        """Check the method."""
        if self.method not in methods:
            raise wrong_method()


class OrgApi:
    """The handlers of one org.

    Args:
        org: the org.
        tokens: makes page tokens.
        cache: keeps the rows of pages.
        mailman: takes callbacks and notifications out.
    """

    def __init__(
        self, org: Org, tokens: PageTokens, cache: AnswerCache, mailman: DeliveryLog
    ) -> None:
        self.org = org
        self.store = RecordStore(org)
        self.meter = Meter(org.clock, USER_COUNT)
        self.listing = ListingHandler(org, tokens, cache)
        self.search = SearchHandler(org)
        self.records = RecordHandler(org)
        self.coql = CoqlHandler(org)
        self.bulk_read = BulkReadHandler(org, self.meter, mailman)
        self.writer = Writer(org, self.store)
        self.writes = WriteHandler(self.writer, self.records, self.meter)
        self.uploads = UploadHandler(org)
        self.bulk_write = BulkWriteHandler(org, self.writer, self.uploads, self.meter, mailman)
        self.watch = WatchHandler(org, self.records, mailman)
        self.store.listeners.append(self.watch.notice)
        self._related = RelatedHandler(org, tokens, self.listing.limits)
        self._metadata = MetadataHandler(org)
        self._setup = SetupHandler(org, self._metadata)

    def answer(self, call: Call) -> Response:
        """Answer one call to the CRM API.

        Raises:
            ZohoError: the refusal.
        """
        head, *rest = call.parts or [""]
        special: dict[str, Callable[[Call, list[str]], Response]] = {
            "settings": self._settings,
            "org": self._org_data,
            "users": self._users,
            "coql": self._coql,
            "__composite_requests": self._composite,
            "actions": self._watch,
            "upload": self._upload,
        }
        if head in special:
            return special[head](call, rest)
        return self._module(call, self.org.visible(head), rest)

    def bulk(self, call: Call) -> Response:
        """Answer one call below `/crm/bulk/v8`.

        Raises:
            ZohoError: the refusal.
        """
        head, *rest = call.parts or [""]
        if head == "read":
            call.demand("ZohoCRM.bulk.READ")
            return self.bulk_read.handle(call.request, rest, call.access.scopes, call.version)
        if head == "write":
            call.demand(f"ZohoCRM.bulk.{operation(call.method)}")
            return self.bulk_write.handle(call.request, rest)
        raise no_such_address()

    def _settings(self, call: Call, rest: list[str]) -> Response:
        kind, *below = rest or [""]
        request, version = call.request, call.version
        developer = self.org.is_developer or is_developer(request)
        kinds: dict[str, Callable[[], Response]] = {
            "modules": lambda: self._metadata.modules(below, developer=developer),
            "fields": lambda: self._metadata.fields(request, below, version),
            "layouts": lambda: self._setup.layouts(request, below, version),
            "pipeline": lambda: self._setup.pipelines(request, below),
            "related_lists": lambda: self._setup.related_lists(request),
            "custom_views": lambda: self._setup.views(request),
        }
        if kind not in kinds:
            raise no_such_address()
        call.must_be("GET")
        call.demand(f"ZohoCRM.settings.{kind}.READ")
        self.meter.charge(1)
        return kinds[kind]()

    def _org_data(self, call: Call, rest: list[str]) -> Response:
        call.must_be("GET")
        call.demand("ZohoCRM.settings.currencies.READ" if rest else "ZohoCRM.org.READ")
        self.meter.charge(1)
        return self._setup.org(rest)

    def _users(self, call: Call, rest: list[str]) -> Response:
        call.must_be("GET")
        call.demand("ZohoCRM.users.READ")
        self.meter.charge(1)
        return self._setup.users(call.request, rest)

    def _coql(self, call: Call, rest: list[str]) -> Response:
        if rest:
            raise no_such_address()
        call.must_be("POST")
        call.demand("ZohoCRM.coql.READ")
        query = self.coql.read(call.request, call.version)
        call.demand(f"ZohoCRM.modules.{query.module}.READ")
        self.meter.charge(query_cost(query.limit))
        return self.coql.answer(query)

    def _composite(self, call: Call, rest: list[str]) -> Response:
        if rest:
            raise no_such_address()
        call.must_be("POST")
        call.demand("ZohoCRM.composite_requests.CUSTOM")
        self.meter.charge(1)
        handler = CompositeHandler(
            self.org, lambda inner: self.answer(Call.addressed(inner, call.access))
        )
        with self.meter.paid():
            return handler.answer(call.request)

    def _upload(self, call: Call, rest: list[str]) -> Response:
        if rest:
            raise no_such_address()
        call.must_be("POST")
        call.demand("ZohoCRM.files.CREATE")
        self.meter.charge(1)
        return self.uploads.answer(call.request)

    def _watch(self, call: Call, rest: list[str]) -> Response:
        if rest != ["watch"]:
            raise no_such_address()
        kind = {"GET": "READ", "POST": "CREATE", "DELETE": "DELETE"}.get(call.method, "WRITE")
        call.demand(f"ZohoCRM.notifications.{kind}")
        self.meter.charge(1)
        return self.watch.answer(call.request)

    def _module(self, call: Call, module: Module, rest: list[str]) -> Response:
        call.demand(f"ZohoCRM.modules.{module.name}.{operation(call.method)}")
        request = call.request
        if call.method == "GET":
            self.meter.charge(CUSTOM_VIEW if not rest and "cvid" in request.query else 1)
            return self._read(call, module, rest)
        return self.writes.answer(request, module, rest)

    def _read(self, call: Call, module: Module, rest: list[str]) -> Response:
        request, needs_fields = call.request, call.version.needs_fields
        if not rest:
            return self.listing.answer(request, module, needs_fields=needs_fields)
        if rest == ["search"]:
            return self.search.search(request, module)
        if rest == ["deleted"]:
            return self.records.deleted(request, module)
        if rest == ["actions", "count"]:
            return self.search.count(request, module)
        if len(rest) == 1:
            return self.records.one(request, module, rest[0])
        if len(rest) == 2:
            names = (rest[0], rest[1])
            return self._related.answer(request, module, *names, needs_fields=needs_fields)
        raise no_such_address()

    def close(self) -> None:
        """Close the org and remove the files of its jobs."""
        self.bulk_write.close()
        self.watch.close()
        self.bulk_read.close()
        self.org.close()
