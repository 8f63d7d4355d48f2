"""A Zoho org as an account of the pipeline."""

import threading
from collections.abc import Collection, Generator, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

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
from crm_pipeline.connectors.merged_streams import merged
from crm_pipeline.connectors.point_batches import PointBatch
from crm_pipeline.connectors.point_pages import not_by_id, picked, point_page
from crm_pipeline.connectors.unstamped import Unstamped, computed_names
from crm_pipeline.connectors.upkeep import Upkeep
from crm_pipeline.connectors.whole_reads import is_read_whole, window_field
from crm_pipeline.connectors.zoho import (
    bulk,
    checkup,
    counting,
    deleted,
    deletions,
    describe,
    direct,
    facts,
    listing,
    members,
    planning,
    points,
    setup,
    upkeep,
)
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.checkpoints import ReadCheckpoint
from crm_pipeline.connectors.zoho.describe import Module
from crm_pipeline.connectors.zoho.queries import ROUTE as QUERIES
from crm_pipeline.connectors.zoho.queries import Queries
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import NotPermitted, ProtocolError, Rejected, UnknownName
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.model.schema import Schema
from crm_pipeline.settings import Connection, ObjectSettings
from crm_pipeline.store.landing.checkpoint import Checkpoint

_NOT_MODULES = frozenset({*setup.SETUPS, *members.LINKS})


class ZohoAccount(ApiAccount[Api]):
    """Implements `connectors.base.Account`."""

    def __init__(
        self,
        connection: Connection,
        context: ConnectorContext,
        limits: VendorLimits,
        snapshot_objects: frozenset[str],
    ) -> None:
        super().__init__(connection, Api(connection, context, limits))
        self._context = context
        self._snapshots = snapshot_objects
        self._modules = cache(self._read_modules)

    def check(self) -> Checkup:
        """Look at login, identity, edition, scopes, budget and objects."""
        return Checkup(self.connection.name, tuple(checkup.findings(self._api)))

    def facts(self) -> AccountFacts:
        """Return the org's time zone, home currency and web address."""
        return facts.of(self._api)

    def identity(self) -> str:
        """Return the user and the org of the login."""
        return checkup.identity(self._api)

    def objects(self) -> list[ObjectInfo]:
        """List the modules that the API supports, and the objects that are no modules."""
        modules = [
            ObjectInfo(module.name, module.label, module.kind == "custom", queryable=True)
            for module in self._modules().values()
            if module.name not in _NOT_MODULES
        ]
        others = {name: kind.label for name, kind in setup.SETUPS.items()}
        others |= {name: links.label for name, links in members.LINKS.items()}
        return [
            *modules,
            *(
                ObjectInfo(name, label, custom=False, queryable=True)
                for name, label in others.items()
            ),
        ]

    def describe(self, obj: str) -> Schema:
        """Return the fields of a module that lists contain.

        Raises:
            NotPermitted: the module is not there for this login, or shows no fields.
        """
        if obj in setup.SETUPS:
            return setup.SETUPS[obj].schema(obj)
        if obj in members.LINKS:
            return members.LINKS[obj].schema
        module = self._modules().get(obj)
        if module is None:
            unknown = UnknownName("module", obj, [info.name for info in self.objects()])
            raise NotPermitted(
                f"{self.connection.name}: module {obj} does not exist or is hidden from this login.",
                code="INVALID_MODULE",
                cure=f"{unknown.cure} Give the user's profile access to it, or take it out of "
                "connections.yaml.".strip(),
            )
        return describe.schema_of(module, describe.fields(self._api, obj))

    def vendor_now(self) -> datetime:
        """Return the vendor's clock from its responses; the org is requested first."""
        self._api.learn()
        return super().vendor_now()

    def _ping(self) -> None:
        describe.modules(self._api)

    def cursor_field(self, schema: Schema) -> str | None:
        """Return the modification time that the vendor filters an object by; None where there is none."""
        return None if schema.object in _NOT_MODULES else describe.cursor_field(schema)

    def plan(self, obj: ObjectSettings, window: Window | None) -> Plan:
        """Choose the read strategy for a window by number of records, time and credits."""
        self._api.learn()
        return self._planned(obj, window, self.describe(obj.name))

    def plan_sweep(self, obj: ObjectSettings, window: Window, fields: Collection[str] = ()) -> Plan:
        """Return the plan for a read of ids and modification times, and of some further fields."""
        if obj.name in _NOT_MODULES:
            raise not_by_id(
                f"{self.connection.name}.{obj.name}",
                "it is no module",
                "A refresh reads it whole, so that what is absent counts as deleted.",
            )
        self._api.learn()
        schema = describe.keys_of(self.describe(obj.name), fields)
        return self._planned(obj, window, schema, keys_only=True)

    def count_live(self, schema: Schema, window: Window | None) -> int | None:
        """Return the org's count of the live records of a window; None for modules without queries."""
        if schema.object in _NOT_MODULES:
            return None
        self._api.learn()
        return counting.of_window(self._api, schema, window)

    def deletion_marks(self, schema: Schema, ids: Sequence[str]) -> Page:
        """Return marks of deleted records."""
        owner = f"{self.connection.name}.{schema.object}"
        return points.marks(ids, owner=owner, asked_at=self._api.now())

    def _planned(
        self, obj: ObjectSettings, window: Window | None, schema: Schema, *, keys_only: bool = False
    ) -> Plan:
        cursor_field = window_field(
            self.connection.name,
            obj,
            self._snapshots,
            self.cursor_field(schema),
        )
        plan = Plan(
            object=obj.name,
            window=window if cursor_field else None,
            route=listing.ROUTE,
            reason="",
            schema=schema,
            cursor_field=cursor_field,
            complete=cursor_field is None,
            vendor_count=None,
            calls=0,
            unit=self._api.meter.unit,
            keys_only=keys_only,
        )
        if obj.name in setup.SETUPS:
            return self._setup_plan(plan)
        if obj.name in members.LINKS:
            return members.plan_with_cost(self._api, plan)
        plan = replace(plan, vendor_count=self.count(plan))
        return planning.with_strategy(self._api, plan, obj.route, self._modules()[obj.name].kind)

    def count(self, plan: Plan) -> int | None:
        """Return the org's count of what the plan reads, without deleted records."""
        return None if plan.object in _NOT_MODULES else counting.of_plan(self._api, plan)

    def pages(self, plan: Plan, checkpoint: Checkpoint) -> Iterator[Page]:
        """Read the records of a plan, or the rest of an interrupted read, and the deleted records."""
        if plan.object in setup.SETUPS:
            yield from setup.pages(self._api, plan)
            return
        if plan.object in members.LINKS:
            yield from members.pages(self._api, plan.object)
            return
        kind = self._modules()[plan.object].kind
        deleted_pages = (
            _none() if plan.keys_only else deleted.pages(self._api, plan, checkpoint, kind=kind)
        )
        route = ReadCheckpoint(self._api, plan, checkpoint).route or plan.route
        if route == bulk.ROUTE:
            # The page numbers are those of the exports, so other pages come after them.
            yield from bulk.Exports(self._api, plan, checkpoint, self._context.clock).pages()
            yield from deleted_pages
            return
        reader = Queries if route == QUERIES else listing.Listing
        live_pages = reader(self._api, plan).pages(checkpoint)
        # The first page of live records writes the plan into the checkpoint. Pages of deleted records come after
        # it, so that a resumed read finds them under their plan.
        started = threading.Event()
        yield from merged(_signalling(live_pages, started), _waiting(deleted_pages, started))

    def read(self, obj: str, ids: Sequence[str], schema: Schema | None = None) -> Iterator[Page]:
        """Yield the records with some ids; settings by their lists, which are short."""
        if obj in members.LINKS:
            raise _link_not_by_id(f"{self.connection.name}.{obj}")
        is_setup = obj in setup.SETUPS
        asked = AskedIds.of(ids, word if is_setup else number)
        if is_setup:
            pages = setup.pages(self._api, self._list_of(obj)) if asked.ids else ()
            yield from picked(pages, asked, asked_at=self._api.now())
            return
        if asked.malformed:
            yield point_page(None, asked.malformed, asked_at=self._api.now())
        if asked.ids:
            self._api.learn()
            described = schema or self.describe(obj)
            yield from points.PointReader(self._api, described).pages(asked)

    def point_batch(self, obj: str, schema: Schema) -> PointBatch:
        """Return the batches of a read by ids, a call for each list of fields; truncated texts cost more."""
        if obj in members.LINKS:
            raise _link_not_by_id(f"{self.connection.name}.{obj}")
        return points.PointReader(self._api, schema).batch

    def _list_of(self, obj: str) -> Plan:
        return Plan(
            object=obj,
            window=None,
            route=setup.ROUTE,
            reason="",
            schema=setup.SETUPS[obj].schema(obj),
            cursor_field=None,
            complete=False,
            vendor_count=None,
            calls=0,
        )

    def forget(self, checkpoint: Checkpoint) -> None:
        """Do nothing: exports cannot be removed; the vendor deletes them by itself."""

    def probe_changes(self, schema: Schema, since: datetime) -> tuple[int, datetime | None]:
        """Return how many records changed at or after an instant, and the last change."""
        if self.cursor_field(schema) is None:
            raise ProtocolError(f"{schema.object} has no time of change, so it cannot be probed.")
        # Otherwise the limits of the smallest edition would apply to the probe.
        self._api.learn()
        return counting.probe_changes(self._api, schema, since)

    def upkeep(self, obj: ObjectSettings) -> Upkeep:
        """Return what a read of a module without changes costs."""
        return upkeep.of(obj, self._snapshots)

    def unstamped(self, obj: ObjectSettings, schema: Schema | None) -> tuple[Unstamped, ...]:
        """Return the formulas and roll-up summaries of a module, which move no modification time."""
        is_listed = obj.name in _NOT_MODULES or is_read_whole(obj, self._snapshots)
        if is_listed or not (names := computed_names(obj, schema)):
            return ()
        return (upkeep.of_fields(names, self._api.limit("coql_page_records")),)

    def preview(self, obj: str, rows: int) -> tuple[Schema, list[dict[str, Any]]]:
        """Return the fields of a module and its newest records."""
        schema = self.describe(obj)
        if obj in setup.SETUPS:
            records = setup.preview(self._api, obj, rows)
        elif obj in members.LINKS:
            records = members.preview(self._api, obj, rows)
        else:
            records = direct.newest_records(self._api, schema, rows)
        return schema, [{name: record.get(name) for name in schema.names} for record in records]

    def query(self, text: str, *, include_deleted: bool) -> Iterator[dict[str, Any]]:
        """Yield the records of a COQL query."""
        return direct.query(self._api, text, include_deleted=include_deleted)

    def get(self, obj: str, record: str, *, by: str | None) -> dict[str, Any]:
        """Return one record by id or external field."""
        return direct.get(self._api, obj, record, by)

    def sight(self) -> str:
        """Return what this login may see."""
        return checkup.sight(self._api)

    def confirm_deleted(self, obj: str, ids: Sequence[str]) -> AbstractSet[str]:
        """Return those of the ids that are in the list of deleted records."""
        return frozenset() if obj in _NOT_MODULES else deletions.listed(self._api, obj, ids)

    def _read_modules(self) -> dict[str, Module]:
        self._api.learn()
        return {module.name: module for module in describe.modules(self._api)}

    def _setup_plan(self, plan: Plan) -> Plan:
        calls = upkeep.SETUP[plan.object]
        strategy = ReadStrategy(
            setup.ROUTE,
            calls,
            calls,
            calls * self._api.round_trip_s,
            "the whole list, which is short",
        )
        return replace(
            plan,
            window=None,
            complete=True,
            route=strategy.name,
            reason="settings are read completely each time",
            calls=calls,
            cost=calls,
            seconds=strategy.seconds,
            strategies=(strategy,),
            remaining=self._api.remaining,
        )


def _none() -> Generator[Page]:
    yield from ()


def _signalling(pages: Generator[Page], started: threading.Event) -> Generator[Page]:
    try:
        for page in pages:
            started.set()
            yield page
    finally:
        started.set()


def _waiting(pages: Generator[Page], started: threading.Event) -> Generator[Page]:
    for page in pages:
        started.wait()
        yield page


def _link_not_by_id(owner: str) -> Rejected:
    return not_by_id(
        owner,
        "they are links between two records, without an id of their own",
        "A refresh reads them with the records that they belong to.",
    )
