"""Reads the records of a plan, list by list, and continues reads that were interrupted."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.pipedrive import line_items, members, offsets, per_deal, ranges
from crm_pipeline.connectors.pipedrive.catalog import Listing
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.pipedrive.planning import reread_lists
from crm_pipeline.connectors.pipedrive.responses import ListPage
from crm_pipeline.connectors.pipedrive.scan import Scan
from crm_pipeline.kernel.clock import Window, format_instant
from crm_pipeline.kernel.errors import ReadLost
from crm_pipeline.store.landing.checkpoint import Checkpoint


def pages(
    lister: Lister,
    plan: Plan,
    checkpoint: Checkpoint,
    *,
    first_pages: Mapping[str, ListPage],
    workers: int,
) -> Iterator[Page]:
    """Yield the records of a plan.

    Args:
        lister: of the plan's object.
        plan: the window and the strategy.
        checkpoint: of the window.
        first_pages: pages that planning has already requested, by list.
        workers: of the strategy `windows`.

    Raises:
        ReadLost: the checkpoint belongs to another read.
    """
    if lister.item.paging == "deals":
        [items] = lister.item.listings
        yield from line_items.pages(lister, first=first_pages.get(items.name))
        return
    if lister.item.paging == "per_deal":
        yield from per_deal.pages(lister, plan.window, first_pages=first_pages)
        return
    started_at = min(lister.api.now(), lister.api.vendor_now())
    is_resumed = checkpoint.request is not None
    route, resumable = _resumed(lister, plan, checkpoint)
    for listing in lister.item.listings:
        if plan.keys_only and listing.deleted:
            continue
        # The checkpoint of an interrupted read holds ranges, into which the first page does not fit.
        first = None if is_resumed and route == ranges.ROUTE else first_pages.get(listing.name)
        read = _list(
            lister, plan, listing, route=route, checkpoint=resumable, first=first, workers=workers
        )
        has_names = lister.item.lookups and not plan.keys_only
        for page in members.with_names(lister, read) if has_names else read:
            page.part = listing.name
            yield page
    if plan.complete and len(lister.item.listings) > 1:
        # Records that moved between the lists during the read are read again.
        since = Window(started_at - timedelta(seconds=1), started_at + timedelta(days=3650))
        moved = replace(plan, window=since)
        for listing in reread_lists(lister.item.listings):
            for page in _list(
                lister, moved, listing, route="cursor", checkpoint=None, first=None, workers=1
            ):
                page.part = listing.name
                yield page


def _list(
    lister: Lister,
    plan: Plan,
    listing: Listing,
    *,
    route: str,
    checkpoint: Checkpoint | None,
    first: ListPage | None,
    workers: int,
) -> Iterator[Page]:
    window = plan.window
    if lister.item.paging != "cursor":
        return offsets.pages(lister, listing, window, first=first)
    is_whole = first is not None and first.cursor is None
    if route == ranges.ROUTE and window is not None and not is_whole:
        return ranges.pages(lister, listing, window, workers=workers, checkpoint=checkpoint)
    return Scan(lister, listing, window, checkpoint=checkpoint, first=first).pages()


def _resumed(lister: Lister, plan: Plan, checkpoint: Checkpoint) -> tuple[str, Checkpoint | None]:
    """Return the strategy, and the checkpoint; None if the read cannot be resumed."""
    if plan.complete or lister.item.paging != "cursor":
        return plan.route, None
    request: dict[str, Any] = {
        "object": plan.object,
        "window": _window_texts(plan.window),
        "schema": plan.schema.fingerprint,
    }
    earlier = checkpoint.request
    if earlier is None:
        checkpoint.begin({**request, "route": plan.route})
        return plan.route, checkpoint
    if {key: earlier.get(key) for key in request} != request:
        raise ReadLost(
            f"{lister.owner}: the read that an earlier process started is not the one that is planned now.",
            cure="Nothing is lost: the window is read anew.",
        )
    return str(earlier["route"]), checkpoint


def _window_texts(window: Window | None) -> list[str | None] | None:
    if window is None:
        return None
    start = format_instant(window.from_at) if window.from_at else None
    return [start, format_instant(window.to_at)]
