"""Products of deals: asked for by deal, a hundred deals at once, because there is no list of them all.

Which deals have any, the lists of deals say (`products_count`), so that the others cost nothing.
Source: https://developers.pipedrive.com/docs/api/v1/Deals (getDealsProducts)
"""

from collections.abc import Iterator

import msgspec

from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.pipedrive.catalog import ITEMS, Listing
from crm_pipeline.connectors.pipedrive.keys import is_number
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.pipedrive.responses import ListPage
from crm_pipeline.kernel.errors import MalformedAnswer, ProtocolError

ROUTE = "cursor"
_DEALS_AT_ONCE = 100
_COUNT = "products_count"


class _Deal(msgspec.Struct):
    id: int | str
    # A deal of which nothing is said is asked about.
    products_count: msgspec.Raw = msgspec.Raw(b"1")


def deals_of(lister: Lister) -> Lister:
    """Return what asks for the deals, with the number of their products."""
    return Lister(lister.api, ITEMS["deals"], (_COUNT,))


def pages(lister: Lister, *, first: ListPage | None = None) -> Iterator[Page]:
    """Yield the products of all living deals, archived ones too.

    Args:
        lister: of the products.
        first: the first page of the deals, where it was asked for already.
    """
    deals = deals_of(lister)
    [items] = lister.item.listings
    seen: set[str] = set()
    waiting: list[str] = []
    for listing in deals.item.listings:
        if listing.deleted:
            continue
        for page in walk(deals, listing, deals.scan(listing, None), first=first):
            first = None
            found = [one for one in sellers(page, deals.owner) if one not in seen]
            seen.update(found)
            waiting += found
            while len(waiting) >= _DEALS_AT_ONCE:
                yield from _of(lister, items, waiting[:_DEALS_AT_ONCE])
                del waiting[:_DEALS_AT_ONCE]
    if waiting:
        yield from _of(lister, items, waiting)


def walk(
    lister: Lister, listing: Listing, params: dict[str, str], *, first: ListPage | None = None
) -> Iterator[ListPage]:
    """Yield the pages of a list by its cursor.

    Raises:
        ProtocolError: the vendor named a page twice.
    """
    cursor, seen = "", {""}
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = first if first is not None else lister.ask(listing, {**params, **more})
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


def sellers(page: ListPage, owner: str) -> list[str]:
    """Return the deals of a page that have products, or may have some as they cannot be read.

    Raises:
        MalformedAnswer: of a deal not even the id is known: its products would look deleted.
    """
    deals = (
        msgspec.json.decode(text, type=_Deal) for text in page.batch.column("record").to_pylist()
    )
    found = [str(deal.id) for deal in deals if bytes(memoryview(deal.products_count)) != b"0"]
    unread = [one.source_id for one in page.rejected]
    if not all(one.is_named and is_number(one.source_id) for one in page.rejected):
        raise MalformedAnswer(
            f"{owner}: an answer holds a deal without an id that can be read "
            f"({page.rejected[0].reason}), so that its products cannot be asked for."
        )
    return [*found, *unread]


def calls(deals: int) -> int:
    """Return how many calls the products of so many deals take."""
    return -(-deals // _DEALS_AT_ONCE)


def _of(lister: Lister, listing: Listing, deals: list[str]) -> Iterator[Page]:
    params = {"deal_ids": ",".join(deals), "limit": str(lister.api.page_records)}
    for page in walk(lister, listing, params):
        batch = page.batch
        yield Page(
            shape="json",
            route=ROUTE,
            batches=lambda rows=batch: iter([rows]),  # type: ignore[misc]
            extracted_at=page.asked_at,
            calls=1,
            rejected=page.rejected,
        )
