"""Reads records by their ids: lists with `ids`, and single requests where those cost fewer tokens or are the only way.

A list of a hundred ids costs 10 tokens, a single record 1 (v1: 2). Lists leave out deleted records, and the list of deals
archived ones, too. Only single requests show those, with a mark, for 30 days; after that they are 'not found', as are
records that this user may not see. Source: https://developers.pipedrive.com/docs/api/v1 (getDeals, getDeal and so on)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

import msgspec
import pyarrow as pa

from crm_pipeline.connectors.asked_ids import AskedIds, IdForm, Outcome, number, uuid
from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.json_records import SCHEMA, batch_of
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.pipedrive.catalog import Item, Listing
from crm_pipeline.connectors.pipedrive.keys import WITH_UUID
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.pipedrive.optional import refused_by
from crm_pipeline.connectors.pipedrive.responses import ListPage
from crm_pipeline.connectors.point_batches import PointBatch
from crm_pipeline.connectors.point_pages import NOT_FOUND, not_by_id, outcomes_of, point_page
from crm_pipeline.kernel.errors import MalformedResponse, NotPermitted, Rejected, UnknownField
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.wire.decoding import decoded

_IDS = 100
"""The maximum number of ids of a list."""


class _Single(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")


@dataclass
class _Found:
    """The records of some responses, and what came of the other ids."""

    batches: list[pa.RecordBatch] = field(default_factory=list)
    rejected: list[Reject] = field(default_factory=list)
    others: dict[str, Outcome] = field(default_factory=dict)

    def add(self, page: ListPage, wanted: Sequence[str]) -> set[str]:
        """Add the wanted records of a page; return their ids."""
        asked = set(wanted)
        is_wanted = pa.array([one in asked for one in page.ids], pa.bool_())
        rejected = [reject for reject in page.rejected if reject.source_id in asked]
        self.batches.append(page.batch.filter(is_wanted))
        self.rejected += rejected
        return asked.intersection({*page.ids, *(reject.source_id for reject in rejected)})

    @property
    def batch(self) -> pa.RecordBatch:
        """All records."""
        return pa.concat_batches([pa.RecordBatch.from_pylist([], SCHEMA), *self.batches])


def form_of(item: Item) -> IdForm:
    """Return the form of an object's ids."""
    return uuid if item.name in WITH_UUID else number


def is_part(item: Item) -> bool:
    """Say whether the records of an object are lists that belong to deals."""
    return item.paging in {"deals", "per_deal"}


def refuse_parts(item: Item, owner: str) -> None:
    """Refuse objects whose records are parts of deals.

    Raises:
        Rejected: it is one of them.
    """
    if is_part(item):
        raise not_by_id(
            owner,
            "they are lists that belong to deals",
            f"A refresh reads them; `deals` can be read by their ids, `{item.name}` cannot.",
        )


def marks(item: Item, ids: Sequence[str], *, owner: str, asked_at: datetime) -> Page:
    """Return a page with marks of deleted records, as single requests show them, without a time of change."""
    mark = {"active_flag": False} if item.deleted_key == "active_flag" else {"is_deleted": True}
    named = [one if item.name in WITH_UUID else int(one) for one in ids]
    texts = [msgspec.json.encode({"id": one, **mark}) for one in named]
    batch = batch_of(ids=ids, modified_at=[None] * len(ids), texts=texts, deleted=True, owner=owner)
    return point_page(batch, {}, asked_at=asked_at)


class PointReader:
    """Reads records of one object.

    Args:
        lister: of the object.
    """

    def __init__(self, lister: Lister) -> None:
        self._lister = lister
        self._item = lister.item
        self._is_v2 = self._item.record_path.startswith("/api/v2/")
        self._single = Operation("get", cost=1 if self._is_v2 else 2)
        self._lists = [
            listing
            for listing in self._item.listings
            if self._item.paging == "cursor" and not listing.deleted
        ]

    @property
    def batch(self) -> PointBatch:
        """The batches in which records are read."""
        if not self._lists:
            return PointBatch(1, self._single.cost)
        return PointBatch(min(_IDS, self._lister.api.page_records), self._lists[0].cost)

    def pages(self, asked: AskedIds) -> Iterator[Page]:
        """Yield the records, a list of ids a page; see `Account.read`."""
        api = self._lister.api
        for ids in asked.chunks(min(_IDS, api.page_records)):
            asked_at, before = api.now(), api.usage.calls
            found, left = _Found(), list(ids)
            for listing in self._lists:
                # Below this number single requests cost less than the list.
                if len(left) * self._single.cost >= listing.cost:
                    seen = self._listed(listing, left, found)
                    left = [one for one in left if one not in seen]
            for one in left:
                self._add_single(one, found)
            batch = found.batch
            yield point_page(
                batch,
                asked.named(outcomes_of(batch, found.rejected) | found.others),
                asked_at=asked_at,
                calls=api.usage.calls - before,
                rejected=found.rejected,
            )

    def _listed(self, listing: Listing, ids: Sequence[str], found: _Found) -> set[str]:
        """Add the records of a list, and return their ids."""
        params = {"ids": ",".join(ids), "limit": str(len(ids))}
        try:
            page = self._with_optional(lambda more: self._lister.fetch(listing, {**params, **more}))
        except Rejected as refusal:
            if refusal.status != 400:
                raise
            return set()  # one of the ids is refused, and the response does not say which
        return found.add(page, ids)

    def _add_single(self, record: str, found: _Found) -> None:
        """Add a single record, or what came of it."""
        try:
            page = self._with_optional(lambda more: self._requested(record, more))
        except NotPermitted as error:
            if error.status != 403:
                raise
            found.others[record] = Outcome("refused", "the vendor does not show it to this user")
        except Rejected as error:
            is_absent = error.status == 404
            reason = (
                NOT_FOUND if is_absent else f"the vendor refused it ({error.status} {error.code})"
            )
            found.others[record] = Outcome("not_found" if is_absent else "refused", reason)
        except MalformedResponse:
            found.others[record] = Outcome(
                "refused", "the vendor's answers about it hold no record"
            )
        else:
            if not found.add(page, [record]):
                found.others[record] = Outcome("refused", "the vendor answered with another record")

    def _requested(self, record: str, params: Mapping[str, str]) -> ListPage:
        """Return a single record in the form of a list."""
        lister, asked_at = self._lister, self._lister.api.now()

        def read(body: bytes) -> ListPage:
            single = decoded(body, _Single, owner=lister.owner, what="a record").data
            raw = bytes(memoryview(single))
            if raw in (b"null", b"{}"):
                raise MalformedResponse(f"{lister.owner}: an answer with a record holds none.")
            listed = b'{"data":[%b]}' % raw
            return ListPage(
                listed, self._item, self._item.listings[0], asked_at=asked_at, owner=lister.owner
            )

        path = f"{self._item.record_path}/{quote(record, safe='')}"
        return lister.api.ask(path, read, self._single, **params)

    def _with_optional(self, call: Callable[[Mapping[str, str]], ListPage]) -> ListPage:
        """Return what a call returns that names the optional fields, without those that the company refuses."""
        lister = self._lister
        while True:
            names = lister.optional if self._is_v2 else ()
            try:
                return call({"include_fields": ",".join(names)} if names else {})
            except (UnknownField, NotPermitted) as error:
                refused = refused_by(error, lister)
                if not refused:
                    raise
                lister.optional = tuple(name for name in names if name not in refused)
