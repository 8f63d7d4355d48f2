"""Reads through the REST query endpoint: keyset pages of up to 2,000 records.

No server-side query locator is used: it ends with the session that created it, while a keyset page can be requested
again at any time.
"""

from collections.abc import Iterator

import pyarrow as pa
import requests

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.salesforce import describe, keys, soql
from crm_pipeline.connectors.salesforce.api import Api
from crm_pipeline.kernel.errors import MalformedResponse
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.wire.paging import Keyset, walk

_WHAT = "a query answer"


class RestPage:
    """A response of the query endpoint: the records as text, and their keys."""

    def __init__(self, body: bytes, cursor_field: str | None, owner: str) -> None:
        page = keys.reader(cursor_field).read(body, owner=owner, what=_WHAT)
        if page.envelope.total_size is None or page.envelope.done is None:
            raise MalformedResponse(f"{owner}: {_WHAT} does not say how many records there are.")
        self.total = page.envelope.total_size
        self.seen = page.seen
        self.is_cut = page.seen < self.total
        self.rejected = page.rejected
        self._keys = page.keys
        self._cursor_field = cursor_field
        self._batch = batch_of(
            ids=[key.Id for key in page.keys],
            modified_at=page.instants,
            texts=page.texts,
            deleted=[bool(key.IsDeleted) for key in page.keys],
            owner=owner,
        )

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def last(self) -> soql.Key | None:
        """The key of the last readable record, with the modification time as a SOQL literal."""
        if not self._keys:
            return None
        modified_at = self._keys[-1].modified_at(self._cursor_field) or ""
        return soql.Key(modified_at.replace("+0000", "Z").replace(".000Z", "Z"), self._keys[-1].Id)

    def is_final(self, limit: int) -> bool:
        """Return whether it is the last page, by the number of records that the vendor sent."""
        return not self.is_cut and max(self.seen, self.total) < limit

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the records in the shape `json`."""
        if self._keys:
            yield self._batch


def pages(api: Api, plan: Plan) -> Iterator[Page]:
    """Yield the keyset pages of a plan."""
    limit = api.limits.ceilings["query_page_records"]
    owner = f"{api.connection.name}.{plan.object}"
    # The records of a snapshot have modification times, too; they decide which version is newer.
    modified_field = describe.cursor_field(plan.schema)
    set_aside: set[str] = set()

    def read(response: requests.Response) -> RestPage:
        rest = RestPage(response.content, modified_field, owner)
        if rest.seen and not len(rest) and not rest.is_final(limit):
            raise MalformedResponse(
                f"{owner}: no record of {_WHAT} can be read, so the key of the next page is unknown."
            )
        return rest

    def fetch(key: soql.Key) -> tuple[RestPage, Page]:
        asked_at = api.now()
        query = soql.page(
            plan.schema.names,
            plan.object,
            cursor_field=plan.cursor_field,
            window=plan.window,
            key=key,
            limit=limit,
        )
        rest = api.asked(f"{api.base}/queryAll/", read, q=query)
        # The next page starts after the last readable record, so unreadable ones after it come again.
        rejected = _fresh(rest.rejected, set_aside)
        page = Page(
            shape="json",
            route="rest",
            batches=rest.batches,
            extracted_at=asked_at,
            expected=len(rest) + len(rejected),
            calls=1,
            rejected=rejected,
        )
        return rest, page

    keyset = Keyset[tuple[RestPage, Page], soql.Key](
        soql.BEGINNING,
        read_last=lambda read: read[0].last,
        is_final=lambda read: read[0].is_final(limit),
        owner=owner,
    )
    for _, page in walk(keyset, fetch, owner=owner):
        yield page


def _fresh(rejects: list[Reject], seen: set[str]) -> list[Reject]:
    """Return the rejects that are not in `seen`, and add them to it."""
    fresh = [reject for reject in rejects if reject.digest not in seen]
    seen.update(reject.digest for reject in fresh)
    return fresh
