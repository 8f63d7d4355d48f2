"""The read strategy `coql`: keyset on the id in the window, by parallel workers over ranges of ids.

A record that is edited during the read leaves the window, and so do its parts: a page whose responses do not
hold the same versions is read again.
"""

from collections.abc import Generator

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.range_reader import KeyRange, ParallelRangeReader, RangeBatch, missing
from crm_pipeline.connectors.zoho import coql, describe, meter, responses
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.checkpoints import ReadCheckpoint
from crm_pipeline.connectors.zoho.errors import ColumnRefused
from crm_pipeline.connectors.zoho.field_backfill import FieldBackfill, chunked
from crm_pipeline.connectors.zoho.responses import ResponsePage
from crm_pipeline.kernel.errors import MalformedResponse, ProtocolError, ReadLost
from crm_pipeline.store.landing.checkpoint import Checkpoint

ROUTE = "coql"
_ATTEMPTS = 4
# Fewer pages than these are read by one worker: finding the ends costs two calls.
_PAGES_FOR_WORKERS = 3


def page_size(api: Api, count: int | None) -> int:
    """Return the LIMIT that reads a number of records for the fewest credits."""
    most = api.limit("coql_page_records")
    return min(most, next((size for size in (200, 1000) if (count or most) <= size), most))


def workers(api: Api, count: int | None) -> int:
    """Return how many workers a read needs."""
    if count is None or count < page_size(api, count) * _PAGES_FOR_WORKERS:
        return 1
    at_once = min(api.limit(meter.HEAVY_AT_ONCE), api.limit(meter.AT_ONCE))
    return max(1, min(16, int(at_once * api.connection.share), count // page_size(api, count)))


class Queries:
    """Reads the window of one plan.

    Args:
        api: the account.
        plan: the planned read.
    """

    def __init__(self, api: Api, plan: Plan) -> None:
        self._api = api
        self._plan = plan
        self._owner = f"{api.connection.name}.{plan.object}"
        self._limit = page_size(api, plan.vendor_count)
        self._conditions = coql.conditions(plan.schema, plan.window)
        self._refused = describe.refused_by_queries(api, plan.schema)
        names = [name for name in plan.schema.names if name not in self._refused]
        self._chunks = chunked(names, api.limit("coql_select_fields"))

    def pages(self, checkpoint: Checkpoint) -> Generator[Page]:
        """Yield pages of thousands of records; finished ones are not read again.

        Raises:
            ReadLost: queries refuse a field that metadata still lists; the read is planned again.
            UnknownField: a field no longer exists.
        """
        read_checkpoint = ReadCheckpoint(self._api, self._plan, checkpoint)
        at_once = workers(self._api, self._plan.vendor_count)
        whole = read_checkpoint.key_range or self._id_range(at_once)
        if whole is None:
            return
        read_checkpoint.begin(ROUTE, key_range=whole)
        reader = ParallelRangeReader(
            self._read,
            at_once=at_once,
            owner=self._owner,
            route=ROUTE,
            checkpoint=checkpoint,
            splits=at_once > 1,
        )
        yield from reader.pages(missing(whole, read_checkpoint.done(), parts=at_once))

    def _id_range(self, at_once: int) -> KeyRange | None:
        """Probe the columns and return the range of ids; None where there are no records."""
        self._probe_columns()
        if at_once == 1:
            return KeyRange(coql.FIRST, coql.END)
        ends = [self._end("asc"), self._end("desc")]
        if any(page.rejected for page in ends):
            return KeyRange(coql.FIRST, coql.END)
        ids = [int(page.ids[0]) for page in ends if len(page)]
        return KeyRange(min(ids), max(ids) + 1) if ids else None

    def _end(self, direction: str) -> ResponsePage:
        query = coql.select(
            (describe.ID,), self._plan.object, self._conditions, limit=1, order=f"id {direction}"
        )
        return self._select(query, 1)

    def _probe_columns(self) -> None:
        """Find the fields that queries refuse, before anything is read.

        A probe costs a credit; it is made once for each module and set of fields.
        """
        schema, api = self._plan.schema, self._api
        if api.probed_schemas.get(schema.object) == schema.fingerprint:
            return
        refused = []
        for names in self._chunks:
            accepted = list(names)
            while (column := self._refused_column(accepted)) is not None:
                accepted = [name for name in accepted if name != column]
                refused.append(column)
        api.probed_schemas[schema.object] = schema.fingerprint
        if refused:
            api.refused_columns.setdefault(schema.object, set()).update(refused)
            raise ReadLost(
                f"{self._owner}: queries refuse {', '.join(refused)}, which metadata lists; the read is "
                "planned anew without them.",
                cure="Run it again.",
            )

    def _refused_column(self, names: list[str]) -> str | None:
        """Return the column for which a query is refused; None where it is not refused."""
        api = self._api
        query = coql.select(names, self._plan.object, self._conditions, limit=1)
        try:
            self._select(query, 1)
        except ColumnRefused as error:
            listed = {entry["api_name"] for entry in describe.fields(api, self._plan.object)}
            if error.column not in names or error.column not in {*listed, describe.ANY_MODULE}:
                raise  # the field was removed: the next run reads the metadata again
            return error.column
        return None

    def _read(self, key_range: KeyRange) -> Generator[RangeBatch]:
        low = key_range.low
        while True:
            asked_at = self._api.now()
            page, calls = self._page(low, key_range.high)
            next_id = self._next_id(page)
            yield RangeBatch(
                positions=page.id_numbers,
                batch=page.batch(self._owner),
                asked_at=asked_at,
                is_last=not page.has_more,
                calls=calls,
                rejected=tuple(page.rejected),
            )
            low = next_id

    def _next_id(self, page: ResponsePage) -> int:
        """Return the id at which the next page starts.

        Unreadable records may have no id, so the next page starts after the last readable one: unreadable
        records after it come again.

        Raises:
            MalformedResponse: more records follow, and no record of this page is readable.
        """
        if page.id_numbers or not page.has_more:
            return page.id_numbers[-1] + 1 if page.id_numbers else coql.END
        raise MalformedResponse(
            f"{self._owner}: no record of an answer can be read, so the id of the next page is not known."
        )

    def _page(self, low: int, high: int) -> tuple[ResponsePage, int]:
        backfill = FieldBackfill(self._api, self._plan.schema, self._refused)
        calls = 0
        for _ in range(_ATTEMPTS):
            first, *others = (self._part(names, low, high) for names in self._chunks)
            calls += len(self._chunks)
            joined = first.joined(others) if others else first
            whole = backfill.filled(joined) if joined is not None else None
            if whole is not None:
                return whole, calls + backfill.calls
        raise ProtocolError(
            f"{self._owner}: records change faster than their parts can be read.",
            cure="Run again at a quieter time, or set 'route: bulk'.",
        )

    def _part(self, names: tuple[str, ...], low: int, high: int) -> ResponsePage:
        criteria = [*self._conditions, *coql.between(low, high)]
        return self._select(
            coql.select(names, self._plan.object, criteria, limit=self._limit), self._limit
        )

    def _select(self, query: str, limit: int) -> ResponsePage:
        return self._api.select(query, meter.coql(limit), responses.page_reader(self._owner))
