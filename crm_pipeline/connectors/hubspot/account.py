"""The account of a HubSpot hub."""

from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

import structlog

from crm_pipeline.connectors.account import ApiAccount
from crm_pipeline.connectors.asked_ids import AskedIds, number, word
from crm_pipeline.connectors.base import (
    Checkup,
    ConnectorContext,
    ObjectInfo,
    Page,
    Plan,
    ReadStrategy,
    VendorLimits,
)
from crm_pipeline.connectors.hubspot import (
    batches,
    checkup,
    custom,
    deletions,
    describe,
    direct,
    estimate,
    facts,
    lists,
    metadata,
    points,
    reading,
    search,
    sensitive,
    snapshots,
    unstamped,
    upkeep,
)
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.archive import Archive
from crm_pipeline.connectors.hubspot.catalog import (
    LABELS,
    LIST_MEMBERS,
    SNAPSHOTS,
    STANDARD,
    plain_name,
)
from crm_pipeline.connectors.hubspot.record_assembly import StaleIndexHits
from crm_pipeline.connectors.hubspot.selection import Selection
from crm_pipeline.connectors.hubspot.sensitive import Sensitive
from crm_pipeline.connectors.point_batches import PointBatch
from crm_pipeline.connectors.point_pages import ROUTE, picked, point_page
from crm_pipeline.connectors.strategies import planned
from crm_pipeline.connectors.unstamped import PresentValues, Unstamped
from crm_pipeline.connectors.upkeep import Upkeep
from crm_pipeline.connectors.whole_reads import window_field
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import (
    NotPermitted,
    ProtocolError,
    Rejected,
    UnknownName,
)
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.model.schema import Schema
from crm_pipeline.settings import Connection, ObjectSettings
from crm_pipeline.store.landing.checkpoint import Checkpoint

_log = structlog.get_logger(__name__)
_UNKNOWN = frozenset({400, 404})
# The search index was seen to lag for seconds.
_COUNTS = 5
_COUNT_PAUSE_S = 3.0


@dataclass(frozen=True)
class PreparedRead:
    """What planning has found out for the read of a plan.

    Attributes:
        stale_hits: hits of the search index that are no longer in the window.
        archive: how archived records are read; None in a read of a whole object, and in a sweep.
    """

    stale_hits: StaleIndexHits
    archive: Archive | None


class HubSpotAccount(ApiAccount[Api]):
    """Implements `connectors.base.Account`."""

    def __init__(
        self, connection: Connection, context: ConnectorContext, limits: VendorLimits
    ) -> None:
        super().__init__(connection, Api(connection, context, limits))
        self._context = context
        self._custom = cache(lambda: custom.objects(self._api))
        self._sensitive: dict[str, Sensitive] = {}

    def check(self) -> Checkup:
        """Check login, identity, scopes, budget and objects."""
        return Checkup(self.connection.name, tuple(checkup.findings(self._api, self.objects)))

    def identity(self) -> str:
        """Return the account that this is logged in to, as text."""
        return checkup.identity(self._api)

    def objects(self) -> list[ObjectInfo]:
        """Return HubSpot's standard objects and the account's custom ones, if this login may see those."""
        try:
            custom_objects = self._custom()
        except NotPermitted:
            custom_objects = ()
        standard = (
            ObjectInfo(name, label, custom=False, queryable=True) for name, label in LABELS.items()
        )
        return [*standard, *custom_objects]

    def describe(self, obj: str) -> Schema:
        """Return the fields of an object.

        Raises:
            NotPermitted: this login does not see the object.
        """
        if obj in SNAPSHOTS:
            return describe.fixed_schema(obj)
        if plain_name(obj) != obj:
            # The vendor accepts other names, too, but the catalog only has this one.
            raise self._unknown(obj)
        try:
            properties = metadata.properties(self._api, obj)
        except Rejected as refusal:
            if refusal.status not in _UNKNOWN:
                raise
            raise self._unknown(obj) from refusal
        if not properties:
            raise ProtocolError(
                f"{self.connection.name}: HubSpot names no properties of {obj}.",
                cure="Run again; if it persists, report it to HubSpot with the time of the run.",
            )
        private = self._sensitive[obj] = sensitive.of(self._api, obj)
        for left_out in private.left_out:
            _log.warning(left_out.text(obj), connection=self.connection.name, cure=left_out.cure)
        return describe.schema_of(obj, self._label(obj), [*properties, *private.readable])

    def _ping(self) -> None:
        if self._api.usage.calls:
            self._api.ping()
        else:
            self._api.details()

    def cursor_field(self, schema: Schema) -> str | None:
        """Return the modification time that the vendor filters an object by; None where there is none."""
        return describe.cursor_field(schema)

    def plan(self, obj: ObjectSettings, window: Window | None) -> Plan:
        """Return the plan for a window; its number of records decides between list and search."""
        return self._planned(obj, window, self.describe(obj.name))

    def plan_sweep(self, obj: ObjectSettings, window: Window, fields: Collection[str] = ()) -> Plan:
        """Return the plan for a read of ids, modification times and some fields: by the list where it is read from end to end.

        The index of the search lags, and the list does not.
        """
        route = "list" if window.from_at is None else "search"
        schema = describe.keys_of(self.describe(obj.name), fields)
        return self._planned(replace(obj, route=route), window, schema, keys_only=True)

    def count_live(self, schema: Schema, window: Window | None) -> int | None:
        """Return the account's count of the live records of a window."""
        cursor_field = self.cursor_field(schema)
        if cursor_field is None:
            return None
        selection = Selection(schema.object, cursor_field, (), (), (), window)
        return search.count(self._api, selection)

    def deletion_marks(self, schema: Schema, ids: Sequence[str]) -> Page:
        """Return marks of archived records."""
        return points.marks(
            ids, owner=f"{self.connection.name}.{schema.object}", asked_at=self._api.now()
        )

    def _planned(
        self, obj: ObjectSettings, window: Window | None, schema: Schema, *, keys_only: bool = False
    ) -> Plan:
        cursor_field = window_field(self.connection.name, obj, SNAPSHOTS, self.cursor_field(schema))
        plan = Plan(
            object=obj.name,
            window=window if cursor_field else None,
            route="list",
            reason="",
            schema=schema,
            cursor_field=cursor_field,
            complete=cursor_field is None,
            vendor_count=None,
            calls=0,
            keys_only=keys_only,
        )
        if obj.name == LIST_MEMBERS:
            plan = replace(plan, prepared=lists.member_lists(self._api))
        if obj.name in SNAPSHOTS:
            return self._chosen(plan, self._whole(plan), obj.route)
        stale_hits = StaleIndexHits()
        count = self._counted(plan, stale_hits)
        load = estimate.Load.of(self._api, Selection.of(self._api, plan), count)
        # A list cannot be filtered by the last change, so windows after the full read are always searched.
        is_later = window is not None and window.from_at is not None and cursor_field is not None
        asked = "search" if is_later and obj.route in {"list", "both"} else obj.route
        plan = replace(plan, vendor_count=count)
        archive = None if plan.complete or keys_only else self._archive(plan)
        plan = replace(plan, prepared=PreparedRead(stale_hits, archive))
        sensitive_calls = estimate.more(self._sensitive[obj.name].calls, self._api.round_trip_s)
        strategies = estimate.added(estimate.strategies(plan, load, asked=asked), sensitive_calls)
        if archive is not None:
            strategies = archive.added(self._api, plan, strategies)
        return self._chosen(plan, strategies, asked)

    def count(self, plan: Plan) -> int | None:
        """Return the account's count of the live records of a plan.

        Stale index hits, which are no longer in the window, are left out. Where the count differs from the records
        that were read, it is repeated after a pause, so that the index can catch up.
        """
        if plan.object in SNAPSHOTS:
            return None
        stale_hits = self._prepared(plan).stale_hits
        counted = self._counted(plan, stale_hits)
        for _ in range(_COUNTS):
            if stale_hits.explain(plan.vendor_count or 0, counted):
                break
            self._context.clock.sleep(_COUNT_PAUSE_S)
            counted = self._counted(plan, stale_hits)
        return counted

    def pages(self, plan: Plan, checkpoint: Checkpoint) -> Iterator[Page]:
        """Yield the pages of a plan."""
        if plan.object in SNAPSHOTS:
            return snapshots.pages(self._api, plan)
        read = self._prepared(plan)
        return reading.pages(
            self._api, plan, checkpoint, stale_hits=read.stale_hits, archive=read.archive
        )

    def read(self, obj: str, ids: Sequence[str], schema: Schema | None = None) -> Iterator[Page]:
        """Yield the records with some ids; owners and pipelines by their lists, which are short."""
        is_list = obj in SNAPSHOTS
        asked = AskedIds.of(ids, word if is_list else number)
        if is_list:
            plan = self._plan_of(obj, schema)
            if obj == LIST_MEMBERS and asked.ids:
                named = {one.partition(":")[0] for one in asked.ids}
                plan = replace(plan, prepared=lists.member_lists(self._api, only=named))
            pages = snapshots.pages(self._api, plan) if asked.ids else ()
            yield from picked(pages, asked, asked_at=self._api.now())
            return
        if asked.malformed:
            yield point_page(None, asked.malformed, asked_at=self._api.now())
        if asked.ids:
            selection = Selection.of(self._api, self._plan_of(obj, schema))
            yield from points.PointReader(self._api, selection).pages(asked)

    def point_batch(self, obj: str, schema: Schema) -> PointBatch:
        """Return the batches of a read by ids; the associations of a thousand records take a call for each object."""
        selection = Selection.of(self._api, self._plan_of(obj, schema))
        return PointBatch(
            records=batches.size_of(self._api, selection),
            beside_records=self._api.meter.limit("association_records"),
            beside_cost=len(selection.others),
        )

    def forget(self, checkpoint: Checkpoint) -> None:
        """Do nothing: the vendor keeps no jobs or cursors of a read."""

    def probe_changes(self, schema: Schema, since: datetime) -> tuple[int, datetime | None]:
        """Return the number of records changed at or after an instant, and the latest change."""
        cursor_field = self.cursor_field(schema)
        if cursor_field is None:
            raise ProtocolError(
                f"{schema.object} has no modification time, so it cannot be probed."
            )
        selection = Selection(schema.object, cursor_field, (), (), (), None)
        return search.changes(self._api, selection, since)

    def upkeep(self, obj: ObjectSettings) -> Upkeep:
        """Return the cost of an object while nothing changes."""
        return upkeep.of(obj)

    def unstamped(self, obj: ObjectSettings, schema: Schema | None) -> tuple[Unstamped, ...]:
        """Return the associations and the calculated properties of an object, which move no modification time."""
        values = (
            unstamped.of(self._api, obj.name),
            unstamped.computed(self._api, obj, schema),
        )
        return tuple(each for each in values if each is not None)

    def read_unstamped(self, obj: str, ids: Sequence[str]) -> PresentValues:
        """Return the present associations of records."""
        return unstamped.read(self._api, obj, ids)

    def preview(self, obj: str, rows: int) -> tuple[Schema, list[dict[str, Any]]]:
        """Return the fields of an object and its most recent records."""
        schema = self.describe(obj)
        if obj in SNAPSHOTS:
            return schema, snapshots.first(self._api, schema, rows)
        return schema, direct.recent(self._api, schema, rows)

    def query(self, text: str, *, include_deleted: bool) -> Iterator[dict[str, Any]]:
        """Yield the records of a search, written as JSON."""
        return direct.query(self._api, text, include_deleted=include_deleted)

    def get(self, obj: str, record: str, *, by: str | None) -> dict[str, Any]:
        """Return one record by id or by a unique property."""
        return direct.get(self._api, self.describe(obj), record, by)

    def facts(self) -> AccountFacts:
        """Return the account's time zone, its currency and the web address of its records."""
        return facts.of(self._api.details())

    def sight(self) -> str:
        """Return a text that changes whenever this login sees other records."""
        return checkup.sight(self._api)

    def confirm_deleted(self, obj: str, ids: Sequence[str]) -> AbstractSet[str]:
        """Return those ids that HubSpot reports as archived."""
        return deletions.archived(self._api, obj, ids)

    def _plan_of(self, obj: str, schema: Schema | None) -> Plan:
        return Plan(
            object=obj,
            window=None,
            route=ROUTE,
            reason="",
            schema=schema or self.describe(obj),
            cursor_field=None,
            complete=False,
            vendor_count=None,
            calls=0,
        )

    def _counted(self, plan: Plan, stale_hits: StaleIndexHits) -> int:
        return search.count(self._api, Selection.of(self._api, plan), without=stale_hits.ids)

    def _prepared(self, plan: Plan) -> PreparedRead:
        if isinstance(plan.prepared, PreparedRead):
            return plan.prepared
        has_archive = not (plan.complete or plan.keys_only)
        return PreparedRead(StaleIndexHits(), self._archive(plan) if has_archive else None)

    def _archive(self, plan: Plan) -> Archive:
        return Archive.of(self._api, plan, self._context.remembered(plan.object))

    def _chosen(self, plan: Plan, strategies: Sequence[ReadStrategy], asked: str) -> Plan:
        return planned(
            plan,
            strategies,
            asked=asked,
            remaining=self._api.remaining,
            returns=self._api.budget_returns,
        )

    def _whole(self, plan: Plan) -> tuple[ReadStrategy, ...]:
        calls, how = snapshots.calls(plan.object), "the whole list"
        if isinstance(plan.prepared, tuple):
            calls = lists.calls(self._api, plan.prepared)
            how = (
                f"the members of {len(plan.prepared):,} lists, {lists.page_size(self._api)} a call"
            )
        return (ReadStrategy("list", calls, calls, calls * self._api.round_trip_s, how),)

    def _label(self, obj: str) -> str:
        if obj in STANDARD:
            return LABELS[obj]
        labels = (info.label for info in self.objects() if info.name == obj)
        return next(labels, obj)

    def _unknown(self, obj: str) -> NotPermitted:
        name = plain_name(obj)
        unknown = UnknownName("object", name, [info.name for info in self.objects()])
        meant = unknown.cure if name == obj else f"Did you mean '{name}'?"
        return NotPermitted(
            f"{self.connection.name}: object {obj} does not exist in this account or is hidden from this "
            "login.",
            code="OBJECT_NOT_FOUND",
            cure=f"{meant} Give the app its scopes (custom objects: "
            "crm.objects.custom.read and crm.schemas.custom.read), or take it out of "
            "connections.yaml.".strip(),
        )
