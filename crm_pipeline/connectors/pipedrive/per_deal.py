"""What hangs on single deals: asked for deal by deal, for the deals that changed in a window.

A record here is a deal with a list that we put together, see `changelog` and `participants`. A call tells
about one deal, so nobody reads these objects who does not ask for them. A deal that changes again is read
again, and its list replaces the one of before.
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
from crm_pipeline.connectors.pipedrive.line_items import walk
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.pipedrive.participants import Participants
from crm_pipeline.connectors.pipedrive.responses import ListPage
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import Rejected
from crm_pipeline.store.landing.rejects import Reject

ROUTE = "cursor"
Deal = dict[str, Any]


class Maker(Protocol):
    """Makes the records of one object."""

    what: str
    """What is asked for, in words."""
    optional: tuple[str, ...]
    """What of deals has to be asked for by name."""
    kept: tuple[str, ...]
    """What of a deal its record keeps, or is made with."""
    listing: Listing | None
    """A list that is asked for once before the first deal."""

    def is_asked(self, deal: Deal) -> bool:
        """Return whether a deal takes a call."""

    def made(self, deal: Deal) -> Deal | Reject:
        """Return the record of a deal, or what stands for it where an answer cannot be read.

        Raises:
            Rejected: 404, the deal was deleted since it was listed.
        """


def maker(lister: Lister) -> Maker:
    """Return what makes the records of an object."""
    return Changelog(lister) if lister.item.name == "deal_changes" else Participants(lister)


def deals_of(lister: Lister) -> Lister:
    """Return what asks for the deals."""
    return Lister(lister.api, ITEMS["deals"], maker(lister).optional)


def living(deals: Lister) -> list[Listing]:
    """Return the lists of deals that can be asked about: what is deleted has nothing more to tell."""
    return [listing for listing in deals.item.listings if not listing.deleted]


def asked(lister: Lister, batch: pa.RecordBatch) -> int:
    """Return how many of the deals of a page take a call."""
    making = maker(lister)
    return sum(making.is_asked(deal) for deal in _deals(batch, making))


def pages(
    lister: Lister, window: Window | None, *, firsts: Mapping[str, ListPage]
) -> Iterator[Page]:
    """Yield the records of all deals that changed in a window, archived ones too.

    Args:
        lister: of the object.
        window: when the deals changed; None for all.
        firsts: the first page of each list of deals, where it was asked for already.
    """
    deals, seen, making = deals_of(lister), set[str](), maker(lister)
    for listing in living(deals):
        params = deals.scan(listing, window)
        for page in walk(deals, listing, params, first=firsts.get(listing.name)):
            asked_at, before = lister.api.now(), lister.api.usage.calls
            found = [
                one for one in _deals(page.within(window), making) if str(one["id"]) not in seen
            ]
            seen.update(str(one["id"]) for one in found)
            # Those of a deal that cannot be read are asked for when it changes again.
            rejected = [one for one in page.rejected if one.digest not in seen]
            seen.update(one.digest for one in rejected)
            batch, more = _batch(lister, making, found)
            yield Page(
                shape="json",
                route=ROUTE,
                batches=lambda rows=batch: iter([rows]),  # type: ignore[misc]
                extracted_at=asked_at,
                calls=1 + lister.api.usage.calls - before,
                rejected=[*rejected, *more],
            )


def some(lister: Lister, page: ListPage) -> list[Deal]:
    """Return the records of the deals of a page."""
    making = maker(lister)
    batch, _ = _batch(lister, making, list(_deals(page.batch, making)))
    texts = batch.column("record").to_pylist()
    return [msgspec.json.decode(text, type=dict[str, Any]) for text in texts]


def _deals(batch: pa.RecordBatch, making: Maker) -> Iterator[Deal]:
    for text in batch.column("record").to_pylist():
        deal = msgspec.json.decode(text, type=dict[str, Any])
        yield {key: deal.get(key) for key in making.kept}


def _batch(lister: Lister, making: Maker, deals: list[Deal]) -> tuple[pa.RecordBatch, list[Reject]]:
    """Return the records of deals, and what stands for those with an answer that cannot be read."""
    texts, rejected = list[bytes](), list[Reject]()
    for deal in deals:
        try:
            made = making.made(deal)
        except Rejected as error:
            if error.status != 404:
                raise
            continue
        if isinstance(made, Reject):
            rejected.append(made)
        else:
            texts.append(msgspec.json.encode(made))
    # Through the rules of `keys`, like what comes from a list.
    page = response_page(b'{"data":[%b]}' % b",".join(texts), lister.item, lister.owner)
    batch = batch_of(
        ids=[str(key.id) for key in page.keys],
        modified_at=page.instants,
        texts=page.texts,
        owner=lister.owner,
    )
    return batch, [*rejected, *page.rejected]
