"""Reads what a plan says, list by list, and goes on where an earlier process was stopped."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.pipedrive import line_items, members, offsets, per_deal, ranges
from crm_pipeline.connectors.pipedrive.catalog import Listing
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.pipedrive.planning import again_of
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
    firsts: Mapping[str, ListPage],
    at_once: int,
) -> Iterator[Page]:
    """Yield the records of a plan.

    Args:
        lister: of the plan's object.
        plan: what is read, and how.
        checkpoint: of the window.
        firsts: pages that the plan has asked for already, by list.
        at_once: lanes of the route `windows`.

    Raises:
        ReadLost: the spool belongs to another read.
    """
    if lister.item.paging == "deals":
        [items] = lister.item.listings
        yield from line_items.pages(lister, first=firsts.get(items.name))
        return
    if lister.item.paging == "per_deal":
        yield from per_deal.pages(lister, plan.window, firsts=firsts)
        return
    begun_at = min(lister.api.now(), lister.api.vendor_now())
    is_resumed = checkpoint.request is not None
    route, kept = _resumed(lister, plan, checkpoint)
    for listing in lister.item.listings:
        # What an earlier process has done is noted in ranges, into which no page of ours fits.
        first = None if is_resumed and route == ranges.ROUTE else firsts.get(listing.name)
        read = _list(
            lister, plan, listing, route=route, checkpoint=kept, first=first, workers=at_once
        )
        for page in members.with_names(lister, read) if lister.item.beside else read:
            page.part = listing.name
            yield page
    if plan.complete and len(lister.item.listings) > 1:
        # What moved between the lists while they were read is looked for once more.
        since = Window(begun_at - timedelta(seconds=1), begun_at + timedelta(days=3650))
        moved = replace(plan, window=since)
        for listing in again_of(lister.item.listings):
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
        return ranges.pages(lister, listing, window, at_once=workers, checkpoint=checkpoint)
    return Scan(lister, listing, window, checkpoint=checkpoint, first=first).pages()


def _resumed(lister: Lister, plan: Plan, checkpoint: Checkpoint) -> tuple[str, Checkpoint | None]:
    """Return the route, and the spool where somebody could go on with the read."""
    if plan.complete or lister.item.paging != "cursor":
        return plan.route, None
    asked: dict[str, Any] = {
        "object": plan.object,
        "window": _written(plan.window),
        "schema": plan.schema.fingerprint,
    }
    found = checkpoint.request
    if found is None:
        checkpoint.begin({**asked, "route": plan.route})
        return plan.route, checkpoint
    if {key: found.get(key) for key in asked} != asked:
        raise ReadLost(
            f"{lister.owner}: what an earlier process had begun to read is not what is asked for now.",
            cure="Nothing is lost: the window is read anew.",
        )
    return str(found["route"]), checkpoint


def _written(window: Window | None) -> list[str | None] | None:
    if window is None:
        return None
    start = format_instant(window.from_at) if window.from_at else None
    return [start, format_instant(window.to_at)]
