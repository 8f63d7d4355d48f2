"""Objects with one call per deal: changelogs and participants of the deals that changed in a window.

A record here is a deal with a list that we assemble, see `changelog` and `participants`. A call returns the
list of one deal, so these objects are read only if they are configured. A deal that changes again is read
again, and its new list replaces the old one.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import msgspec
import pyarrow as pa

from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.pipedrive.catalog import ITEMS, Listing
from crm_pipeline.connectors.pipedrive.changelog import Changelog
from crm_pipeline.connectors.pipedrive.keys import response_page
from crm_pipeline.connectors.pipedrive.line_items import cursor_pages
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.pipedrive.participants import Participants
from crm_pipeline.connectors.pipedrive.responses import ListPage
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import Rejected
from crm_pipeline.store.landing.rejects import Reject

ROUTE = "cursor"
Deal = dict[str, Any]


class RecordBuilder(Protocol):
    """Builds the records of one object."""

    what: str
    """The list of a deal, in words."""
    optional: tuple[str, ...]
    """The optional fields of deals that the builder needs."""
    deal_fields: tuple[str, ...]
    """The fields of deals that the builder needs."""
    lookup: Listing | None
    """A list that is requested once before the first deal."""

    def needs_call(self, deal: Deal) -> bool:
        """Return whether a deal takes a call."""

    def record(self, deal: Deal) -> Deal | Reject:
        """Return the record of a deal; a Reject where a response cannot be read.

        Raises:
            Rejected: 404, the deal was deleted since it was listed.
        """


def builder_of(lister: Lister) -> RecordBuilder:
    """Return the builder of an object's records."""
    return Changelog(lister) if lister.item.name == "deal_changes" else Participants(lister)


def deals_of(lister: Lister) -> Lister:
    """Return the lister of the deals."""
    return Lister(lister.api, ITEMS["deals"], builder_of(lister).optional)


def live_lists(deals: Lister) -> list[Listing]:
    """Return the lists of deals that can be read one by one: deleted deals have no sublists."""
    return [listing for listing in deals.item.listings if not listing.deleted]


def calls(lister: Lister, batch: pa.RecordBatch) -> int:
    """Return how many of the deals of a page take a call."""
    builder = builder_of(lister)
    return sum(builder.needs_call(deal) for deal in _deals(batch, builder))


def pages(
    lister: Lister, window: Window | None, *, first_pages: Mapping[str, ListPage]
) -> Iterator[Page]:
    """Yield the records of all deals that changed in a window, including archived ones.

    Args:
        lister: of the object.
        window: of the deals' changes; None for all deals.
        first_pages: the first pages of lists of deals that were already requested.
    """
    deals, seen, builder = deals_of(lister), set[str](), builder_of(lister)
    for listing in live_lists(deals):
        params = deals.scan_params(listing, window)
        for page in cursor_pages(deals, listing, params, first=first_pages.get(listing.name)):
            asked_at, before = lister.api.now(), lister.api.usage.calls
            listed = _deals(page.within(window), builder)
            fresh = [deal for deal in listed if str(deal["id"]) not in seen]
            seen.update(str(deal["id"]) for deal in fresh)
            # The list of an unreadable deal is requested when the deal changes again.
            rejected = [reject for reject in page.rejected if reject.digest not in seen]
            seen.update(reject.digest for reject in rejected)
            batch, more = _batch(lister, builder, fresh)
            yield Page(
                shape="json",
                route=ROUTE,
                batches=lambda rows=batch: iter([rows]),  # type: ignore[misc]
                extracted_at=asked_at,
                calls=1 + lister.api.usage.calls - before,
                rejected=[*rejected, *more],
            )


def records(lister: Lister, page: ListPage) -> list[Deal]:
    """Return the records of the deals of a page."""
    builder = builder_of(lister)
    batch, _ = _batch(lister, builder, list(_deals(page.batch, builder)))
    texts = batch.column("record").to_pylist()
    return [msgspec.json.decode(text, type=dict[str, Any]) for text in texts]


def _deals(batch: pa.RecordBatch, builder: RecordBuilder) -> Iterator[Deal]:
    for text in batch.column("record").to_pylist():
        deal = msgspec.json.decode(text, type=dict[str, Any])
        yield {key: deal.get(key) for key in builder.deal_fields}


def _batch(
    lister: Lister, builder: RecordBuilder, deals: list[Deal]
) -> tuple[pa.RecordBatch, list[Reject]]:
    """Return the records of deals, and the rejects of deals with an unreadable response."""
    texts, rejected = list[bytes](), list[Reject]()
    for deal in deals:
        try:
            record = builder.record(deal)
        except Rejected as error:
            if error.status != 404:
                raise
            continue
        if isinstance(record, Reject):
            rejected.append(record)
        else:
            texts.append(msgspec.json.encode(record))
    # The rules of `keys` apply to these records as to those of a list.
    page = response_page(b'{"data":[%b]}' % b",".join(texts), lister.item, lister.owner)
    batch = batch_of(
        ids=[str(key.id) for key in page.keys],
        modified_at=page.instants,
        texts=page.texts,
        owner=lister.owner,
    )
    return batch, [*rejected, *page.rejected]
