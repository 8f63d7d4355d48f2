"""One answer of a list: the records as text, their keys, and what comes behind.

v2 names the next page by a cursor, v1 by an offset; both may leave out what there is nothing to say
about. Source: https://pipedrive.readme.io/docs/core-api-concepts-pagination
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
    """One answer of a list; as long as it has records, readable or not.

    Args:
        body: of the answer.
        item: the object.
        listing: the list.
        asked_at: when the vendor was asked, by our clock.
        owner: for error texts.
        bounded: what changed since a moment was asked for.

    Attributes:
        asked_at: as given.
        ids: of the records that can be read, as they came.
        batch: those records in the shape `json`.
        rejected: the others.
        cursor: of the next page; None at the end of a v2 list.
        more: what v1 says about more records; None where it says nothing.

    Raises:
        MalformedAnswer: the answer is not what Pipedrive documents.
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
        told = keys.behind(page, listing, owner)
        self.cursor = told.next_cursor or None
        self.more = told.more
        self.rejected = page.rejected
        self.ids = [str(key.id) for key in page.keys]
        self.batch = batch_of(
            ids=self.ids,
            modified_at=page.instants,
            texts=page.texts,
            deleted=[listing.deleted or keys.is_ended(key, item) for key in page.keys],
            owner=owner,
        )

    def __len__(self) -> int:
        return len(self.ids) + len(self.rejected)

    @property
    def marks(self) -> list[str]:
        """What tells its records from others: their ids, or what stands for their bytes."""
        return [*self.ids, *(one.digest for one in self.rejected)]

    def within(self, window: Window | None) -> pa.RecordBatch:
        """Return the records of a window; those without a stamp belong to one that is open-ended."""
        if window is None or not len(self):
            return self.batch
        stamps = self.batch.column("_modified_at")
        inside = pc.less(stamps, pa.scalar(window.to_at, stamps.type))
        if window.from_at is None:
            return self.batch.filter(pc.fill_null(inside, fill_value=True))
        is_after = pc.greater_equal(stamps, pa.scalar(window.from_at, stamps.type))
        return self.batch.filter(pc.fill_null(pc.and_(inside, is_after), fill_value=False))

    @property
    def newest(self) -> datetime | None:
        """The latest stamp of the page."""
        found: datetime | None = pc.max(self.batch.column("_modified_at")).as_py()
        return found

    @property
    def oldest(self) -> datetime | None:
        """The earliest stamp of the page."""
        found: datetime | None = pc.min(self.batch.column("_modified_at")).as_py()
        return found


def seconds_of(batch: pa.RecordBatch) -> list[int]:
    """Return the stamps of records that all have one, as whole seconds since 1970."""
    stamps = batch.column("_modified_at").cast(pa.int64())
    found: list[int] = pc.divide(stamps, _MICROSECONDS).to_pylist()
    return found
