"""An account at a CRM that a file describes."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, cast
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec
import requests

from crm_pipeline.connectors import checkup
from crm_pipeline.connectors.account import ApiAccount
from crm_pipeline.connectors.asked_ids import AskedIds, Outcome
from crm_pipeline.connectors.base import (
    Checkup,
    ConnectorContext,
    Finding,
    ObjectInfo,
    Page,
    Plan,
    ReadStrategy,
    VendorLimits,
)
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.point_pages import NOT_FOUND, not_by_id, outcomes_of, point_page
from crm_pipeline.connectors.rest import observed, times
from crm_pipeline.connectors.rest.api import SourceApi
from crm_pipeline.connectors.rest.auth import Outgoing
from crm_pipeline.connectors.rest.paging import Position, Walk, page_size
from crm_pipeline.connectors.rest.responses import DELETED, ListPage, one_record
from crm_pipeline.connectors.rest.source import Resource, Source, keys_of
from crm_pipeline.connectors.strategies import planned
from crm_pipeline.connectors.upkeep import Upkeep
from crm_pipeline.connectors.whole_reads import is_read_whole, window_field
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import MalformedResponse, NotPermitted, Rejected, UnknownName
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.model.schema import Schema
from crm_pipeline.settings import Connection, ObjectSettings
from crm_pipeline.store.landing.checkpoint import Checkpoint
from crm_pipeline.wire.decoding import decoded

ROUTE = "pages"
_ASSUMED_PAGES = 10
_CHUNK_ROWS = 10_000
_CHECK = Operation("check")
_GET = Operation("get")


def snapshots(source: Source) -> frozenset[str]:
    """Return the resources that are read whole at each refresh."""
    return frozenset(name for name, one in source.resources.items() if one.incremental is None)


class SourceAccount(ApiAccount[SourceApi]):
    """Implements `connectors.base.Account`."""

    def __init__(
        self,
        connection: Connection,
        context: ConnectorContext,
        source: Source,
        limits: VendorLimits,
    ) -> None:
        super().__init__(connection, SourceApi(connection, context, source, limits))
        self._source = source
        self._remembered = context.remembered
        self._snapshots = snapshots(source)

    def check(self) -> Checkup:
        """Look at login and objects."""

        def listed() -> Iterator[Finding]:
            readable = {}
            for one in self.connection.objects:
                try:
                    self._first_page(one.name, None)
                    readable[one.name] = True
                except (NotPermitted, Rejected):
                    readable[one.name] = False
            yield from checkup.objects(
                self._api,
                readable,
                cure="Give the login the permission, or correct `path` in the source's file.",
            )

        found = checkup.findings(self._api, self._ping, (("objects", listed),))
        return Checkup(self.connection.name, tuple(found))

    def identity(self) -> str:
        """Return what the check's request says about the login."""
        title = self._source.title or self._source.name
        if not self._source.check.identity:
            self._ping()
            return f"{title} at {urlsplit(self.connection.login_url).netloc}"
        value: Any = self._api.fetch(self._source.check.path, _CHECK, self._decoded)
        for key in keys_of(self._source.check.identity):
            value = value.get(key) if isinstance(value, dict) else None
        return f"{value} ({title})"

    def facts(self) -> AccountFacts:
        """Return the time zone and the currency that the file states."""
        return AccountFacts(self._source.time_zone or "", self._source.currency or "")

    def objects(self) -> list[ObjectInfo]:
        """List the resources."""
        return [
            ObjectInfo(name, one.label or name, custom=False, queryable=True)
            for name, one in self._source.resources.items()
        ]

    def describe(self, obj: str) -> Schema:
        """Return the fields of a resource: of the file, of earlier reads, and of the first page."""
        resource = self._resource(obj)
        page = self._first_page(obj, None)
        return self._schema(obj, resource, page)

    def cursor_field(self, schema: Schema) -> str | None:
        """Return the time of change of a resource; None where there is none."""
        incremental = self._resource(schema.object).incremental
        return incremental.field if incremental else None

    def count(self, plan: Plan) -> int | None:  # noqa: ARG002 - a source has no such call
        """Return None: sources do not count."""
        return None

    def count_live(self, schema: Schema, window: Window | None) -> int | None:  # noqa: ARG002
        """Return None: sources do not count."""
        return None

    def plan(self, obj: ObjectSettings, window: Window | None) -> Plan:
        """Return the plan for a window; this reads the first page."""
        return self._planned(obj, window, keys_only=False)

    def plan_sweep(
        self,
        obj: ObjectSettings,
        window: Window,
        fields: Collection[str] = (),  # noqa: ARG002 - lists come with all fields
    ) -> Plan:
        """Return the plan for a read of ids and times of change; lists cannot leave out fields."""
        return self._planned(obj, window, keys_only=True)

    def deletion_marks(self, schema: Schema, ids: Sequence[str]) -> Page:
        """Return marks of deleted records, in the form in which the list of deleted records has them."""
        resource = self._resource(schema.object)
        keys = keys_of(resource.primary_key)
        texts = []
        for one in ids:
            value: Any = one
            for key in reversed(keys):
                value = {key: value}
            texts.append(msgspec.json.encode(value))
        batch = batch_of(
            ids=ids,
            modified_at=[None] * len(ids),
            texts=texts,
            deleted=True,
            owner=self._owner(schema.object),
        )
        return point_page(batch, {}, asked_at=self._api.now(), origin=DELETED)

    def pages(self, plan: Plan, checkpoint: Checkpoint) -> Iterator[Page]:  # noqa: ARG002 - a read begins again
        """Read what the plan says."""
        resource = self._resource(plan.object)
        first: ListPage | None = plan.prepared if isinstance(plan.prepared, ListPage) else None
        seen: dict[str, str] = dict(self._remembered(plan.object).get(observed.NOTE, {}))
        yield from self._listed(plan, resource, first, seen, is_deleted=False)
        if resource.deleted_list is not None and not plan.keys_only:
            yield from self._listed(plan, resource, None, seen, is_deleted=True)

    def _listed(
        self,
        plan: Plan,
        resource: Resource,
        first: ListPage | None,
        seen: dict[str, str],
        *,
        is_deleted: bool,
    ) -> Iterator[Page]:
        owner = self._owner(plan.object)
        pending: list[ListPage] = []

        def fetch(position: Position) -> ListPage:
            nonlocal first
            if first is not None:
                page, first = first, None
                return page
            return self._page(plan.object, resource, plan.window, position, is_deleted=is_deleted)

        start = plan.window.from_at if plan.window else None
        incremental = resource.incremental
        is_feed = incremental is not None and incremental.mode == "feed" and start is not None
        before: ListPage | None = None
        for page in Walk(resource.paginate, owner).pages(fetch, start):
            pending.append(page.without(before))
            before = page
            if sum(one.seen for one in pending) >= _CHUNK_ROWS:
                yield self._landing_page(plan, resource, pending, seen, is_deleted=is_deleted)
                pending = []
            if is_feed and start is not None and page.is_before(start):
                break
        if pending:
            yield self._landing_page(plan, resource, pending, seen, is_deleted=is_deleted)

    def _landing_page(
        self,
        plan: Plan,
        resource: Resource,
        pages: Sequence[ListPage],
        seen: dict[str, str],
        *,
        is_deleted: bool,
    ) -> Page:
        texts = [text for page in pages for text in page.texts]
        seen |= observed.merged(seen, observed.seen_in(texts, resource))
        batches = [page.within(plan.window) for page in pages]
        return Page(
            shape="json",
            route=ROUTE,
            batches=lambda: iter(batches),
            # The later of two reads of a version wins, so a chunk is as old as its first page.
            extracted_at=min(page.asked_at for page in pages),
            calls=len(pages),
            rejected=[row for page in pages for row in page.rejected],
            origin=DELETED if is_deleted else "",
            part=DELETED if is_deleted else "",
            notes={observed.NOTE: dict(seen)},
        )

    def read(self, obj: str, ids: Sequence[str], schema: Schema | None = None) -> Iterator[Page]:  # noqa: ARG002
        """Yield the records with some ids, one request each."""
        resource = self._resource(obj)
        if resource.single is None:
            raise not_by_id(
                self._owner(obj),
                "the source's file names no request for one record",
                "Add `single: {path: ...}`.",
            )
        asked = AskedIds.of(ids, _any_id)
        if asked.malformed:
            yield point_page(None, asked.malformed, asked_at=self._api.now())
        for one in asked.ids:
            asked_at = self._api.now()
            page, outcome = self._single(obj, resource, one)
            outcomes = (
                {one: outcome}
                if outcome
                else outcomes_of(page.batch, page.rejected)
                if page
                else {}
            )
            if one not in outcomes:
                outcomes = {one: Outcome("refused", "the API answered with another record")}
                page = None
            yield point_page(
                page.batch if page else None,
                asked.named(outcomes),
                asked_at=asked_at,
                calls=1,
                rejected=page.rejected if page else (),
            )

    def forget(self, checkpoint: Checkpoint) -> None:
        """Do nothing: the API keeps nothing for a read."""

    def probe_changes(self, schema: Schema, since: datetime) -> tuple[int, datetime | None]:
        """Return how many records of the first page changed at or after an instant, and the last change."""
        window = Window(since, self._api.now() + timedelta(days=1))
        page = self._first_page(schema.object, window)
        changes = [
            at for at in page.within(window).column("_modified_at").to_pylist() if at is not None
        ]
        return len(changes), max(changes, default=None)

    def preview(self, obj: str, rows: int) -> tuple[Schema, list[dict[str, Any]]]:
        """Return the fields of a resource, and the first records of its list."""
        resource = self._resource(obj)
        page = self._first_page(obj, None)
        schema = self._schema(obj, resource, page)
        records = [
            msgspec.json.decode(text, type=dict[str, Any]) for text in islice(page.texts, rows)
        ]
        return schema, [
            {field.name: _value(record, field.keys) for field in schema.fields}
            for record in records
        ]

    def query(self, text: str, *, include_deleted: bool) -> Iterator[dict[str, Any]]:  # noqa: ARG002
        """Yield the objects of one response: a query is a path below `base_url`."""
        parts = urlsplit(text.strip())
        if parts.scheme or parts.netloc or not parts.path.startswith("/"):
            raise Rejected(
                f"{self.connection.name}: this is no path of the API.",
                cure="Write it like /contacts?limit=5.",
            )
        found = self._api.fetch(
            parts.path, Operation("query"), self._decoded, params=dict(parse_qsl(parts.query))
        )
        listed = found if isinstance(found, list) else [found]
        return iter([one for one in listed if isinstance(one, dict)])

    def get(self, obj: str, record: str, *, by: str | None) -> dict[str, Any]:
        """Return one record by its id."""
        resource = self._resource(obj)
        if resource.single is None or by not in {None, resource.primary_key}:
            raise Rejected(
                f"{self._owner(obj)}: the source's file names no such request.",
                cure="Add `single: {path: ...}`.",
            )
        page, outcome = self._single(obj, resource, record)
        if page is None or not page.texts:
            reason = outcome.reason if outcome else "the answer holds none"
            raise Rejected(
                f"{self._owner(obj)}: there is no such record: {reason}.", code="not_found"
            )
        found: dict[str, Any] = msgspec.json.decode(page.texts[0], type=dict[str, Any])
        return found

    def upkeep(self, obj: ObjectSettings) -> Upkeep:
        """Return what a read of an object without changes costs."""
        resource = self._source.resources.get(obj.name)
        if resource is None:
            return Upkeep(0, 1)
        lists = 1 + (resource.deleted_list is not None)
        is_whole = is_read_whole(obj, self._snapshots)
        return Upkeep(0 if is_whole else resource.cost, resource.cost * lists)

    def _decoded(self, response: requests.Response) -> dict[str, Any] | list[Any]:
        kind = cast("type[dict[str, Any] | list[Any]]", dict[str, Any] | list[Any])
        return decoded(response.content, kind, owner=self.connection.name, what="an answer")

    def _ping(self) -> None:
        self._api.fetch(self._source.check.path, _CHECK, self._decoded)

    def _planned(self, obj: ObjectSettings, window: Window | None, *, keys_only: bool) -> Plan:
        resource = self._resource(obj.name)
        incremental = resource.incremental
        field = window_field(
            self.connection.name, obj, self._snapshots, incremental.field if incremental else None
        )
        read_window = window if field else None
        first = self._first_page(obj.name, read_window)
        plan = Plan(
            object=obj.name,
            window=read_window,
            route=ROUTE,
            reason="",
            schema=self._schema(obj.name, resource, first),
            cursor_field=field if read_window else None,
            complete=read_window is None,
            vendor_count=None,
            calls=0,
            unit=self._api.meter.unit,
            prepared=first,
            keys_only=keys_only,
        )
        pages = self._estimate(resource, first) + (resource.deleted_list is not None)
        strategy = ReadStrategy(
            ROUTE,
            pages,
            pages * resource.cost,
            pages * max(self._api.round_trip_s, 1 / self._api.pace.calls_per_s),
            "one page after the other",
        )
        return planned(
            plan,
            (strategy,),
            asked=obj.route,
            remaining=self._api.remaining,
            returns=self._api.budget_returns,
        )

    def _estimate(self, resource: Resource, first: ListPage) -> int:
        paging, size = resource.paginate, page_size(resource.paginate)
        total_from = getattr(paging, "total_from", None)
        total = first.value(total_from) if total_from else None
        if isinstance(total, int) and not isinstance(total, bool):
            return max(1, -(-total // size))
        return 1 if first.seen < size else _ASSUMED_PAGES

    def _schema(self, obj: str, resource: Resource, page: ListPage) -> Schema:
        before = self._remembered(obj).get(observed.NOTE, {})
        seen = observed.merged(before, observed.seen_in(page.texts, resource))
        return observed.schema_of(obj, resource, seen)

    def _first_page(self, obj: str, window: Window | None) -> ListPage:
        resource = self._resource(obj)
        walk = Walk(resource.paginate, self._owner(obj))
        start = window.from_at if window else None
        fetch = lambda position: self._page(obj, resource, window, position)  # noqa: E731
        return next(walk.pages(fetch, start))

    def _page(
        self,
        obj: str,
        resource: Resource,
        window: Window | None,
        position: Position,
        *,
        is_deleted: bool = False,
    ) -> ListPage:
        request = Outgoing("GET", resource.deleted_list or "" if is_deleted else resource.path)
        if position.link:
            request.path = _absolute(position.link, self._api)
        else:
            request.params.update(resource.params)
            self._put_window(request, resource, window, position)
            for into, value in position.values:
                request.put(into, value)
        asked_at = self._api.now()

        def read(response: requests.Response) -> ListPage:
            return ListPage(
                response, resource, asked_at=asked_at, owner=self._owner(obj), is_deleted=is_deleted
            )

        return self._api.fetch(
            request.path,
            Operation(f"list {obj}", cost=resource.cost),
            read,
            params=request.params,
            headers=request.headers,
        )

    @staticmethod
    def _put_window(
        request: Outgoing, resource: Resource, window: Window | None, position: Position
    ) -> None:
        incremental = resource.incremental
        if incremental is None or incremental.mode != "server":
            return
        start = position.since or (window.from_at if window else None)
        if incremental.start_into is not None and start is not None:
            request.put(
                incremental.start_into,
                times.written(times.start_of(start, incremental), incremental),
            )
        if incremental.end_into is not None and window is not None:
            # A second later: forms without fractions round down, and the window ends by our own comparison.
            end = window.to_at + timedelta(seconds=1)
            request.put(incremental.end_into, times.written(end, incremental))

    def _single(
        self, obj: str, resource: Resource, record: str
    ) -> tuple[ListPage | None, Outcome | None]:
        """Return a record in the form of a list, or what came of it."""
        single, asked_at, owner = resource.single, self._api.now(), self._owner(obj)
        assert single is not None

        def read(response: requests.Response) -> ListPage | None:
            if one_record(response.content, single.record, owner) is None:
                return None
            return ListPage(
                response, resource, asked_at=asked_at, owner=owner, records=single.record
            )

        try:
            page = self._api.fetch(single.path_of(quote(record, safe="")), _GET, read)
        except NotPermitted:
            return None, Outcome("refused", "the API does not show it to this login")
        except Rejected as error:
            if error.status == 404:
                return None, Outcome("not_found", NOT_FOUND)
            return None, Outcome("refused", f"the API refused it ({error.status})")
        except MalformedResponse:
            return None, Outcome("refused", "the API's answers about it hold no record")
        return (page, None) if page else (None, Outcome("not_found", NOT_FOUND))

    def sight(self) -> str:
        """Return "": sources do not say what a login may see."""
        return ""

    def confirm_deleted(self, obj: str, ids: Sequence[str]) -> AbstractSet[str]:  # noqa: ARG002
        """Return none: a missing record may be hidden as well."""
        return frozenset()

    def _owner(self, obj: str) -> str:
        return f"{self.connection.name}.{obj}"

    def _resource(self, obj: str) -> Resource:
        if obj not in self._source.resources:
            unknown = UnknownName("object", obj, self._source.resources)
            raise NotPermitted(
                f"{self.connection.name}: the source {self._source.name} has no object {obj}; it has "
                f"{', '.join(self._source.resources)}.",
                code="unknown_object",
                cure=f"{unknown.cure} Correct it in connections.yaml, or add it to the source's file.".strip(),
            )
        return self._source.resources[obj]


def _absolute(link: str, api: SourceApi) -> str:
    """Return the address of a next page, which may be relative to the host."""
    if "://" in link:
        return link
    base = urlsplit(api.address(api.token(), "/"))
    return f"{base.scheme}://{base.netloc}{link}" if link.startswith("/") else link


def _any_id(text: str) -> str:
    if not text.strip() or len(text) > 200:
        raise ValueError("it is no id: ids have 1 to 200 characters")
    return text


def _value(record: Mapping[str, Any], keys: Sequence[str]) -> Any:
    value: Any = record
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
