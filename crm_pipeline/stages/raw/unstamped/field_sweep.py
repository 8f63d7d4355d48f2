"""The sweep of the computed fields of one object: list them for all live records, compare, and land the records that differ.

The list has ids, modification times and these fields only, by the cheapest way of reading that the account has. It is made
for one span of modification times after the other, so that a sweep that is cut goes on with the span where it was cut, and
memory does not depend on the number of records. A record that differs is read whole by its id and compared again before
it lands, so nothing that a list says by mistake lands.
"""

from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from shutil import rmtree

import pyarrow as pa

from crm_pipeline.connectors import unstamped
from crm_pipeline.connectors.base import Account, Auditable, Page, Plan
from crm_pipeline.connectors.unstamped import UnstampedFields
from crm_pipeline.kernel.clock import Window, format_instant, parse_instant
from crm_pipeline.kernel.errors import AllowanceSpent, CountMismatch, ProtocolError, Unavailable
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw.point import read_points
from crm_pipeline.stages.raw.unstamped.landed import folded_records
from crm_pipeline.stages.raw.unstamped.landed_fields import LandedFields
from crm_pipeline.stages.raw.unstamped.sweep import IDS_OF_A_CALL, READ_AT_ONCE, ObjectSweep
from crm_pipeline.store import files
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.checkpoint import Checkpoint
from crm_pipeline.store.landing.manifest import Shape
from crm_pipeline.store.sweeps import Progress, Sweeps
from crm_pipeline.store.tables.engine import Engine, private_temp
from crm_pipeline.store.tokens.hash_key import HashKey

# Small pages are compared together.
_ROWS_AT_ONCE = 5_000


@dataclass(frozen=True)
class _Span:
    """A part of the object; the first one has no begin where it is the whole object, or records have no time."""

    window: Window
    records: int
    is_last: bool


@dataclass
class _Listing:
    """What the vendor listed of a span."""

    rows: int = 0
    uncounted: int = 0
    waiting: list[pa.RecordBatch] = field(default_factory=list)
    shape: Shape = "json"


def _flush(landed: LandedFields, listing: _Listing) -> None:
    """Compare the rows that wait."""
    if listing.waiting:
        landed.compare(pa.Table.from_batches(listing.waiting), listing.shape)
    listing.waiting = []


def _instant(place: str) -> datetime | None:
    """Return where a sweep stopped; None where none did, or the place is none of ours."""
    try:
        return parse_instant(place) if place else None
    except ValueError:
        return None


@dataclass
class FieldSweep:
    """A sweep of the computed fields of one object under way.

    Args:
        account: the opened account.
        obj: the object.
        values: the fields that are compared.
        landing: where to.
        sweeps: where the progress is kept.
        allowed: what it may cost in the vendor's unit; None for anything.
        key: of hashes, needed where the object keeps fields out, or persons were erased.
    """

    account: Account
    obj: ObjectSettings
    values: UnstampedFields
    landing: Landing
    sweeps: Sweeps
    allowed: int | None
    key: HashKey | None = None

    def __post_init__(self) -> None:
        self._before = self.account.usage

    def run(self, engine: Engine, so_far: list[ObjectSweep]) -> None:
        """Sweep, and keep what was done in `so_far`, whose last entry is this object, so that an error loses nothing.

        Raises:
            CorruptFile: what has landed is damaged.
            CountMismatch, Unavailable: the vendor left out records; what had differed before has landed.
            VendorError: the vendor refused; what had differed in earlier spans has landed.
        """
        if not isinstance(self.account, Auditable):
            raise ProtocolError(
                f"{self._owner}: its connector cannot list some fields of all records.",
                cure="Let the connector implement `Auditable`.",
            )
        # No call is sent that would cost more, whatever was estimated.
        spending = nullcontext() if self.allowed is None else self.account.spending(self.allowed)
        try:
            with spending, suppress(AllowanceSpent):
                self._spans(self._landed(engine), so_far)
        finally:
            so_far[-1] = self._spent(so_far[-1])

    def _spans(self, landed: LandedFields, so_far: list[ObjectSweep]) -> None:
        progress = self.sweeps.at(self._connection, "fields").get(self.obj.name, Progress())
        stopped = _instant(progress.after)
        if stopped is None:
            progress = replace(progress, compared=0, differing=0, landed=0)
        place, is_first = stopped or landed.begin(), stopped is None
        while place is not None:
            span = self._span(landed, place, is_first=is_first)
            if span is None:
                return
            is_first = False
            if not self._swept(landed, span, so_far):
                return
            place = None if span.is_last else span.window.to_at
            if place is not None:
                self._note(progress, so_far[-1], place)
        so_far[-1] = replace(so_far[-1], is_complete=True)
        self._note(progress, so_far[-1], None)

    @property
    def _connection(self) -> str:
        return self.account.connection.name

    @property
    def _owner(self) -> str:
        return f"{self._connection}.{self.obj.name}"

    def _landed(self, engine: Engine) -> LandedFields:
        batches = self.landing.batches(self._connection, self.obj.name)
        self.landing.check(batches)
        schema = self.landing.latest_schema(self._connection, self.obj.name)
        assert schema is not None, "there are fields only of what was read"
        live = folded_records(engine, self.landing, self.account.connection, self.obj.name)
        fields = [schema.by_name[name] for name in self.values.names]
        return LandedFields(engine, batches, fields, live)

    def _left(self) -> int | None:
        """Return what may still be spent; None for anything."""
        if self.allowed is None:
            return None
        return self.allowed - (self.account.usage.cost - self._before.cost)

    def _span(self, landed: LandedFields, begin: datetime, *, is_first: bool) -> _Span | None:
        """Return the next span that can be paid for; None where none can."""
        left, records = self._left(), unstamped.SPAN_RECORDS
        if left is not None:
            opening = 0 if self.account.usage.calls else self.account.upkeep(self.obj).refresh
            records = min(records, self.values.affordable(left - opening))
        if records <= 0:
            return None
        end, is_last = landed.end(begin, records)
        first = None if is_first and (is_last or landed.has_undated) else begin
        return _Span(Window(first, end), landed.count(first, end), is_last)

    def _swept(self, landed: LandedFields, span: _Span, so_far: list[ObjectSweep]) -> bool:
        """List, compare and land a span; say whether all of it was paid for."""
        assert isinstance(self.account, Auditable)
        plan = self.account.plan_sweep(self.obj, span.window, self.values.names)
        left = self._left()
        if left is not None and plan.cost > left:
            return False
        landed.start(span.window.from_at, span.window.to_at)
        listing, counted = self._list(landed, plan)
        listed = landed.listed
        so_far[-1] = replace(
            so_far[-1],
            compared=so_far[-1].compared + listed,
            differing=so_far[-1].differing + landed.differing,
        )
        is_paid = self._land(landed, so_far)
        self._refuse_gaps(span, plan, listing, counted, listed)
        return is_paid

    def _list(self, landed: LandedFields, plan: Plan) -> tuple[_Listing, int | None]:
        """Read the list of a plan and compare it as it comes; return what it had, and the vendor's count afterwards."""
        listing = _Listing()
        folder = private_temp(files.make_folder(self.landing.root / "tmp"))
        try:
            files.make_folder(folder)
            checkpoint = Checkpoint(folder / "pages")
            with ExitStack() as stack:
                pages = self.account.pages(plan, checkpoint)
                # A list that ends early stops its workers now: they must not send requests while the account is closed.
                if isinstance(pages, Generator):
                    stack.callback(pages.close)
                for page in pages:
                    self._compare(landed, listing, page)
                _flush(landed, listing)
            counted = self.account.count(plan)
            self.account.forget(checkpoint)
        finally:
            rmtree(folder, ignore_errors=True)
        return listing, counted

    def _compare(self, landed: LandedFields, listing: _Listing, page: Page) -> None:
        rows = 0
        for batch in page.batches():
            if listing.shape != page.shape:
                _flush(landed, listing)
                listing.shape = page.shape
            listing.waiting.append(batch)
            rows += batch.num_rows
            if sum(each.num_rows for each in listing.waiting) >= _ROWS_AT_ONCE:
                _flush(landed, listing)
        rows += len(page.rejected)
        listing.rows += rows
        listing.uncounted += 0 if page.counted else rows

    def _land(self, landed: LandedFields, so_far: list[ObjectSweep]) -> bool:
        """Read what differs and land what still does; say whether all of it was paid for."""
        last = ""
        while True:
            ids = landed.differing_ids(last, self._readable())
            if not ids:
                return not landed.differing_ids(last, 1)
            point = read_points(
                self.account,
                self.obj,
                ids,
                landing=self.landing,
                key=self.key,
                reason=f"records whose {self.values.what} have changed without a new modification time",
                kept=landed.news,
            )
            so_far[-1] = replace(
                so_far[-1],
                landed=so_far[-1].landed + point.records,
                outcomes=Counter(so_far[-1].outcomes) + Counter(point.counts),
            )
            last = ids[-1]

    def _readable(self) -> int:
        """Return how many records may be read by their ids for what is left."""
        left = self._left()
        if left is None:
            return READ_AT_ONCE
        price = self.values.page_cost
        reads = (left - self.account.upkeep(self.obj).refresh) // price - 1
        return max(0, min(READ_AT_ONCE, reads * IDS_OF_A_CALL))

    def _refuse_gaps(
        self, span: _Span, plan: Plan, listing: _Listing, counted: int | None, listed: int
    ) -> None:
        """Refuse a list that lacks records; what it had was compared and has landed.

        Raises:
            CountMismatch: it has fewer records than the vendor counts.
            Unavailable: it lacks too many of the records that have landed; it may be an empty page by mistake.
        """
        rows = listing.rows - listing.uncounted
        counts = [each for each in (plan.vendor_count, counted) if each is not None]
        if counts and rows < min(counts):
            raise CountMismatch(
                f"{self._owner} {span.window}: the CRM lists the {self.values.what} of {rows:,} records, and counts "
                f"{min(counts):,}.",
                cure="What differed in the list has landed. The next sweep compares this part again.",
            )
        lost = span.records - listed
        if lost > 0 and self.account.connection.shrink_bounds.exceeded(lost, span.records):
            raise Unavailable(
                f"{self._owner} {span.window}: the CRM does not list the {self.values.what} of {lost:,} of "
                f"{span.records:,} records that have landed.",
                cure="What differed in the list has landed. The next sweep compares this part again; an audit says "
                "whether the records are gone.",
            )

    def _spent(self, done: ObjectSweep) -> ObjectSweep:
        usage = self.account.usage
        return replace(
            done,
            calls=usage.calls - self._before.calls,
            cost=usage.cost - self._before.cost,
        )

    def _note(self, before: Progress, done: ObjectSweep, place: datetime | None) -> None:
        now = self.landing.clock.now()
        progress = Progress(
            after=format_instant(place) if place else "",
            completed_at=now if place is None else before.completed_at,
            compared=before.compared + done.compared,
            differing=before.differing + done.differing,
            landed=before.landed + done.landed,
        )
        self.sweeps.note(self._connection, self.obj.name, progress, "fields")
