"""A CRM in memory, of any size, that lists, counts and shows its records by id, and lies where it is told to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.connectors.asked_ids import AskedIds, Outcome, word
from crm_pipeline.connectors.base import Page, Plan, Usage
from crm_pipeline.connectors.json_records import SCHEMA
from crm_pipeline.connectors.point_pages import NOT_FOUND, outcomes_of, point_page
from crm_pipeline.connectors.salesforce import points
from crm_pipeline.connectors.upkeep import Upkeep
from crm_pipeline.kernel.clock import FrozenClock, Month, Window
from crm_pipeline.kernel.errors import AllowanceSpent, Rejected, Unavailable
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.settings import Connection, ObjectSettings
from crm_pipeline.settings.connection import AuthSettings
from crm_pipeline.store.landing.records import TIMESTAMP

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OBJECT = ObjectSettings("Contact")
FIELDS = tuple(
    Field(name, name, "string") for name in ("Id", "Name", "IsDeleted", "SystemModstamp")
)
PAGE = 100_000
FIRST = Month(2026, 1)


def connection() -> Connection:
    """Return a connection with months since January and a look-back of ten minutes."""
    return Connection(
        name="acme",
        vendor="salesforce",
        login_url="https://acme.example",
        auth=AuthSettings("client_credentials", {}),
        objects=(OBJECT,),
        start=FIRST,
        cadence="*/15 * * * *",
        probe_every_s=60,
        lookback_s=600,
        share=0.9,
        limit_group="acme",
        api_version=None,
        sandbox=True,
        mapping={},
    )


def ids_of(numbers: Sequence[int]) -> list[str]:
    """Return ids of fixed width, in the order of their numbers."""
    return [f"C{number:08}" for number in numbers]


@dataclass
class Crm:
    """What the CRM holds.

    Attributes:
        records: `id`, `at` and `name` of the live records.
        deleted: ids that it says are deleted.
        unlisted: ids that its list lacks, and that it shows by id.
        refused: ids that it does not answer about.
        logged: ids in its log of deletions; None where it refuses to show one.
        lie: is added to every count.
        counts: whether it counts at all.
        sweep_cost: what its plans say of a list of ids.
        fails_after: pages of a list after which it fails; None for never.
        sight: what it says of the login's permissions.
    """

    clock: FrozenClock
    records: pa.Table
    deleted: set[str] = field(default_factory=set)
    unlisted: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    logged: set[str] | None = field(default_factory=set)
    lie: int = 0
    counts: bool = True
    sweep_cost: int = 14
    fails_after: int | None = None
    sight: str = "all"

    @classmethod
    def of(cls, size: int) -> "Crm":
        """Return a CRM whose records changed at even distances in the last ten months."""
        start = datetime(2026, 1, 3, tzinfo=UTC)
        step = (NOW - timedelta(days=2) - start) / size
        numbers = range(size)
        at = pa.array([(start + n * step).replace(microsecond=0) for n in numbers], TIMESTAMP)
        names = pa.array([f"name {n}" for n in numbers])
        table = pa.table({"id": pa.array(ids_of(numbers)), "at": at, "name": names})
        return cls(FrozenClock(NOW), table)

    def remove(self, ids: Sequence[str]) -> None:
        """Remove records without a trace."""
        kept = pc.invert(pc.is_in(self.records.column("id"), pa.array(ids, pa.string())))
        self.records = self.records.filter(kept)

    def put(self, ids: Sequence[str], at: datetime | None, name: str) -> None:
        """Add records, or replace them."""
        self.remove(ids)
        rows = {
            "id": pa.array(ids, pa.string()),
            "at": pa.array([at] * len(ids), TIMESTAMP),
            "name": pa.array([name] * len(ids)),
        }
        self.records = pa.concat_tables([self.records, pa.table(rows)])

    @property
    def truth(self) -> dict[str, tuple[datetime, str]]:
        """The live records."""
        columns = (self.records.column(name).to_pylist() for name in ("id", "at", "name"))
        return {one: (at, name) for one, at, name in zip(*columns, strict=True)}


class CrmAccount:
    """An account of it; a call costs 1."""

    def __init__(self, crm: Crm, day_limit: Any = None) -> None:
        self.crm = crm
        self.connection = connection()
        self.day_limit = day_limit
        self._calls = 0
        self._most: int | None = None

    @property
    def usage(self) -> Usage:
        return Usage(self._calls, None, None, self._calls)

    def called(self) -> None:
        if self._most is not None and self._calls >= self._most:
            raise AllowanceSpent("acme: too much.", wait_s=0.0)
        self._calls += 1

    @contextmanager
    def spending(self, amount: int) -> Iterator[None]:
        self._most = self._calls + amount
        try:
            yield
        finally:
            self._most = None

    def identity(self) -> str:
        return self.crm.sight

    def describe(self, obj: str) -> Schema:
        self.called()
        return Schema(obj, obj, FIELDS)

    def cursor_field(self, schema: Schema) -> str:
        return "SystemModstamp"

    def vendor_now(self) -> datetime:
        return self.crm.clock.now()

    def probe_changes(self, schema: Schema, since: datetime) -> tuple[int, datetime | None]:
        self.called()
        inside = self._inside(Window(since, datetime.max.replace(tzinfo=UTC)))
        return inside.num_rows, pc.max(inside.column("at")).as_py()

    def count_live(self, schema: Schema, window: Window | None) -> int | None:
        if not self.crm.counts:
            return None
        self.called()
        return self._inside(window).num_rows + self.crm.lie

    def count(self, plan: Plan) -> int | None:
        return self.count_live(plan.schema, plan.window)

    def plan(self, obj: ObjectSettings, window: Window | None) -> Plan:
        plan = Plan(
            object=obj.name,
            window=window,
            route="rest",
            reason="",
            schema=self.describe(obj.name),
            cursor_field="SystemModstamp",
            complete=False,
            vendor_count=None,
            calls=1,
            cost=1,
        )
        return replace(plan, vendor_count=self.count(plan))

    def plan_sweep(self, obj: ObjectSettings, window: Window) -> Plan:
        return replace(self.plan(obj, window), keys_only=True, cost=self.crm.sweep_cost)

    def upkeep(self, obj: ObjectSettings) -> Upkeep:
        return Upkeep(1, 2)

    def pages(self, plan: Plan, checkpoint: Any) -> Iterator[Page]:
        inside = self._inside(plan.window)
        listed = pc.is_in(inside.column("id"), pa.array(sorted(self.crm.unlisted), pa.string()))
        inside = inside.filter(pc.invert(listed))
        for number, batch in enumerate(inside.to_batches(max_chunksize=PAGE)):
            if number == self.crm.fails_after:
                raise Unavailable("acme: it does not answer.")
            self.called()
            page = self._batch(batch)
            yield Page("json", "rest", lambda made=page: iter([made]), self.crm.clock.now())  # type: ignore[misc]
        if self.crm.fails_after is not None:
            raise Unavailable("acme: it does not answer.")

    def read(self, obj: str, ids: Sequence[str], schema: Schema | None = None) -> Iterator[Page]:
        asked = AskedIds.of(ids, word)
        self.called()
        wanted = pa.array(asked.ids, pa.string())
        rows = self.crm.records.filter(pc.is_in(self.crm.records.column("id"), wanted))
        live = pa.concat_batches(
            [pa.RecordBatch.from_pylist([], SCHEMA), *map(self._batch, rows.to_batches())]
        )
        gone = sorted(self.crm.deleted.intersection(asked.ids))
        outcomes = dict.fromkeys(asked.ids, Outcome("not_found", NOT_FOUND)) | outcomes_of(live)
        outcomes |= dict.fromkeys(gone, Outcome("deleted"))
        refused = self.crm.refused.intersection(asked.ids)
        outcomes |= dict.fromkeys(refused, Outcome("refused", "It does not answer about it."))
        page = points.marks(self.describe(obj), gone, owner="acme", asked_at=self.crm.clock.now())
        marks = list(page.batches())
        batch = pa.concat_batches([live, *marks])
        yield point_page(batch, asked.named(outcomes), asked_at=self.crm.clock.now(), calls=1)

    def logged_deletions(self, schema: Schema) -> set[str]:
        self.called()
        if self.crm.logged is None:
            raise Rejected("acme: more than 600,000 ids.", code="EXCEEDED_ID_LIMIT")
        return self.crm.logged

    def deletion_marks(self, schema: Schema, ids: Sequence[str]) -> Page:
        return points.marks(schema, ids, owner="acme", asked_at=self.crm.clock.now())

    def forget(self, checkpoint: Any) -> None:
        pass

    def _inside(self, window: Window | None) -> pa.Table:
        rows = self.crm.records
        if window is None:
            return rows
        chosen = pc.less(rows.column("at"), pa.scalar(window.to_at, TIMESTAMP))
        if window.from_at is not None:
            after = pc.greater_equal(rows.column("at"), pa.scalar(window.from_at, TIMESTAMP))
            chosen = pc.and_(chosen, after)
        # Records without a modification time are in the windows without a begin.
        return rows.filter(pc.fill_null(chosen, window.from_at is None))

    @staticmethod
    def _batch(rows: pa.RecordBatch) -> pa.RecordBatch:
        at = pc.fill_null(pc.strftime(rows.column("at"), "%Y-%m-%dT%H:%M:%SZ"), "")
        parts = ['{"Id":"', rows.column("id"), '","Name":"', rows.column("name")]
        parts += ['","IsDeleted":false,"SystemModstamp":"', at, '"}', ""]
        texts = pc.binary_join_element_wise(*parts)
        marks = pa.array([False] * rows.num_rows)
        return pa.RecordBatch.from_arrays(
            [rows.column("id"), rows.column("at"), marks, texts], schema=SCHEMA
        )
