"""The search: what a window counts, and its records by ascending ids.

A search shows no more than 10,000 results, so that no offset is used: each page goes on behind the last id,
inside a window that stays the same. How many records share a stamp makes no difference. Source:
https://developers.hubspot.com/docs/api-reference/search/guide
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm_pipeline.connectors.hubspot import responses
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.record_assembly import BATCH_RECORDS, Place, RecordAssembly
from crm_pipeline.connectors.hubspot.responses import Answer, Records
from crm_pipeline.connectors.hubspot.selection import Selection, between, condition, encoded
from crm_pipeline.connectors.range_reader import KeyRange, RangeBatch
from crm_pipeline.kernel.errors import MalformedAnswer

TOP = 2**63 - 1
"""Above every id; nothing is asked for in this place."""


def ask(api: Api, selection: Selection, body: dict[str, Any], *, keys_only: bool = False) -> Answer:
    """Return the answer to a search.

    Raises:
        MalformedAnswer: it says no total, or too small a one, or is no answer of a search.
    """
    owner = f"{api.connection.name}.{selection.name}"

    def read(content: bytes) -> Answer:
        answer = responses.read(content, selection.stamp, owner, keys_only=keys_only)
        if answer.total is None:
            raise MalformedAnswer(f"{owner}: the answer to a search says no total.")
        if answer.total < answer.records.seen:
            raise MalformedAnswer(
                f"{owner}: the answer to a search shows {answer.records.seen} records and says that there are "
                f"{answer.total} in all."
            )
        return answer

    return api.search(selection.name, body, read)


def count(
    api: Api, selection: Selection, *, below: int | None = None, without: Sequence[str] = ()
) -> int:
    """Return how many records of the window there are, below an id and without some."""
    keys = selection.keys_only
    filters = [*keys.conditions(), *between(0, below)]
    body = keys.search_body(filters, limit=1)
    if without:
        left_out = {"propertyName": "hs_object_id", "operator": "NOT_IN", "values": list(without)}
        longer = keys.search_body([*filters, left_out], limit=1)
        if len(encoded(longer)) <= api.meter.limit("search_characters"):
            body = longer
    answer = ask(api, keys, body)
    assert answer.total is not None
    return answer.total


def newest(api: Api, selection: Selection, since: datetime) -> tuple[int, datetime | None]:
    """Return how many records changed at or after an instant, and the newest stamp."""
    keys = selection.keys_only
    milliseconds = int(since.timestamp() * 1000)
    body = keys.search_body([condition(keys.stamp, "GTE", milliseconds)], limit=1)
    body["sorts"] = [{"propertyName": keys.stamp, "direction": "DESCENDING"}]
    answer = ask(api, keys, body)
    at: datetime | None = answer.records.instants[0].as_py() if len(answer.records) else None
    return answer.total or 0, at


def edges(api: Api, selection: Selection) -> KeyRange:
    """Return the range of the window's ids; an empty one where there are none."""
    found = []
    for direction in ("ASCENDING", "DESCENDING"):
        keys = selection.keys_only
        body = keys.search_body(keys.conditions(), limit=1)
        body["sorts"] = [{"propertyName": "hs_object_id", "direction": direction}]
        found += [int(one) for one in ask(api, keys, body, keys_only=True).records.ids]
    return KeyRange(min(found), max(found) + 1) if found else KeyRange(0, 0)


@dataclass(frozen=True)
class SearchReader:
    """Reads spans of ids by searches; see `range_reader.Reader`."""

    api: Api
    selection: Selection
    assembly: RecordAssembly

    def __call__(self, key_range: KeyRange) -> Generator[RangeBatch]:
        """Yield slices of up to 1,000 records, upward."""
        at, left = key_range.low, 1
        while left:
            asked_at, found, calls = self.api.now(), Records(), 0
            while left and found.seen < BATCH_RECORDS:
                answer, left, asked = self._page(at, key_range)
                calls += asked
                found.add(answer.records)
                at = int(answer.records.ids[-1]) + 1 if len(answer.records) else at
            yield self.assembly.batch(found, asked_at, calls, Place(not left, behind=left))

    def _page(self, at: int, key_range: KeyRange) -> tuple[Answer, int, int]:
        """Return a page that shows something, how much comes behind it, and the calls it took.

        A match that was archived since is counted for some seconds and not shown. Of a page without any
        there is no id to go on behind: the next one is asked for by its place.
        """
        selection = self.selection.keys_only if self.assembly.by_id else self.selection
        high = None if key_range.high >= TOP else key_range.high
        limit_of = self.api.meter.limit
        limit, most = limit_of("search_records"), limit_of("search_results")
        body = selection.search_body([*selection.conditions(), *between(at, high)], limit=limit)
        by_id = self.assembly.by_id
        answer, hidden, asked = ask(self.api, selection, body, keys_only=by_id), 0, 1
        while not answer.records.seen and hidden + limit < (answer.total or 0):
            hidden += limit
            if hidden + limit > most:
                break  # the wall: the counts afterwards say that some are missing
            further = {**body, "after": str(hidden)}
            answer, asked = ask(self.api, selection, further, keys_only=by_id), asked + 1
        ids = [int(one) for one in answer.records.ids]
        responses.refuse_disorder(ids, at, self.assembly.owner)
        shown = answer.records.seen
        left = max(0, (answer.total or 0) - hidden - shown) if shown else 0
        if left and not ids:
            raise MalformedAnswer(
                f"{self.assembly.owner}: of a whole page of a search no record can be read "
                f"({answer.records.rejected[0].reason}), so that there is no place to go on at."
            )
        return answer, left, asked
