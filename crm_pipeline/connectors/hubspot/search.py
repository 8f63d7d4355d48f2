"""The search: the count of a window, and its records by ascending ids.

A search returns at most 10,000 results, so no offset is used: each page starts after the last id, within the same
window. The number of records with the same modification time does not matter. Source:
https://developers.hubspot.com/docs/api-reference/search/guide
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm_pipeline.connectors.hubspot import responses
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.record_assembly import BATCH_RECORDS, Progress, RecordAssembly
from crm_pipeline.connectors.hubspot.responses import Records, RecordsResponse
from crm_pipeline.connectors.hubspot.selection import Selection, between, condition, encoded
from crm_pipeline.connectors.range_reader import KeyRange, RangeBatch
from crm_pipeline.kernel.errors import MalformedResponse

TOP = 2**63 - 1
"""Above every id; a range up to here has no upper filter."""


def ask(
    api: Api, selection: Selection, body: dict[str, Any], *, keys_only: bool = False
) -> RecordsResponse:
    """Return the response of a search.

    Raises:
        MalformedResponse: the response has no total, too small a one, or another form.
    """
    owner = f"{api.connection.name}.{selection.name}"

    def read(content: bytes) -> RecordsResponse:
        response = responses.read(content, selection.cursor_field, owner, keys_only=keys_only)
        if response.total is None:
            raise MalformedResponse(f"{owner}: the answer to a search has no total.")
        if response.total < response.records.seen:
            raise MalformedResponse(
                f"{owner}: the answer to a search has {response.records.seen} records and a total of "
                f"{response.total}."
            )
        return response

    return api.search(selection.name, body, read)


def count(
    api: Api, selection: Selection, *, below: int | None = None, without: Sequence[str] = ()
) -> int:
    """Return the number of records of the window, below an id and without some ids."""
    keys = selection.keys_only
    filters = [*keys.conditions(), *between(0, below)]
    body = keys.search_body(filters, limit=1)
    if without:
        left_out = {"propertyName": "hs_object_id", "operator": "NOT_IN", "values": list(without)}
        longer = keys.search_body([*filters, left_out], limit=1)
        if len(encoded(longer)) <= api.meter.limit("search_characters"):
            body = longer
    response = ask(api, keys, body)
    assert response.total is not None
    return response.total


def changes(api: Api, selection: Selection, since: datetime) -> tuple[int, datetime | None]:
    """Return the number of records changed at or after an instant, and the latest change."""
    keys = selection.keys_only
    milliseconds = int(since.timestamp() * 1000)
    body = keys.search_body([condition(keys.cursor_field, "GTE", milliseconds)], limit=1)
    body["sorts"] = [{"propertyName": keys.cursor_field, "direction": "DESCENDING"}]
    response = ask(api, keys, body)
    at: datetime | None = response.records.instants[0].as_py() if len(response.records) else None
    return response.total or 0, at


def edges(api: Api, selection: Selection) -> KeyRange:
    """Return the range of the window's ids; an empty one where there are no records."""
    ids = []
    for direction in ("ASCENDING", "DESCENDING"):
        keys = selection.keys_only
        body = keys.search_body(keys.conditions(), limit=1)
        body["sorts"] = [{"propertyName": "hs_object_id", "direction": direction}]
        records = ask(api, keys, body, keys_only=True).records
        ids += [int(record_id) for record_id in records.ids]
    return KeyRange(min(ids), max(ids) + 1) if ids else KeyRange(0, 0)


@dataclass(frozen=True)
class SearchReader:
    """Reads ranges of ids by searches; see `range_reader.Reader`."""

    api: Api
    selection: Selection
    assembly: RecordAssembly

    def __call__(self, key_range: KeyRange) -> Generator[RangeBatch]:
        """Yield batches of up to 1,000 records, upward."""
        at, left = key_range.low, 1
        while left:
            asked_at, records, calls = self.api.now(), Records(), 0
            while left and records.seen < BATCH_RECORDS:
                response, left, page_calls = self._page(at, key_range)
                calls += page_calls
                records.add(response.records)
                at = int(response.records.ids[-1]) + 1 if len(response.records) else at
            yield self.assembly.batch(records, asked_at, calls, Progress(not left, behind=left))

    def _page(self, at: int, key_range: KeyRange) -> tuple[RecordsResponse, int, int]:
        """Return a page with records, the number of records after it, and the number of calls.

        A hit that was archived since is still counted for some seconds, but not returned. After an empty page
        there is no last id, so the next one is requested by its offset.
        """
        selection = self.selection.keys_only if self.assembly.by_id else self.selection
        high = None if key_range.high >= TOP else key_range.high
        limit_of = self.api.meter.limit
        limit, most = limit_of("search_records"), limit_of("search_results")
        body = selection.search_body([*selection.conditions(), *between(at, high)], limit=limit)
        by_id = self.assembly.by_id
        response, hidden, calls = ask(self.api, selection, body, keys_only=by_id), 0, 1
        while not response.records.seen and hidden + limit < (response.total or 0):
            hidden += limit
            if hidden + limit > most:
                break  # no more results; the count after the read shows that some are missing
            further = {**body, "after": str(hidden)}
            response, calls = ask(self.api, selection, further, keys_only=by_id), calls + 1
        ids = [int(record_id) for record_id in response.records.ids]
        responses.refuse_disorder(ids, at, self.assembly.owner)
        seen = response.records.seen
        left = max(0, (response.total or 0) - hidden - seen) if seen else 0
        if left and not ids:
            raise MalformedResponse(
                f"{self.assembly.owner}: no record of a page of a search can be read "
                f"({response.records.rejected[0].reason}), so the id of the next page is unknown."
            )
        return response, left, calls
