"""What changed in deals: their changelogs, asked for deal by deal, for the deals that changed in a window.

A call of 20 tokens tells the changes of one deal, so nobody reads them who does not ask for it. A deal's
record here is its whole changelog, oldest first: changes of its stage under `stages`, begun by the stage
that it was made in, all others under `changes`. A deal that changes again is read again.
Source: https://developers.pipedrive.com/docs/api/v1/Deals (getDealChangelog)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec
import pyarrow as pa

from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.pipedrive.catalog import ITEMS, Listing
from crm_pipeline.connectors.pipedrive.keys import Envelope, behind, sheet
from crm_pipeline.connectors.pipedrive.line_items import walk
from crm_pipeline.connectors.pipedrive.list_page import ListPage
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.record_page import RecordReader
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import ProtocolError, Rejected
from crm_pipeline.store.rejects import Reject

ROUTE = "cursor"
_STAGE = "stage_id"
_KEPT = ("id", "add_time", "update_time", _STAGE, "creator_user_id")


@dataclass(frozen=True)
class _Log:
    """One answer with changes: newest first, those of them that cannot be read, and what comes behind."""

    changes: list[dict[str, Any]]
    rejected: list[Reject]
    cursor: str | None


class _Change(msgspec.Struct):
    field_key: str | None = None


_READER = RecordReader(
    Envelope, _Change, list_name="data", id_name="field_key", id_of=lambda one: one.field_key or ""
)


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
            # The changes of a deal that cannot be read are asked for when it changes again.
            rejected = [one for one in page.rejected if one.digest not in seen]
            seen.update(one.digest for one in rejected)
            batch, more = _batch(lister, found)
            yield Page(
                shape="json",
                route=ROUTE,
                batches=lambda rows=batch: iter([rows]),  # type: ignore[misc]
                extracted_at=asked_at,
                calls=1 + lister.api.usage.calls - before,
                rejected=[*rejected, *more],
            )


def some(lister: Lister, page: ListPage) -> list[dict[str, Any]]:
    """Return the changes of the deals of a page."""
    texts = _batch(lister, list(_deals(page.batch)))[0].column("record").to_pylist()
    return [msgspec.json.decode(text, type=dict[str, Any]) for text in texts]


def _deals(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    for text in batch.column("record").to_pylist():
        deal = msgspec.json.decode(text, type=dict[str, Any])
        yield {key: deal.get(key) for key in _KEPT}


def _batch(lister: Lister, deals: list[dict[str, Any]]) -> tuple[pa.RecordBatch, list[Reject]]:
    """Return the changes of deals, and what stands for those of deals with a change that cannot be read."""
    texts, rejected = list[bytes](), list[Reject]()
    for deal in deals:
        made = _with_changes(lister, deal)
        if isinstance(made, Reject):
            rejected.append(made)
        elif made is not None:
            texts.append(msgspec.json.encode(made))
    # Through the rules of `keys`, like what comes from a list.
    page = sheet(b'{"data":[%b]}' % b",".join(texts), lister.item, lister.owner)
    batch = batch_of(
        ids=[str(key.id) for key in page.keys],
        stamps=page.instants,
        texts=page.texts,
        owner=lister.owner,
    )
    return batch, [*rejected, *page.rejected]


def _with_changes(lister: Lister, deal: dict[str, Any]) -> dict[str, Any] | Reject | None:
    """Return a deal with its changes; None where it was deleted since it was listed."""
    told: list[dict[str, Any]] = []
    try:
        for log in _changelog(lister, str(deal["id"])):
            if log.rejected:
                lost = log.rejected[0]
                return Reject(f"{lost.reason}, in what changed", lost.raw, str(deal["id"]))
            told = [*log.changes[::-1], *told]
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


def _changelog(lister: Lister, deal: str) -> Iterator[_Log]:
    """Yield the answers with the changes of a deal, newest first.

    Raises:
        ProtocolError: an answer names a page twice.
        MalformedAnswer: an answer is not what Pipedrive documents.
    """
    [log] = lister.item.listings
    operation = Operation(f"list {lister.item.name}", cost=log.cost)
    params, seen = {"limit": str(lister.api.page_records)}, set[str]()
    path = log.path.format(id=quote(deal, safe=""))
    while True:
        found = lister.api.ask(
            path, lambda body: _read(body, log, lister.owner), operation, **params
        )
        yield found
        if not found.cursor:
            return
        if found.cursor in seen:
            raise _broken(lister, "names the same page twice")
        seen.add(found.cursor)
        params["cursor"] = found.cursor


def _read(body: bytes, listing: Listing, owner: str) -> _Log:
    page = _READER.read(body, owner=owner, what="an answer with the changes of a deal")
    told = behind(page, listing, owner)
    changes = [msgspec.json.decode(text, type=dict[str, Any]) for text in page.texts]
    return _Log(changes, page.rejected, told.next_cursor)


def _broken(lister: Lister, what: str) -> ProtocolError:
    return ProtocolError(
        f"{lister.owner}: an answer {what}.",
        cure="Nothing of it was kept. Run again; if it persists, report it to the vendor with the time of "
        "the run.",
    )
