"""A Pipedrive company as an account of the pipeline."""

from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from typing import Any

from crm_pipeline.connectors.account import ApiAccount
from crm_pipeline.connectors.asked_ids import AskedIds
from crm_pipeline.connectors.base import (
    Checkup,
    ConnectorContext,
    ObjectInfo,
    Page,
    Plan,
    VendorLimits,
)
from crm_pipeline.connectors.pipedrive import (
    checkup,
    deletions,
    describe,
    direct,
    facts,
    members,
    metadata,
    offsets,
    planning,
    points,
    ranges,
    reading,
    upkeep,
)
from crm_pipeline.connectors.pipedrive.api import Api
from crm_pipeline.connectors.pipedrive.catalog import ITEMS, SNAPSHOTS, Item
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.pipedrive.planning import StartedRead
from crm_pipeline.connectors.pipedrive.scan import Scan
from crm_pipeline.connectors.point_batches import PointBatch
from crm_pipeline.connectors.point_pages import picked, point_page
from crm_pipeline.connectors.strategies import planned
from crm_pipeline.connectors.unstamped import Unstamped, computed_names
from crm_pipeline.connectors.upkeep import Upkeep
from crm_pipeline.connectors.whole_reads import is_read_whole, window_field
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import NotPermitted, UnknownName
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.model.schema import Schema
from crm_pipeline.settings import Connection, ObjectSettings
from crm_pipeline.store.landing.checkpoint import Checkpoint


class PipedriveAccount(ApiAccount[Api]):
    """Implements `connectors.base.Account`."""

    def __init__(
        self, connection: Connection, context: ConnectorContext, limits: VendorLimits
    ) -> None:
        super().__init__(connection, Api(connection, context, limits))
        # By object, the fields that the vendor sends only on request: known once it was described.
        self._optional: dict[str, tuple[str, ...]] = {}

    def check(self) -> Checkup:
        """Look at login, identity, permissions, budget and objects."""
        return Checkup(self.connection.name, tuple(checkup.findings(self._api)))

    def identity(self) -> str:
        """Return the user and the company of the login."""
        return checkup.identity(self._api.me())

    def facts(self) -> AccountFacts:
        """Return the time zone and currency of the login's user: the API has none of the company."""
        return facts.of(self._api.me(), self.connection.login_url)

    def objects(self) -> list[ObjectInfo]:
        """List the objects; `check` reports whether the login may read them."""
        return [
            ObjectInfo(item.name, item.label, custom=False, queryable=True)
            for item in ITEMS.values()
        ]

    def describe(self, obj: str) -> Schema:
        """Return the fields of an object.

        Raises:
            NotPermitted: there is no such object, or this login may not read its fields.
        """
        item = self._item(obj)
        entries = metadata.field_entries(self._api, item)
        self._optional[obj] = describe.optional_of(item, entries)
        return describe.schema_of(item, entries)

    def _ping(self) -> None:
        self._api.me()

    def count(self, plan: Plan) -> int | None:  # noqa: ARG002 - there is no such call
        """Return None: Pipedrive does not count."""
        return None

    def cursor_field(self, schema: Schema) -> str | None:
        """Return the modification time that the vendor filters an object by; None where there is none."""
        return _cursor_field(self._item(schema.object))

    def plan(self, obj: ObjectSettings, window: Window | None) -> Plan:
        """Choose the read strategy for a window; this reads its first pages."""
        return self._planned(obj, window)

    def plan_sweep(self, obj: ObjectSettings, window: Window, fields: Collection[str] = ()) -> Plan:
        """Return the plan for a read of ids and modification times, and of some further fields.

        Lists cannot leave out fields, so it costs as much as a read of whole records without optional fields.
        """
        points.refuse_parts(self._item(obj.name), f"{self.connection.name}.{obj.name}")
        return self._planned(obj, window, keys_only=True, further=fields)

    def count_live(self, schema: Schema, window: Window | None) -> int | None:  # noqa: ARG002
        """Return None: Pipedrive does not count."""
        return None

    def deletion_marks(self, schema: Schema, ids: Sequence[str]) -> Page:
        """Return marks of deleted records."""
        item = self._item(schema.object)
        owner = f"{self.connection.name}.{schema.object}"
        return points.marks(item, ids, owner=owner, asked_at=self._api.now())

    def _planned(
        self,
        obj: ObjectSettings,
        window: Window | None,
        *,
        keys_only: bool = False,
        further: Collection[str] = (),
    ) -> Plan:
        item = self._item(obj.name)
        before = self._api.usage
        entries = metadata.field_entries(self._api, item)
        after = self._api.usage
        cursor_field = window_field(self.connection.name, obj, SNAPSHOTS, _cursor_field(item))
        read_window = window if cursor_field else None
        optional = describe.optional_of(item, entries)
        if keys_only:
            optional = tuple(name for name in optional if name in further)
        lister = Lister(self._api, item, optional)
        started = planning.start(lister, read_window)
        schema = describe.schema_of(item, entries)
        schema = replace(
            schema, fields=tuple(f for f in schema.fields if f.name not in started.refused)
        )
        plan = Plan(
            object=item.name,
            window=read_window,
            route="cursor",
            reason="",
            schema=schema,
            cursor_field=cursor_field if read_window else None,
            complete=read_window is None,
            vendor_count=None,
            calls=0,
            unit=self._api.meter.unit,
            prepared=started,
            keys_only=keys_only,
        )
        strategies = planning.strategies(
            lister,
            started,
            setting=obj.route,
            calls_per_s=self._api.pace.calls_per_s,
            metadata_usage=(after.calls - before.calls, after.cost - before.cost),
        )
        chosen = planned(
            plan,
            strategies,
            asked=obj.route,
            remaining=self._api.remaining,
            returns=self._api.budget_returns,
        )
        if not started.refused:
            return chosen
        refused = ", ".join(started.refused)
        return replace(chosen, reason=f"{chosen.reason}; not given by the vendor: {refused}")

    def pages(self, plan: Plan, checkpoint: Checkpoint) -> Iterator[Page]:
        """Read what the plan says."""
        item = self._item(plan.object)
        started = plan.prepared
        if not isinstance(started, StartedRead):
            names = plan.schema.by_name
            started = StartedRead(
                plan.window, tuple(name for name in item.optional if name in names)
            )
        return reading.pages(
            Lister(self._api, item, started.optional),
            plan,
            checkpoint,
            first_pages=started.take_first_pages(),
            workers=ranges.workers_of(self._api.pace.calls_per_s, self._api.round_trip_s),
        )

    def read(self, obj: str, ids: Sequence[str], schema: Schema | None = None) -> Iterator[Page]:
        """Yield the records with some ids; those of short lists by the list."""
        item = self._item(obj)
        points.refuse_parts(item, f"{self.connection.name}.{obj}")
        asked = AskedIds.of(ids, points.form_of(item))
        if item.is_setup:
            yield from picked(self._short_list(item, asked), asked, asked_at=self._api.now())
            return
        if asked.malformed:
            yield point_page(None, asked.malformed, asked_at=self._api.now())
        if asked.ids:
            described = schema or self.describe(obj)
            optional = self._optional.get(obj, item.optional)
            names = [name for name in optional if name not in described.excluded]
            yield from points.PointReader(Lister(self._api, item, names)).pages(asked)

    def point_batch(self, obj: str, schema: Schema) -> PointBatch:  # noqa: ARG002
        """Return the batches of a read by ids; lists have all fields at one price."""
        item = self._item(obj)
        points.refuse_parts(item, f"{self.connection.name}.{obj}")
        return points.PointReader(Lister(self._api, item)).batch

    def _short_list(self, item: Item, asked: AskedIds) -> Iterator[Page]:
        if not asked.ids:
            return
        lister = Lister(self._api, item)
        for listing in item.listings:
            pages = (
                Scan(lister, listing, None).pages()
                if item.paging == "cursor"
                else offsets.pages(lister, listing, None)
            )
            yield from members.with_names(lister, pages) if item.lookups else pages

    def forget(self, checkpoint: Checkpoint) -> None:
        """Do nothing: Pipedrive keeps nothing for a read."""

    def probe_changes(self, schema: Schema, since: datetime) -> tuple[int, datetime | None]:
        """Return how many records changed at or after an instant (at most a page), and the last change."""
        return direct.probe_changes(Lister(self._api, self._item(schema.object)), since)

    def upkeep(self, obj: ObjectSettings) -> Upkeep:
        """Return what a read of an object without changes costs."""
        return upkeep.of(obj)

    def unstamped(self, obj: ObjectSettings, schema: Schema | None) -> tuple[Unstamped, ...]:
        """Return the fields of an object that Pipedrive counts without moving the time of change."""
        item = ITEMS.get(obj.name)
        if item is None or item.is_setup or points.is_part(item) or is_read_whole(obj, SNAPSHOTS):
            return ()
        names = computed_names(obj, schema)
        return (upkeep.of_fields(item, names, self._api.page_records),) if names else ()

    def preview(self, obj: str, rows: int) -> tuple[Schema, list[dict[str, Any]]]:
        """Return the fields of an object and its newest records."""
        schema = self.describe(obj)
        return schema, direct.preview(Lister(self._api, self._item(obj)), schema, rows)

    def query(self, text: str, *, include_deleted: bool) -> Iterator[dict[str, Any]]:  # noqa: ARG002
        """Yield the records of a path with parameters; deleted deals where it says `status=deleted`."""
        return direct.query(self._api, text)

    def get(self, obj: str, record: str, *, by: str | None) -> dict[str, Any]:
        """Return one record by id, or by the exact value of a searched field."""
        return direct.get(self._api, self._item(obj), record, by=by)

    def sight(self) -> str:
        """Return what this login may see."""
        return checkup.sight(self._api)

    def confirm_deleted(self, obj: str, ids: Sequence[str]) -> AbstractSet[str]:
        """Return those of the ids that Pipedrive says are deleted."""
        return deletions.deleted(self._api, self._item(obj), ids)

    def _item(self, obj: str) -> Item:
        if obj not in ITEMS:
            unknown = UnknownName("object", obj, ITEMS)
            raise NotPermitted(
                f"{self.connection.name}: Pipedrive has no object {obj}; known: {', '.join(ITEMS)}.",
                code="unknown_object",
                cure=f"{unknown.cure} Correct it in connections.yaml.".strip(),
            )
        return ITEMS[obj]


def _cursor_field(item: Item) -> str | None:
    return None if item.is_setup else item.cursor_field
