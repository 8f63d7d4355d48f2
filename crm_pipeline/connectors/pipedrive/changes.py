"""What changed in deals: their changelogs, asked for deal by deal, for the deals that changed in a window.

A call of 20 tokens tells the changes of one deal, so nobody reads them who does not ask for it. A deal's
record here is its whole changelog, oldest first: changes of its stage under `stages`, begun by the stage
that it was made in, all others under `changes`. A deal that changes again is read again.
Source: https://developers.pipedrive.com/docs/api/v1/Deals (getDealChangelog)
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
import pyarrow as pa

from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.pipedrive.catalog import ITEMS, Listing
from crm_pipeline.connectors.pipedrive.line_items import walk
from crm_pipeline.connectors.pipedrive.list_page import ListPage
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import ProtocolError, Rejected

ROUTE = "cursor"
_STAGE = "stage_id"
_KEPT = ("id", "add_time", "update_time", _STAGE, "creator_user_id")


class _Paging(msgspec.Struct):
    next_cursor: str | None = None


class _Answer(msgspec.Struct):
    data: list[dict[str, Any]] | None
    additional_data: _Paging | None = None


def deals_of(lister: Lister) -> Lister:
    """Return what asks for the deals."""
    return Lister(lister.api, ITEMS["deals"])


def living(deals: Lister) -> list[Listing]:
    """Return the lists of deals that have a changelog: what is deleted has none."""
    return [listing for listing in deals.item.listings if not listing.deleted]


def pages(
    lister: Lister, window: Window | None, *, firsts: Mapping[str, ListPage]
) -> Iterator[Page]:
    """Yield the changes of all deals that changed in a window, archived ones too.

    Args:
        lister: of the changes.
        window: when the deals changed; None for all.
        firsts: the first page of each list of deals, where it was asked for already.
    """
    deals, seen = deals_of(lister), set[str]()
    for listing in living(deals):
        params = deals.scan(listing, window)
        for page in walk(deals, listing, params, first=firsts.get(listing.name)):
            asked_at, before = lister.api.now(), lister.api.usage.calls
            found = [one for one in _deals(page.within(window)) if str(one["id"]) not in seen]
            seen.update(str(one["id"]) for one in found)
            batch = _batch(lister, found)
            yield Page(
                shape="json",
                route=ROUTE,
                batches=lambda rows=batch: iter([rows]),  # type: ignore[misc]
                extracted_at=asked_at,
                calls=1 + lister.api.usage.calls - before,
            )


def some(lister: Lister, page: ListPage) -> list[dict[str, Any]]:
    """Return the changes of the deals of a page."""
    texts = _batch(lister, list(_deals(page.batch))).column("record").to_pylist()
    return [msgspec.json.decode(text) for text in texts]


def _deals(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    for text in batch.column("record").to_pylist():
        deal = msgspec.json.decode(text)
        yield {key: deal.get(key) for key in _KEPT}


def _batch(lister: Lister, deals: Iterable[dict[str, Any]]) -> pa.RecordBatch:
    found = [one for one in (_with_changes(lister, deal) for deal in deals) if one is not None]
    return batch_of(
        ids=[str(one["id"]) for one in found],
        stamps=[one["update_time"] for one in found],
        texts=[msgspec.json.encode(one) for one in found],
        owner=lister.owner,
    )


def _with_changes(lister: Lister, deal: dict[str, Any]) -> dict[str, Any] | None:
    """Return a deal with its changes; None where it was deleted since it was listed."""
    try:
        told = list(_changelog(lister, str(deal["id"])))[::-1]
    except Rejected as error:
        if error.status != 404:
            raise
        return None
    moves = [one for one in told if one.get("field_key") == _STAGE]
    first = moves[0].get("old_value") if moves else deal[_STAGE]
    begun = {
        "field_key": _STAGE,
        "old_value": None,
        "new_value": None if first is None else str(first),
        "time": deal["add_time"],
        "actor_user_id": deal["creator_user_id"],
    }
    # Numbers tell apart what changed in one second; a changelog only grows.
    stages = [{"number": number, **one} for number, one in enumerate([begun, *moves])]
    others = [one for one in told if one.get("field_key") != _STAGE]
    return {**deal, "stages": stages, "changes": others}


def _changelog(lister: Lister, deal: str) -> Iterator[dict[str, Any]]:
    """Yield the changes of a deal, newest first.

    Raises:
        ProtocolError: an answer is not what Pipedrive documents, or names a page twice.
    """
    [log] = lister.item.listings
    operation = Operation(f"list {lister.item.name}", cost=log.cost)
    params, seen = {"limit": str(lister.api.page_records)}, set[str]()
    while True:
        path = log.path.format(id=quote(deal, safe=""))
        body = lister.api.ask(path, operation, **params).content
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _broken(lister, "is not what Pipedrive documents") from None
        if answer.data is None and answer.additional_data is None:
            # An empty list of v1 may come as null, with its paging; anything else is no answer.
            raise _broken(lister, "holds no list (its data are null)")
        yield from answer.data or ()
        cursor = answer.additional_data.next_cursor if answer.additional_data else None
        if not cursor:
            return
        if cursor in seen:
            raise _broken(lister, "names the same page twice")
        seen.add(cursor)
        params["cursor"] = cursor


def _broken(lister: Lister, what: str) -> ProtocolError:
    return ProtocolError(
        f"{lister.owner}: an answer {what}.",
        cure="Nothing of it was kept. Run again; if it persists, report it to the vendor with the time of "
        "the run.",
    )
