"""The account of a Salesforce org."""

from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import requests

from crm_pipeline.connectors.account import ApiAccount
from crm_pipeline.connectors.asked_ids import AskedIds
from crm_pipeline.connectors.base import (
    Checkup,
    ConnectorContext,
    ObjectInfo,
    Page,
    Plan,
    ReadStrategy,
    VendorLimits,
)
from crm_pipeline.connectors.point_batches import PointBatch
from crm_pipeline.connectors.point_pages import point_page
from crm_pipeline.connectors.salesforce import (
    bulk,
    checkup,
    deletions,
    describe,
    direct,
    facts,
    points,
    rest,
    soql,
    upkeep,
)
from crm_pipeline.connectors.salesforce.api import Api
from crm_pipeline.connectors.salesforce.bulk_results import PAGE_RECORDS
from crm_pipeline.connectors.strategies import planned
from crm_pipeline.connectors.unstamped import Unstamped, UnstampedFields, computed_names
from crm_pipeline.connectors.upkeep import Upkeep
from crm_pipeline.connectors.whole_reads import is_read_whole, window_field
from crm_pipeline.kernel.clock import Window, parse_instant
from crm_pipeline.kernel.errors import (
    BudgetExhausted,
    MalformedResponse,
    NotPermitted,
    ProtocolError,
    Rejected,
    UnknownName,
)
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.model.schema import Schema
from crm_pipeline.settings import Connection, ObjectSettings
from crm_pipeline.store.landing.checkpoint import Checkpoint
from crm_pipeline.wire.decoding import Count, decoded

# Every window costs a describe and two counts. A Bulk job also costs its creation, about three polls and its
# removal, and takes some seconds: as long as about five REST pages.
_WINDOW_CALLS = 3
_JOB_CALLS = 5
_CALL_S = 0.4
_PAGE_S = 1.05
_JOB_S = 3.0
_BULK_RECORDS_PER_S = 20_000


class _Count(msgspec.Struct, rename="camel"):
    total_size: Count


class _Change(msgspec.Struct):
    changed: Count | None = None
    newest: str | None = None


class _Changes(msgspec.Struct):
    records: Annotated[list[_Change], msgspec.Meta(min_length=1)]


class _Rows(msgspec.Struct):
    records: list[dict[str, Any]]


class SalesforceAccount(ApiAccount[Api]):
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
        """Check login, identity, permissions, budget and objects."""
        return Checkup(self.connection.name, tuple(checkup.findings(self._api)))

    def identity(self) -> str:
        """Return the user and the org that this is logged in to, as text."""
        return checkup.identity(self._api)

    def facts(self) -> AccountFacts:
        """Return the org's own facts, as far as this login may read them."""
        listed = {info.name for info in self.objects()}
        return facts.facts_of(self._api, listed)

    def objects(self) -> list[ObjectInfo]:
        """Return the objects that this login may see."""
        return list(self._listed())

    def describe(self, obj: str) -> Schema:
        """Return the fields of an object that can be read.

        Raises:
            NotPermitted: this login does not see the object.
        """
        listed = [info.name for info in self.objects()]
        if obj not in listed:
            unknown = UnknownName("object", obj, listed)
            raise NotPermitted(
                f"{self.connection.name}: object {obj} does not exist or is hidden from this login.",
                code="INVALID_TYPE",
                cure=f"{unknown.cure} Grant Read and View All on it to the API user, or take it "
                "out of connections.yaml.".strip(),
            )
        path = f"{self._api.base}/sobjects/{quote(obj, safe='')}/describe"
        owner = self.connection.name
        schema = self._api.asked(
            path, lambda response: describe.schema_of(response.content, obj, owner)
        )
        return describe.with_related(schema, listed)

    def _ping(self) -> None:
        checkup.versions(self._api)

    def cursor_field(self, schema: Schema) -> str | None:
        """Return the modification time that the vendor filters an object by; None where there is none."""
        return describe.cursor_field(schema)

    def plan(self, obj: ObjectSettings, window: Window | None) -> Plan:
        """Return the plan for a window; its number of records decides between REST and Bulk."""
        return self._planned(obj, window, self.describe(obj.name))

    def plan_sweep(self, obj: ObjectSettings, window: Window, fields: Collection[str] = ()) -> Plan:
        """Return the plan for a read of ids and modification times, and of some further fields."""
        schema = describe.keys_of(self.describe(obj.name), fields)
        return replace(self._planned(obj, window, schema), keys_only=True)

    def count_live(self, schema: Schema, window: Window | None) -> int:
        """Return the org's count of the live records of a window."""
        query = soql.count(schema.object, self.cursor_field(schema), window)
        what = f"the count of {schema.object}"
        return self._api.ask(f"{self._api.base}/query/", _Count, what, q=query).total_size

    def deletion_marks(self, schema: Schema, ids: Sequence[str]) -> Page:
        """Return marks of deleted records."""
        return points.marks(schema, ids, owner=self.connection.name, asked_at=self._api.now())

    def _planned(self, obj: ObjectSettings, window: Window | None, schema: Schema) -> Plan:
        cursor_field = window_field(
            self.connection.name, obj, self._snapshots, self.cursor_field(schema)
        )
        plan = Plan(
            object=obj.name,
            window=window if cursor_field else None,
            route="rest",
            reason="",
            schema=schema,
            cursor_field=cursor_field,
            complete=cursor_field is None,
            vendor_count=None,
            calls=0,
        )
        count = self.count(plan)
        return self._with_strategy(replace(plan, vendor_count=count), obj.route, count)

    def count(self, plan: Plan) -> int:
        """Return the org's count of the records of a plan, deleted ones included."""
        query = soql.count(plan.object, plan.cursor_field, plan.window)
        what = f"the count of {plan.object}"
        return self._api.ask(f"{self._api.base}/queryAll/", _Count, what, q=query).total_size

    def pages(self, plan: Plan, checkpoint: Checkpoint) -> Iterator[Page]:
        """Yield the pages of a plan; Bulk falls back to REST where Bulk refuses the object."""
        job = bulk.resumed(self._api, plan, checkpoint)
        if job is None and plan.route == "bulk":
            job = self._new_job(plan, checkpoint)
        if job is None:
            yield from rest.pages(self._api, plan)
        else:
            yield from bulk.pages(
                self._api, plan, job, checkpoint=checkpoint, clock=self._context.clock
            )

    def _new_job(self, plan: Plan, checkpoint: Checkpoint) -> bulk.Job | None:
        """Create a job and return it; None where Bulk is not possible, but REST is."""
        try:
            return bulk.create(self._api, plan, checkpoint)
        except Rejected as error:
            if not bulk.is_refusal_of_bulk(error) or self._is_too_long(plan):
                raise
        except BudgetExhausted:
            if self._is_too_long(plan):
                raise
        return None

    def read(self, obj: str, ids: Sequence[str], schema: Schema | None = None) -> Iterator[Page]:
        """Yield the records with some ids."""
        asked = AskedIds.of(ids, points.record_id)
        if asked.malformed:
            yield point_page(None, asked.malformed, asked_at=self._api.now())
        if asked.ids:
            yield from points.PointReader(self._api, schema or self.describe(obj)).pages(asked)

    def point_batch(self, obj: str, schema: Schema) -> PointBatch:  # noqa: ARG002
        """Return the batches of a read by ids: as many as one address holds beside the names of the fields."""
        return points.PointReader(self._api, schema).batch

    def forget(self, checkpoint: Checkpoint) -> None:
        """Delete the job of a committed window."""
        bulk.delete(self._api, checkpoint)

    def probe_changes(self, schema: Schema, since: datetime) -> tuple[int, datetime | None]:
        """Return the number of records changed at or after an instant, and the latest change."""
        cursor_field = self.cursor_field(schema)
        if cursor_field is None:
            raise ProtocolError(
                f"{schema.object} has no modification time, so it cannot be probed."
            )
        query = soql.changes(schema.object, cursor_field, since)
        return self._api.asked(f"{self._api.base}/queryAll/", self._changes, q=query)

    def upkeep(self, obj: ObjectSettings) -> Upkeep:
        """Return the cost of an object while nothing changes."""
        return upkeep.of(obj, self._snapshots)

    def unstamped(self, obj: ObjectSettings, schema: Schema | None) -> tuple[Unstamped, ...]:
        """Return the formulas and roll-ups of an object, which move no modification time."""
        if is_read_whole(obj, self._snapshots) or not (names := computed_names(obj, schema)):
            return ()
        page = self._api.limits.ceilings["query_page_records"]
        return (UnstampedFields(names, page_records=page, page_cost=1, round_cost=_WINDOW_CALLS),)

    def preview(self, obj: str, rows: int) -> tuple[Schema, list[dict[str, Any]]]:
        """Return the fields of an object and its most recent records."""
        schema = self.describe(obj)
        cursor_field = describe.cursor_field(schema)
        order = f" ORDER BY {cursor_field} DESC" if cursor_field else ""
        query = soql.select(schema.names, obj, [], tail=f"{order} LIMIT {rows}")
        what = f"the newest records of {obj}"
        records = self._api.ask(f"{self._api.base}/query/", _Rows, what, q=query).records
        return schema, [{f.name: _value(row, f.keys) for f in schema.fields} for row in records]

    def query(self, text: str, *, include_deleted: bool) -> Iterator[dict[str, Any]]:
        """Yield the records of a SOQL query."""
        return direct.query(self._api, text, include_deleted=include_deleted)

    def get(self, obj: str, record: str, *, by: str | None) -> dict[str, Any]:
        """Return one record by id or external id."""
        return direct.get(self._api, obj, record, by)

    def sight(self) -> str:
        """Return a text that changes whenever this login sees other records."""
        return checkup.sight(self._api)

    def confirm_deleted(self, obj: str, ids: Sequence[str]) -> AbstractSet[str]:
        """Return those ids that are in the recycle bin or in the log of deletions."""
        is_marked = "IsDeleted" in self.describe(obj).by_name
        return deletions.deleted(self._api, obj, ids, is_marked=is_marked)

    def logged_deletions(self, schema: Schema) -> AbstractSet[str]:
        """Return the ids in the log of deletions of the last 15 days."""
        if "IsDeleted" not in schema.by_name:
            return frozenset()
        return deletions.log(self._api, schema.object).keys()

    def _list(self) -> tuple[ObjectInfo, ...]:
        return tuple(
            ObjectInfo(
                name=entry["name"],
                label=entry.get("label") or entry["name"],
                custom=bool(entry.get("custom")),
                queryable=bool(entry.get("queryable")),
            )
            for entry in checkup.listed(self._api)
        )

    def _changes(self, response: requests.Response) -> tuple[int, datetime | None]:
        owner, what = self.connection.name, "the answer about changes"
        row = decoded(response.content, _Changes, owner=owner, what=what).records[0]
        try:
            return row.changed or 0, parse_instant(row.newest) if row.newest else None
        except ValueError:
            raise MalformedResponse(
                f"{owner}: {what} holds a modification time that is no instant.",
                status=response.status_code,
            ) from None

    def _is_too_long(self, plan: Plan) -> bool:
        longest = soql.Key("2026-01-01T00:00:00.000Z", "0" * 18)
        query = soql.page(
            plan.schema.names,
            plan.object,
            cursor_field=plan.cursor_field,
            window=plan.window,
            key=longest,
            limit=2000,
        )
        # Host, path and parameter name stay below 512 bytes.
        return len(quote(query, safe="")) + 512 > self._api.limits.ceilings["uri_bytes"]

    def _with_strategy(self, plan: Plan, asked: str, count: int) -> Plan:
        pages = count // self._api.limits.ceilings["query_page_records"] + 1
        by_rest, by_bulk = _WINDOW_CALLS + pages, _WINDOW_CALLS + _JOB_CALLS + count // PAGE_RECORDS
        too_long = ""
        if asked != "rest" and self._is_too_long(plan):
            too_long = f"{len(plan.schema.fields)} fields make the query too long for one address"
        strategies = (
            ReadStrategy(
                "rest",
                by_rest,
                by_rest,
                _WINDOW_CALLS * _CALL_S + pages * _PAGE_S,
                "pages by modification time and id",
                too_long,
            ),
            ReadStrategy(
                "bulk",
                by_bulk + 1,
                by_bulk + 1,
                by_bulk * _CALL_S + _JOB_S + count / _BULK_RECORDS_PER_S,
                "one job, its result pages in parallel",
                saves_bytes=True,
            ),
        )
        return planned(
            plan,
            strategies,
            asked=asked,
            remaining=self._api.remaining,
            returns=self._api.budget_returns,
        )


def _value(row: Any, keys: Sequence[str]) -> Any:
    """Return a value of a record by its path; a related record is a nested object, or null."""
    for key in keys:
        row = row.get(key) if isinstance(row, dict) else None
    return row
