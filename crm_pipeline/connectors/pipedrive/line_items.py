"""Line items of deals: requested for a hundred deals at once, as there is no list of all line items.

Lists of deals say which deals have line items (`products_count`), so that the other deals cost nothing.
Source: https://developers.pipedrive.com/docs/api/v1/Deals (getDealsProducts)
"""

from collections.abc import Iterator

import msgspec

from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.pipedrive.catalog import ITEMS, Listing
from crm_pipeline.connectors.pipedrive.keys import is_number
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.pipedrive.responses import ListPage
from crm_pipeline.kernel.errors import MalformedResponse, ProtocolError

ROUTE = "cursor"
_DEALS_AT_ONCE = 100
_COUNT = "products_count"


class _Deal(msgspec.Struct):
    id: int | str
    # A deal without a count is requested.
    products_count: msgspec.Raw = msgspec.Raw(b"1")


def deals_of(lister: Lister) -> Lister:
    """Return the lister of the deals, with the number of their line items."""
    return Lister(lister.api, ITEMS["deals"], (_COUNT,))


def pages(lister: Lister, *, first: ListPage | None = None) -> Iterator[Page]:
    """Yield the line items of all live deals, including archived ones.

    Args:
        lister: of the line items.
        first: the first page of the deals, if it was already requested.
    """
    deals = deals_of(lister)
    [items] = lister.item.listings
    seen: set[str] = set()
    waiting: list[str] = []
    for listing in deals.item.listings:
        if listing.deleted:
            continue
        for page in cursor_pages(deals, listing, deals.scan_params(listing, None), first=first):
            first = None
            fresh = [deal for deal in deals_with_items(page, deals.owner) if deal not in seen]
            seen.update(fresh)
            waiting += fresh
            while len(waiting) >= _DEALS_AT_ONCE:
                yield from _item_pages(lister, items, waiting[:_DEALS_AT_ONCE])
                del waiting[:_DEALS_AT_ONCE]
    if waiting:
        yield from _item_pages(lister, items, waiting)


def cursor_pages(
    lister: Lister, listing: Listing, params: dict[str, str], *, first: ListPage | None = None
) -> Iterator[ListPage]:
    """Yield the pages of a list by its cursor.

    Raises:
        ProtocolError: the vendor names the same next page again.
    """
    cursor, seen = "", {""}
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = first if first is not None else lister.fetch(listing, {**params, **more})
        first = None
        yield page
        if page.cursor is None:
            return
        cursor = page.cursor
        if cursor in seen:
            raise ProtocolError(
                f"{lister.owner}: the vendor named the same page twice; reading on would never end.",
                cure="Run again; if it persists, report it to the vendor with the time of the run.",
            )
        seen.add(cursor)


def deals_with_items(page: ListPage, owner: str) -> list[str]:
    """Return the deals of a page that have line items, and the unreadable ones, which may have some.

    Raises:
        MalformedResponse: a deal has no readable id, so its line items would look deleted.
    """
    deals = (
        msgspec.json.decode(text, type=_Deal) for text in page.batch.column("record").to_pylist()
    )
    counted = [str(deal.id) for deal in deals if bytes(memoryview(deal.products_count)) != b"0"]
    unreadable = [reject.source_id for reject in page.rejected]
    if not all(reject.is_named and is_number(reject.source_id) for reject in page.rejected):
        raise MalformedResponse(
            f"{owner}: an answer holds a deal without an id that can be read "
            f"({page.rejected[0].reason}), so that its products cannot be requested."
        )
    return [*counted, *unreadable]


def calls(deals: int) -> int:
    """Return how many calls the line items of a number of deals take."""
    return -(-deals // _DEALS_AT_ONCE)


def _item_pages(lister: Lister, listing: Listing, deals: list[str]) -> Iterator[Page]:
    params = {"deal_ids": ",".join(deals), "limit": str(lister.api.page_records)}
    for page in cursor_pages(lister, listing, params):
        batch = page.batch
        yield Page(
            shape="json",
            route=ROUTE,
            batches=lambda rows=batch: iter([rows]),  # type: ignore[misc]
            extracted_at=page.asked_at,
            calls=1,
            rejected=page.rejected,
        )
