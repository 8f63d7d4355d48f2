"""One page of a list: the records as text, their keys, and the paging information.

v2 has a cursor for the next page, v1 an offset; both may leave it out at the end.
Source: https://pipedrive.readme.io/docs/core-api-concepts-pagination
"""

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.pipedrive import keys
from crm_pipeline.connectors.pipedrive.catalog import Item, Listing
from crm_pipeline.kernel.clock import Window

_MICROSECONDS = 1_000_000


class ListPage:
    """One page of a list. Its length counts all records, readable or not.

    Args:
        body: of the response.
        item: the object.
        listing: the list.
        asked_at: when the vendor was asked, by our clock.
        owner: for error texts.
        bounded: the request had a time filter.

    Attributes:
        asked_at: as given.
        ids: of the readable records, in the order of the response.
        batch: the readable records in the shape `json`.
        rejected: the unreadable records.
        cursor: of the next page; None at the end of a v2 list.
        has_more: whether v1 has more records; None where the response does not say.

    Raises:
        MalformedResponse: the response is not what Pipedrive documents.
    """

    def __init__(
        self,
        body: bytes,
        item: Item,
        listing: Listing,
        *,
        asked_at: datetime,
        owner: str,
        bounded: bool = False,
    ) -> None:
        self.asked_at = asked_at
        page = keys.response_page(body, item, owner, bounded=bounded)
        following = keys.next_page_of(page, listing, owner)
        self.cursor = following.next_cursor or None
        self.has_more = following.has_more
        self.rejected = page.rejected
        self.ids = [str(key.id) for key in page.keys]
        self.batch = batch_of(
            ids=self.ids,
            modified_at=page.instants,
            texts=page.texts,
            deleted=[listing.deleted or keys.is_deleted(key, item) for key in page.keys],
            owner=owner,
        )

    def __len__(self) -> int:
        return len(self.ids) + len(self.rejected)

    @property
    def identities(self) -> list[str]:
        """The ids of the readable records and the digests of the others."""
        return [*self.ids, *(reject.digest for reject in self.rejected)]

    def within(self, window: Window | None) -> pa.RecordBatch:
        """Return the records of a window; with an open start also those without a time of change."""
        if window is None or not len(self):
            return self.batch
        modified = self.batch.column("_modified_at")
        inside = pc.less(modified, pa.scalar(window.to_at, modified.type))
        if window.from_at is None:
            return self.batch.filter(pc.fill_null(inside, fill_value=True))
        is_after = pc.greater_equal(modified, pa.scalar(window.from_at, modified.type))
        return self.batch.filter(pc.fill_null(pc.and_(inside, is_after), fill_value=False))

    @property
    def last_modified_at(self) -> datetime | None:
        """The latest time of change on the page."""
        latest: datetime | None = pc.max(self.batch.column("_modified_at")).as_py()
        return latest

    @property
    def first_modified_at(self) -> datetime | None:
        """The earliest time of change on the page."""
        earliest: datetime | None = pc.min(self.batch.column("_modified_at")).as_py()
        return earliest


def seconds_of(batch: pa.RecordBatch) -> list[int]:
    """Return the times of change as whole seconds since 1970; each record needs one."""
    microseconds = batch.column("_modified_at").cast(pa.int64())
    seconds: list[int] = pc.divide(microseconds, _MICROSECONDS).to_pylist()
    return seconds
