"""A Zoho org as an account of the pipeline."""

import threading
from collections.abc import Generator, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

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
from crm_pipeline.connectors.merged_streams import merged
from crm_pipeline.connectors.upkeep import Upkeep
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
    setup,
    upkeep,
)
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.checkpoints import ReadCheckpoint
from crm_pipeline.connectors.zoho.describe import Module
from crm_pipeline.connectors.zoho.queries import ROUTE as QUERIES
from crm_pipeline.connectors.zoho.queries import Queries
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import ConfigError, NotPermitted, ProtocolError, UnknownName
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.model.schema import Schema
from crm_pipeline.settings import Connection, ObjectSettings
from crm_pipeline.store.landing.checkpoint import Checkpoint

_NO_MODULES = frozenset({*setup.SETUPS, *members.LINKS})


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
        self._listed = cache(self._list)

    def check(self) -> Checkup:
        """Look at login, identity, edition, scopes, budget and objects."""
        return Checkup(self.connection.name, tuple(checkup.findings(self._api)))

    def facts(self) -> AccountFacts:
        """Return the org's time zone, its own currency, and where its records are seen."""
        return facts.of(self._api)

    def identity(self) -> str:
        """Say as whom, and to which org, this is logged in."""
        return checkup.identity(self._api)

    def objects(self) -> list[ObjectInfo]:
        """List the modules that the API answers for, and the settings that are read like them."""
        found = [
            ObjectInfo(one.name, one.label, one.kind == "custom", queryable=True)
            for one in self._listed().values()
            if one.name not in _NO_MODULES
        ]
        others = {name: one.label for name, one in setup.SETUPS.items()}
        others |= {name: one.label for name, one in members.LINKS.items()}
        return [
            *found,
            *(
                ObjectInfo(name, label, custom=False, queryable=True)
                for name, label in others.items()
            ),
        ]

    def describe(self, obj: str) -> Schema:
        """Return the fields of a module that lists have.

        Raises:
            NotPermitted: the module is not there for this login, or shows no fields.
        """
        if obj in setup.SETUPS:
            return setup.SETUPS[obj].schema(obj)
        if obj in members.LINKS:
            return members.LINKS[obj].schema
        module = self._listed().get(obj)
        if module is None:
            unknown = UnknownName("module", obj, [one.name for one in self.objects()])
            raise NotPermitted(
                f"{self.connection.name}: module {obj} does not exist or is hidden from this login.",
                code="INVALID_MODULE",
                cure=f"{unknown.cure} Give the user's profile access to it, or take it out of "
                "connections.yaml.".strip(),
            )
        return describe.schema_of(module, describe.fields(self._api, obj))

    def vendor_now(self) -> datetime:
        """Return the vendor's clock as its answers tell it; the org is the first that is asked for."""
        self._api.learn()
        return super().vendor_now()

    def _ping(self) -> None:
        describe.modules(self._api)

    def plan(self, obj: ObjectSettings, window: Window | None) -> Plan:
        """Choose the route for a window by number of records, time and credits."""
        self._api.learn()
        schema = self.describe(obj.name)
        stamp = describe.cursor_field(schema)
        is_snapshot = self._is_snapshot(obj, stamp)
        if not is_snapshot and stamp is None:
            raise ConfigError(
                f"{self.connection.name}: {obj.name} carries no Modified_Time, so it cannot be read by "
                "windows.",
                cure=f"Take 'snapshot: false' of {obj.name} out of connections.yaml.",
            )
        plan = Plan(
            object=obj.name,
            window=None if is_snapshot else window,
            route=listing.ROUTE,
            reason="",
            schema=schema,
            cursor_field=None if is_snapshot else stamp,
            complete=is_snapshot,
            vendor_count=None,
            calls=0,
            unit=self._api.meter.unit,
        )
        if obj.name in setup.SETUPS:
            return self._setup_plan(plan)
        if obj.name in members.LINKS:
            return members.planned(self._api, plan)
        plan = replace(plan, vendor_count=self.count(plan))
        return planning.routed(self._api, plan, obj.route, self._listed()[obj.name].kind)

    def count(self, plan: Plan) -> int | None:
        """Return the org's count of what the plan reads, without deleted records."""
        return None if plan.object in _NO_MODULES else counting.of_plan(self._api, plan)

    def pages(self, plan: Plan, checkpoint: Checkpoint) -> Iterator[Page]:
        """Read what the plan says, or what was begun of it; meanwhile the list of deleted records."""
        if plan.object in setup.SETUPS:
            yield from setup.pages(self._api, plan)
            return
        if plan.object in members.LINKS:
            yield from members.pages(self._api, plan.object)
            return
        kind = self._listed()[plan.object].kind
        gone = deleted.pages(self._api, plan, checkpoint, kind=kind)
        route = ReadCheckpoint(self._api, plan, checkpoint).route or plan.route
        if route == bulk.ROUTE:
            # The numbers of its pages are the vendor's: a page among them would take one.
            yield from bulk.Exports(self._api, plan, checkpoint, self._context.clock).pages()
            yield from gone
            return
        read = Queries if route == QUERIES else listing.Listing
        live = read(self._api, plan).pages(checkpoint)
        # A page of deleted records waits for the first of the others: with that stands in the spool what is read,
        # and whoever goes on knows whose deletions those are.
        noted = threading.Event()
        yield from merged(_announced(live, noted), _held_back(gone, noted))

    def forget(self, checkpoint: Checkpoint) -> None:
        """Do nothing: exports cannot be removed; the vendor drops them by itself."""

    def probe_changes(self, schema: Schema, since: datetime) -> tuple[int, datetime | None]:
        """Return how many records changed at or after an instant, and the newest stamp."""
        if describe.cursor_field(schema) is None:
            raise ProtocolError(f"{schema.object} carries no stamp; it is read as a snapshot.")
        # Otherwise a probe would count under the ceilings of the smallest edition.
        self._api.learn()
        return counting.newest(self._api, schema, since)

    def upkeep(self, obj: ObjectSettings) -> Upkeep:
        """Return what a module costs where nothing changes."""
        return upkeep.of(obj, self._snapshots)

    def preview(self, obj: str, rows: int) -> tuple[Schema, list[dict[str, Any]]]:
        """Return the fields of a module and its newest records."""
        schema = self.describe(obj)
        if obj in setup.SETUPS:
            found = setup.some(self._api, obj, rows)
        elif obj in members.LINKS:
            found = members.some(self._api, obj, rows)
        else:
            found = direct.newest_rows(self._api, schema, rows)
        return schema, [{name: row.get(name) for name in schema.names} for row in found]

    def query(self, text: str, *, include_deleted: bool) -> Iterator[dict[str, Any]]:
        """Yield the records of a COQL query."""
        return direct.query(self._api, text, include_deleted=include_deleted)

    def get(self, obj: str, record: str, *, by: str | None) -> dict[str, Any]:
        """Return one record by id or external field."""
        return direct.get(self._api, obj, record, by)

    def sight(self) -> str:
        """Say what this login may see."""
        return checkup.sight(self._api)

    def confirm_deleted(self, obj: str, ids: Sequence[str]) -> AbstractSet[str]:
        """Return those of the ids that are in the list of deleted records."""
        return frozenset() if obj in _NO_MODULES else deletions.listed(self._api, obj, ids)

    def _list(self) -> dict[str, Module]:
        self._api.learn()
        return {one.name: one for one in describe.modules(self._api)}

    def _is_snapshot(self, obj: ObjectSettings, stamp: str | None) -> bool:
        if obj.name in _NO_MODULES or obj.snapshot is None:
            return obj.name in self._snapshots or stamp is None
        return obj.snapshot

    def _setup_plan(self, plan: Plan) -> Plan:
        calls = upkeep.SETUP[plan.object]
        route = ReadStrategy(
            setup.ROUTE, calls, calls, calls * self._api.round_trip_s, "the whole list, it is short"
        )
        return replace(
            plan,
            window=None,
            complete=True,
            route=route.name,
            reason="settings are read whole each time",
            calls=calls,
            cost=calls,
            seconds=route.seconds,
            strategies=(route,),
            remaining=self._api.remaining,
        )


def _announced(pages: Generator[Page], begun: threading.Event) -> Generator[Page]:
    try:
        for page in pages:
            begun.set()
            yield page
    finally:
        begun.set()


def _held_back(pages: Generator[Page], begun: threading.Event) -> Generator[Page]:
    for page in pages:
        begun.wait()
        yield page
