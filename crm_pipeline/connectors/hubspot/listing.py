"""The list: all records of a type by ascending ids, paged by a cursor of the vendor.

It has no filter "changed since", so a window takes a read of all records. `after` of a response is followed, never its
`link`, which may name another API version. Source:
https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from crm_pipeline.connectors.hubspot import responses
from crm_pipeline.connectors.hubspot.api import LIST, Api
from crm_pipeline.connectors.hubspot.record_assembly import BATCH_RECORDS, Progress, RecordAssembly
from crm_pipeline.connectors.hubspot.responses import Records, RecordsResponse
from crm_pipeline.connectors.hubspot.selection import Selection
from crm_pipeline.connectors.range_reader import KeyRange, RangeBatch
from crm_pipeline.kernel.errors import ProtocolError


def page_size(api: Api, selection: Selection, *, by_id: bool) -> int:
    """Return the maximum number of records of a call."""
    has_history = bool(selection.history) and not by_id
    return api.meter.limit("history_records" if has_history else "list_records")


@dataclass(frozen=True)
class ListReader:
    """Reads ranges of ids by a list; see `range_reader.Reader`.

    Attributes:
        cursors: the cursors at which ranges can start, by id; "" is the beginning.
    """

    api: Api
    selection: Selection
    assembly: RecordAssembly
    cursors: Mapping[int, str] = field(default_factory=dict)

    def __call__(self, key_range: KeyRange) -> Generator[RangeBatch]:
        """Yield batches of up to 1,000 records, upward."""
        after, at, is_last = (
            self.cursors.get(key_range.low, str(key_range.low)),
            key_range.low,
            False,
        )
        seen = {after}
        while not is_last:
            asked_at, records, calls = self.api.now(), Records(), 0
            while not is_last and records.seen < BATCH_RECORDS:
                response = self._page(after)
                calls += 1
                ids = [int(record_id) for record_id in response.records.ids]
                responses.refuse_disorder(ids, at, self.assembly.owner)
                records.add(response.records)
                after = self._next(response, seen)
                at = ids[-1] + 1 if ids else at
                # Another worker reads the records above the range.
                is_last = not after or at > key_range.high
            yield self.assembly.batch(records, asked_at, calls, Progress(is_last, cursor=after))

    def _page(self, after: str) -> RecordsResponse:
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
                body, selection.cursor_field, self.assembly.owner, keys_only=self.assembly.by_id
            ),
            LIST,
            **params,
        )

    def _next(self, response: RecordsResponse, seen: set[str]) -> str:
        after = response.after
        if after and after in seen:
            raise ProtocolError(
                f"{self.assembly.owner}: HubSpot named the same page twice; reading on would never end.",
                cure="Run again; if it persists, report it to HubSpot with the time of the run.",
            )
        seen.add(after)
        return after
