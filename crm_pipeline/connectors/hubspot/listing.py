"""The list: all records of a type by ascending ids, behind a cursor that the vendor gives.

It knows no "changed since": a window is read by reading everything. `after` in an answer is followed, never
its `link`, which may name another version of the API. Source:
https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from crm_pipeline.connectors.hubspot import responses
from crm_pipeline.connectors.hubspot.api import LIST, Api
from crm_pipeline.connectors.hubspot.record_assembly import BATCH_RECORDS, Place, RecordAssembly
from crm_pipeline.connectors.hubspot.responses import Answer, Records
from crm_pipeline.connectors.hubspot.selection import Selection
from crm_pipeline.connectors.range_reader import KeyRange, RangeBatch
from crm_pipeline.kernel.errors import ProtocolError


def page_size(api: Api, selection: Selection, *, by_id: bool) -> int:
    """Return how many records one call brings."""
    has_history = bool(selection.history) and not by_id
    return api.meter.limit("history_records" if has_history else "list_records")


@dataclass(frozen=True)
class ListReader:
    """Reads spans of ids by a list; see `range_reader.Reader`.

    Attributes:
        cursors: where spans can be begun: the id, and the vendor's mark of the place; "" is the beginning.
    """

    api: Api
    selection: Selection
    assembly: RecordAssembly
    cursors: Mapping[int, str] = field(default_factory=dict)

    def __call__(self, key_range: KeyRange) -> Generator[RangeBatch]:
        """Yield slices of up to 1,000 records, upward."""
        after, at, is_last = (
            self.cursors.get(key_range.low, str(key_range.low)),
            key_range.low,
            False,
        )
        seen = {after}
        while not is_last:
            asked_at, found, calls = self.api.now(), Records(), 0
            while not is_last and found.seen < BATCH_RECORDS:
                answer = self._page(after)
                calls += 1
                ids = [int(one) for one in answer.records.ids]
                responses.refuse_disorder(ids, at, self.assembly.owner)
                found.add(answer.records)
                after = self._next(answer, seen)
                at = ids[-1] + 1 if ids else at
                # What lies above the span is another lane's.
                is_last = not after or at > key_range.high
            yield self.assembly.batch(found, asked_at, calls, Place(is_last, cursor=after))

    def _page(self, after: str) -> Answer:
        selection = self.selection.keys_only if self.assembly.by_id else self.selection
        size = page_size(self.api, selection, by_id=self.assembly.by_id)
        params = {"limit": str(size), **selection.list_query()}
        if after:
            params["after"] = after
        if self.assembly.archived:
            params["archived"] = "true"
        return self.api.ask(
            self.api.at.objects(selection.name),
            lambda body: responses.read(
                body, selection.stamp, self.assembly.owner, keys_only=self.assembly.by_id
            ),
            LIST,
            **params,
        )

    def _next(self, answer: Answer, seen: set[str]) -> str:
        after = answer.after
        if after and after in seen:
            raise ProtocolError(
                f"{self.assembly.owner}: HubSpot named the same page twice; reading on would never end.",
                cure="Run again; if it persists, report it to HubSpot with the time of the run.",
            )
        seen.add(after)
        return after
