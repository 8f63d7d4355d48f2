"""A HubSpot account as an account of the pipeline."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

import structlog

from crm_pipeline.connectors.account import ApiAccount
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
    checkup,
    custom,
    deletions,
    describe,
    direct,
    estimate,
    facts,
    metadata,
    reading,
    search,
    sensitive,
    snapshots,
    upkeep,
)
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.archive import Archive
from crm_pipeline.connectors.hubspot.catalog import LABELS, SNAPSHOTS, STANDARD, plain_name
from crm_pipeline.connectors.hubspot.record_assembly import StaleIndexHits
from crm_pipeline.connectors.hubspot.selection import Selection
from crm_pipeline.connectors.hubspot.sensitive import Sensitive
from crm_pipeline.connectors.strategies import planned
from crm_pipeline.connectors.upkeep import Upkeep
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import (
    ConfigError,
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
# The index of the search was seen to lag for seconds.
_LOOKS = 5
_LOOKED_AFTER_S = 3.0


class HubSpotAccount(ApiAccount[Api]):
    """Implements `connectors.base.Account`."""

    def __init__(
        self, connection: Connection, context: ConnectorContext, limits: VendorLimits
    ) -> None:
        super().__init__(connection, Api(connection, context, limits))
        self._context = context
        self._custom = cache(lambda: custom.objects(self._api))
        self._stale_hits: dict[tuple[str, str], StaleIndexHits] = {}
        self._sensitive: dict[str, Sensitive] = {}
        self._archives: dict[tuple[str, str], Archive] = {}

    def check(self) -> Checkup:
        """Look at login, identity, scopes, budget and objects."""
        return Checkup(self.connection.name, tuple(checkup.findings(self._api, self.objects)))

    def identity(self) -> str:
        """Say to what this is logged in."""
        return checkup.identity(self._api)

    def objects(self) -> list[ObjectInfo]:
        """List HubSpot's own objects and the account's custom ones, if this login may see those."""
        try:
            made_here = self._custom()
        except NotPermitted:
            made_here = ()
        own = (
            ObjectInfo(name, label, custom=False, queryable=True) for name, label in LABELS.items()
        )
        return [*own, *made_here]

    def describe(self, obj: str) -> Schema:
        """Return the fields of an object.

        Raises:
            NotPermitted: the object is not there for this login.
        """
        if obj in SNAPSHOTS:
            return describe.fixed_schema(obj)
        if plain_name(obj) != obj:
            raise self._unknown(
                obj
            )  # the vendor takes it, and what is known of the object would be missed
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
        for one in private.left_out:
            _log.warning(one.told(obj), connection=self.connection.name, cure=one.cure)
        return describe.schema_of(obj, self._label(obj), [*properties, *private.readable])

    def _ping(self) -> None:
        if self._api.usage.calls:
            self._api.ping()
        else:
            self._api.details()

    def plan(self, obj: ObjectSettings, window: Window | None) -> Plan:
        """Choose the route for a window by its number of records."""
        schema = self.describe(obj.name)
        stamp = describe.cursor_field(schema)
        is_snapshot = (
            obj.name in SNAPSHOTS or stamp is None if obj.snapshot is None else obj.snapshot
        )
        if not is_snapshot and stamp is None:
            raise ConfigError(
                f"{self.connection.name}: {obj.name} carries no stamp, so it cannot be read by windows.",
                cure=f"Take 'snapshot: false' of {obj.name} out of connections.yaml.",
            )
        plan = Plan(
            object=obj.name,
            window=None if is_snapshot else window,
            route="list",
            reason="",
            schema=schema,
            cursor_field=None if is_snapshot else stamp,
            complete=is_snapshot,
            vendor_count=None,
            calls=0,
        )
        if obj.name in SNAPSHOTS:
            return self._chosen(plan, self._whole(obj.name), obj.route)
        stale_hits = self._stale_hits[_key(plan)] = StaleIndexHits()
        count = self._counted(plan, stale_hits)
        load = estimate.Load.of(self._api, Selection.of(self._api, plan), count)
        # A list cannot say what changed: what comes after the full read is always searched for.
        is_later = window is not None and window.from_at is not None and not is_snapshot
        asked = "search" if is_later and obj.route in {"list", "both"} else obj.route
        plan = replace(plan, vendor_count=count)
        looked = estimate.more(self._sensitive[obj.name].calls, self._api.round_trip_s)
        routes = estimate.added(estimate.routes(plan, load, asked=asked), looked)
        if not is_snapshot:
            archive = self._archives[_key(plan)] = self._archive(plan)
            routes = archive.added(self._api, plan, routes)
        return self._chosen(plan, routes, asked)

    def count(self, plan: Plan) -> int | None:
        """Return the account's count of what the plan reads; archived records are not in it.

        Records that the index still counts although they were seen to have left the window are left out;
        where it counts others than were read, it is given a moment to catch up.
        """
        if plan.object in SNAPSHOTS:
            return None
        stale_hits = self._stale_hits.get(_key(plan), StaleIndexHits())
        counted = self._counted(plan, stale_hits)
        for _ in range(_LOOKS):
            if stale_hits.explain(plan.vendor_count or 0, counted):
                break
            self._context.clock.sleep(_LOOKED_AFTER_S)
            counted = self._counted(plan, stale_hits)
        return counted

    def pages(self, plan: Plan, checkpoint: Checkpoint) -> Iterator[Page]:
        """Read what the plan says."""
        if plan.object in SNAPSHOTS:
            return snapshots.pages(self._api, plan)
        stale_hits = self._stale_hits.setdefault(_key(plan), StaleIndexHits())
        archive = self._archives.get(_key(plan)) or self._archive(plan)
        return reading.pages(self._api, plan, checkpoint, stale_hits=stale_hits, archive=archive)

    def forget(self, checkpoint: Checkpoint) -> None:
        """Do nothing: the vendor keeps nothing for a read."""

    def probe_changes(self, schema: Schema, since: datetime) -> tuple[int, datetime | None]:
        """Return how many records changed at or after an instant, and the newest stamp."""
        stamp = describe.cursor_field(schema)
        if stamp is None:
            raise ProtocolError(f"{schema.object} carries no stamp; it is read as a snapshot.")
        selection = Selection(schema.object, stamp, (), (), (), None)
        return search.newest(self._api, selection, since)

    def upkeep(self, obj: ObjectSettings) -> Upkeep:
        """Return what an object costs where nothing changes."""
        return upkeep.of(obj)

    def preview(self, obj: str, rows: int) -> tuple[Schema, list[dict[str, Any]]]:
        """Return the fields of an object and its newest records."""
        schema = self.describe(obj)
        if obj in SNAPSHOTS:
            return schema, snapshots.first(self._api, schema, rows)
        return schema, direct.newest(self._api, schema, rows)

    def query(self, text: str, *, include_deleted: bool) -> Iterator[dict[str, Any]]:
        """Yield the records of a search, written as JSON."""
        return direct.query(self._api, text, include_deleted=include_deleted)

    def get(self, obj: str, record: str, *, by: str | None) -> dict[str, Any]:
        """Return one record by id or by a unique property."""
        return direct.get(self._api, self.describe(obj), record, by)

    def facts(self) -> AccountFacts:
        """Return the account's zone, its currency, and where a browser shows its records."""
        return facts.of(self._api.details())

    def sight(self) -> str:
        """Say what this login may see."""
        return checkup.sight(self._api)

    def confirm_deleted(self, obj: str, ids: Sequence[str]) -> AbstractSet[str]:
        """Return those of the ids that HubSpot says are archived."""
        return deletions.archived(self._api, obj, ids)

    def _counted(self, plan: Plan, stale_hits: StaleIndexHits) -> int:
        return search.count(self._api, Selection.of(self._api, plan), without=stale_hits.ids)

    def _archive(self, plan: Plan) -> Archive:
        return Archive.of(self._api, plan, self._context.remembered(plan.object))

    def _chosen(self, plan: Plan, routes: Sequence[ReadStrategy], asked: str) -> Plan:
        return planned(
            plan,
            routes,
            asked=asked,
            remaining=self._api.remaining,
            returns=self._api.budget_returns,
        )

    def _whole(self, name: str) -> tuple[ReadStrategy, ...]:
        calls = snapshots.calls(name)
        return (
            ReadStrategy("list", calls, calls, calls * self._api.round_trip_s, "the whole list"),
        )

    def _label(self, obj: str) -> str:
        if obj in STANDARD:
            return LABELS[obj]
        found = (info.label for info in self.objects() if info.name == obj)
        return next(found, obj)

    def _unknown(self, obj: str) -> NotPermitted:
        name = plain_name(obj)
        unknown = UnknownName("object", name, [info.name for info in self.objects()])
        meant = unknown.cure if name == obj else f"Did you mean '{name}'?"
        return NotPermitted(
            f"{self.connection.name}: object {obj} does not exist in this account or is hidden from this "
            "login.",
            code="OBJECT_NOT_FOUND",
            cure=f"{meant} Give the app the scopes of it (custom objects: "
            "crm.objects.custom.read and crm.schemas.custom.read), or take it out of "
            "connections.yaml.".strip(),
        )


def _key(plan: Plan) -> tuple[str, str]:
    return plan.object, str(plan.window)
