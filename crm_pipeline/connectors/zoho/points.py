"""Reads records by their ids: Get Records with `ids`, a hundred at a time, in as many lists of fields as they need.

Ids that no list has are looked for in the list of deleted records, which has no filter: it is read from its beginning
until all of them are found, at most for 50 pages. Sources: zoho.com/crm/developer/docs/api/v8/get-records.html,
get-deleted-records.html.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from crm_pipeline.connectors.asked_ids import AskedIds, Outcome
from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.point_batches import PointBatch
from crm_pipeline.connectors.point_pages import NOT_FOUND, outcomes_of, point_page
from crm_pipeline.connectors.zoho import deletions, describe, keys, meter, responses
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.field_backfill import IDS, FieldBackfill, chunked
from crm_pipeline.connectors.zoho.responses import ResponsePage
from crm_pipeline.kernel.errors import NotPermitted, Rejected
from crm_pipeline.model.schema import Schema

_UNLISTED = f"{NOT_FOUND}; this login cannot read the list of deleted records"
_LONG = f"{NOT_FOUND} on the first {deletions.MOST_PAGES} pages of its list of deleted records"


def marks(ids: Sequence[str], *, owner: str, asked_at: datetime) -> Page:
    """Return a page with marks of deleted records, as the list of them has them, without the time of deletion."""
    texts = [msgspec.json.encode({"id": one, "deleted_time": None}) for one in ids]
    batch = keys.batch_of_texts(texts, keys.DELETED_RULE, owner)
    return point_page(batch, {}, asked_at=asked_at, origin=keys.DELETED)


class PointReader:
    """Reads records of one module.

    Args:
        api: of the org.
        schema: the fields to read.
    """

    def __init__(self, api: Api, schema: Schema) -> None:
        self._api = api
        self._schema = schema
        self._owner = f"{api.connection.name}.{schema.object}"
        first, *rest = chunked(schema.names, api.limit("list_fields"))
        self.batch = PointBatch(IDS, 1 + len(rest))
        self._params = {"fields": ",".join(first)}
        if describe.CONVERTED in schema.by_name:
            self._params["converted"] = "both"
        self._backfill = FieldBackfill(
            api, schema, [name for names in rest for name in names if name not in first]
        )

    def pages(self, asked: AskedIds) -> Iterator[Page]:
        """Yield the live records, then the marks of deleted ones; see `Account.read`."""
        absent: list[str] = []
        for ids in asked.chunks(IDS):
            asked_at, before = self._api.now(), self._api.usage.calls
            page = self._listed(ids)
            batch = page.batch(self._owner)
            outcomes = outcomes_of(batch, page.rejected)
            missing = [one for one in ids if one not in outcomes]
            if any(not reject.is_named for reject in page.rejected):
                lost = Outcome("refused", "an answer holds records whose ids cannot be read")
                outcomes |= dict.fromkeys(missing, lost)
            else:
                absent += missing
            yield point_page(
                batch,
                asked.named(outcomes),
                asked_at=asked_at,
                calls=self._api.usage.calls - before,
                rejected=page.rejected,
                origin=keys.LIVE,
            )
        if absent:
            yield self._deleted(asked, absent)

    def _listed(self, ids: Sequence[str]) -> ResponsePage:
        """Return records with all their fields."""
        params = {**self._params, "ids": ",".join(ids)}
        reader = responses.page_reader(self._owner)
        listed = self._api.ask(f"/{self._schema.object}", meter.LIST, reader, params)
        wanted = frozenset(ids)
        page = listed.only([one in wanted for one in listed.ids])
        whole = self._backfill.filled(page)
        if whole is not None:
            return whole
        # One of them changed in between.
        singly = ResponsePage(rejected=list(page.rejected))
        for one, modified, text in page.rows():
            record = self._backfill.filled(ResponsePage([one], [modified], [text]))
            singly.extend(record if record is not None else self._backfill.single(one))
        return singly

    def _deleted(self, asked: AskedIds, ids: Sequence[str]) -> Page:
        """Return a page with the marks of those ids that the list of deleted records has."""
        asked_at, before = self._api.now(), self._api.usage.calls
        try:
            listed, is_whole = deletions.marks(self._api, self._schema.object, ids)
            reason = NOT_FOUND if is_whole else _LONG
        except (NotPermitted, Rejected):
            listed, reason = ResponsePage(), _UNLISTED
        batch = listed.batch(self._owner, deleted=True)
        found = outcomes_of(batch, listed.rejected)
        lost = Outcome("not_found", reason)
        outcomes = {one: found.get(one, lost) for one in ids}
        return point_page(
            batch,
            asked.named(outcomes),
            asked_at=asked_at,
            calls=self._api.usage.calls - before,
            rejected=[reject for reject in listed.rejected if reject.source_id in outcomes],
            origin=keys.DELETED,
        )
