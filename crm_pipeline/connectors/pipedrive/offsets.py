"""Reading v1's lists: by offset, or all in one answer.

An offset moves when records before it go. So each page begins some records before the end of the last
one, and has to show at least one of those again; what is read twice is left out.
Source: https://pipedrive.readme.io/docs/core-api-concepts-pagination
"""

from collections.abc import Iterator
from datetime import timedelta

import pyarrow as pa

from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.pipedrive.catalog import Listing
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.pipedrive.responses import ListPage
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import ReadLost

_OVERLAP = 20
ROUTE = "cursor"


def pages(
    lister: Lister, listing: Listing, window: Window | None, *, first: ListPage | None = None
) -> Iterator[Page]:
    """Yield the records of a list, each once.

    Raises:
        ReadLost: so many records went meanwhile that the place in the list is lost.
    """
    seen: set[str] = set()
    params = parameters(lister, listing, window)
    start = 0
    while True:
        page = first if first is not None else lister.ask(listing, _at(lister, params, start))
        first = None
        if start and not seen.intersection(page.marks):
            raise ReadLost(
                f"{lister.owner}: the list changed so much during the read that the place in it is lost.",
                cure="Run again when fewer records are deleted, archived or converted.",
            )
        yield _page(page, listing, window, seen)
        seen.update(page.marks)
        if _is_end(lister, listing, page, window):
            return
        start = max(start + 1, start + len(page) - min(_OVERLAP, lister.api.page_records // 2))


def parameters(lister: Lister, listing: Listing, window: Window | None) -> dict[str, str]:
    """Return the parameters of a list; one that takes no range is read from its newest change on."""
    params = lister.scan(listing, window)
    if _goes_backwards(listing, window) and params:
        params["sort"] = "update_time DESC, id ASC"
    return params


def _goes_backwards(listing: Listing, window: Window | None) -> bool:
    return window is not None and window.from_at is not None and not listing.since


def _at(lister: Lister, params: dict[str, str], start: int) -> dict[str, str]:
    return params if lister.item.paging == "whole" else {**params, "start": str(start)}


def _page(page: ListPage, listing: Listing, window: Window | None, seen: set[str]) -> Page:
    rows = page.within(window)
    if seen and rows.num_rows:
        fresh = [record not in seen for record in rows.column("_source_id").to_pylist()]
        rows = rows.filter(pa.array(fresh, pa.bool_()))
    return Page(
        shape="json",
        route=ROUTE,
        batches=lambda: iter([rows]),
        extracted_at=page.asked_at,
        calls=1,
        rejected=[row for row in page.rejected if row.digest not in seen],
        origin=listing.origin,
    )


def _is_end(lister: Lister, listing: Listing, page: ListPage, window: Window | None) -> bool:
    if lister.item.paging == "whole" or not len(page) or page.more is False:
        return True
    if page.more is None and len(page) < lister.api.page_records:
        return True  # nothing is said about more, and the page is not full
    if not _goes_backwards(listing, window):
        return False
    assert window is not None
    assert window.from_at is not None
    newest = page.newest
    # A second more: whoever is edited while this is read moves to the front, not behind this page.
    return newest is not None and newest < window.from_at - timedelta(seconds=1)
