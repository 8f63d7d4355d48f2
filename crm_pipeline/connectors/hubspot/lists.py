"""Lists (HubSpot's pages call them segments) and their members.

Both are read whole: no response says which lists have changed. A list's size may lag, its modification time does not
move with its members, and the moments at which a record was last added or removed are not documented to cover merges
and deletions. Source: https://developers.hubspot.com/docs/guides/api/crm/lists/overview
"""

import math
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import compress, islice, pairwise
from typing import Any

import msgspec
import pyarrow as pa
import structlog

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.hubspot import metadata
from crm_pipeline.connectors.hubspot.api import METADATA, Api
from crm_pipeline.connectors.hubspot.catalog import LIST_MEMBERS, LISTS, STANDARD
from crm_pipeline.connectors.hubspot.describe import MORE
from crm_pipeline.connectors.hubspot.list_keys import (
    ListKey,
    ListPage,
    MemberPage,
    lists_page,
    member_id,
    members_page,
)
from crm_pipeline.connectors.hubspot.selection import encoded
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.kernel.errors import CountMismatch, NotPermitted, ProtocolError, Rejected
from crm_pipeline.model.schema import Schema
from crm_pipeline.store.landing import records as landing
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.wire.paging import Link, walk

_log = structlog.get_logger(__name__)
_CURE = "Run again; if it persists, report it to HubSpot with the time of the run."
_PAGE_RECORDS = 10_000


@dataclass(frozen=True)
class MemberList:
    """A list whose members are read.

    Attributes:
        type_id: of the type of its records.
        size: the number of its members as a search says it, for estimates.
    """

    id: str
    type_id: str
    size: int


class _Single(msgspec.Struct):
    list: ListKey


class _Plain(msgspec.Struct):
    list: dict[str, Any]


class _Sized(msgspec.Struct):
    size: int | None = None


class _Fresh(msgspec.Struct):
    list: _Sized


def pages(api: Api, plan: Plan) -> Iterator[Page]:
    """Yield the pages of a plan: all lists, or all members of all lists."""
    if plan.object == LIST_MEMBERS:
        found = plan.prepared if isinstance(plan.prepared, tuple) else member_lists(api)
        yield from _member_pages(api, plan, found)
        return
    asked_at = api.now()
    for page in searched(api):
        batch = batch_of(
            ids=[key.id for key in page.keys],
            modified_at=page.instants,
            texts=page.texts,
            deleted=[key.deletedAt is not None for key in page.keys],
            owner=_owner(api, LISTS),
        )
        if page.seen:
            yield _page(plan, [batch], asked_at, calls=1, rejected=page.rejected)


def member_lists(api: Api, only: Collection[str] | None = None) -> tuple[MemberList, ...]:
    """Return the lists that have members, in the order of the search.

    Args:
        api: of the account.
        only: ids of lists; None returns all.
    """
    keys = (key for page in searched(api) for key in page.keys if key.deletedAt is None)
    return tuple(
        MemberList(key.id, key.objectTypeId, key.size)
        for key in keys
        if only is None or key.id in only
    )


def calls(api: Api, found: Sequence[MemberList]) -> int:
    """Return the number of calls that the members of lists take: the search, and a page at least for each list."""
    size = page_size(api)
    searches = max(1, math.ceil(len(found) / api.meter.limit("list_search_records")))
    return searches + sum(max(1, math.ceil(one.size / size)) for one in found)


def page_size(api: Api) -> int:
    """Return the number of members that a call returns at most."""
    return api.meter.limit("member_records")


def searched(api: Api) -> Iterator[ListPage]:
    """Yield the pages of the search that finds all lists, each list once.

    Raises:
        CountMismatch: the pages have other lists than the search counts.
    """
    size, offset, total = api.meter.limit("list_search_records"), 0, 0
    seen: set[str] = set()
    lost = 0
    while True:
        page = search(api, count=size, offset=offset)
        is_new = [key.id not in seen for key in page.keys]
        seen.update(key.id for key in page.keys)
        lost += len(page.rejected)
        yield _only(page, is_new)
        total = page.envelope.total if page.envelope.total is not None else len(seen) + lost
        if not page.envelope.hasMore:
            break
        after = page.envelope.offset or 0
        if after <= offset:
            raise ProtocolError(
                f"{_owner(api, LISTS)}: HubSpot named the same page of lists twice; reading on would never end.",
                cure=_CURE,
            )
        offset = after
    # Lists are shown by their place, so one that is deleted meanwhile hides another one.
    if len(seen) + lost != total:
        raise CountMismatch(
            f"{_owner(api, LISTS)}: HubSpot counts {total:,} lists and showed {len(seen) + lost:,}.",
            cure="Lists were made or deleted during the read, or HubSpot left some out. Run again.",
        )


def first(api: Api, schema: Schema, rows: int) -> list[dict[str, Any]]:
    """Return the first lists, or the first members of the first lists, with a value for each field of the schema."""
    if schema.object == LISTS:
        texts = (bytes(text) for page in searched(api) for text in page.texts)
    else:
        found = member_lists(api)
        names = _names(api, found)
        texts = (
            _with(text, _suffix(one, names))
            for one in found
            for _, page in _members(api, one)
            for text in page.texts
        )
    shown = [msgspec.json.decode(text, type=dict[str, Any]) for text in islice(texts, rows)]
    flat = ({**(record.pop(MORE, None) or {}), **record} for record in shown)
    return [{name: record.get(name) for name in schema.names} for record in flat]


def single(api: Api, list_id: str) -> dict[str, Any]:
    """Return a list.

    Raises:
        Rejected: there is no such list.
    """
    return api.typed(api.at.lists(list_id), _Plain, "a list").list


def search(api: Api, *, count: int, offset: int = 0) -> ListPage:
    """Return one page of the search that finds all lists."""
    body = {"query": "", "count": count, "offset": offset, "additionalProperties": []}
    return api.search_lists(body, lambda content: lists_page(content, _owner(api, LISTS)))


def _only(page: ListPage, is_chosen: Sequence[bool]) -> ListPage:
    if all(is_chosen):
        return page
    return replace(
        page,
        keys=list(compress(page.keys, is_chosen)),
        texts=list(compress(page.texts, is_chosen)),
        instants=page.instants.filter(pa.array(is_chosen, pa.bool_())),
    )


@dataclass
class _Collected:
    """Members of one or several lists that become a page together: there may be thousands of small lists."""

    ids: list[str] = field(default_factory=list)
    instants: list[pa.Array] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    rejected: list[Reject] = field(default_factory=list)
    calls: int = 0

    def page(self, plan: Plan, asked_at: datetime, owner: str) -> Page:
        """Return what was collected as a page."""
        instants = pa.concat_arrays(self.instants or [pa.nulls(0, landing.TIMESTAMP)])
        batch = batch_of(ids=self.ids, modified_at=instants, texts=self.texts, owner=owner)
        return _page(plan, [batch], asked_at, calls=self.calls, rejected=self.rejected)


def _member_pages(api: Api, plan: Plan, found: Sequence[MemberList]) -> Iterator[Page]:
    owner, names = _owner(api, LIST_MEMBERS), _names(api, found)
    collected, asked_at = _Collected(), api.now()
    for one in found:
        suffix = _suffix(one, names)
        for ids, page in _members(api, one):
            collected.ids += (member_id(one.id, record_id) for record_id in ids)
            collected.instants.append(page.instants)
            collected.texts += (_with(text, suffix) for text in page.texts)
            collected.rejected += (
                replace(row, raw=_with(row.raw, suffix)) for row in page.rejected
            )
            collected.calls += 1
            if len(collected.ids) >= _PAGE_RECORDS:
                yield collected.page(plan, asked_at, owner)
                collected, asked_at = _Collected(), api.now()
    if collected.ids or collected.rejected:
        yield collected.page(plan, asked_at, owner)


def _members(api: Api, one: MemberList) -> Iterator[tuple[list[str], MemberPage]]:
    """Yield the pages of the members of a list, each member once, with the ids of the records.

    Raises:
        CountMismatch: the pages have other members than the list counts.
    """
    distinct = _Distinct()
    totals: list[int] = []
    lost = pages_read = 0
    for page in _walked(api, one):
        ids = [str(key.recordId) for key in page.keys]
        is_new = distinct.add([int(record_id) for record_id in ids])
        lost += len(page.rejected)
        pages_read += 1
        totals += [] if page.envelope.total is None else [page.envelope.total]
        if not all(is_new):
            ids = list(compress(ids, is_new))
            page.texts = list(compress(page.texts, is_new))
            page.instants = page.instants.filter(pa.array(is_new, pa.bool_()))
        yield ids, page
    shown = distinct.count + lost
    # Members come and go during the read; then the totals of its pages differ.
    drift = sum(abs(after - before) for before, after in pairwise(totals))
    if totals and not min(totals) - drift <= shown <= max(totals) + drift:
        raise _other_members(api, one, max(totals), shown)
    if pages_read and not shown and one.size:
        size = api.typed(api.at.lists(one.id), _Fresh, "a list").list.size
        if size:
            raise _other_members(api, one, size, shown)


def _walked(api: Api, one: MemberList) -> Iterator[MemberPage]:
    owner, path = _owner(api, LIST_MEMBERS), api.at.lists(one.id, "memberships")
    size = {"limit": str(page_size(api))}

    def fetch(after: str) -> MemberPage:
        cursor = {"after": after} if after else {}
        return api.ask(path, lambda body: members_page(body, owner), METADATA, **size, **cursor)

    def following(page: MemberPage) -> str | None:
        return (page.envelope.paging.after if page.envelope.paging else "") or None

    try:
        yield from walk(Link[MemberPage]("", following), fetch, owner=owner)
    except Rejected as refusal:
        if refusal.status != 404 or _exists(api, one):
            raise
        _log.info("a list was deleted during the read", connection=api.connection.name, list=one.id)


def _exists(api: Api, one: MemberList) -> bool:
    try:
        found = api.typed(api.at.lists(one.id), _Single, "a list").list
    except Rejected as refusal:
        if refusal.status != 404:
            raise
        return False
    return found.deletedAt is None


def _other_members(api: Api, one: MemberList, counted: int, shown: int) -> CountMismatch:
    return CountMismatch(
        f"{_owner(api, LIST_MEMBERS)}: HubSpot counts {counted:,} members of list {one.id} and showed {shown:,}.",
        cure="Nothing of this read was kept; run again. If it persists, compare with the list in HubSpot, and report "
        "it with the time of the run.",
    )


class _Distinct:
    """Finds repeated ids; while ids ascend, as documented, it holds eight bytes for each."""

    def __init__(self) -> None:
        self._ids = array("q")
        self._set: set[int] | None = None

    @property
    def count(self) -> int:
        """The number of different ids."""
        return len(self._ids if self._set is None else self._set)

    def add(self, ids: Sequence[int]) -> list[bool]:
        """Return for each id whether it is new."""
        return [self._is_new(one) for one in ids]

    def _is_new(self, one: int) -> bool:
        if self._set is None:
            if not self._ids or one > self._ids[-1]:
                self._ids.append(one)
                return True
            self._set = set(self._ids)
        is_new = one not in self._set
        self._set.add(one)
        return is_new


def _names(api: Api, found: Sequence[MemberList]) -> Mapping[str, str]:
    """Return the configured object of each type of records that lists have; "" where there is none."""
    configured = {obj.name for obj in api.connection.objects}
    names = {kind.type_id: kind.name for kind in STANDARD.values()}
    wanted = {one.type_id for one in found} - names.keys()
    names |= {type_id: type_id for type_id in wanted & configured}
    if wanted - names.keys() and not configured <= STANDARD.keys():
        try:
            kinds = metadata.kinds(api)
        except NotPermitted:
            kinds = []  # then no custom object is read under its full name either
        names |= {
            type_id: kind["fullyQualifiedName"]
            for kind in kinds
            if (type_id := kind.get("objectTypeId") or "") in wanted - names.keys()
            and kind["fullyQualifiedName"] in configured
        }
    return {one.type_id: names.get(one.type_id, "") for one in found}


def _suffix(one: MemberList, names: Mapping[str, str]) -> bytes:
    """Return the keys that a member lacks as the end of a JSON object: its list, and of which object it is."""
    added = {"listId": one.id, "objectTypeId": one.type_id, "object": names[one.type_id]}
    return b"," + encoded({key: text for key, text in added.items() if text})[1:]


def _with(text: bytes | memoryview, suffix: bytes) -> bytes:
    """Return a member with the keys of its list before the closing brace; what has none stays as it is."""
    whole = bytes(text).rstrip()
    is_filled = whole.endswith(b"}") and whole[:-1].rstrip() != b"{"
    return whole[:-1] + suffix if is_filled else whole


def _page(
    plan: Plan,
    batches: list[pa.RecordBatch],
    asked_at: datetime,
    *,
    calls: int,
    rejected: list[Reject],
) -> Page:
    return Page(
        shape="json",
        route=plan.route,
        batches=lambda: iter(batches),
        extracted_at=asked_at,
        expected=sum(batch.num_rows for batch in batches),
        calls=calls,
        rejected=rejected,
    )


def _owner(api: Api, name: str) -> str:
    return f"{api.connection.name}.{name}"
