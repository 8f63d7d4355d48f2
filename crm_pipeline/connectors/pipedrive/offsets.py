"""Reads v1's lists by offset, or all in one response.

Offsets shift when earlier records are removed. So each page starts some records before the end of the
previous one and must contain at least one of those again; duplicates are left out.
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
        ReadLost: so many records were removed that the position in the list is lost.
    """
    seen: set[str] = set()
    params = parameters(lister, listing, window)
    start = 0
    while True:
        page = (
            first if first is not None else lister.fetch(listing, _at_offset(lister, params, start))
        )
        first = None
        if start and not seen.intersection(page.identities):
            raise ReadLost(
                f"{lister.owner}: the list changed so much during the read that the place in it is lost.",
                cure="Run again when fewer records are deleted, archived or converted.",
            )
        yield _page(page, listing, window, seen)
        seen.update(page.identities)
        if _is_end(lister, listing, page, window):
            return
        start = max(start + 1, start + len(page) - min(_OVERLAP, lister.api.page_records // 2))


def parameters(lister: Lister, listing: Listing, window: Window | None) -> dict[str, str]:
    """Return the parameters of a list; one without a time filter is read from the latest change backwards."""
    params = lister.scan_params(listing, window)
    if _is_backwards(listing, window) and params:
        params["sort"] = "update_time DESC, id ASC"
    return params


def _is_backwards(listing: Listing, window: Window | None) -> bool:
    return window is not None and window.from_at is not None and not listing.since


def _at_offset(lister: Lister, params: dict[str, str], start: int) -> dict[str, str]:
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
    if lister.item.paging == "whole" or not len(page) or page.has_more is False:
        return True
    if page.has_more is None and len(page) < lister.api.page_records:
        return True  # the response does not say whether there is more, and the page is not full
    if not _is_backwards(listing, window):
        return False
    assert window is not None
    assert window.from_at is not None
    last_change = page.last_modified_at
    # One second of margin. A record that is edited during the read moves to the front, not behind this page.
    return last_change is not None and last_change < window.from_at - timedelta(seconds=1)
