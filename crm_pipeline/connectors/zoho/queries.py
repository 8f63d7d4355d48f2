"""The route `coql`: keyset on the id inside the window, in several lanes over ranges of ids.

A record that is edited while it is read leaves the window, and so do its parts: a page whose answers do not
hold the same versions is read again.
"""

from collections.abc import Generator

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.range_reader import KeyRange, ParallelRangeReader, RangeBatch, missing
from crm_pipeline.connectors.zoho import coql, describe, meter, responses
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.checkpoints import ReadCheckpoint
from crm_pipeline.connectors.zoho.errors import ColumnRefused
from crm_pipeline.connectors.zoho.field_backfill import Completion, chunked
from crm_pipeline.connectors.zoho.responses import ResponsePage
from crm_pipeline.kernel.errors import MalformedAnswer, ProtocolError, ReadLost
from crm_pipeline.store.landing.checkpoint import Checkpoint

ROUTE = "coql"
_ATTEMPTS = 4
# Fewer pages than these are read by one lane: finding the ends costs two calls.
_PAGES_FOR_LANES = 3


def page_size(api: Api, count: int | None) -> int:
    """Return the LIMIT that reads so many records for the fewest credits."""
    most = api.limit("coql_page_records")
    return min(most, next((size for size in (200, 1000) if (count or most) <= size), most))


def workers(api: Api, count: int | None) -> int:
    """Return how many lanes a read is worth."""
    if count is None or count < page_size(api, count) * _PAGES_FOR_LANES:
        return 1
    at_once = min(api.limit(meter.HEAVY_AT_ONCE), api.limit(meter.AT_ONCE))
    return max(1, min(16, int(at_once * api.connection.share), count // page_size(api, count)))


class Queries:
    """Reads the window of one plan.

    Args:
        api: the account.
        plan: what is read.
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
        """Yield pages of thousands of records; those that are done in the spool are not read again.

        Raises:
            ReadLost: queries refuse a field that metadata still lists: to be planned anew.
            UnknownField: a field is not there any more.
        """
        noted = ReadCheckpoint(self._api, self._plan, checkpoint)
        at_once = workers(self._api, self._plan.vendor_count)
        whole = noted.key_range or self._whole(at_once)
        if whole is None:
            return
        noted.begin(ROUTE, key_range=whole)
        reader = ParallelRangeReader(
            self._read,
            at_once=at_once,
            owner=self._owner,
            route=ROUTE,
            checkpoint=checkpoint,
            splits=at_once > 1,
        )
        yield from reader.pages(missing(whole, noted.done(), parts=at_once))

    def _whole(self, at_once: int) -> KeyRange | None:
        """Return the range of ids; None where there is nothing. The fields are tried on the way."""
        self._probe()
        if at_once == 1:
            return KeyRange(coql.FIRST, coql.BEHIND)
        ends = [self._end("asc"), self._end("desc")]
        if any(one.rejected for one in ends):
            return KeyRange(coql.FIRST, coql.BEHIND)
        found = [int(one.ids[0]) for one in ends if len(one)]
        return KeyRange(min(found), max(found) + 1) if found else None

    def _end(self, direction: str) -> ResponsePage:
        query = coql.select(
            (describe.ID,), self._plan.object, self._conditions, limit=1, order=f"id {direction}"
        )
        return self._asked(query, 1)

    def _probe(self) -> None:
        """Find out which fields queries refuse, before anything is read.

        An answer costs a credit; it is asked once for each module and set of fields.
        """
        schema, api = self._plan.schema, self._api
        if api.tried.get(schema.object) == schema.fingerprint:
            return
        learned = []
        for names in self._chunks:
            wanted = list(names)
            while (column := self._refusal(wanted)) is not None:
                wanted = [name for name in wanted if name != column]
                learned.append(column)
        api.tried[schema.object] = schema.fingerprint
        if learned:
            api.refused.setdefault(schema.object, set()).update(learned)
            raise ReadLost(
                f"{self._owner}: queries refuse {', '.join(learned)}, which metadata lists; the read is "
                "planned anew without them.",
                cure="Run it again.",
            )

    def _refusal(self, names: list[str]) -> str | None:
        """Return the column that a query for these is refused for."""
        api = self._api
        query = coql.select(names, self._plan.object, self._conditions, limit=1)
        try:
            self._asked(query, 1)
        except ColumnRefused as error:
            listed = {one["api_name"] for one in describe.fields(api, self._plan.object)}
            if error.column not in names or error.column not in {*listed, describe.ANY_MODULE}:
                raise  # it is gone: described anew, the read does not ask for it
            return error.column
        return None

    def _read(self, key_range: KeyRange) -> Generator[RangeBatch]:
        low = key_range.low
        while True:
            asked_at = self._api.now()
            page, calls = self._page(low, key_range.high)
            behind = self._behind(page)
            yield RangeBatch(
                positions=page.places,
                batch=page.batch(self._owner),
                asked_at=asked_at,
                is_last=not page.has_more,
                calls=calls,
                rejected=tuple(page.rejected),
            )
            low = behind

    def _behind(self, page: ResponsePage) -> int:
        """Return the id from which on the next page is asked for.

        What cannot be read need not say its own id, so the last readable one counts: what came behind it comes
        again.

        Raises:
            MalformedAnswer: more are to come, and no record of this page says where.
        """
        if page.places or not page.has_more:
            return page.places[-1] + 1 if page.places else coql.BEHIND
        raise MalformedAnswer(
            f"{self._owner}: no record of an answer can be read, so the place of the next one is not known."
        )

    def _page(self, low: int, high: int) -> tuple[ResponsePage, int]:
        completion = Completion(self._api, self._plan.schema, self._refused)
        calls = 0
        for _ in range(_ATTEMPTS):
            first, *others = (self._part(names, low, high) for names in self._chunks)
            calls += len(self._chunks)
            joined = first.joined(others) if others else first
            whole = completion.completed(joined) if joined is not None else None
            if whole is not None:
                return whole, calls + completion.calls
        raise ProtocolError(
            f"{self._owner}: records change faster than their parts can be read.",
            cure="Run again at a quieter time, or set 'route: bulk'.",
        )

    def _part(self, names: tuple[str, ...], low: int, high: int) -> ResponsePage:
        found = [*self._conditions, *coql.between(low, high)]
        return self._asked(
            coql.select(names, self._plan.object, found, limit=self._limit), self._limit
        )

    def _asked(self, query: str, limit: int) -> ResponsePage:
        return self._api.select(query, meter.coql(limit), responses.reading(self._owner))
